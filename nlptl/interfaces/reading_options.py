"""Options that say how a file is read, as settings of its data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.errors import ConfigError

if TYPE_CHECKING:
    from nlptl.data import DataSettings


@dataclass(frozen=True)
class ReadingOptions:
    """What a command was told of how its file is read."""

    text_column: list[str] | None
    input_delimiter: str | None
    quoting: str | None
    encoding: str | None
    no_header: bool
    sheet: str | None
    max_text_length: int | None
    label_column: str | None = None

    def of_a_file(self) -> list[str]:
        """Return the options that were given and need a file."""
        given = {
            "--text-column": self.text_column, "--no-header": self.no_header, "--input-delimiter": self.input_delimiter,
            "--quoting": self.quoting, "--encoding": self.encoding, "--sheet": self.sheet,
        }  # fmt: skip
        return [name for name, value in given.items() if value]

    def settings(self, file: Path | None, *, option: str) -> DataSettings:
        """Return the settings by which `file`, which stands under `option`, is read; those not given have their default.

        Raises ConfigError for values that no setting has, and for settings that a file of this ending cannot have.
        """
        from nlptl.config import parse
        from nlptl.data import DataSettings

        columns = {"text_column": self.text_column or None, "label_column": self.label_column}
        bounds = {"header": not self.no_header, "max_text_length": self.max_text_length}
        given = {**columns, **self._of_an_ending(), **bounds}
        found = parse(
            DataSettings, {name: value for name, value in given.items() if value is not None}, where="options"
        )
        if file is not None:
            self._check_fits(file, option)
        return found

    def _of_an_ending(self) -> dict[str, object]:
        """Return the settings that only files of some endings have."""
        return {
            "quoting": self.quoting, "delimiter": self.input_delimiter, "encoding": self.encoding,
            "sheet": self.sheet, "header": False if self.no_header else None,
        }  # fmt: skip

    def _check_fits(self, file: Path, option: str) -> None:
        from nlptl.data.compressed_files import bare_name
        from nlptl.data.data_settings import misfitting_settings

        given = [name for name, value in self._of_an_ending().items() if value is not None]
        found = misfitting_settings(str(file), given)
        if self.text_column and bare_name(file).endswith(".txt"):
            found.append(f"{file} has no columns, since it is a .txt file. Remove `text_column:`.")
        if found:
            raise ConfigError([f"{option}: {sentence}" for sentence in found])
