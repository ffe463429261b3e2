"""fastText's own models, read: gensim is the judge, and by formula where gensim cannot read."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from gensim.models.fasttext import load_facebook_vectors

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError, DataError
from nlptl.inference.spelling import Spelling, bucket_ids
from nlptl.models.encoder import Encoder
from nlptl.models.word_vector_files import fasttext_model
from nlptl.models.word_vector_files.export import export_vectors
from nlptl.models.word_vector_files.reading import inspect, read_vector_file
from nlptl.stages.skipgram import SkipGram


@dataclasses.dataclass
class Model:
    """Parts of a model file."""

    words: list[bytes]
    labels: tuple[bytes, ...] = ()
    dim: int = 4
    buckets: int = 30
    min_gram: int = 2
    max_gram: int = 4
    version: int = 12
    model: int = 2
    word_ngrams: int = 1
    quantised: bool = False
    pruned: int = -1

    def __post_init__(self) -> None:
        rows = len(self.words) + self.buckets
        self.table = np.random.default_rng(5).normal(size=(rows, self.dim)).astype("<f4")

    def bytes(self) -> bytes:
        entries = [*((word, 0) for word in self.words), *((label, 1) for label in self.labels)]
        outputs = len(self.labels) or len(self.words)
        return b"".join((
            struct.pack("<14id", 793712314, self.version, self.dim, 5, 5, 1, 5, self.word_ngrams, 2, self.model, self.buckets,
                        self.min_gram, self.max_gram, 100, 1e-4),
            struct.pack("<3i2q", len(entries), len(self.words), len(self.labels), 99, self.pruned),
            *(word + b"\0" + struct.pack("<qb", max(1, 50 - place), kind) for place, (word, kind) in enumerate(entries)),
            struct.pack("<?2q", self.quantised, *self.table.shape), self.table.tobytes(),
            struct.pack("<?2q", False, outputs, self.dim), bytes(4 * outputs * self.dim),
        ))  # fmt: skip

    def vector(self, word: bytes) -> np.ndarray:
        spelling = Spelling(min=self.min_gram, max=self.max_gram, buckets=self.buckets)
        grams = bucket_ids([word.decode()], spelling)[0] + len(self.words) if word != b"</s>" else []
        own = [self.words.index(word)] if word in self.words else []
        return self.table[[*own, *grams]].mean(axis=0)


WORDS = [b"</s>", b"soup", "naïve".encode(), "猫".encode(), b"Bread", b"a"]


def fault(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_vector_file(path)
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize("packed", [False, True])
def test_words_have_the_vectors_that_gensim_gives_them(tmp_path: Path, packed: bool) -> None:
    model = Model([*WORDS[1:]])
    (tmp_path / "m.bin").write_bytes(model.bytes())
    theirs = load_facebook_vectors(str(tmp_path / "m.bin"))
    path = tmp_path / "packed" if packed else tmp_path / "m.bin"
    if packed:
        path.write_bytes(gzip.compress(model.bytes()))
    assert inspect(path) == ("fasttext", 5, 4)
    found = read_vector_file(path)
    assert found.words == theirs.index_to_key == ["soup", "naïve", "猫", "Bread", "a"]
    np.testing.assert_allclose(found.vectors, theirs.vectors, atol=1e-6)
    assert found.counts.tolist() == [50, 49, 48, 47, 46]
    assert found.spelling == Spelling(min=2, max=4, buckets=30)

    learnt = SkipGram(vectors=str(path), text={"lowercase": False}).run(data=TextData())
    for word in ("soup", "Soups", "naïv", "überall", "unheard"):
        np.testing.assert_allclose(learnt.encode([word])[0], theirs.get_vector(word), atol=1e-5)


def test_a_supervised_model_gives_its_words(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    with_grams = Model(WORDS, labels=(b"__label__good", b"__label__bad"), model=3)
    path.write_bytes(with_grams.bytes())
    found = read_vector_file(path)
    assert found.words == [word.decode() for word in WORDS]
    np.testing.assert_allclose(found.vectors, [with_grams.vector(word) for word in WORDS], atol=1e-6)

    whole_words = Model(WORDS, labels=(b"__label__good",), model=3, min_gram=0, max_gram=0, word_ngrams=2)
    path.write_bytes(whole_words.bytes())
    found = read_vector_file(path)
    np.testing.assert_array_equal(found.vectors, whole_words.table[: len(WORDS)])
    assert (found.spelling, found.buckets) == (None, None)
    assert found.notes == (
        f"{path}: fastText's vectors of word n-grams (wordNgrams) are not used; those of words are.",
    )

    old = Model(WORDS, labels=(b"__label__good",), model=3, version=11)
    path.write_bytes(old.bytes())
    np.testing.assert_array_equal(read_vector_file(path).vectors, old.table[: len(WORDS)])

    no_buckets = Model(WORDS, labels=(b"__label__good",), model=3, min_gram=0, max_gram=0, buckets=0)
    path.write_bytes(no_buckets.bytes())
    np.testing.assert_array_equal(read_vector_file(path).vectors, no_buckets.table)


def test_what_a_run_exports_reads_back_equal(tmp_path: Path) -> None:
    texts = ["warm soup and kind staff", "stale bread and slow staff"] * 5
    learnt = SkipGram(dim=8, epochs=2, min_count=1, subwords={"min": 2, "max": 3, "buckets": 500}).run(
        data=TextData(unlabelled=texts)
    )
    learnt.save(tmp_path / "e")
    export_vectors(tmp_path / "e", tmp_path / "m.bin", format="fasttext")
    again = SkipGram(vectors=str(tmp_path / "m.bin")).run(data=TextData())
    again.save(tmp_path / "again")
    asked = ["warm soup", "soupy breads", "staffer"]
    np.testing.assert_allclose(again.encode(asked), learnt.encode(asked), atol=1e-5)
    np.testing.assert_array_equal(Encoder.load(tmp_path / "again").encode(asked), again.encode(asked))


def test_words_that_are_not_utf8_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    model = Model([*(b"w%d" % place for place in range(200)), b"\xff\xfe", b"last"], min_gram=3)
    path.write_bytes(model.bytes())
    found = read_vector_file(path)
    assert len(found.words) == len(found.vectors) == len(found.counts) == 201
    np.testing.assert_allclose(found.vectors[-1], model.vector(b"last"), atol=1e-6)
    assert found.notes == (f"{path}: 1 word not in UTF-8 was left out; the first is vector 201.",)


def test_training_continues_from_the_words_of_a_model(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(Model(WORDS).bytes())
    context = RunContext(device="cpu")
    stage = SkipGram(vectors=str(path), continue_training=True, epochs=1, min_count=1)
    learnt = stage.run(data=TextData(unlabelled=["soup and bread", "a soup"]), context=context)
    assert {"soup", "naïve", "and", "bread"} <= set(learnt.words())
    assert context.record.warnings == [
        f"{path}: training continues from the words of this fastText model and not from its n-grams; "
        "skipgram.subwords gives new ones."
    ]


QUANTISED = (
    ": is a quantised fastText model (.ftz), whose vectors are compressed and not read here; expected a model before "
    "`quantize` (.bin) or its vectors as text (.vec). Give one of these."
)
CUT_OFF = ": this fastText model was cut off: its tables are larger than the file. Fetch or save it again."


def test_a_quantised_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.ftz"
    assert fault(path, Model(WORDS, quantised=True).bytes()) == QUANTISED
    assert fault(path, Model(WORDS, pruned=3).bytes()) == QUANTISED
    small = Model(WORDS, quantised=True, buckets=2_000).bytes()[
        :2_000
    ]  # its own tables are smaller than the header says
    assert fault(path, small) == QUANTISED
    with pytest.raises(ConfigError) as caught:
        SkipGram(vectors=str(path)).check(where="skipgram")
    assert str(caught.value) == f"skipgram.vectors: {path}{QUANTISED}"


def test_a_model_that_was_cut_anywhere_is_told(tmp_path: Path) -> None:
    whole = Model(WORDS).bytes()
    for length in [*range(4, 200, 7), *range(200, len(whole), 61), len(whole) - 1]:
        assert fault(tmp_path / "m.bin", whole[:length]) == CUT_OFF
        assert "fastText model was cut off" in fault(tmp_path / "m.bin", gzip.compress(whole[:length]))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 13}, "version 13 of the format; expected 11 or 12"),
        ({"version": -1}, "version -1 of the format; expected 11 or 12"),
    ],
)
def test_other_versions_are_told(tmp_path: Path, change: dict[str, int], told: str) -> None:
    content = Model(WORDS, **change).bytes()
    assert fault(tmp_path / "m", content) == f": this fastText model is damaged: found {told}. Fetch or save it again."


@pytest.mark.parametrize(
    ("place", "number", "told"),
    [
        (8, 0, "damaged: found vectors of 0 numbers; expected 1 to 65,536"),
        (8, 2**31 - 1, "damaged: found vectors of 2147483647 numbers; expected 1 to 65,536"),
        (40, 2**31 - 1, "cut off"),
        (40, -5, "damaged: found 6 entries of 6 words and 0 labels"),
        (44, 2**30, "damaged: found n-grams of 1073741824 to 4 characters; expected 0 to 100"),
        (64, 2**31 - 1, "damaged: found 2147483647 entries of 6 words and 0 labels"),
        (68, -1, "damaged: found 6 entries of -1 words and 0 labels"),
    ],
)
def test_numbers_that_lie_are_told_before_anything_is_allocated(
    tmp_path: Path, place: int, number: int, told: str
) -> None:
    content = bytearray(Model(WORDS).bytes())
    struct.pack_into("<i", content, place, number)
    assert f": this fastText model {'was' if told == 'cut off' else 'is'} {told}" in fault(
        tmp_path / "m", bytes(content)
    )


def test_any_changed_byte_gives_words_or_one_sentence(tmp_path: Path) -> None:
    whole, path = Model(WORDS[:3], buckets=5).bytes(), tmp_path / "m"
    for place in range(4, len(whole), 2):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xA5]) + whole[place + 1 :])
        with contextlib.suppress(DataError):
            words = read_vector_file(path).words
            assert 0 < len(words) <= 3


def test_more_bytes_behind_the_end_are_told(tmp_path: Path) -> None:
    told = ": this fastText model is damaged: found more bytes behind its last table. Fetch or save it again."
    assert fault(tmp_path / "m", Model(WORDS).bytes() + b"x") == told


def test_a_small_packed_file_cannot_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fasttext_model, "BLOCK", 1 << 12)
    same = gzip.compress(Model([b"a"] * 3_000).bytes())
    assert fault(tmp_path / "m", same) == (
        ": this fastText model is damaged: found the same words again and again from entry 1 on. Fetch or save it again."
    )
    sizes = {"SC_PHYS_PAGES": 1, "SC_PAGE_SIZE": 500}
    monkeypatch.setattr("os.sysconf", sizes.__getitem__)
    assert fault(tmp_path / "m", Model(WORDS).bytes()) == (
        ": its vectors take 576 bytes, more than the 500 bytes of memory of this machine. Give a file of fewer words or numbers."
    )
    monkeypatch.setattr("os.sysconf_names", {})
    (tmp_path / "m").write_bytes(Model(WORDS).bytes())
    assert len(read_vector_file(tmp_path / "m").words) == len(WORDS)
