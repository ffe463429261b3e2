"""Errors that a user can act on; every message consists of full sentences."""

from __future__ import annotations

from collections.abc import Sequence


def first_line(error: BaseException) -> str:
    """Return the first line of another library's message, or its type, to be quoted in a sentence."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return printable(line)[:200].rstrip(".:")


def printable(text: str) -> str:
    """Return a text of a file or a library without what a terminal would obey, which is written as Python writes it."""
    return text if text.isprintable() else repr(text)[1:-1]


class NlptlError(Exception):
    """Error that a user's input or machine causes, as opposed to a bug in nlptl."""


class ConfigError(NlptlError):
    """Wrong settings. `faults` holds one message a fault, with its YAML path; `str()` joins them by line."""

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))


class DataError(NlptlError):
    """Data that the run cannot use. `faults` holds one message a fault, with file and line; `str()` joins them by line."""

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))


class ArtifactError(NlptlError):
    """Run or artifact folder that is missing, damaged or locked."""


class StorageError(ArtifactError):
    """Full disk, or a folder without write permission. Nothing is left half-written."""


class ProcessError(NlptlError):
    """Failure of another process of the run, or of the connection to it."""
