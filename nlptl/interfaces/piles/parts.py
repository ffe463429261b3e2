"""Parts of a result: one file for each shard, each with a receipt, so that a stopped command goes on from the finished ones."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from nlptl.artifact import is_whole, sealed, unsealed
from nlptl.config import Config
from nlptl.disk.drafts import packed_by_name, temporary_folder, write_atomically
from nlptl.disk.locks import RUN_LOCK
from nlptl.errors import ConfigError, DataError
from nlptl.interfaces.piles.part_files import PartForm, join
from nlptl.interfaces.piles.places import Place
from nlptl.interfaces.piles.shard_rows import Shard

PILE = "_pile.json"  # what the parts belong to, and at the end what each holds
RECEIPTS = "_receipts"


class Receipt(Config):
    """What a worker tells of a part that it has written."""

    number: int = Field(ge=0)
    rows: int = Field(ge=0)  # written
    size: int = Field(ge=0)  # bytes of the part
    without_text: int = 0
    first_without_text: str = ""  # place of the first one
    texts: int = 0  # that were answered, where the classifier may abstain
    kept: int = 0  # of these, with a label
    unknown: int = 0  # of no known label
    cannot_tell: bool = False  # whether a text is of no known label
    seconds: float = 0.0


@dataclass(frozen=True)
class Parts:
    """Folder of parts, all of one form."""

    folder: Place
    form: PartForm
    count: int

    def name(self, number: int) -> str:
        """Return the name of a part; names sort as the shards do."""
        return f"part-{number:0{max(5, len(str(self.count)))}d}.{self.form}"

    def place(self, number: int) -> Place:
        """Return the place of a part."""
        return self.folder.inside(self.name(number))

    @contextlib.contextmanager
    def written(self) -> Iterator[Path]:
        """Lend a path of this machine to write a part at, before `finish`."""
        with temporary_folder("part") as folder:
            yield folder / f"part.{self.form}"

    def finish(self, path: Path, receipt: Receipt) -> Receipt:
        """Put a part that was written at `path` in its place, then its receipt."""
        receipt = receipt.model_copy(update={"size": path.stat().st_size})
        self.place(receipt.number).put(path)
        _put_json(self._receipts().inside(f"{self.name(receipt.number)}.json"), receipt.model_dump(mode="json"))
        return receipt

    def begin(self, identity: str, *, force: bool, is_ours: bool) -> dict[int, Receipt]:
        """Return the receipts of the parts that are finished.

        Parts of another command go where `force` says so, or where the folder `is_ours`, hidden beside the result. Raises
        ConfigError for a folder that holds anything else.
        """
        kind = self.folder.kind()
        found = self._content() if kind == "folder" else {}
        if found.get("identity") == identity:
            return self._finished()
        held = [one.place for one in self.folder.files() if one.place.name != RUN_LOCK] if kind == "folder" else []
        if kind == "file" or (held and not found):
            what = "is a file" if kind == "file" else "holds other files"
            raise ConfigError(
                f"--out: {self.folder.address} {what}; expected an empty folder, or none. Name another folder."
            )
        if found and not (force or is_ours):
            raise ConfigError(
                f"--out: {self.folder.address} holds the results of another command, or of other data; nothing was overwritten. "
                "Name another folder, or add --force to replace them."
            )
        for place in held:
            place.remove()
        _put_json(self.folder.inside(PILE), {"identity": identity, "complete": False})
        return {}

    def check_here(self, receipt: Receipt) -> None:
        """Raise DataError for a part that a worker has written where this machine does not see it."""
        place = self.place(receipt.number)
        if place.file().size != receipt.size:
            raise DataError(
                f"{place.address}: a worker has written it, but it is not here; expected a folder that all machines see. "
                "Give --out on "
                "a shared file system, or an address such as s3://bucket/folder."
            )

    def complete(self, identity: str, shards: Sequence[Shard], receipts: dict[int, Receipt]) -> None:
        """Write what each part holds, and remove the receipts."""
        held = [
            {
                "part": self.name(shard.number), "file": shard.file, "first_row": shard.first + 1,
                "rows": receipts[shard.number].rows,
            }
            for shard in shards
        ]  # fmt: skip
        totals = [receipts[shard.number].model_dump(mode="json") for shard in shards]
        _put_json(self.folder.inside(PILE), {"identity": identity, "complete": True, "parts": held, "receipts": totals})
        self._receipts().remove()

    def joined(self, out: Path, *, header: bytes) -> None:
        """Write all parts as one file, then remove them."""
        paths = [Path(self.place(number).address) for number in range(self.count)]
        write_atomically(out, packed_by_name(out, lambda file: join(self.form, paths, file, header=header)))
        self.folder.remove()

    def _receipts(self) -> Place:
        return self.folder.inside(RECEIPTS)

    def _content(self) -> dict[str, Any]:
        """Return what the folder's file says; empty where there is none that is whole."""
        place = self.folder.inside(PILE)
        return _read_json(place) if place.kind() == "file" else {}

    def _finished(self) -> dict[int, Receipt]:
        """Return the receipts of the parts that are there whole."""
        sizes = {one.place.address: one.size for one in self.folder.files()}
        kept = list(self._content().get("receipts", ()))
        kept += [_read_json(Place(one)) for one in sizes if f"/{RECEIPTS}/" in one]
        found = [Receipt.model_validate(one) for one in kept if one]
        return {one.number: one for one in found if sizes.get(self.place(one.number).address) == one.size}


def _put_json(place: Place, content: dict[str, Any]) -> None:
    place.write((json.dumps(sealed(content), indent=1) + "\n").encode("utf-8"))


def _read_json(place: Place) -> dict[str, Any]:
    """Return the content of a sealed file; empty where it is not whole."""
    try:
        content = {**json.loads(place.read())}
    except (ValueError, TypeError, RecursionError, DataError):
        return {}
    return unsealed(content) if is_whole(content) else {}
