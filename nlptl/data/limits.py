"""Limits of one text, one line and one packed file, so that a small file cannot take all memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nlptl.data.row_checks import Origin, RawRows
from nlptl.errors import DataError
from nlptl.progress import byte_size

MAX_TEXT_LENGTH = 5_000_000  # in characters; a long novel has three million
MAX_UNPACKED_RATIO = 200  # of the size of unpacked content to that of the packed file; text has 3 to 10
MIN_CHECKED_BYTES = 256 << 20  # content up to here may have any ratio


def max_line_length(max_text_length: int) -> int:
    """Return how many characters a line may have that holds a text: its other columns and escapes need room too."""
    return 2 * max_text_length + 1_000_000


def line_too_long(at: str, limit: int) -> DataError:
    """Return the error for a line of more than `limit` characters."""
    return DataError(
        f"{at}: the line has more than {limit:,} characters. Check that the file has line ends, or set `max_text_length:` "
        "to more characters."
    )


def text_too_long(at: str, limit: int) -> DataError:
    """Return the error for a text of more than `limit` characters."""
    return DataError(
        f"{at}: the text has more than {limit:,} characters. Cut it into several texts, or set `max_text_length:` to more "
        "characters."
    )


def check_lengths(found: Iterator[RawRows], *, origin: Origin, limit: int) -> Iterator[RawRows]:
    """Pass rows on. Raises DataError for a text or label of more than `limit` characters."""
    for rows in found:
        for values in (rows.texts, rows.labels or ()):
            if not _all_fit(values, limit):
                for line, value in zip(rows.lines, values, strict=False):
                    if isinstance(value, str) and len(value) > limit:
                        raise text_too_long(origin.at(line), limit)
        yield rows


def _all_fit(values: Sequence[Any], limit: int) -> bool:
    """Return whether each value is short. Every row passes here, so it runs at C speed."""
    try:
        return max(map(len, values), default=0) <= limit
    except TypeError:
        return False


def check_ratio(path: Path, *, unpacked: int, packed: int) -> None:
    """Raise DataError for a packed file whose content is so large that it can hardly be text."""
    if unpacked > max(MIN_CHECKED_BYTES, MAX_UNPACKED_RATIO * packed):
        raise DataError(
            f"{path}: the file of {packed:,} bytes unpacks to more than {byte_size(unpacked)}, over {MAX_UNPACKED_RATIO} "
            "times its size. Check its content, then write it as a plain .csv or .jsonl file."
        )
