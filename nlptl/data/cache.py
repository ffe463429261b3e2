"""Cache of large sources: checked rows in an Arrow stream file, its digest beside it, which is then memory-mapped."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nlptl.artifact import file_digest
from nlptl.data.table import Tally, TextTable
from nlptl.disk.drafts import sweep, temporary_folder, write_atomically
from nlptl.disk.refusals import RefusedError, told_as_storage_error
from nlptl.errors import ArtifactError, DataError, StorageError
from nlptl.results import read_result, write_result

_FORMAT = 2
_CACHED = re.compile(r"[0-9a-f]{64}\.[0-9]+\.(arrow|json)")
_FACTS = b"nlptl"
_BLANK_FACTS = b"#" * 192  # placeholder: a stream begins with its schema, which holds the facts, but they come last


def cache_folder(name: str = "data") -> Path:
    """Return a folder under $NLPTL_CACHE or ~/.cache/nlptl: `data` holds cached tables."""
    return Path(os.environ.get("NLPTL_CACHE") or Path("~").expanduser() / ".cache" / "nlptl") / name


def cached_table(key: str, *, name: str, batches: Callable[[Tally], Iterator[Any]]) -> tuple[TextTable, int]:
    """Return the table cached under `key` and the number of skipped rows. A new one is written from `batches`, or DataError.

    Where the cache may not be written, the rows stand in a temporary file, after a warning.
    """
    try:
        path = cache_folder() / f"{key}.{_FORMAT}.arrow"
        sweep(path.parent, lambda name: _CACHED.fullmatch(name) is not None)
        found = _open(path, name) if _is_whole(path) else None
        if found is None:
            _write(path, batches)
            found = _open(path, name)
    except (RefusedError, RuntimeError) as error:  # RuntimeError: there is no home folder
        warnings.warn(
            f"The cache of large data cannot be used: {error} The rows stand in a temporary file for now. To keep them, set "
            "NLPTL_CACHE to a folder that you may write.",
            stacklevel=2,
        )
        return _uncached(name, batches)
    except StorageError as error:
        raise DataError(
            f"{error} {name} is large, so its rows are kept there. Set NLPTL_CACHE to a folder on another disk."
        ) from None
    if found is None:
        raise DataError(f"{path}: the cached table cannot be read back. Set NLPTL_CACHE to a folder on another disk.")
    return found


def _write(path: Path, batches: Callable[[Tally], Iterator[Any]]) -> None:
    with told_as_storage_error(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    _facts_beside(path).unlink(missing_ok=True)
    write_atomically(path, lambda file: _stream(file, batches))
    _note(path, file_digest(path))


def _uncached(name: str, batches: Callable[[Tally], Iterator[Any]]) -> tuple[TextTable, int]:
    """Return a table that is mapped from a file without a name, so that even a kill leaves nothing behind."""
    with temporary_folder("rows") as folder:
        path = folder / "rows.arrow"
        try:
            write_atomically(path, lambda file: _stream(file, batches))
        except StorageError as error:
            raise DataError(f"{error} {name} is large, so its rows need a file. Set TMPDIR to another disk.") from None
        found = _open(path, name)
        assert found is not None
        return dataclasses.replace(found[0], mapped=None), found[1]


def _is_whole(path: Path) -> bool:
    """Return whether a cached table is the one that was written. It is read for that if its stamp is another."""
    with contextlib.suppress(OSError, ArtifactError):
        noted = read_result(_facts_beside(path)) or {}
        if noted.get("stamp") == _stamp(path):
            return True
        if noted.get("sha256") == (digest := file_digest(path)):
            _note(path, digest)
            return True
    return False


def _note(path: Path, digest: str) -> None:
    write_result(_facts_beside(path), {"sha256": digest, "stamp": _stamp(path)})


def _stamp(path: Path) -> list[int]:
    """Return what every change to a file changes."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns]


def _facts_beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _open(path: Path, name: str) -> tuple[TextTable, int] | None:
    """Open a cached table. Return None if it is missing, incomplete or damaged."""
    import datasets
    import pyarrow as pa

    try:
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
            facts = json.loads(stream.schema.metadata[_FACTS])
        dataset = datasets.Dataset.from_file(str(path))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None
    table = TextTable(dataset, name, facts["digest"], mapped=path)
    return (table, int(facts["skipped"])) if len(table) == facts["rows"] else None


def _stream(file: BinaryIO, batches: Callable[[Tally], Iterator[Any]]) -> None:
    import pyarrow as pa

    tally = Tally()
    rows = batches(tally)
    first = next(rows)
    schema = first.schema.with_metadata({_FACTS: _BLANK_FACTS})
    with pa.ipc.new_stream(file, schema) as stream:
        stream.write_batch(first.replace_schema_metadata(schema.metadata))
        for batch in rows:
            stream.write_batch(batch.replace_schema_metadata(schema.metadata))
    facts = {"digest": tally.hexdigest(), "rows": tally.rows, "skipped": tally.skipped}
    with open(file.name, "rb") as written:
        file.flush()
        at = written.read(1 << 16).index(_BLANK_FACTS)
    file.seek(at)  # the facts overwrite the placeholder, byte for byte
    file.write(json.dumps(facts).encode().ljust(len(_BLANK_FACTS)))
