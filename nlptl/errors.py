"""The errors that nlptl raises on purpose; every message is a sentence a user can act on.

NlptlError            anything below
├── ConfigError       a setting is wrong: the YAML path, what was found, what is expected, what to do
├── DataError         a data file or a row is wrong: file and line, what was found, what is expected, what to do
├── ArtifactError     a folder of results is missing, damaged or locked
│   └── StorageError  the machine refused to write: disk full, no permission
└── ProcessError      another process of the run failed or is gone
"""

from __future__ import annotations

from collections.abc import Sequence


class NlptlError(Exception):
    """Base of all errors that a user's input or machine causes, as opposed to a bug in nlptl."""


class ConfigError(NlptlError):
    """One or more settings are wrong; `faults` holds one sentence each, `str()` joins them by line."""

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))


class DataError(NlptlError):
    """A data file, a row or a label is not what the run needs."""


class ArtifactError(NlptlError):
    """A run or artifact folder is missing, damaged or locked."""


class StorageError(ArtifactError):
    """The disk is full or the folder cannot be written; nothing was left half-written."""


class ProcessError(NlptlError):
    """Another process of the same run failed, or the connection to it broke."""
