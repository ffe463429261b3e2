"""Texts for the word-vector benchmarks: files of one text a line, words parted by blanks, which every arm reads alike.

nlptl's plain preset has split the words, so that str.split, gensim's LineSentence and nlptl find the same ones.
"""

from __future__ import annotations

import gzip
import html
import itertools
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from texts import IMDB, read_rows

LINE = 1_000  # words a line of enwiki, which has no lines of its own
SHORT_WORDS = 4_000_000  # words of short texts at most: gensim takes about 15 seconds on them
ENWIKI = "enwiki2015/text8style.txt.gz"
TWEETS = "tweeteval/sentiment"
_CHUNK = 1 << 20  # characters read at once
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])")
"""A full stop, ! or ? and what closes with it, before a blank and a capital or a digit. "Mr. Smith" is split wrongly;
what is measured does not mind."""


class Files:
    """The files that the arms read, made once in `scratch` and removed at the end."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._folder, self._scratch = folder, scratch

    def enwiki(self, words: int | None = None) -> Path:
        """Return the file with the first `words` words of enwiki2015 (all where None), in lines of 1,000."""
        path = self._scratch / f"enwiki-{words or 'all'}.txt"
        return self._written(path, (" ".join(line) for line in lines_of(self._stream(), words)))

    def short(self, words: int) -> Path:
        """Return the file with posts and sentences of reviews, up to `words` words, one a line."""
        return self._written(self._scratch / f"short-{words}.txt", short_texts(self._folder, words))

    def remove(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _stream(self) -> Iterator[str]:
        path = self._folder / ENWIKI
        if not path.is_file():
            raise SystemExit(f"{path}: no such file; expected the first words of a Wikipedia, in text8's style.")
        return words_in(path)

    def _written(self, path: Path, lines: Iterable[str]) -> Path:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".draft")
            with draft.open("w", encoding="utf-8") as file:
                file.writelines(line + "\n" for line in lines)
            draft.replace(path)
        return path


def words_in(path: Path) -> Iterator[str]:
    """Yield the words of a file that is one long line."""
    rest = ""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        while chunk := file.read(_CHUNK):
            *words, rest = (rest + chunk).split(" ")
            yield from (word for word in words if word)
    if rest := rest.strip():
        yield rest


def lines_of(words: Iterator[str], most: int | None) -> Iterator[list[str]]:
    """Yield lists of 1,000 words, `most` words together."""
    words = itertools.islice(words, most)
    while line := list(itertools.islice(words, LINE)):
        yield line


def short_texts(folder: Path, most: int) -> Iterator[str]:
    """Yield posts, then sentences of reviews with labels and without, as words parted by blanks.

    `train_pool` is what some copies of TweetEval have in place of `train`.
    """
    parts = [(TWEETS, "train*"), (IMDB, "train"), (IMDB, "unlabelled")]
    texts = (text for data_set, part in parts for text in read_rows(folder, data_set, part).texts())
    sentences = (sentence for text in texts for sentence in sentences_of(text))
    seen = 0
    while seen < most and (batch := list(itertools.islice(sentences, 10_000))):
        for words in split(batch):
            if words and seen < most:
                seen += len(words)
                yield " ".join(words)


def sentences_of(text: str) -> list[str]:
    """Split a text into sentences; HTML's breaks end one."""
    return [
        sentence for part in _BREAK.split(html.unescape(text)) for sentence in _SENTENCE_END.split(part) if sentence
    ]


def split(texts: Sequence[str]) -> list[list[str]]:
    """Return each text's words as nlptl's plain preset finds them."""
    from nlptl.pretraining.word2vec.tokenizer import TextSettings, untrained_tokenizer

    tokenizer = untrained_tokenizer(TextSettings())
    normal = map(tokenizer.normalizer.normalize_str, texts)
    return [[word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)] for text in normal]
