"""What `run` and `check` say about a path that is no pipeline file, and `run` about a folder that it cannot write."""

from __future__ import annotations

import difflib
from pathlib import Path

from nlptl.errors import ConfigError

TABLES = (".csv", ".tsv", ".txt", ".jsonl", ".parquet", ".xlsx", ".xls", ".ods")  # with or without .gz
SETTINGS = (".yaml", ".yml", ".json")
EXPECTED = "expected a pipeline file, which is YAML with data: and stages:."


def check_is_pipeline(path: Path) -> None:
    """Raise ConfigError, with what to do, for a table, a folder, a program or other settings."""
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if path.is_dir():
        raise ConfigError(f"{path}: found {_what_folder(path)}; {EXPECTED} {_remedy_of_folder(path)}")
    if not path.exists():
        _check_meant(path)
        return
    if suffix in TABLES:
        part = "unlabelled" if suffix == ".txt" else "labelled"
        raise ConfigError(
            f"{path}: found a table of data; {EXPECTED} Write one with `data: {{{part}: {path}}}`, as in "
            "pipelines/quickstart.yaml, and give that."
        )
    if suffix == ".json" and not _has_stages(path):
        raise ConfigError(f"{path}: found JSON without stages:; {EXPECTED} Give one.")
    if path.is_file():
        path.open("rb").close()  # PermissionError tells more than a fault of the YAML would
    if suffix and suffix not in SETTINGS:
        raise ConfigError(f"{path}: found a {suffix} file; {EXPECTED} Give one.")


def _check_meant(path: Path) -> None:
    """Raise ConfigError for a path that lacks its ending, or a letter, of a pipeline file beside it."""
    beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    stems = {one.stem: one for one in beside if one.suffix in SETTINGS}
    for meant in difflib.get_close_matches(path.stem if path.suffix in SETTINGS else path.name, stems, n=1):
        raise ConfigError(
            f"{path}: there is no such file. Did you mean {str(stems[meant])!r}? Give the path of a YAML file."
        )


def check_run_folder(folder: Path) -> None:
    """Raise ConfigError if a file stands where the run's folder, or a folder above it, would be."""
    for path in (folder, *folder.parents):
        if path.exists():
            if not path.is_dir():
                raise ConfigError(
                    f"--out: {path} is a file; expected a folder for the run. Name another one with --out."
                )
            return


def _has_stages(path: Path) -> bool:
    """Return whether a JSON file has stages, or is too long to be read: the reader of settings tells that."""
    from nlptl.plain_files import MAX_YAML, load_json

    try:
        return path.stat().st_size > MAX_YAML or "stages" in load_json(path, most=MAX_YAML)
    except (OSError, ValueError, TypeError):
        return False


def _what_folder(path: Path) -> str:
    from nlptl.artifact import is_run

    return "the folder of a run" if is_run(path) else "a folder"


def _remedy_of_folder(path: Path) -> str:
    from nlptl.artifact import RUN_SETTINGS, is_run

    if is_run(path):
        return f"To run it again, give {path / RUN_SETTINGS} and `--out {path}`."
    found = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    return f"Give the file, such as {found[0]}." if found else "Give a file."
