"""Options of a command over a pile: where it works, how the pile is cut, and where the results go."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nlptl.errors import ConfigError
from nlptl.interfaces.piles.places import Place, is_address
from nlptl.interfaces.terminal import remark
from nlptl.runs.engines.choice import EngineChoice

if TYPE_CHECKING:
    from nlptl.data import DataSettings
    from nlptl.interfaces.piles.shard_rows import PileReading
    from nlptl.interfaces.piles.shards import Pile
    from nlptl.interfaces.prediction_input import EmptyText

FILES = (".csv", ".tsv", ".txt", ".jsonl", ".parquet", ".npy")  # endings by which --out is one file
Device = Literal["auto", "cpu", "cuda"]


@dataclasses.dataclass(frozen=True)
class PileOptions:
    """Where a command works off a pile, and how it is cut."""

    engine: EngineChoice
    shard_rows: int | None = None
    device: Device = "auto"
    force: bool = False
    quiet: bool = False

    def wants_pile(self, file: Path | None, out: Path | None, form: str | None) -> bool:
        """Return whether the command is about a pile: by its engine, by what it reads, or by what it writes.

        Raises ConfigError for options of a pile without one.
        """
        from nlptl.interfaces.piles.shards import is_pile

        given = {"--engine": self.engine.name != "local", "--shard-rows": self.shard_rows is not None}
        reads = file is not None and (is_address(file) or is_pile(file))
        writes = out is not None and (is_address(out) or out.name.lower().endswith(".parquet"))
        if file is None and (wanted := [name for name, is_given in given.items() if is_given]):
            raise ConfigError(
                f"{wanted[0]}: is for the rows of a file or a pile; found no --file. Give --file, or drop it."
            )
        return any(given.values()) or reads or (file is not None and (writes or form == "parquet"))

    def files(self, file: Path | None, out: Path | None, *, of: str) -> tuple[Path, Path]:
        """Return what is read and where the results of `of` go. Raises ConfigError where one is not given: parts are files."""
        if file is not None and out is not None:
            return file, out
        engine = None if self.engine.name == "local" else f"--engine {self.engine.name}"
        cause = engine or (of if self.shard_rows is None else "--shard-rows")
        told = "--file: is not given" if file is None else "--out: is not given"
        why = "" if file is None else ": its parts are files"
        raise ConfigError(
            f"{told}; expected a file, a folder or an address such as s3://bucket/folder, which {cause} needs{why}. Name one."
        )


@dataclasses.dataclass(frozen=True)
class PileInput:
    """What a command was told of the pile that it reads and of the place of its results."""

    file: Path
    out: Path
    settings: DataSettings
    empty_text: EmptyText
    keep: tuple[str, ...] | None  # columns beside the text; None keeps all

    def cut(self, options: PileOptions) -> tuple[Pile, PileReading]:
        """Cut the pile and check its columns. Raises DataError or ConfigError; see `shards.cut`."""
        from nlptl.interfaces.piles.shard_rows import PileReading
        from nlptl.interfaces.piles.shards import SHARD_ROWS, cut
        from nlptl.interfaces.prediction_input import text_name

        rows = SHARD_ROWS if options.shard_rows is None else options.shard_rows
        pile = cut(Place.of(self.file), self.settings, shard_rows=rows, whole=self.keep != ())
        for sentence in () if options.quiet else pile.remarks:
            remark(sentence)
        text = text_name(self.settings, self.keep)
        return pile, PileReading(self.settings, self.empty_text, self.keep, pile.names, text)


def is_one_file(out: Path) -> bool:
    """Return whether the name of --out is that of one file of this machine, which holds all parts at the end."""
    return not is_address(out) and Path(out.name.lower().removesuffix(".gz")).suffix in FILES
