"""Word vectors given in a file or a package: read, told what was left out, and checked against the split of text."""

from __future__ import annotations

from pathlib import Path

from nlptl.context import Record
from nlptl.errors import DataError
from nlptl.models.word_vector_files.packaged import PACKAGES, read_package
from nlptl.models.word_vector_files.reading import VectorFile, read_vector_file
from nlptl.pretraining.word2vec.tokenizer import TextSettings, untrained_tokenizer, words_of

COMPARED_WORDS = 10_000  # first words of a file, which usually are the frequent ones
LOW_SHARE = 0.5  # below it, a warning


def given_vectors(path: str | Path, settings: TextSettings, record: Record) -> VectorFile:
    """Read a file of vectors, or a package's by its name. Raises DataError if the split of text gives none of its words.

    With n-grams, words that are not found still have vectors, so this is only a warning.
    """
    file = read_package(str(path), where="skipgram") if path in PACKAGES else read_vector_file(Path(path))
    for note in file.notes:
        record.warn(note)
    words = file.words[:COMPARED_WORDS]
    split = list(words_of(untrained_tokenizer(settings), [words]))
    lost = [(word, found) for word, found in zip(words, split, strict=True) if found != [word]]
    if len(lost) == len(words) and file.spelling is None:
        raise DataError(
            f"{path}: no text can have a word of this file; the settings of `text` change all {len(words):,} that were "
            f"tried, {_example(*lost[0])}. {_remedy(words, settings)}"
        )
    if len(lost) > (1 - LOW_SHARE) * len(words):
        share = f"{100 * len(lost) / len(words):.0f} % of the first {len(words):,} words"
        record.warn(
            f"{path}: {share} are found in no text, since the settings of `text` change them, {_example(*lost[0])}."
        )
    return file


def _example(word: str, found: list[str]) -> str:
    return f"for example {word!r} to {' and '.join(map(repr, found[:3])) or 'nothing'}"


def _remedy(words: list[str], settings: TextSettings) -> str:
    cased = untrained_tokenizer(settings.model_copy(update={"lowercase": False}))
    if any(found == [word] for word, found in zip(words, words_of(cased, [words]), strict=True)):
        return "These words have capitals: set text.lowercase to false."
    return "Expected words without blanks, tags and marks. Rename them in the file."
