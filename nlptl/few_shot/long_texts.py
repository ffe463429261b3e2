"""Long texts in few-label learning: read whole or sentence by sentence, as their length and the labelled texts say.

An encoder that was trained on sentences makes of a review the vector of what it is about; the mean of its sentences' vectors
says more of how it is meant. On reviews of films, books and goods a head over frozen vectors of MiniLM gained 3 to 8 points
by it, on what a review is about, and on short posts, nothing (benchmarks/NOTES.md).
"""

from __future__ import annotations

import copy
import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nlptl.closed_form import LabelledVectors, fit_logistic
from nlptl.distributed import agreed
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.progress import Progress
from nlptl.repeats import distinct
from nlptl.sentences import reading, sentence_start, sentences
from nlptl.training import one_thread_if

Reading = Literal["auto", "always", "never"]
LONG = 4
"""Sentences in the middle one of the labelled texts from which reading sentence by sentence is tried."""
ERRORS = 2.0
"""Standard errors by which held-out examples must speak against it: few of them would do so by chance."""
MOST_TRIED = 400
"""Examples on which it is tried."""


@dataclasses.dataclass(frozen=True)
class HowToRead:
    """Whether texts are read sentence by sentence, and why."""

    by_sentence: bool
    why: str


def how_to_read(
    given: TextClassifier, texts: Sequence[str], labels: Tensor, wanted: Reading, *, seed: int, progress: Progress
) -> HowToRead | None:
    """Decide by labelled texts and their label ids (n,); None where nothing is to be decided or told.

    That is so where texts are short, are read sentence by sentence already, or cannot be.
    """
    encoder = given.encoder
    if (
        wanted == "never"
        or encoder.token_model.kind == "word_vectors"
        or encoder.token_model.rule.sentence_start is not None
    ):
        return None
    if wanted == "always":
        return HowToRead(True, "Texts are read sentence by sentence, as the settings say.")
    usual = statistics.median(len(sentences(text)) for text in texts)
    if usual < LONG or sentence_start(encoder.tokenizer) is None:
        return None
    found = distinct(texts, labels.tolist())
    kept = np.sort(np.random.default_rng(seed).permutation(len(found.first))[:MOST_TRIED])
    rows = found.first[kept]
    copies = torch.from_numpy(found.copies[kept])
    losses = _held_out_losses(given, [texts[row] for row in rows], labels[rows], copies, progress)
    told = f"The labelled texts are long ({usual:g} sentences in the middle one)"
    if losses is None:
        return HowToRead(
            True, f"{told}, so they are read sentence by sentence; nothing could be held out to try it on."
        )
    whole, apart = losses
    difference = apart - whole
    error = float(difference.std()) / math.sqrt(len(difference)) if len(difference) > 1 else math.inf
    better = bool(agreed(float(difference.mean() <= ERRORS * error)))
    numbers = f"held-out log-loss {float(apart.mean()):.3f} sentence by sentence, {float(whole.mean()):.3f} whole"
    return HowToRead(better, f"{told} and are read {'sentence by sentence' if better else 'whole'}: {numbers}.")


def read_by_sentence(given: TextClassifier) -> TextClassifier:
    """Return the classifier over a copy of its encoder that reads texts sentence by sentence.

    Raises ConfigError where the tokenizer marks no beginning of a text.
    """
    old = given.encoder
    token_model = copy.deepcopy(old.transformer)
    token_model.rule = reading(token_model.rule, old.tokenizer, by_sentence=True, where="finetune.update.by_sentence")
    encoder = Encoder(old.tokenizer, token_model, copy.deepcopy(old.pooling), normalized=old.normalized)
    return TextClassifier(encoder, given.head, given.labels).eval()


def _held_out_losses(
    given: TextClassifier, texts: Sequence[str], labels: Tensor, copies: Tensor, progress: Progress
) -> tuple[Tensor, Tensor] | None:
    """Return the log-loss of each example (n,) under heads that had not seen it, read whole and sentence by sentence."""
    found = []
    for encoder in (given.encoder, read_by_sentence(given).encoder):
        with progress.task("trying how to read long texts", total=len(texts), unit="texts") as task:
            vectors = torch.from_numpy(encoder.encode(texts, after_batch=task.advance))
        with one_thread_if(True):
            found.append(fit_logistic(LabelledVectors.of(vectors, labels, len(given.labels), copies=copies)))
    both = found[0].scored & found[1].scored
    return (found[0].losses_on(both), found[1].losses_on(both)) if bool(both.any()) else None
