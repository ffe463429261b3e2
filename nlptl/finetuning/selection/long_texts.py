"""Long texts in few-label learning: read whole or sentence by sentence, as their length and the labelled texts say.

An encoder that was trained on sentences makes of a review the vector of what it is about; the mean of its sentences' vectors
says more of how it is meant. On reviews of films, books and goods a head over frozen vectors of MiniLM gained 3 to 8 points by
it, on what a review is about, and on short posts, nothing (benchmarks/long_texts.py).
"""

from __future__ import annotations

import copy
import dataclasses
import math
import statistics
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nlptl.errors import ConfigError
from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.finetuning.linear import LabelledVectors, fit_logistic
from nlptl.finetuning.selection.method_choice import seconds_a_pass
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.sentences import rule_for, sentence_start, sentences
from nlptl.progress import Progress
from nlptl.training.compute import one_thread_if
from nlptl.training.distributed import broadcast

LONG = 4
"""Sentences in the middle one of the labelled texts from which reading sentence by sentence is tried."""
ERRORS = 2.0
"""Standard errors by which held-out examples must speak against it: few of them would do so by chance."""
TRIED = (400, 100, 25)
"""Examples on which it is tried, two of each label at least: the most that there are and the time allows."""
TIMED = 8
"""Examples by which the time is estimated."""


@dataclasses.dataclass(frozen=True)
class HowToRead:
    """Which classifier to go on with, and why."""

    classifier: TextClassifier
    """The given one, or the same over an encoder that reads sentence by sentence."""
    why: str = ""
    """Empty where there was nothing to decide."""
    seconds: float = 0.0
    """Estimated time of trying."""

    @property
    def by_sentence(self) -> bool:
        """Whether it reads sentence by sentence."""
        return self.classifier.encoder.token_model.rule.sentence_start is not None


def how_to_read(
    given: TextClassifier, texts: Sequence[str], labels: Tensor, *, seconds: float, seed: int, progress: Progress
) -> HowToRead:
    """Decide by labelled texts and their label ids (n,), within about so many seconds.

    There is nothing to decide where texts are short, where the encoder reads sentence by sentence already or cannot, and
    where the classifier has learnt already, from texts as it reads them.
    """
    if not _may_read_otherwise(given):
        return HowToRead(given)
    usual = statistics.median(len(sentences(text)) for text in texts)
    if usual < LONG:
        return HowToRead(given)
    apart = read_by_sentence(given)
    told = f"The labelled texts are long ({usual:g} sentences in the middle one)"
    unseen = f"{told}, so they are read sentence by sentence; nothing was held out to try it on:"
    found = duplicate_groups(texts, labels.tolist())
    each = broadcast(2 * seconds_a_pass(given, list(texts[:TIMED])) / min(TIMED, len(texts)))
    counts = [min(max(most, 2 * len(given.labels)), len(found.first)) for most in TRIED]
    count = next((count for count in counts if each * count <= seconds), 0)
    if not count:
        return HowToRead(apart, f"{unseen} {seconds:.2g} seconds are too few.")
    kept = _spread(labels.numpy()[found.first], count, seed=seed)
    rows = found.first[kept]
    copies = torch.from_numpy(found.copies[kept])
    losses = _held_out_losses((given, apart), [texts[row] for row in rows], labels[rows], copies, progress)
    if losses is None:
        return HowToRead(apart, f"{unseen} no label has a second example.", each * count)
    difference = losses[1] - losses[0]
    error = float(difference.std()) / math.sqrt(len(difference)) if len(difference) > 1 else math.inf
    better = bool(broadcast(float(difference.mean() <= ERRORS * error)))
    numbers = (
        f"held-out log-loss {float(losses[1].mean()):.3f} sentence by sentence, {float(losses[0].mean()):.3f} whole"
    )
    why = f"{told} and are read {'sentence by sentence' if better else 'whole'}: {numbers}."
    return HowToRead(apart if better else given, why, each * count)


def read_by_sentence(given: TextClassifier) -> TextClassifier:
    """Return the classifier over a copy of its encoder that reads texts sentence by sentence.

    Raises ConfigError where the tokenizer marks no beginning of a text, and where the pooling was fitted to whole texts.
    """
    old = given.encoder
    if old.pooling.is_fitted:
        raise ConfigError(
            f"finetune.update.by_sentence: found {old.pooling.mode} pooling that was fitted to texts read whole; expected one "
            "fitted to sentences. Set by_sentence: true in sentence_vectors instead."
        )
    token_model = copy.deepcopy(old.transformer)
    token_model.rule = rule_for(token_model.rule, old.tokenizer, by_sentence=True, where="finetune.update.by_sentence")
    encoder = Encoder(old.tokenizer, token_model, copy.deepcopy(old.pooling), normalized=old.normalized)
    return TextClassifier(encoder, given.head, given.labels).eval()


def _may_read_otherwise(given: TextClassifier) -> bool:
    """Say whether nothing in the classifier was fitted to texts as it reads them, and its sentences could be told apart."""
    encoder = given.encoder
    if encoder.token_model.kind == "word_vectors" or encoder.token_model.rule.sentence_start is not None:
        return False
    fitted = given.head.has_learnt or encoder.pooling.is_fitted
    return not fitted and sentence_start(encoder.tokenizer) is not None


def _spread(labels: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """Return `count` row numbers at random, evenly by label."""
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = np.empty(len(labels), dtype=np.int64)  # the how-manieth of its label each row is
    for label in np.unique(labels):
        own = order[labels[order] == label]
        turn[own] = np.arange(len(own))
    ranked = order[np.argsort(turn[order], kind="stable")]
    return np.sort(ranked[:count])


def _held_out_losses(
    ways: Sequence[TextClassifier], texts: Sequence[str], labels: Tensor, copies: Tensor, progress: Progress
) -> list[Tensor] | None:
    """Return, for each way to read, the log-loss of each example (n,) under a head that had not seen it; None without any."""
    known, ids = torch.unique(labels, return_inverse=True)
    if len(known) < 2:
        return None
    found = []
    for way in ways:
        with progress.task("trying how to read long texts", total=len(texts), unit="texts") as task:
            vectors = torch.from_numpy(way.encoder.encode(texts, after_batch=task.advance))
        with one_thread_if(True):
            found.append(fit_logistic(LabelledVectors.of(vectors, ids, len(known), copies=copies)))
    both = torch.stack([head.scored for head in found]).all(dim=0)
    return [head.losses_on(both) for head in found] if bool(both.any()) else None
