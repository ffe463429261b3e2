"""A folder of .txt files, each a text, as a source of rows; folders in it may be the labels."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nlptl.artifact import file_digest
from nlptl.data.columns import SETTINGS_DOOR, Door, names_shown
from nlptl.data.compressed_files import bare_name
from nlptl.data.limits import MAX_TEXT_LENGTH, check_lengths, text_too_long
from nlptl.data.row_checks import Origin, RawRows
from nlptl.data.text_format import ENCODING_NAMES, TextFormat, decoded, survey
from nlptl.errors import DataError

_BATCH_FILES = 200
_MAX_BYTES = 4  # of a character
_IGNORED = ("__MACOSX",)  # what macOS adds to archives
_NO_LABELS = ("unlabelled", "unlabeled", "unsorted")  # names of folders whose texts wait for a label


@dataclass(frozen=True)
class TextFolder:
    """Folder of texts, one a file, in the order of their paths."""

    path: Path
    files: tuple[Path, ...]
    formats: tuple[TextFormat, ...]
    labels: tuple[
        str | None, ...
    ]  # name of the folder in `path` that holds each file; None for one in `path` itself, or in a folder such as "unsorted"
    remarks: tuple[str, ...]
    max_text_length: int = MAX_TEXT_LENGTH

    @property
    def size(self) -> int:
        """Number of bytes of all files."""
        return sum(file.stat().st_size for file in self.files)

    def key(self) -> str:
        """Return a string that identifies the texts and their labels."""
        whole = hashlib.sha256()
        for file, form in zip(self.files, self.formats, strict=True):
            whole.update(f"{file.relative_to(self.path)}\0{form.encoding}\0{file_digest(file)}\n".encode())
        return whole.hexdigest()

    def origin(self, door: Door = SETTINGS_DOOR) -> Origin:
        """Return the folder as the origin of its rows, which are files."""
        return Origin(str(self.path), door=door, files=tuple(map(str, self.files)))

    def rows(self, *, labelled: bool, whole: bool = False) -> Iterator[RawRows]:
        """Stream the texts, and `whole` with the names of their files. Raises DataError for one that is too long."""
        return check_lengths(self._rows(labelled, whole), origin=self.origin(), limit=self.max_text_length)

    def _rows(self, labelled: bool, whole: bool) -> Iterator[RawRows]:
        for start in range(0, len(self.files), _BATCH_FILES):
            part = slice(start, start + _BATCH_FILES)
            texts = [self._text(file, form) for file, form in zip(self.files[part], self.formats[part], strict=True)]
            names = [str(file.relative_to(self.path)) for file in self.files[part]] if whole else []
            records = [{"file": name, "text": text} for name, text in zip(names, texts, strict=False)]
            labels = self.labels[part] if labelled else None
            yield RawRows(range(start + 1, start + len(texts) + 1), texts, labels, records if whole else None)

    def _text(self, file: Path, form: TextFormat) -> str:
        if file.stat().st_size > _MAX_BYTES * self.max_text_length:  # before it is in memory
            raise text_too_long(str(file), self.max_text_length)
        return "".join(decoded(file, form)).replace("\r\n", "\n").strip("\n\x1a")


def open_text_folder(
    path: Path, *, labelled: bool, encoding: str | None, max_text_length: int, where: str
) -> TextFolder:
    """Open a folder of texts. Raises DataError if it holds none, or no folder for a label where it is `labelled`."""
    found = sorted(_files(path))
    files = [file for file in found if is_text_name(file)]
    if not files:
        inside = f" It holds {names_shown((str(file.relative_to(path)) for file in found), 3)}." if found else ""
        raise DataError(
            f"{where}: {path} is a folder without .txt files.{inside} Give the path of a file, or of a folder that holds each "
            "text as a .txt file."
        )
    labels = [_label(file.relative_to(path)) for file in files]
    if labelled and not any(labels):
        raise DataError(
            f"{where}: {path} is a folder of texts without labels. Put the texts of each label into a folder in it that has the "
            "label's name, or give it as `unlabelled:`."
        )
    formats = tuple(survey(file, encoding=encoding, max_text_length=max_text_length).format for file in files)
    remarks = _remarks(
        files, formats, [file for file in found if not is_text_name(file)], is_given=encoding is not None
    )
    return TextFolder(path, tuple(files), formats, tuple(labels), tuple(remarks), max_text_length)


def _label(place: Path) -> str | None:
    """Return the label of the file at a place in the folder of texts."""
    name = place.parts[0]
    return None if len(place.parts) == 1 or name.casefold() in _NO_LABELS else name


def is_text_name(file: Path) -> bool:
    """Return whether a file is a text by its name."""
    return bare_name(file).endswith(".txt")


def _files(path: Path) -> Iterator[Path]:
    """Yield the files in a folder and the folders in it, without hidden ones."""
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _IGNORED)
        yield from (Path(folder, name) for name in names if not name.startswith("."))


def _remarks(
    files: list[Path], formats: tuple[TextFormat, ...], left_out: list[Path], *, is_given: bool
) -> Iterator[str]:
    if left_out:
        yield f"{_counted(left_out)} left out, such as {left_out[0]}, since only .txt files are read"
    by_encoding = sorted(zip((form.encoding for form in formats), files, strict=True)) if not is_given else []
    for encoding, group in itertools.groupby(by_encoding, key=lambda pair: pair[0]):
        found = [file for _, file in group]
        if encoding != "utf-8":
            told = f"{_counted(found)} read as {ENCODING_NAMES[encoding]}, such as {found[0]}"
            yield f"{told}. Set `encoding:` to read all files otherwise"


def _counted(files: list[Path]) -> str:
    return f"{len(files):,} of its files {'is' if len(files) == 1 else 'are'}"
