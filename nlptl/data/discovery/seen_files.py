"""Files and folders that a person names, sorted into tables with labels and texts without any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nlptl.data.columns import names_shown
from nlptl.data.discovery.seen_table import SeenTable, look_at
from nlptl.data.limits import MAX_TEXT_LENGTH
from nlptl.data.readers import file_kind
from nlptl.data.sources import check_path
from nlptl.data.text_blocks import read_blocks
from nlptl.data.text_folders import TextFolder, open_text_folder
from nlptl.data.text_format import survey
from nlptl.errors import DataError

_LOOKED_AT_LINES = 200  # of a .txt file, which may be a table


@dataclass(frozen=True)
class SeenFiles:
    """What stands in some files and folders."""

    tables: tuple[SeenTable, ...] = ()
    labelled_folders: tuple[TextFolder, ...] = ()
    folders: tuple[TextFolder, ...] = ()  # of texts without labels
    lines: tuple[Path, ...] = ()  # .txt files with a text on each line


def look_at_files(paths: Sequence[Path], *, where: str) -> SeenFiles:
    """Look at files and folders. Raises DataError for one that cannot be read, or is named twice."""
    tables, labelled, folders, lines = list[SeenTable](), list[TextFolder](), list[TextFolder](), list[Path]()
    for path in paths:
        check_path(path, where=where)
        if paths.count(path) > 1:
            raise DataError(f"{where}: {path} is named twice. Name it once.")
        if path.is_dir():
            folder = open_text_folder(path, labelled=False, encoding=None, max_text_length=MAX_TEXT_LENGTH, where=where)
            (labelled if any(folder.labels) else folders).append(folder)
        elif file_kind(path) == ".txt":
            _check_is_no_table(path)
            lines.append(path)
        else:
            tables.append(look_at(path))
    return SeenFiles(tuple(tables), tuple(labelled), tuple(folders), tuple(lines))


def folder_sentence(folder: TextFolder, *, labelled: bool) -> str:
    """Return how a folder of texts is taken."""
    texts = f"{len(folder.files):,} .txt file{'s' * (len(folder.files) != 1)}, each a text"
    if not labelled:
        return f"{folder.path}: {texts} without a label."
    names = sorted({label for label in folder.labels if label is not None})
    waiting = folder.labels.count(None)
    rest = f"; {waiting:,} in no such folder {'wait' if waiting != 1 else 'waits'} for a label" if waiting else ""
    return (
        f"{folder.path}: {texts}; the names of its {len(names)} folders are the labels, {names_shown(names, 5)}{rest}."
    )


def _check_is_no_table(path: Path) -> None:
    """Raise DataError for a .txt file each of whose first lines has the same number of tabs."""
    block = next(read_blocks(path, survey(path).format), (1, ""))[1]
    lines = [line for line in block.split("\n")[:_LOOKED_AT_LINES] if line.strip()]
    tabs = {line.count("\t") for line in lines}
    if len(lines) > 1 and len(tabs) == 1 and (fields := tabs.pop() + 1) > 1:
        start, _, end = path.name.lower().rpartition(".txt")
        raise DataError(
            f"{path}: each line has {fields} fields with tabs between them; expected a text on each line. Rename it to "
            f"{path.name[: len(start)]}.tsv{end}, so that it is read as a table."
        )
