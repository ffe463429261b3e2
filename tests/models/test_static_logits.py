"""Logits as sums over words against the way through vectors, computed in float64."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import normalizers

from nlptl.inference.spelling import Spelling
from nlptl.inference.static import StaticClassifier
from nlptl.inference.word_rules import reads_chunks_alone
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.heads import Head
from nlptl.models.pooling import Pooling
from nlptl.models.static_logits import applies
from nlptl.models.subwords import Subwords
from nlptl.models.word_vectors import WordVectors
from nlptl.pretraining.word2vec.tokenizer import TextSettings, set_vocabulary, untrained_tokenizer

WORDS = [
    "[UNK]",
    "good",
    "bad",
    "soo",
    "don't",
    "<url>",
    "<user>",
    "!",
    "?",
    "ﬁ",
    "fi",
    "日本",
    "が",
    "ε",
    "σ",
    ":)",
    "b",
    "br",
    "3",
]
TEXTS = [
    "good bad", "", "nothing known", "GOOD! sooooo good?!?! :) http://a.b/c?d @you", "don’t good<br />bad", "x" * 40,
    "日本がgood", "good\u00a0bad\u2028good", "ΕΣ εσ", "<br\n/>good <b r/>", "ﬁ\u0301 fi", "g\u00adood", "a@b.c @b",
    "www.\x1cx good", "<\u00adbr /> good", "<<br>br>", "\u0301good",
]  # fmt: skip
PIECES = [
    *WORDS[1:],
    " ",
    "\n",
    "\t",
    "<br",
    "/>",
    ">",
    "\u00ad",
    "\u0301",
    "\u00a0",
    "oooo",
    "@",
    "http://",
    "www.",
    "\ue000",
    "\x1c",
]


def classifier(
    pooling: Pooling,
    text: TextSettings,
    *,
    subwords: bool = False,
    hidden: int = 0,
    normalized: bool = False,
    normalizer: Any = None,
) -> TextClassifier:
    """Return a classifier of three labels with random numbers."""
    rng = torch.Generator().manual_seed(3)
    vectors = torch.randn(len(WORDS), 6, generator=rng)
    vectors[0] = 0
    spelt = Subwords(Spelling(min=2, max=3, buckets=50), torch.arange(50), torch.randn(50, 6, generator=rng))
    table = WordVectors(vectors, torch.arange(len(WORDS)) + 1, subwords=spelt if subwords else None)
    tokenizer = untrained_tokenizer(text)
    set_vocabulary(tokenizer, WORDS)
    tokenizer.normalizer = normalizer or tokenizer.normalizer
    head = Head(6, 3, hidden=hidden, trained=True)
    head.initialise(rng)
    with torch.no_grad():
        head.last_linear.weight.normal_(generator=rng)
        head.last_linear.bias.normal_(generator=rng)
        head.centre.normal_(generator=rng)
        head.scale.fill_(0.7)
    return TextClassifier(Encoder(tokenizer, table, pooling, normalized=normalized), head, ["a", "b", "c"]).eval()


def poolings() -> dict[str, Pooling]:
    weights = torch.linspace(0.5, 2, len(WORDS))
    common = torch.nn.functional.normalize(torch.ones(6), dim=0)
    return {
        "mean": Pooling("mean"),
        "tfidf": Pooling("tfidf", token_weights=weights),
        "sif": Pooling("sif", token_weights=weights, common_component=common),
    }


def by_vectors(given: TextClassifier, texts: list[str]) -> np.ndarray:
    """Return probabilities by the plain way, each number in float64."""
    exact = copy.deepcopy(given).double()
    exact.encoder.pooling.token_weights = exact.encoder.pooling.token_weights.double()
    with torch.inference_mode(), exact.encoder.token_model.reading():
        batch = exact.encoder.tokenized(texts).batch(torch.arange(len(texts)))
        vectors = exact.encoder.pooled(exact.encoder.token_model(batch), batch)
        return exact.head.probabilities(exact.head(vectors)).numpy()


@pytest.mark.parametrize("subwords", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "tfidf", "sif"])
@pytest.mark.parametrize("text", [TextSettings(), TextSettings(preset="tweets", unicode="NFC", lowercase=False)])
def test_sums_give_the_probabilities_of_vectors(pooling: str, text: TextSettings, subwords: bool) -> None:
    one = classifier(poolings()[pooling], text, subwords=subwords)
    assert applies(one.encoder, one.head)
    found = one.probabilities(TEXTS)
    # Vectors of unseen words are means of many n-grams in float32 either way.
    np.testing.assert_allclose(found, by_vectors(one, TEXTS), atol=1e-6 if subwords else 1e-12)
    np.testing.assert_allclose(found, one.probabilities_of(one.encoder.encode(TEXTS)), atol=1e-6)
    np.testing.assert_array_equal(one.probabilities(TEXTS[::-1])[::-1], found)
    assert one.probabilities([]).shape == (0, 3)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=12), min_size=1, max_size=4)
)
def test_any_text_gives_the_probabilities_of_vectors(texts: list[str]) -> None:
    one = classifier(poolings()["tfidf"], TextSettings(preset="tweets"))
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    np.testing.assert_allclose(one.probabilities(texts), by_vectors(one, texts), atol=1e-12)


@pytest.mark.parametrize("subwords", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "tfidf", "sif", "max"])
def test_the_same_without_torch(pooling: str, subwords: bool, tmp_path: Path) -> None:
    one = classifier(poolings().get(pooling, Pooling("max")), TextSettings(preset="tweets"), subwords=subwords)
    one.save(tmp_path / "saved")
    again = StaticClassifier.load(tmp_path / "saved")
    assert (again._sums is None) == (pooling == "max")
    np.testing.assert_allclose(again.probabilities(TEXTS), one.probabilities(TEXTS), atol=1e-6 if subwords else 1e-7)
    seen: list[int] = []
    again.probabilities(["good"] * 9_000, after_batch=seen.append)
    assert sum(seen) == 9_000


def test_what_changes_is_seen() -> None:
    one = classifier(poolings()["mean"], TextSettings())
    for change in (
        lambda: one.head.last_linear.weight.data.mul_(2),
        lambda: one.encoder.token_model.vectors.detach().add_(0.5),
        lambda: one.head.load_state_dict(classifier(poolings()["mean"], TextSettings(), hidden=0).head.state_dict()),
        lambda: setattr(one.encoder, "pooling", poolings()["sif"]),
    ):
        before = one.probabilities(["good bad"])
        with torch.no_grad():
            change()
        found = one.probabilities(["good bad"])
        assert not np.allclose(found, before)
        np.testing.assert_allclose(found, by_vectors(one, ["good bad"]), atol=1e-12)
    np.testing.assert_array_equal(copy.deepcopy(one).probabilities(TEXTS), one.probabilities(TEXTS))


def test_others_go_through_vectors() -> None:
    plain = TextSettings()
    for one in (
        classifier(Pooling("max"), plain),
        classifier(Pooling("mean"), plain, hidden=2),
        classifier(Pooling("mean"), plain, normalized=True),
        classifier(Pooling("mean"), plain, normalizer=normalizers.NFD()),
    ):
        assert not applies(one.encoder, one.head)
        np.testing.assert_array_equal(one.probabilities(TEXTS), one.probabilities_of(one.encoder.encode(TEXTS)))
    tokenizer = untrained_tokenizer(plain)
    assert reads_chunks_alone(tokenizer)
    tokenizer.enable_truncation(5)
    assert not reads_chunks_alone(tokenizer)


def test_progress_counts_all_texts() -> None:
    seen: list[int] = []
    classifier(Pooling("mean"), TextSettings()).predict_proba(["good"] * 9_000, after_batch=seen.append)
    assert sum(seen) == 9_000
    assert len(seen) == 3
