"""Shards of a pile: a file of it, or some rows of a file. The cut depends on the pile alone, so that a stopped command goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os.path import isdir
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from nlptl.data.columns import names_shown
from nlptl.data.compressed_files import bare_name
from nlptl.errors import ConfigError, DataError, first_line
from nlptl.interfaces.door import in_options
from nlptl.interfaces.piles.places import FoundFile, Place, is_address
from nlptl.interfaces.piles.shard_rows import Shard, opened_text

if TYPE_CHECKING:
    from nlptl.data import DataSettings

SHARD_ROWS = 50_000  # rows of a shard: three minutes of a small transformer on one core
TABLES = (".parquet", ".csv", ".tsv", ".jsonl")  # endings of the shards in a folder
READ_AT_ONCE = 16  # footers of parquet files


@dataclass(frozen=True)
class Pile:
    """Shards of a pile and what is known of all its rows."""

    shards: tuple[Shard, ...]
    names: tuple[str, ...]  # of all columns
    types: Mapping[str, Any] | None = None  # of the columns, where all files are parquet
    remarks: tuple[str, ...] = ()

    @property
    def rows(self) -> int | None:
        """Number of rows; None where some file was not counted."""
        counts = [shard.rows for shard in self.shards]
        return None if None in counts else sum(count or 0 for count in counts)


@dataclass(frozen=True)
class _File:
    """What a look at a file has told."""

    file: FoundFile
    names: tuple[str, ...]
    rows: int | None
    types: Mapping[str, Any] | None = None
    remarks: tuple[str, ...] = ()


def is_pile(path: Path) -> bool:
    """Return whether a path is a folder of shards, and no folder of texts; a path that cannot be looked at is none."""
    return isdir(path) and any(bare_name(one).endswith(TABLES) for one in path.rglob("*"))


def first_file(file: Path | None) -> Path | None:
    """Return the file of this machine that shows which columns a pile has; None for an address."""
    if file is None or is_address(file):
        return None
    return Path(files_of(Place.of(file))[0].place.address) if is_pile(file) else file


def files_of(place: Place) -> list[FoundFile]:
    """Return the files of a pile in the order of their paths. Raises DataError where there is none."""
    kind = place.kind()
    if kind == "nothing":
        raise DataError(
            f"--file: {place.address} is not there; expected a file or a folder of shards. Check the address."
        )
    if kind == "file" or (place.is_local and not is_pile(Path(place.address))):
        return [place.file()]
    found = [one for one in place.files() if _is_shard(one.place, place)]
    if not found:
        raise DataError(
            f"--file: {place.address} holds no shard; expected files that end in {', '.join(TABLES)}, with or without .gz. "
            "Check the address."
        )
    return found


def cut(place: Place, settings: DataSettings, *, shard_rows: int = SHARD_ROWS, whole: bool = False) -> Pile:
    """Cut a pile into shards of at most `shard_rows` rows.

    Parquet files are cut by the number of rows in their footers, other files of this machine are counted, and other files of an
    object store are one shard each. `whole` looks for the names of all columns. Raises DataError for files without the columns
    of the text, or with different ones; ConfigError for `shard_rows` below 1.
    """
    if shard_rows < 1:
        raise ConfigError(f"--shard-rows: found {shard_rows}; expected 1 or more. Leave it out for {SHARD_ROWS:,}.")
    listed = files_of(place)
    parquet = [one for one in listed if one.place.name.lower().endswith(".parquet")]
    with ThreadPoolExecutor(READ_AT_ONCE) as pool:
        footers = dict(zip(parquet, pool.map(_footer, parquet), strict=True))
    files = []
    for number, one in enumerate(listed):
        if one in footers:
            files.append(footers[one])
        elif one.place.is_local or number == 0:
            files.append(_counted(one, settings, whole=whole))
        else:
            files.append(_File(one, (), None))
    _check_same_columns(files)
    shards = tuple(replace(shard, number=number) for number, shard in enumerate(_shards(files, shard_rows)))
    types = None if any(one.types is None for one in files) else _types(files)
    names = tuple(dict.fromkeys(name for one in files for name in one.names))
    return Pile(shards, names, types, tuple(dict.fromkeys(remark for one in files for remark in one.remarks)))


def _is_shard(one: Place, folder: Place) -> bool:
    """Return whether a file is a shard: of a known ending, and hidden nowhere."""
    parts = one.address[len(folder.address) :].strip("/").split("/")
    return bare_name(PurePath(parts[-1])).endswith(TABLES) and not any(part.startswith((".", "_")) for part in parts)


def _footer(found: FoundFile) -> _File:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with found.place.opened() as file, pq.ParquetFile(file) as opened:
            schema, rows = opened.schema_arrow, opened.metadata.num_rows
    except pa.ArrowException as error:
        raise DataError(
            f"{found.place.address}: the parquet file is damaged ({first_line(error)}). Write or copy it again."
        ) from None
    return _File(found, tuple(schema.names), rows, {field.name: field.type for field in schema})


def _counted(found: FoundFile, settings: DataSettings, *, whole: bool) -> _File:
    """Read a file once for the names of its columns and the number of its rows."""
    names = dict[str, None]()
    with opened_text(found.place, settings, whole=whole) as opened:
        names |= dict.fromkeys(opened.names)
        rows = 0
        for raw in opened.rows():
            rows += len(raw.texts)
            for record in raw.records or ():
                names |= dict.fromkeys(record if isinstance(record, Mapping) else ())
        remarks = tuple(map(in_options, opened.remarks))
    return _File(found, tuple(names), rows if found.place.is_local else None, remarks=remarks)


def _check_same_columns(files: Sequence[_File]) -> None:
    """Raise DataError for a table whose columns are not those of the first one. Rows of .jsonl name their own."""
    tables = [one for one in files if one.names and not bare_name(PurePath(one.file.place.name)).endswith(".jsonl")]
    for other in tables[1:]:
        first, here = tables[0], other.file.place.address
        there = first.file.place.address
        if set(first.names) != set(other.names):
            raise DataError(
                f"{here}: its columns are {names_shown(other.names)}, but those of {there} are {names_shown(first.names)}; a pile "
                "needs the same in every file. Take it out, or write it again."
            )
        ours, theirs = other.types or {}, first.types or {}
        changed = next((name for name in theirs if name in ours and not _are_alike(ours[name], theirs[name])), None)
        if changed is not None:
            raise DataError(
                f"{here}: the column {changed!r} is of the type {ours[changed]}, but in {there} it is {theirs[changed]}; a pile "
                "needs the same in every file. Write it again."
            )


def _are_alike(one: Any, other: Any) -> bool:
    """Return whether values of two Arrow types go into one column: a file without a value has the type null."""
    import pyarrow as pa

    texts = (pa.string(), pa.large_string())
    return one == other or pa.null() in (one, other) or (one in texts and other in texts)


def _types(files: Sequence[_File]) -> Mapping[str, Any]:
    """Return the type of each column, as the first file has it that has a value there."""
    import pyarrow as pa

    found = dict[str, Any]()
    for one in files:
        found |= {name: kind for name, kind in (one.types or {}).items() if found.get(name, pa.null()) == pa.null()}
    return found


def _shards(files: Iterable[_File], most: int) -> Iterator[Shard]:
    for one in files:
        whole = Shard(0, one.file.place.address, one.file.size, one.file.changed)
        if one.rows is None:
            yield whole
            continue
        for first in range(0, max(1, one.rows), most):  # without a row, one empty part
            yield replace(whole, first=first, rows=min(most, one.rows - first))
