"""Occlusion: equal to a slow loop, bounded for long texts, and about what is read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from nlptl.inference.sentences import rule_for, sentences
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.explaining.occlusion import without
from nlptl.models.explaining.pieces import PieceReader
from nlptl.models.pooling import Pooling
from tests.models.explaining.test_exact import LABELS, check_sums, classifier, ngram_view
from tests.models.test_views import word_view
from tests.models.test_word_vectors import encoder
from tests.models.tiny import MODEL_TYPES, POSITIONS, tiny_encoder

TEXT = "the film is good, the story is dull"
LONG = "the film is good and the story is great. a dull number was in it and was bad! lovely film is good, is it not?"


def logits_of(model: TextClassifier, text: str) -> np.ndarray:
    with torch.no_grad():
        return model.head(torch.from_numpy(model.encoder.encode([text])))[0].double().numpy()


def by_sentence(given: Encoder) -> Encoder:
    given.transformer.rule = rule_for(given.transformer.rule, given.tokenizer, by_sentence=True, where="test")
    return given.with_parts(normalized=True).eval()


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_word_contributes_what_is_lost_without_it(model_type: str) -> None:
    model = classifier(tiny_encoder(model_type))
    found = model.explain([TEXT])[0]
    whole, words = logits_of(model, TEXT), TEXT.split()
    for place, one in enumerate(found.contributions):
        left = " ".join(words[:place] + words[place + 1 :])
        np.testing.assert_allclose(one.logits, whole - logits_of(model, left), atol=1e-4)
    assert [one.text for one in found.contributions] == words
    np.testing.assert_allclose(found.base, logits_of(model, ""), atol=1e-4)
    left_over = found.base + np.sum([one.logits for one in found.contributions], axis=0) - whole
    assert found.completeness_error == pytest.approx(np.abs(left_over).max(), abs=1e-4)
    assert (found.how, found.sentences, found.remarks) == ("occlusion", (), ())


def test_words_of_japanese_are_those_of_the_segmenter_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sudachipy")
    model = classifier(tiny_encoder("bert"))
    texts = ["子どもがとても喜んだ。", "这部电影真的很好看", TEXT]
    assert model.encoder.word_cutter is None
    words = [[one.text for one in found.contributions] for found in model.explain(texts)]
    assert words == [["子ども", "が", "とても", "喜ん", "だ。"], ["这部", "电影", "真的", "很好", "看"], TEXT.split()]
    monkeypatch.setattr("nlptl.inference.segmenting.segmenter_available", lambda: False)
    assert [one.text for one in model.explain(texts[:1])[0].contributions] == ["子", "どもがとても", "喜", "んだ。"]


def test_a_word_is_deleted_from_its_sentence() -> None:
    given = by_sentence(tiny_encoder("bert"))
    model, alone = classifier(given), given.with_views(())
    found, parts = model.explain([LONG])[0], sentences(LONG)
    assert [one.text for one in found.sentences] == parts
    assert len(parts) == 3

    def joined(pieces: list[str]) -> np.ndarray:
        mean = np.mean([alone.encode([piece])[0].astype(np.float64) for piece in pieces], axis=0)
        vector = torch.from_numpy(mean / np.linalg.norm(mean)).float()
        with torch.no_grad():
            return model.head(vector[None])[0].double().numpy()

    np.testing.assert_allclose(joined(parts), logits_of(model, LONG), atol=1e-4)
    words = iter(found.contributions)
    for number, part in enumerate(parts):
        others = parts[:number] + parts[number + 1 :]
        np.testing.assert_allclose(found.sentences[number].logits, joined(parts) - joined(others), atol=1e-4)
        for place, word in enumerate(part.split()):
            left = part.split()[:place] + part.split()[place + 1 :]
            changed = [*parts[:number], " ".join(left), *parts[number + 1 :]]
            one = next(words)
            assert one.text == word
            np.testing.assert_allclose(one.logits, joined(parts) - joined(changed), atol=1e-4)


def test_a_hidden_layer_is_explained_with_its_views() -> None:
    for given in (tiny_encoder("bert"), encoder()):
        model = classifier(given.with_views([word_view(), ngram_view()]).eval(), hidden=6)
        found = model.explain([TEXT])[0]
        assert found.how == "occlusion"
        lost = logits_of(model, TEXT) - logits_of(model, "the film is good, the story is")
        np.testing.assert_allclose(found.contributions[-1].logits, lost, atol=1e-4)
        np.testing.assert_allclose(found.base, logits_of(model, ""), atol=1e-4)


@pytest.mark.parametrize("mode", ["max", "cls"])
def test_word_vectors_that_are_not_summed_are_deleted(mode: str) -> None:
    given = encoder()
    model = classifier(Encoder(given.tokenizer, given.token_model, Pooling(mode)).eval())  # type: ignore[arg-type]
    found = model.explain(["good film in a city"])[0]
    lost = logits_of(model, "good film in a city") - logits_of(model, "film in a city")
    np.testing.assert_allclose(found.contributions[0].logits, lost, atol=1e-5)
    assert found.how == "occlusion"


def test_views_stay_exact_beside_a_transformer() -> None:
    own = tiny_encoder("bert")
    joined = own.with_views([word_view(), ngram_view()]).eval()
    model = classifier(joined)
    found = model.explain([TEXT])[0]
    parts = [TextClassifier(own, _columns(model, 0, own.dim), LABELS), _views_alone(model, own.dim)]
    separate = [part.eval().explain([TEXT])[0] for part in parts]
    for place, one in enumerate(found.contributions):
        both = np.sum([part.contributions[place].logits for part in separate], axis=0)
        np.testing.assert_allclose(one.logits, both, atol=1e-4)
    assert separate[1].how == "exact"
    assert found.how == "occlusion"
    check_sums(separate[1], parts[1])


def _columns(model: TextClassifier, begin: int, end: int):
    """Return the head that reads these columns alone, without a bias."""
    from nlptl.models.heads import Head

    head = Head(end - begin, len(LABELS), trained=True)
    weights = model.head.last_linear.weight.detach()[:, begin:end]
    head.last_linear.weight.data.copy_(weights / model.head.scale)
    return head


def _views_alone(model: TextClassifier, own: int) -> TextClassifier:
    """Return the classifier whose head reads no own vector."""
    import copy

    head = copy.deepcopy(model.head)
    head.last_linear.weight.data[:, :own] = 0
    return TextClassifier(model.encoder, head, LABELS)


@pytest.mark.parametrize("direction", ["right", "left"])
@pytest.mark.parametrize("apart", [False, True])
def test_words_that_are_cut_off_contribute_nothing(direction: str, apart: bool) -> None:
    given = tiny_encoder("bert")
    given.tokenizer.enable_truncation(12, direction=direction)
    given.transformer.rule = dataclasses.replace(given.transformer.rule, max_length=12)
    given = by_sentence(given) if apart else given
    text = f"{LONG} {LONG}" if apart else LONG
    found = classifier(given).explain([text])[0]
    silent = [not any(one.logits) for one in found.contributions]
    assert 0 < sum(silent) < len(silent)
    read = len(silent) - sum(silent)
    assert found.remarks == (
        f"The encoder reads {read} of {len(silent)} words. The others contribute nothing to its vector.",
    )
    assert silent[-1 if direction == "right" else 0]
    if not apart:
        places = [place for place in given.tokenizer.encode(text).offsets if place != (0, 0)]
        begin, end = min(places)[0], max(places)[1]
        assert silent == [one.end <= begin or one.start >= end for one in found.contributions]


def test_a_long_text_costs_no_more_than_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    given = tiny_encoder("bert")
    model, read = classifier(given), list[str]()
    vectors = PieceReader.vectors
    monkeypatch.setattr(PieceReader, "vectors", lambda self, pieces: (read.extend(pieces), vectors(self, pieces))[1])
    text = " ".join([LONG, *["the film is good"] * 5])
    one_by_one = model.explain([text])[0]
    cost = sum(map(len, given.token_ids(read)))
    read.clear()
    bound = cost // 3
    grouped = model.explain([text], tokens=bound)[0]
    assert sum(map(len, given.token_ids(read))) <= bound + 2 * POSITIONS
    assert one_by_one.remarks == ()
    told = grouped.remarks[0]
    assert told.startswith("The text is long. ")
    assert told.endswith("groups; the words of a group share its contribution.")
    same = [
        a.logits == pytest.approx(b.logits, abs=1e-4)
        for a, b in zip(one_by_one.contributions, grouped.contributions, strict=True)
    ]
    assert 0 < sum(same) < len(same)  # the strongest words are explained alone
    read.clear()
    model.explain([text], tokens=POSITIONS)
    assert len(read) <= 4


def test_a_text_is_explained_alike_whatever_stands_beside_it() -> None:
    model = classifier(by_sentence(tiny_encoder("bert")))
    texts = [LONG, TEXT, "", " ", "good", "映画はとても良い。dull", LONG]
    together = model.explain(texts)
    assert together == model.explain(texts)
    for text, one in zip(texts, together, strict=True):
        alone = model.explain([text])[0]
        assert [a.text for a in alone.contributions] == [b.text for b in one.contributions]
        for a, b in zip(alone.contributions, one.contributions, strict=True):
            np.testing.assert_allclose(a.logits, b.logits, atol=1e-4)
    assert together[2].contributions == () == together[3].contributions
    assert together[2].completeness_error < 1e-4
    np.testing.assert_allclose(
        together[4].contributions[0].logits, np.subtract(together[4].logits, together[4].base), atol=1e-4
    )


def test_one_word_and_its_blanks_are_taken_out() -> None:
    assert without("a good film", 2, 6) == "a film"
    assert without("good film", 0, 4) == "film"
    assert without("a film ", 2, 6) == "a"
    assert without("良い映画", 0, 2) == "映画"
    assert without("good", 0, 4) == ""
