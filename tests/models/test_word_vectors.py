"""Word vectors with n-grams for unseen words and with phrases: what encoders and classifiers over them must keep."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gensim.models.fasttext import ft_ngram_hashes
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError
from nlptl.evaluation.scores import unknown_share
from nlptl.inference.spelling import Spelling
from nlptl.inference.static_words import merged
from nlptl.models import subwords as subwords_module
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.neighbours import nearest_words, neighbours
from nlptl.models.packing import pack
from nlptl.models.pooling import Pooling
from nlptl.models.subwords import Subwords
from nlptl.models.word_vectors import WordVectors
from nlptl.pretraining.word2vec.tokenizer import (
    TextSettings,
    set_vocabulary,
    untrained_tokenizer,
    vocabulary_of,
    words_of,
)
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from tests.conftest import small_reviews

SPELLING = Spelling(min=3, max=4, buckets=50)
WORDS = ["[UNK]", "film", "good", "bad", "new", "york", "city", "new_york", "new_york_city", "the"]
PHRASES = torch.tensor([[4, 5, 7], [7, 6, 8]], dtype=torch.int32)
DIM = 8


def table(*, spelling: Spelling | None = SPELLING, phrases: torch.Tensor | None = PHRASES) -> WordVectors:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(len(WORDS), DIM, generator=generator)
    vectors[0] = 0.0
    counts = torch.tensor([7, 9, 8, 7, 6, 5, 4, 3, 2, 1])
    subwords = None
    if spelling is not None:
        ids = torch.arange(spelling.buckets, dtype=torch.int32)
        subwords = Subwords(spelling, ids, torch.randn(spelling.buckets, DIM, generator=generator))
    return WordVectors(vectors, counts, subwords=subwords, phrases=phrases)


def encoder(token_model: WordVectors | None = None) -> Encoder:
    tokenizer = untrained_tokenizer(TextSettings())
    set_vocabulary(tokenizer, WORDS)
    return Encoder(tokenizer, token_model or table(), Pooling("mean")).eval()


def by_spelling(of: Encoder, word: str) -> np.ndarray:
    """Return a word's vector by the definition, its n-grams by gensim."""
    subwords = of.token_model.subwords
    grams = ft_ngram_hashes(word, subwords.spelling.min, subwords.spelling.max, subwords.spelling.buckets)
    return subwords.buckets[torch.tensor(grams)].mean(dim=0).numpy()


def test_an_unseen_word_is_the_mean_of_its_ngrams() -> None:
    given = encoder()
    vectors = given.token_model.vectors.detach().numpy()
    expected = {
        "filmm": by_spelling(given, "filmm"),
        "Filmm good": (by_spelling(given, "filmm") + vectors[2]) / 2,
        "x": by_spelling(given, "x"),
        "film": vectors[1],
        "...": np.zeros(DIM),
    }
    np.testing.assert_allclose(given.encode(list(expected)), np.stack(list(expected.values())), atol=1e-6)


def test_a_word_without_ngrams_stays_unknown() -> None:
    given = encoder(table(spelling=Spelling(min=4, max=5, buckets=50)))
    assert given.token_ids(["a good x film"]) == [[2, 1]]
    np.testing.assert_array_equal(given.encode(["x"]), np.zeros((1, DIM)))


def test_without_spelling_unseen_words_are_dropped() -> None:
    given = encoder(table(spelling=None, phrases=None))
    assert given.token_ids(["a goood film in new york"]) == [[1, 4, 5]]
    assert given.token_model.settings() == {}


def test_the_name_of_the_unknown_word_in_a_text_shifts_nothing() -> None:
    given = encoder()
    texts = ["good www.a[UNK]b film zz", "good www.a unk b film zz"]
    np.testing.assert_array_equal(*given.encode(texts))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("new york", ["new_york"]),
        ("New York City, new york", ["new_york_city", "new_york"]),
        ("new new york york", ["new", "new_york", "york"]),
        ("york new", ["york", "new"]),
        ("new x york", ["new", "york"]),
        ("new_york", ["new_york"]),
    ],
)
def test_phrases_are_read_as_one(text: str, words: list[str]) -> None:
    given = encoder(table(spelling=None))
    assert [WORDS[i] for i in given.token_ids([text])[0]] == words


def test_an_unseen_word_parts_a_phrase() -> None:
    (ids,) = encoder().token_ids(["new x york"])
    assert ids == [4, len(WORDS), 5]


def test_merging_is_greedy_from_the_left() -> None:
    assert merged([1, 1, 1], {(1, 1): 2}) == [2, 1]
    assert merged([1, 2, 3], {(2, 3): 4, (1, 2): 5}) == [5, 3]


@pytest.mark.parametrize("pooling", ["mean", "max", "tfidf", "sif"])
def test_order_and_company_change_no_vector(pooling: str) -> None:
    pile = TextData(unlabelled=["the good film", "the bad film zzz", "new york city zzz"])
    given = SentenceVectors(pooling=pooling).run(encoder(), data=pile)
    texts = ["the goood film", "", "zzz", "new york citty", "zzz yyyy", "film"]
    together = given.encode(texts)
    np.testing.assert_allclose(given.encode(texts[::-1])[::-1], together, atol=1e-6)
    np.testing.assert_allclose(np.vstack([given.encode([text]) for text in texts]), together, atol=1e-6)
    assert np.abs(together[2]).max() > 0


def test_unseen_words_weigh_like_words_of_count_0() -> None:
    pile = TextData(unlabelled=["the good film", "the bad film zzz", "new york city zzz"])
    sif = SentenceVectors(pooling="sif", remove_common=False).run(encoder(), data=pile)
    np.testing.assert_allclose(sif.encode(["zzz"])[0], by_spelling(sif, "zzz"), atol=1e-6)
    tfidf = SentenceVectors(pooling="tfidf").run(encoder(), data=pile)
    assert float(tfidf.pooling.token_weights[0]) == pytest.approx(np.log(4) + 1)
    assert float(tfidf.pooling.token_weights[1]) == pytest.approx(np.log(4 / 3) + 1)


def test_save_and_load(tmp_path: Path) -> None:
    given, texts = encoder(), ["the goood film of new york", "qqqq", "new york city"]
    given.encode(["another", "order", "of", "unseen", "words"])
    given.save(tmp_path / "saved")
    again = Encoder.load(tmp_path / "saved")
    np.testing.assert_array_equal(again.encode(texts), given.encode(texts))
    assert again.token_model.subwords.spelling == SPELLING
    assert again.token_model.state_dict().keys() == given.token_model.state_dict().keys()


def test_copies_share_the_buckets_and_nothing_else() -> None:
    given = encoder()
    ids = given.token_ids(["zzz"])
    copied = copy.deepcopy(given)
    ours, theirs = given.token_model.subwords, copied.token_model.subwords
    assert theirs.buckets.data_ptr() == ours.buckets.data_ptr()
    assert theirs.buckets is not ours.buckets
    copied.token_ids(["yyy"])
    assert given.token_ids(["xxx"]) == copied.token_ids(["yyy"]) == [[len(WORDS) + 1]]
    torch.testing.assert_close(copied(pack(ids)), given(pack(ids)))
    copied.double()
    assert ours.buckets.dtype == torch.float32


def test_the_memo_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subwords_module, "MAX_REMEMBERED", 3)
    given = encoder()
    texts = ["zzz yyy", "xxx www", "vvv good", "zzz vvv"]
    first = given.encode(texts)
    assert len(given.token_model.subwords._numbers) == 5
    with given.token_model.reading():
        given.encode(["uuu"])
        assert len(given.token_model.subwords._numbers) == 1
        given.encode(texts)
        ids = given.token_ids(texts)
        given.encode(["ttt"])
        assert len(given.token_model.subwords._numbers) == 7
        np.testing.assert_allclose(given(pack(ids)).detach().numpy(), first, atol=1e-6)
    given.encode(["ttt"])
    assert len(given.token_model.subwords._numbers) == 1


def test_half_precision_reads_unseen_words() -> None:
    given, texts = encoder(), ["the goood film"]
    np.testing.assert_allclose(given.encode(texts, precision="bfloat16"), given.encode(texts), atol=0.02)


def test_neighbours_of_a_misspelt_word(tmp_path: Path) -> None:
    given = encoder()
    given.save(tmp_path / "saved")
    vector, rows = by_spelling(given, "filmm"), given.token_model.vectors.detach().numpy()[1:]
    cosines = rows @ vector / np.linalg.norm(rows, axis=1) / np.linalg.norm(vector)
    order = np.argsort(-cosines)
    found = nearest_words(tmp_path / "saved", "filmm", count=20)
    assert [word for word, _ in found] == [WORDS[1 + i] for i in order]
    assert found[0][1] == pytest.approx(cosines[order[0]], abs=1e-4)
    assert "new_york_city" not in [word for word, _ in nearest_words(tmp_path / "saved", "New York City", count=20)]


def test_neighbours_in_an_encoder_at_hand(tmp_path: Path) -> None:
    given = encoder()
    given.save(tmp_path / "saved")
    assert neighbours(given, "filmm", count=3) == nearest_words(tmp_path / "saved", "filmm", count=3)
    with pytest.raises(ConfigError) as caught:
        neighbours(given, "a b c d")
    assert str(caught.value).startswith("a b c d: found 4 words; expected one of the ")
    assert " words of the encoder." in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        neighbours(NgramVectors(dim=4).run(data=TextData(unlabelled=small_reviews(8)[0])), "film")
    assert str(caught.value) == (
        "neighbours: found an encoder without a vector for a word alone; expected word vectors. Give the encoder that SkipGram "
        "returns."
    )


@pytest.mark.parametrize(
    ("word", "count", "told"),
    [
        ("film\ud83d", 3, "found the word 'film\\ud83d', which holds half of a surrogate pair; expected whole characters. Read the "
         "word from its file again, as UTF-8."),
        (7, 3, "found the word 7; expected a text. Give one word as a str."),
        (None, 3, "found the word None; expected a text. Give one word as a str."),
        ("film", 0, "found 0 for `count`; expected a whole number of at least 1. Give how many words you want."),
        ("film", -1, "found -1 for `count`; expected a whole number of at least 1. Give how many words you want."),
        ("film", True, "found True for `count`; expected a whole number of at least 1. Give how many words you want."),
        ("film", 1.5, "found 1.5 for `count`; expected a whole number of at least 1. Give how many words you want."),
    ],
)  # fmt: skip
def test_what_is_no_word_and_no_number_of_words(word: Any, count: Any, told: str, tmp_path: Path) -> None:
    given = encoder()
    with pytest.raises(ConfigError) as caught:
        neighbours(given, word, count=count)
    assert str(caught.value) == f"neighbours: {told}"
    given.save(tmp_path / "saved")
    with pytest.raises(ConfigError) as of_folder:
        nearest_words(tmp_path / "saved", word, count=count)
    assert str(of_folder.value) == str(caught.value)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("soup", "soup: found no vector for this word; expected one of the 3 words of {}. Did you mean 'Soup'?"),
        ("BREAD", "BREAD: found no vector for this word; expected one of the 3 words of {}. Did you mean 'bread'?"),
        ("staf", "staf: found no vector for this word; expected one of the 3 words of {}. Did you mean 'staff'?"),
        ("zzz", "zzz: found no vector for this word; expected one of the 3 words of {}."),
        ("[UNK]", "[UNK]: found no vector for this word; expected one of the 3 words of {}."),
        ("a b", "a b: found 2 words; expected one of the 3 words of {}."),
        ("", "'': found no vector for this word; expected one of the 3 words of {}."),
        ("\x1b[31m", "'\\x1b[31m': found no vector for this word; expected one of the 3 words of {}."),
    ],
)
def test_neighbours_of_no_word_are_told(word: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "v").write_text("Soup 1 2\nbread 2 3\nstaff 3 4\n")
    SkipGram(vectors=str(tmp_path / "v"), text={"lowercase": False}).run(data=TextData()).save(tmp_path / "saved")
    with pytest.raises(ConfigError) as caught:
        nearest_words(tmp_path / "saved", word, count=2)
    assert str(caught.value) == told.format(tmp_path / "saved")


def test_unseen_words_still_count_as_unknown() -> None:
    table_of = TextData(unlabelled=["good zzz"]).unlabelled
    assert unknown_share(encoder(), table_of) == 0.5


@pytest.mark.parametrize("update", [{"method": "head"}, {"method": "full", "encoder_learning_rate": 0.05}])
def test_fine_tuning(update: dict[str, object], context: RunContext, tmp_path: Path) -> None:
    texts, labels = small_reviews(24)
    labelled = TextData(unlabelled=small_reviews(40)[0], labelled=(texts, labels))
    given = SentenceVectors(pooling="sif").run(encoder(), data=labelled, context=context)
    headed = ClassificationHead().run(given, data=labelled, context=context)
    buckets = given.token_model.subwords.buckets.clone()

    trained = FineTune(update={**update, "l2": 0.01, "epochs": 20}).run(headed, data=labelled, context=context)

    right = sum(one == other for one, other in zip(trained.predict(texts), labels, strict=True))
    assert right >= 20
    assert torch.equal(trained.encoder.token_model.subwords.buckets, buckets)
    trained.save(tmp_path / "saved")
    again = TextClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(again.predict_proba([*texts, "zzz"]), trained.predict_proba([*texts, "zzz"]))


def test_what_full_trains_is_what_it_gives(context: RunContext) -> None:
    from nlptl.finetuning.gradient.word_vector_tuner import WordVectorTuner

    texts, labels = small_reviews(24)
    texts += ["film zzz good", "bad qqqq the"]
    data = TextData(labelled=(texts, [*labels, "positive", "negative"]))
    pooled = SentenceVectors(pooling="tfidf").run(encoder(), data=data)
    given = ClassificationHead().run(pooled, data=data, context=context)
    before = given.encoder.encode(["zzz", "film"])
    update = WordVectorTuner(given, texts, fitted_head=lambda rows: given.head, rates=(0.01, 0.1), l2_to_start=0.0)
    rows = torch.arange(len(texts))
    fit = update.start(rows)
    optimiser = torch.optim.AdamW([{"params": g.parameters, "lr": 0.1} for g in fit.groups()], weight_decay=0.0)
    for _ in range(3):
        loss = nn_loss(fit.logits(rows), given.labels, [*labels, "positive", "negative"]) + fit.penalty(0.1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    done = update.finish(fit)
    expected = torch.softmax(fit.logits(rows).detach().double(), dim=1).numpy()
    np.testing.assert_allclose(done.predict_proba(texts), expected, atol=1e-6)
    after = done.encoder.encode(["zzz", "film"])
    np.testing.assert_array_equal(after[0], before[0])
    assert np.abs(after[1] - before[1]).max() > 0.01


def nn_loss(logits: torch.Tensor, names: tuple[str, ...], labels: list[str]) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits, torch.tensor([names.index(label) for label in labels]))


def test_rows_come_in_the_same_order_whatever_was_read_before(context: RunContext) -> None:
    from nlptl.finetuning.gradient.word_vector_tuner import WordVectorTuner

    texts, labels = ["film zzz yyy", "bad xxx"], ["a", "b"]
    starts = []
    for before in ([], ["xxx yyy zzz www"]):
        given = ClassificationHead().run(encoder(), data=TextData(labelled=(texts, labels)), context=context)
        given.encoder.encode(before)
        update = WordVectorTuner(
            given, texts, fitted_head=lambda rows, g=given: g.head, rates=(0.1, 0.1), l2_to_start=0.0
        )
        starts.append(update.start(torch.arange(2)).table.vectors.detach().clone())
    torch.testing.assert_close(*starts)


@settings(deadline=None, max_examples=100)
@drawn(
    st.text(st.sampled_from("aB éé’'ß東ﬁテ🎉!:)@#[U]NK.İ\n") | st.characters(exclude_categories=["Cs"]), max_size=30)
)
def test_words_are_those_of_the_tokenizer(text: str) -> None:
    tokenizer = untrained_tokenizer(TextSettings(preset="tweets"))
    set_vocabulary(tokenizer, ["[UNK]", "a", "b", "é", "東", ":)"])
    token_model = table(spelling=Spelling(min=1, max=2, buckets=50), phrases=None)
    (ids,) = token_model.read(tokenizer, [text])
    spelt = [*vocabulary_of(tokenizer), *([None] * (len(WORDS) - 6)), *token_model.subwords._numbers]
    assert [spelt[i] for i in ids] == next(words_of(tokenizer, [[text]]))


def test_buckets_that_were_never_met_are_zero() -> None:
    full = table(spelling=SPELLING).subwords
    met = torch.arange(0, SPELLING.buckets, 3, dtype=torch.int32)
    few = Subwords(SPELLING, met, full.buckets.detach()[met.long()])
    everything = full.all_buckets().clone()
    everything[[i for i in range(SPELLING.buckets) if i % 3]] = 0.0
    assert torch.equal(few.all_buckets(), everything)
    padded = Subwords(SPELLING, torch.arange(SPELLING.buckets, dtype=torch.int32), everything)
    words = ["unseen", "unsen", "zebras"]
    ours, theirs = few.numbers(words), padded.numbers(words)
    for word in words:
        one, other = few(torch.tensor([ours[word]])), padded(torch.tensor([theirs[word]]))
        torch.testing.assert_close(one, other)
    none = Subwords(SPELLING, met[:0], full.buckets.detach()[:0])
    assert none.numbers(["unseen"]) == {"unseen": None}


def test_bucket_ids_must_ascend() -> None:
    with pytest.raises(ValueError, match="2 ascending bucket_ids expected for 2 buckets"):
        Subwords(SPELLING, torch.tensor([3, 1], dtype=torch.int32), torch.zeros(2, DIM))
