"""Export of a run's word vectors to files of other tools: word2vec, gensim, GloVe, fastText."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from nlptl.config import did_you_mean
from nlptl.disk.drafts import packed_by_name, write_atomically
from nlptl.errors import ConfigError
from nlptl.models.encoder import Encoder
from nlptl.models.word_vector_files.reading import Format, counts_path
from nlptl.models.word_vector_files.vector_text import FloatArray
from nlptl.models.word_vector_files.writing import is_writable, write_counts, write_fasttext, write_vectors
from nlptl.models.word_vectors import WordVectors

FORMATS: dict[str, tuple[Format, str]] = {  # format of the vectors, and gensim's arguments to read it
    "word2vec": ("word2vec", ""),
    "word2vec-binary": ("word2vec-binary", ", binary=True"),
    "keyedvectors": ("word2vec-binary", ", fvocab='{counts}', binary=True"),
    "glove": ("glove", ", no_header=True"),
    "fasttext": ("word2vec", ""),
}


def export_vectors(folder: Path, out: Path, *, format: str, force: bool = False) -> list[str]:
    """Write the word vectors of an encoder or a classifier to `out`. Return sentences on how to read the file.

    keyedvectors also writes the counts to `out`.vocab. fasttext writes fastText's model if the run has n-grams, else text.
    A name in .gz is compressed. Words with a space are left out. Raises ConfigError for existing files unless `force`.
    """
    if format not in FORMATS:
        raise ConfigError(
            f"--format: found {format!r}; expected one of {', '.join(FORMATS)}.{did_you_mean(format, FORMATS)}"
        )
    for path in [counts_path(out), out] if format == "keyedvectors" else [out]:
        if path.exists() and not force:
            raise ConfigError(
                f"--out: {path} exists; nothing was overwritten. Name another file, or add --force to replace it."
            )
    encoder, table = Encoder.read_word_vectors(folder)
    words = encoder.words()
    subwords = table.subwords if format == "fasttext" else None
    if subwords is not None and out.suffix.lower() == ".gz":
        raise ConfigError(
            f"--out: found {out} for fastText's model, which its readers do not unpack; expected another name. Remove .gz."
        )
    rows = [index for index, word in enumerate(words) if index and is_writable(word)]
    kept = [words[index] for index in rows]
    vectors: FloatArray = table.vectors.detach().numpy()[rows]
    counts: NDArray[np.int64] = table.counts.numpy()[rows]
    if format == "keyedvectors":
        write_atomically(counts_path(out), partial(write_counts, words=kept, counts=counts))
    write: Callable[[IO[bytes]], None] = partial(write_vectors, words=kept, vectors=vectors, format=FORMATS[format][0])
    if subwords is not None:
        buckets, spelling = subwords.all_buckets().numpy(), subwords.spelling
        write = partial(write_fasttext, words=kept, vectors=vectors, counts=counts, buckets=buckets, spelling=spelling)
    write_atomically(out, packed_by_name(out, write))
    return _sentences(out, format, kept=len(kept), left_out=len(words) - 1 - len(kept), table=table)


def _sentences(out: Path, form: str, *, kept: int, left_out: int, table: WordVectors) -> list[str]:
    more = FORMATS[form][1].format(counts=counts_path(out))
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
