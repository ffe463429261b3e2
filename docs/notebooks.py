"""Execute the tutorials: each notebook of docs/tutorials in a fresh folder, offline, and keep what came out.

    python docs/notebooks.py [NAME ...]

A name is the beginning of a file's name, such as `01`, or a path. What was executed stands in runs/tutorials/ until the
notebook, nlptl, data/ or pipelines/ change; the tests and the site's build read it there.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlptl.disk.drafts import write_text_atomically

try:
    import jupytext
    import nbformat
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, DeadKernelError
except ImportError as error:
    raise SystemExit(
        f"The tutorials need {error.name}, which is not installed. Try: pip install 'nlptl[docs]'"
    ) from None

ROOT = Path(__file__).resolve().parent.parent
TUTORIALS = ROOT / "docs" / "tutorials"
KEPT = ROOT / "runs" / "tutorials"
MATERIAL = ("data", "pipelines")
"""Folders of the checkout that a reader has, copied into the folder of the notebook."""
WHAT_COUNTS = ("nlptl", *MATERIAL, "constraints.txt", "docs/notebooks.py")
"""Files and folders whose change makes a notebook run again."""
CELL_SECONDS = int(os.environ.get("NOTEBOOK_CELL_SECONDS", "180"))
"""Time limit of one cell; a busy machine may need more."""
SHOWN_LINES = 15
"""Lines of a failed cell's traceback and output that are shown."""
OFFLINE = """\
import sys

def refuse(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"A notebook tried to reach {arguments[1]}. Notebooks run without a network.")

sys.addaudithook(refuse)
"""
"""sitecustomize.py of every Python process of a notebook: it refuses connections to other machines."""
AS_A_TERMINAL = "unset BASH_ENV\nset -e\nexec 2>&1\n"
"""What bash reads before a %%bash cell: a failing command ends the cell, and lines come in the order of a terminal."""
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
PLAIN = {
    "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TQDM_DISABLE": "1", "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100",
    "TERMINAL_WIDTH": "100",
    "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm's, in a notebook without widgets
    **dict.fromkeys(ONE_THREAD, "1"),
}  # fmt: skip
"""Environment of a notebook: offline, one thread, lines without colours or bars."""
DIGITS = 12
"""Digits of the digest in the name of an executed notebook."""
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
CELL = re.compile(r"`{3,}\{code-cell\}")


class NotebookError(Exception):
    """Failure of a notebook; the message names the cell."""


@dataclass(frozen=True)
class Place:
    """Temporary folder of one execution."""

    folder: Path

    @property
    def work(self) -> Path:
        """Folder that the notebook runs in."""
        return self.folder / "work"

    @property
    def around(self) -> Path:
        """Folder of what the processes read at their start."""
        return self.folder / "around"


def main(names: Sequence[str]) -> int:
    """Execute the tutorials of these names, all of them without names. Return 1 where one fails."""
    failed = False
    for path in chosen(names):
        kept = kept_path(path).exists()
        try:
            executed = execute(path)
        except NotebookError as error:
            failed = True
            print(error, file=sys.stderr)
        else:
            print(
                f"{path.stem}: {'kept' if kept else f'executed in {cpu_seconds(executed):.0f} CPU seconds'}, {executed}"
            )
    return int(failed)


def tutorials() -> list[Path]:
    """Return the notebooks of docs/tutorials in their order."""
    return sorted(TUTORIALS.glob("[0-9][0-9]-*.md"))


def chosen(names: Sequence[str]) -> list[Path]:
    """Return the notebooks of these names. Raises SystemExit with what there is for a name of none."""
    found = []
    for name in names:
        matching = (
            [Path(name)] if Path(name).is_file() else [path for path in tutorials() if path.name.startswith(name)]
        )
        if not matching:
            there = ", ".join(path.stem for path in tutorials())
            raise SystemExit(f"No tutorial begins with {name!r}. There are {there}.")
        found += matching
    return found if names else tutorials()


def execute(path: Path) -> Path:
    """Return the executed notebook of a file, which is executed only where nothing that counts is as before.

    Raises NotebookError with the first failing cell.
    """
    target = kept_path(path)
    if not target.exists():
        notebook = run_notebook(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(target, nbformat.writes(notebook) + "\n")
        for older in target.parent.glob(f"{path.stem}-{'?' * DIGITS}.ipynb"):
            if older != target:
                older.unlink(missing_ok=True)
    return target


def run_notebook(path: Path) -> Any:
    """Execute a notebook in a fresh folder and return it with its outputs."""
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="md:myst")
    before = _children_seconds()
    with tempfile.TemporaryDirectory(prefix="nlptl-", ignore_cleanup_errors=True) as folder:
        place = Place(Path(folder).resolve())
        _furnish(place)
        _run_cells(notebook, path, place)
        _without_places(notebook, place)
    notebook.metadata["nlptl"] = {"cpu_seconds": round(_children_seconds() - before, 1)}
    return notebook


def cpu_seconds(executed: Path) -> float:
    """Return the CPU seconds, of user and system, that all processes of an executed notebook took."""
    return float(nbformat.read(executed, as_version=4).metadata["nlptl"]["cpu_seconds"])


def kept_path(path: Path) -> Path:
    """Return where the executed notebook of a file stands, there or not."""
    digest = hashlib.sha256(path.read_bytes())
    for file in _files_that_count():
        digest.update(f"\0{file.relative_to(ROOT).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return KEPT / f"{path.stem}-{digest.hexdigest()[:DIGITS]}.ipynb"


def _files_that_count() -> Iterator[Path]:
    for name in WHAT_COUNTS:
        place = ROOT / name
        files: Iterable[Path] = sorted(place.rglob("*")) if place.is_dir() else [place]
        yield from (file for file in files if file.is_file() and "__pycache__" not in file.parts)


def _furnish(place: Place) -> None:
    for name in MATERIAL:
        shutil.copytree(ROOT / name, place.work / name)
    place.around.mkdir()
    (place.around / "sitecustomize.py").write_text(OFFLINE, encoding="utf-8")
    (place.around / "as-a-terminal.sh").write_text(AS_A_TERMINAL, encoding="utf-8")


def _environment(place: Place) -> dict[str, str]:
    paths = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": f"{place.around}{os.pathsep}{ROOT}",
        "BASH_ENV": str(place.around / "as-a-terminal.sh"),
        "IPYTHONDIR": str(place.around / "ipython"),
        "NLPTL_CACHE": str(place.folder / "cache"),
        "MPLCONFIGDIR": str(KEPT / "matplotlib"),  # kept: a new list of fonts takes seconds
    }
    return {**os.environ, **PLAIN, **paths}


def _run_cells(notebook: Any, path: Path, place: Place) -> None:
    begun = [0]
    manager = AsyncKernelManager(
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),  # this Python's own
        connection_file=str(place.folder / "kernel.json"),
        transport="tcp" if sys.platform == "win32" else "ipc",  # no ports that two notebooks could both take
    )
    client = NotebookClient(
        notebook, km=manager, timeout=CELL_SECONDS, record_timing=False, coalesce_streams=True,
        on_cell_start=lambda cell, cell_index: begun.append(cell_index),
    )  # fmt: skip
    client.owns_km = True  # ends the kernel with the notebook
    try:
        client.execute(cwd=str(place.work), env=_environment(place))
    except (CellControlSignal, DeadKernelError) as error:
        raise NotebookError(_failure(notebook, begun[-1], path, place, str(error))) from None


def _failure(notebook: Any, index: int, path: Path, place: Place, reason: str) -> str:
    """Return where a cell stands, its source, the end of what it printed, and the end of its traceback."""
    cell = notebook.cells[index]
    lines = [number for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if CELL.match(line)]
    position = sum(other.cell_type == "code" for other in notebook.cells[:index])
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    parts = [f"{shown}, line {lines[position]}: this cell fails.", _indented(cell.source)]
    parts += [_end(output.text, place) for output in cell.outputs if output.output_type == "stream"]
    errors = [output for output in cell.outputs if output.output_type == "error"]
    parts += [_end("\n".join(error.traceback), place) for error in errors]
    return "\n\n".join(part for part in parts if part) if errors else "\n\n".join([*parts, _end(reason, place)])


def _end(text: str, place: Place) -> str:
    return _indented("\n".join(_plain(text, place).strip().splitlines()[-SHOWN_LINES:]))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


def _plain(text: str, place: Place) -> str:
    """Return a text without colours, and with paths as seen from the notebook's folder."""
    text = COLOURS.sub("", text).replace(f"{place.work}/", "")
    return text.replace(str(place.work), ".").replace(f"{place.folder}/", "").replace(f"{ROOT}/", "")


def _without_places(notebook: Any, place: Place) -> None:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = _plain(output.text, place)
            for kind, value in output.get("data", {}).items():
                if kind.startswith("text/") and isinstance(value, str):
                    output.data[kind] = _plain(value, place)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
