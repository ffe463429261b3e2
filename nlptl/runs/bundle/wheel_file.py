"""A wheel of a bundle, written by the standard library: nlptl's code, the model, and a command that runs it."""

from __future__ import annotations

import base64
import hashlib
import keyword
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import nlptl
from nlptl.artifact import read_manifest
from nlptl.disk.drafts import files_in
from nlptl.errors import ConfigError
from nlptl.runs.bundle.bundle_files import CODE, MODEL, BundledModel, copy_code, copy_model, write_script

WRITTEN = (1980, 1, 1, 0, 0, 0)  # time of each file, so that equal content gives equal bytes
DIGITS = 12  # of the model's digest, in the version


def module_name(name: str) -> str:
    """Return the module of a wheel whose command is `name`. Raises ConfigError for a name that makes none."""
    module = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9 ._-]*", name) or keyword.iskeyword(module) or module == CODE:
        raise ConfigError(
            f"--name: found {name!r}, which names no command; expected letters and digits, a letter first, and not nlptl. Give "
            "another one."
        )
    return module


def wheel_name(model: BundledModel) -> str:
    """Return the name of the wheel's file. Its version is nlptl's, with the digest of the model."""
    return f"{module_name(model.name)}-{_version(model)}-py3-none-any.whl"


def stage_wheel(model: BundledModel, folder: Path) -> Path:
    """Lay the content of a wheel into an empty folder. Return the script that its command runs."""
    module = module_name(model.name)
    package, info = folder / module, folder / f"{module}-{_version(model)}.dist-info"
    copy_code(folder / CODE)
    copy_model(model.folder, package / MODEL)
    write_script(model.name, package / "__main__.py")
    (package / "__init__.py").write_text(f'"""The classifier {module}."""\n', encoding="utf-8")
    info.mkdir()
    command = module.replace("_", "-")
    for name, text in {
        "METADATA": _metadata(model, module),
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: nlptl {nlptl.__version__}\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": f"[console_scripts]\n{command} = {module}.__main__:main\n",
    }.items():
        (info / name).write_text(text, encoding="utf-8")
    return package / "__main__.py"


def pack_wheel(folder: Path, file: BinaryIO) -> None:
    """Pack a staged wheel."""
    (info,) = folder.glob("*.dist-info")
    record = info / "RECORD"
    record.touch()  # it lists itself
    record.write_text("".join(_record(folder, record)), encoding="utf-8")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in files_in(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), WRITTEN)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
            with path.open("rb") as content, packed.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(content, target)


def _version(model: BundledModel) -> str:
    return f"{nlptl.__version__}+{read_manifest(model.folder).digest[:DIGITS] or 'model'}"


def _metadata(model: BundledModel, module: str) -> str:
    needed = "".join(f"Requires-Dist: {line}\n" for line in model.requirements)
    summary = f"Text classifier of {len(model.predictor.labels)} labels, made with nlptl"
    return (
        f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: {_version(model)}\nSummary: {summary}\n"
        f"License: Apache-2.0 (the code of nlptl)\nRequires-Python: >=3.11\n{needed}"
    )


def _record(folder: Path, record: Path) -> Iterator[str]:
    for path in files_in(folder):
        name = path.relative_to(folder).as_posix()
        if path == record:
            yield f"{name},,\n"
            continue
        with path.open("rb") as content:
            digest = base64.urlsafe_b64encode(hashlib.file_digest(content, "sha256").digest()).rstrip(b"=").decode()
        quoted = f'"{name}"' if "," in name else name
        yield f"{quoted},sha256={digest},{path.stat().st_size}\n"
