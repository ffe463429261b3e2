"""Errors of the data in the words of the command line: `--text-column NAME`, where a pipeline file has `text_column: NAME`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from nlptl.errors import ConfigError, DataError

OPTIONS = {  # settings of a pipeline's `data:` block that predict and evaluate have as options, and that of several labels
    "text_column": "--text-column",
    "label_column": "--label-column",
    "empty_text": "--empty-text",
    "empty_label": "--empty-label",
    "delimiter": "--input-delimiter",
    "quoting": "--quoting",
    "encoding": "--encoding",
    "header": "--no-header",
    "sheet": "--sheet",
    "max_text_length": "--max-text-length",
    "separator": "--label-separator",
}
UNDER_A_SOURCE = re.compile(r", or (?:(?:with|as) )?`(?:text|label):` under this source")
FIRST = re.compile(rf"^options: ({'|'.join(OPTIONS)})\b(?:\.\S+)?")
SETTING = re.compile(rf"`({'|'.join(OPTIONS)}):?(?: ([^`]*))?`")


@contextmanager
def at_the_command_line() -> Iterator[None]:
    """Pass errors on with the names of options for those of settings."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError([in_options(fault) for fault in error.faults]) from None
    except DataError as error:
        raise DataError([in_options(fault) for fault in error.faults]) from None


def in_options(sentence: str) -> str:
    """Return a sentence with the option for each setting that it names."""
    sentence = FIRST.sub(lambda found: OPTIONS[found[1]], sentence)
    return SETTING.sub(_option, UNDER_A_SOURCE.sub("", sentence))


def _option(found: re.Match[str]) -> str:
    name, value = OPTIONS[found[1]], found[2]
    return f"{name} {value}" if value and found[1] != "header" else name
