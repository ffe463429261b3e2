"""Candidates of a start: the chains that are judged side by side, the simplest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from nlptl.data.label_sentences import label_sentences
from nlptl.runs.judging.encoder_at_hand import EncoderAtHand, word_vectors
from nlptl.runs.judging.judged_chain import JudgedChain, Learns, chain_of

MIN_PILE = 200  # texts from which `auto` learns from the pile
MAX_LABELS_OF_PILE = 20  # for which self-training is made

Kind = Literal["most frequent", "words", "word vectors", "names", "head", "auto", "auto without the pile"]


def candidates_for(
    labels: Sequence[str], encoder: EncoderAtHand, *, pile: int, few: bool, minutes: float, segmenter: str | None = None
) -> tuple[JudgedChain, ...]:
    """Return the candidates for data with these labels, the simplest first.

    `pile` counts the texts without a label, `few` says that `auto` will learn from them, `minutes` is the time of `auto`.
    A `segmenter` cuts the texts into words.
    """
    ngrams = {"stage": "ngrams"} if segmenter is None else {"stage": "ngrams", "segmenter": segmenter}
    vectors = word_vectors(segmenter=segmenter)
    texts = "your texts" if pile else "the labelled texts"
    found = [
        JudgedChain("most frequent", "most frequent label", (), "shares", may_be_chosen=False),
        _chain("words", "words (tf-idf, logistic regression)", [ngrams], {"method": "words"}),
        _chain("word vectors", f"word vectors of {texts}, head", vectors, {"method": "head", "solver": "auto"}),
    ]
    auto = {"method": "auto", "minutes": minutes}
    if encoder.weights is None:
        return tuple(found)
    weights, short = encoder.weights, encoder.weights.rpartition("/")[2]
    bert = [{"stage": "bert", "weights": weights}]
    if len(label_sentences(labels)):
        found.append(
            _chain(
                "names", f"{short}, label names alone", bert, {"method": "head", "solver": "auto"}, may_be_chosen=False
            )
        )
    found.append(_chain("head", f"{short}, head alone", bert, {"method": "head", "solver": "auto"}))
    if few and pile >= MIN_PILE and len(labels) <= MAX_LABELS_OF_PILE:
        alone = {**auto, "pseudo_labels": "never"}
        found.append(_chain("auto without the pile", f"{short}, auto without the pile", bert, alone, slow=True))
    found.append(_chain("auto", f"{short}, auto", bert, auto, slow=True))
    return tuple(found)


def _chain(
    kind: Kind, name: str, encoder: list[dict[str, Any]], update: dict[str, Any], *, may_be_chosen: bool = True,
    slow: bool = False,
) -> JudgedChain:  # fmt: skip
    stages = [*encoder, {"stage": "classification_head"}, {"stage": "finetune", "update": update}]
    learns: Learns = "names" if kind == "names" else "labels"
    return JudgedChain(kind, name, tuple(chain_of(stages).stages), learns, may_be_chosen=may_be_chosen, slow=slow)
