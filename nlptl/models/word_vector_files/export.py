"""Export of a run's word vectors to files of other tools: word2vec, gensim, GloVe, fastText."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import read_manifest, verify, write_atomically
from nlptl.config import did_you_mean
from nlptl.errors import ConfigError
from nlptl.models.encoder import Encoder
from nlptl.models.subwords import Subwords
from nlptl.models.word_vector_files.reading import FloatArray, counts_path
from nlptl.models.word_vector_files.writing import is_writable, write_counts, write_fasttext, write_vectors
from nlptl.models.word_vectors import WordVectors

ExportFormat = Literal["word2vec", "word2vec-binary", "keyedvectors", "glove", "fasttext"]


def export_vectors(folder: Path, out: Path, *, format: str, force: bool = False) -> list[str]:
    """Write the word vectors of an encoder or a classifier to `out`. Return sentences on how to read the file.

    keyedvectors also writes the counts to `out`.vocab. fasttext writes fastText's model if the run has n-grams, else its
    text. A name that ends in .gz is compressed. Words with a space, from imported vectors, are left out. Raises ConfigError
    for what cannot be exported, and for existing files unless `force`.
    """
    form = _format(format)
    files = [counts_path(out), out] if form == "keyedvectors" else [out]
    for path in files:
        if path.exists() and not force:
            raise ConfigError(
                f"--out: {path} exists; nothing was overwritten. Name another file, or add --force to replace it."
            )
    verify(folder, read_manifest(folder))
    encoder, table = Encoder.read_word_vectors(folder)
    words = encoder.words()
    if form == "fasttext" and table.subwords is not None and out.suffix == ".gz":
        raise ConfigError(
            f"--out: found {out} for fastText's model, which its readers do not unpack; expected another name. "
            "Remove .gz."
        )
    rows = [index for index, word in enumerate(words) if index and is_writable(word)]
    kept = [words[index] for index in rows]
    vectors: FloatArray = table.vectors.detach().numpy()[rows]
    counts: NDArray[np.int64] = table.counts.numpy()[rows]
    if form == "keyedvectors":
        write_atomically(counts_path(out), partial(write_counts, words=kept, counts=counts))
    write_atomically(out, _packed(out, _writer(form, kept, vectors, counts, table.subwords)))
    return _sentences(out, form, kept=len(kept), left_out=len(words) - 1 - len(kept), table=table)


def _format(name: str) -> ExportFormat:
    choices = get_args(ExportFormat)
    if name not in choices:
        raise ConfigError(
            f"--format: found {name!r}; expected one of {', '.join(choices)}.{did_you_mean(name, choices)}"
        )
    return cast("ExportFormat", name)


def _writer(
    form: ExportFormat, words: list[str], vectors: FloatArray, counts: NDArray[np.int64], subwords: Subwords | None
) -> Callable[[IO[bytes]], None]:
    if form == "fasttext" and subwords is not None:
        buckets = subwords.all_buckets().numpy()
        return partial(
            write_fasttext, words=words, vectors=vectors, counts=counts, buckets=buckets, spelling=subwords.spelling
        )
    if form in ("word2vec-binary", "keyedvectors"):
        return partial(write_vectors, words=words, vectors=vectors, format="word2vec-binary")
    return partial(write_vectors, words=words, vectors=vectors, format="glove" if form == "glove" else "word2vec")


def _packed(out: Path, write: Callable[[IO[bytes]], None]) -> Callable[[IO[bytes]], None]:
    def packed(file: IO[bytes]) -> None:
        with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as inner:
            write(cast("IO[bytes]", inner))

    return packed if out.suffix == ".gz" else write


def _sentences(out: Path, form: ExportFormat, *, kept: int, left_out: int, table: WordVectors) -> list[str]:
    more = {
        "word2vec": "",
        "word2vec-binary": ", binary=True",
        "keyedvectors": f", fvocab='{counts_path(out)}', binary=True",
        "glove": ", no_header=True",
        "fasttext": "",
    }[form]
    is_model = form == "fasttext" and table.subwords is not None
    module, function = ("fasttext", "load_facebook_model") if is_model else ("KeyedVectors", "load_word2vec_format")
    told = [
        f"{out}: {kept:,} words of {table.dim} numbers.",
        f"In Python: from gensim.models import {module}; {module}.{function}('{out}'{more})",
    ]
    if form == "fasttext" and not is_model:
        told.append("The run has no n-grams, so this is fastText's text (.vec); its model would hold nothing more.")
    if left_out:
        told.append(f"{left_out:,} words that hold a space were left out; they are found in no text.")
    return told
