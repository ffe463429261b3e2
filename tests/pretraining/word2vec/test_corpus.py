"""The corpus against its definition: the tokenizer run over whole texts."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.trainers import WordLevelTrainer

from nlptl.data import TextData
from nlptl.errors import DataError
from nlptl.pretraining.word2vec import chunks, scanned_pile, spool, word_counts
from nlptl.pretraining.word2vec import corpus as corpus_module
from nlptl.pretraining.word2vec.corpus import Corpus, corpus_of
from nlptl.pretraining.word2vec.spool import unnamed_file
from nlptl.pretraining.word2vec.tokenizer import TextSettings, set_vocabulary, untrained_tokenizer, vocabulary_of

PLAIN, TWEETS = TextSettings(), TextSettings(preset="tweets")
SETTINGS = [
    PLAIN,
    TWEETS,
    TextSettings(stop_words=True),
    TextSettings(preset="tweets", stop_words=True, unicode="NFC"),
    TextSettings(unicode="none", lowercase=False),
]
FRAGMENTS = [
    "the", "The", "don't", "don’t", "not", "'", "co-op", "ﬁne", "½", "İ", "ΟΔΟΣ", "e\u0301", "\u0301", "a\u0327\u0301",
    "東京は", "テスト", "한국어", "ｂｒ", "＜ｂｒ ＞", "<br", "<BR", "<br/", "<br />", "<br\n/>", "<bR\x0b\t>", "/>", ">", "<",
    "@user", "@", ".@x", "www.", "http://", "https://a.b/c?d", "soooo", "oo",
    "!!", "?", "!", ":(", ":-", ")", "<3", "😂", "👍🏽", "\u200d", "\ufe0f",
    "\u2764", "\u20e3", "1", "#", "\u00ad", "\u200b", "\u200f", "\U000e0100", "\U0001f1e9", "\U0001f1ea", "\U0001f3f4",
    "\U000e0067", "\U000e007f", "\U0001f468\u200d\U0001f469",
    "\u00a0", "\u0085", "\u2028", "\x1c", "\x00", "\ue000", "\n\ue000\n", " ", "  ", "\n", "\t", "\r", "\x0b", "\x0c",
    "[UNK", "x" * 15, "y" * 16, "z" * 17, "q" * 70,
]  # fmt: skip
TEXT = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cn"]), max_size=20),
)


@dataclasses.dataclass
class Reference:
    """What the tokenizer makes of whole texts."""

    vocabulary: list[str]
    ids: list[list[int]]
    counts: list[int]


def reference(text_settings: TextSettings, texts: Sequence[str], *, min_count: int, known: Sequence[str]) -> Reference:
    counter = untrained_tokenizer(text_settings)
    trainer = WordLevelTrainer(min_frequency=min_count, special_tokens=["[UNK]"], show_progress=False)
    counter.train_from_iterator(texts, trainer)
    learnt = vocabulary_of(counter)
    vocabulary = [*learnt, *(word for word in known if word not in learnt)]
    tokenizer = untrained_tokenizer(text_settings)
    set_vocabulary(tokenizer, vocabulary)
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    counts = np.bincount([index for text in ids for index in text], minlength=len(vocabulary)).tolist()
    return Reference(vocabulary, [[index for index in text if index] for text in ids], counts)


def held(corpus: Corpus) -> Corpus:
    return Corpus(np.array(corpus.ids), corpus.offsets, corpus.counts)


def ours(
    text_settings: TextSettings, batches: Sequence[Any], *, min_count: int, known: Sequence[str] = (), threads: int = 1
) -> tuple[Tokenizer, Corpus]:
    tokenizer = untrained_tokenizer(text_settings)
    with corpus_of(tokenizer, batches, min_count=min_count, known_words=known, threads=threads) as corpus:
        return tokenizer, held(corpus)


def assert_equal(found: tuple[Tokenizer, Corpus], expected: Reference) -> None:
    tokenizer, corpus = found
    assert vocabulary_of(tokenizer) == expected.vocabulary
    assert [ids.tolist() for ids in corpus.texts()] == expected.ids
    assert corpus.counts.tolist() == expected.counts
    assert (corpus.ids.dtype, corpus.offsets.dtype, corpus.counts.dtype) == (np.int32, np.int64, np.int64)


def full_device() -> IO[bytes]:
    """Return a file on a disk that is full."""
    return Path("/dev/full").open("r+b", buffering=0)


@pytest.fixture
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Part even a short pile into many blocks, threads, tables and groups."""
    monkeypatch.setattr(scanned_pile, "ALONE_BYTES", 4)
    monkeypatch.setattr(scanned_pile, "BLOCK_BYTES", 40)
    monkeypatch.setattr(scanned_pile, "ROWS", 3)
    monkeypatch.setattr(chunks, "GROUP", 5)
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 100)


@settings(max_examples=60, deadline=None)
@example(PLAIN, ["a<br", "/>b", "c<br\n/>d", "e <br", ">f"], 1, 1, 5, [])
@example(TWEETS, ["a!", "! b", "@a @b", "www. a", "so oo oo"], 1, 2, 1, ["zzz", "a"])
@example(PLAIN, ["\ue000 a", "b\n\ue000\nc", "<br\n.\n.\nx"], 1, 1, 2, [])
@given(
    st.sampled_from(SETTINGS), st.lists(TEXT, max_size=25), st.integers(1, 3), st.integers(1, 3), st.integers(1, 30),
    st.lists(st.sampled_from(["the", "not", "zzz", "fine"]), unique=True),
)  # fmt: skip
def test_a_corpus_is_what_the_tokenizer_makes_of_whole_texts(
    text_settings: TextSettings, texts: list[str], min_count: int, threads: int, rows: int, known: list[str]
) -> None:
    expected = reference(text_settings, texts, min_count=min_count, known=known)
    batches = [texts[first : first + rows] for first in range(0, len(texts), rows)]
    assert_equal(ours(text_settings, batches, min_count=min_count, known=known, threads=threads), expected)


@pytest.mark.usefixtures("_small_parts")
@pytest.mark.parametrize("table_bytes", [1 << 28, 0], ids=["one-table", "a-table-a-block"])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("text_settings", SETTINGS)
def test_blocks_tables_and_threads_change_nothing(
    text_settings: TextSettings, threads: int, table_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanned_pile, "TABLE_BYTES", table_bytes)
    generator = np.random.default_rng(3)
    texts = ["".join(generator.choice(FRAGMENTS, generator.integers(0, 20)).tolist()) for _ in range(200)]
    expected = reference(text_settings, texts, min_count=2, known=["zzz"])
    arrays = [
        pa.array(texts[:90]).slice(0, 70),
        pa.array(texts).slice(70, 50),
        pa.array(texts[120:], pa.large_string()),
    ]
    for batches in ([texts], [texts[:7], [], texts[7:]], arrays):
        assert_equal(ours(text_settings, batches, min_count=2, known=["zzz"], threads=threads), expected)


@pytest.mark.parametrize(
    ("text_settings", "file"),
    [
        (PLAIN, "reviews/unlabelled.txt"),
        (TWEETS, "tweets/train.csv"),
        (TextSettings(stop_words=True), "tweets/test.csv"),
    ],
)
def test_the_files_of_this_repository(root: Path, text_settings: TextSettings, file: str) -> None:
    texts = (root / "data" / file).read_text(encoding="utf-8").split("\n")
    expected = reference(text_settings, texts, min_count=2, known=[])
    assert_equal(ours(text_settings, [texts], min_count=2, threads=2), expected)


def test_tables_grow() -> None:
    texts = [" ".join(f"w{place} {'long' * 6}{place}" for place in range(first, 9_000, 3)) for first in (0, 1, 2, 0)]
    _, corpus = ours(PLAIN, [texts], min_count=2, threads=2)
    assert len(corpus.ids) == 12_000
    assert (corpus.counts[0], corpus.counts[1:].tolist()) == (12_000, [2] * 6_000)


def test_words_of_equal_hash_length_and_end_stay_apart() -> None:
    texts = ["\x00a a \x00\x00a", f"{'x' * 40} y{'x' * 39} {'x' * 40}"]
    assert_equal(ours(PLAIN, [texts], min_count=1), reference(PLAIN, texts, min_count=1, known=[]))


def test_corpus_counts_and_drops_unknown_words() -> None:
    _, corpus = ours(PLAIN, [["a b a", "", "c a", "b"]], min_count=2)
    assert corpus.counts.tolist() == [1, 3, 2]
    assert [ids.tolist() for ids in corpus.texts()] == [[1, 2, 1], [], [1], [2]]
    assert corpus.unknown_share == pytest.approx(1 / 6)
    assert len(corpus) == 4


@pytest.mark.parametrize("batches", [[], [[]], [["", " \n"]], [["a"]]])
def test_a_corpus_of_nothing_is_empty(batches: list[list[str]]) -> None:
    _, corpus = ours(PLAIN, batches, min_count=2)
    assert len(corpus.ids) == 0
    assert len(corpus) == sum(map(len, batches))


@pytest.mark.parametrize("full_from", [0, 1], ids=["ids", "chunks"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    full_from: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[IO[bytes]] = []

    def full() -> IO[bytes]:
        opened.append(full_device() if len(opened) == full_from else unnamed_file())
        return opened[-1]

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(corpus_module, "unnamed_file", full)
    monkeypatch.setattr(spool, "unnamed_file", full)
    with pytest.raises(DataError) as caught:
        ours(PLAIN, [["a b"]], min_count=1)
    assert str(caught.value) == (
        f"{tmp_path}: cannot write the encoded corpus (No space left on device); it needs four bytes a word. "
        "Free space or set TMPDIR to another disk."
    )
    assert all(file.closed for file in opened)
    assert not list(tmp_path.iterdir())


def test_the_files_have_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with corpus_of(untrained_tokenizer(PLAIN), [["a b"]], min_count=1) as corpus:
        assert len(corpus.ids) == 2
        assert not list(tmp_path.iterdir())
    assert corpus.ids.tolist() == [1, 2]


@pytest.mark.parametrize("moment", ["while the pile is read", "in training"])
def test_a_kill_leaves_no_file(moment: str, tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from nlptl.pretraining.word2vec import scanned_pile\n"
        "from nlptl.pretraining.word2vec.corpus import corpus_of; from nlptl.pretraining.word2vec.tokenizer import *\n"
        "scanned_pile.BLOCK_BYTES = 1\n"
        "def kill(): print(os.listdir(os.environ['TMPDIR'])); sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "def batches():\n"
        "    yield ['a b']\n"
        "    yield ['b c']\n"
        "    if sys.argv[1] != 'in training': kill()\n"
        "with corpus_of(untrained_tokenizer(TextSettings()), batches(), min_count=1): kill()"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", code, moment]
    run = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert (run.returncode, run.stdout) == (-9, "[]\n"), run.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("_small_parts")
@pytest.mark.parametrize("at_once", [1, 3, 1 << 20])
@pytest.mark.parametrize("min_count", [1, 2, 5])
def test_words_counted_in_turns_are_the_same(at_once: int, min_count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_counts, "COUNTED_AT_ONCE", at_once)
    monkeypatch.setattr(scanned_pile, "TABLE_BYTES", 0)
    generator = np.random.default_rng(4)
    texts = [" ".join(f"w{word}" for word in generator.zipf(1.5, 8).tolist()) for _ in range(60)]
    known = ["w1", "zzz", "w40", "w9"]
    expected = reference(PLAIN, texts, min_count=min_count, known=known)
    assert_equal(ours(PLAIN, [texts], min_count=min_count, known=known, threads=2), expected)


def test_rare_words_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanned_pile, "TABLE_BYTES", 1 << 18)
    monkeypatch.setattr(scanned_pile, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(word_counts, "COUNTED_AT_ONCE", 1 << 11)

    def peak(distinct: int) -> int:
        texts = (
            " ".join(f"often rare{word}" for word in range(first, first + 250)) for first in range(0, distinct, 250)
        )
        tracemalloc.start()
        try:
            with corpus_of(untrained_tokenizer(PLAIN), ([text] for text in texts), min_count=2, threads=1) as corpus:
                assert (len(corpus.words), corpus.counts.tolist()) == (2, [distinct, distinct])
                return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    ours(PLAIN, [["a"]], min_count=1)  # compiles
    few, many = peak(8_000), peak(20_000)
    assert many - few < 600_000, "12,000 more words in a dict would take more than 1.5 million bytes"


def test_a_pile_that_fails_to_read_is_told_as_it_is() -> None:
    def broken() -> Iterator[list[str]]:
        yield ["a"]
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"), corpus_of(untrained_tokenizer(PLAIN), broken(), min_count=1):
        pass


def test_a_table_passes_through_without_python_strings() -> None:
    table = TextData(unlabelled=["a b", "b c"]).unlabelled
    assert table is not None
    arrays = [batch.column("text") for batch in table.record_batches()]
    assert_equal(ours(PLAIN, arrays, min_count=1), reference(PLAIN, ["a b", "b c"], min_count=1, known=[]))


@pytest.mark.slow
def test_it_compiles_in_a_fresh_process_that_has_no_cache(tmp_path: Path) -> None:
    code = (
        "from nlptl.pretraining.word2vec.corpus import corpus_of; from nlptl.pretraining.word2vec.tokenizer import *\n"
        "import sys; assert 'numba' not in sys.modules\n"
        "with corpus_of(untrained_tokenizer(TextSettings()), [['a b a']] * 3, min_count=1, threads=2) as corpus:\n"
        "    print(corpus.ids.tolist())"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert run.stdout == "[1, 2, 1, 1, 2, 1, 1, 2, 1]\n"
