"""Sentences about settings and data in the words of the estimators: their parameters in place of blocks of YAML."""

from __future__ import annotations

import re

_NAMES = (
    (re.compile(r"^(estimator: |estimator\.|FineTune\.|finetune\.)(?=(update|encoder)\b)"), ""),
    (re.compile(r"^SentenceVectors\b"), "sentence_vectors"),
    (re.compile(r"^(update|encoder|sentence_vectors)\.(?=[a-z])"), r"\1__"),
    (re.compile(r"^RunContext\."), ""),
    (re.compile(r"\bdata\.(unlabelled|label_names)\b"), r"`\1`"),
    (re.compile(r"\bbegin the chain with bert\b"), "give a transformer as `encoder`"),
)


def as_parameters(sentence: str) -> str:
    """Return a sentence with the estimators' names for what it speaks of, such as update__l2 for FineTune.update.l2."""
    for pattern, name in _NAMES:
        sentence = pattern.sub(name, sentence)
    return sentence
