"""Cache of large sources: checked rows in an Arrow stream file, which is then memory-mapped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nlptl.artifact import told_as_storage_error, write_atomically
from nlptl.data.table import Tally, TextTable
from nlptl.errors import DataError, StorageError

_FORMAT = 1
_FACTS = b"nlptl"
_BLANK_FACTS = b"#" * 192  # placeholder: a stream begins with its schema, which holds the facts, but they come last


def cache_folder() -> Path:
    """Return the folder of cached tables: `data/` under $NLPTL_CACHE or ~/.cache/nlptl."""
    return Path(os.environ.get("NLPTL_CACHE") or Path.home() / ".cache" / "nlptl") / "data"


def cached_table(key: str, *, name: str, batches: Callable[[Tally], Iterator[Any]]) -> tuple[TextTable, int]:
    """Return the table cached under `key` and the number of skipped rows. A new one is written from `batches`, or DataError."""
    path = cache_folder() / f"{key}.{_FORMAT}.arrow"
    found = _open(path, name)
    if found is None:
        try:
            with told_as_storage_error(path.parent):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, lambda file: _stream(file, batches))
        except StorageError as error:
            raise DataError(
                f"{error} {name} is large, so its rows are kept there. Set NLPTL_CACHE to a folder on another disk."
            ) from None
        found = _open(path, name)
    if found is None:
        raise DataError(f"{path}: the cached table cannot be read back. Set NLPTL_CACHE to a folder on another disk.")
    return found


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
