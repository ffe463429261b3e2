"""Long texts in few-label learning: read whole or sentence by sentence, as their length and the labelled texts say.

The mean of a review's sentence vectors says more of how it is meant than the vector of the whole. On reviews of films, books and
goods a head over frozen vectors of MiniLM gained 3 to 10 points by it, on topics and short posts none (benchmarks/long_texts.py).
"""

from __future__ import annotations

import copy
import dataclasses
import math
import statistics
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.evaluation.held_out import draw_evenly
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.linear import LabelledVectors, fit_logistic
from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
from nlptl.inference.sentences import rule_for, sentence_start, sentences
from nlptl.models.classifier import TextClassifier
from nlptl.training.compute import one_thread_if
from nlptl.training.distributed import broadcast

MIN_SENTENCES = 4  # of the labelled texts in the median, from which reading sentence by sentence is tried
MAX_STANDARD_ERRORS = 2.0  # by which held-out examples must speak against it: few of them would do so by chance
TRIAL_EXAMPLES = (400, 100, 25)  # on which it is tried, two of each label at least: the most that the time allows


@dataclasses.dataclass(frozen=True)
class ReadingChoice:
    """Which classifier to go on with, and why."""

    classifier: TextClassifier  # the given one, or the same over an encoder that reads sentence by sentence
    why: str = ""  # empty where there was nothing to decide
    seconds: float = 0.0  # estimated time of trying

    @property
    def by_sentence(self) -> bool:
        """Whether it reads sentence by sentence."""
        return self.classifier.encoder.token_model.rule.sentence_start is not None


def choose_reading(
    given: TextClassifier, examples: LabelledExamples, speed: EncodingSpeed, context: RunContext, *, seconds: float
) -> ReadingChoice:
    """Decide by the labelled examples, within about so many seconds.

    There is nothing to decide where texts are short, where the encoder reads sentence by sentence already or cannot, and
    where something in the classifier was fitted to texts as it reads them.
    """
    encoder = given.encoder
    if encoder.token_model.kind == "word_vectors" or encoder.token_model.rule.sentence_start is not None:
        return ReadingChoice(given)
    if given.head.has_learnt or encoder.pooling.is_fitted or sentence_start(encoder.tokenizer) is None:
        return ReadingChoice(given)
    usual = statistics.median(len(sentences(text)) for text in examples.texts)
    if usual < MIN_SENTENCES:
        return ReadingChoice(given)
    apart = read_by_sentence(given)
    told = f"The labelled texts are long ({usual:g} sentences in the middle one)"
    unseen = f"{told}, so they are read sentence by sentence; nothing was held out to try it on:"
    distinct = examples.groups.first
    each = 2 * speed.seconds_for(examples.texts) / len(examples)
    counts = [min(max(most, 2 * examples.label_count), len(distinct)) for most in TRIAL_EXAMPLES]
    count = next((count for count in counts if each * count <= seconds), 0)
    if not count:
        context.record.add_cut("reading by sentence was not compared with reading whole")
        return ReadingChoice(apart, f"{unseen} {seconds:.2g} seconds are too few.")
    kept = draw_evenly(examples.label_ids.numpy()[distinct], count=count, seed=context.seed)
    losses = _held_out_losses((given, apart), examples, kept, context)
    if losses is None:
        return ReadingChoice(apart, f"{unseen} no label has a second example.", each * count)
    difference = losses[1] - losses[0]
    error = float(difference.std()) / math.sqrt(len(difference)) if len(difference) > 1 else math.inf
    better = bool(broadcast(float(difference.mean() <= MAX_STANDARD_ERRORS * error)))
    apart_loss, whole_loss = (float(loss.mean()) for loss in (losses[1], losses[0]))
    numbers = f"held-out log-loss {apart_loss:.3f} sentence by sentence, {whole_loss:.3f} whole"
    why = f"{told} and are read {'sentence by sentence' if better else 'whole'}: {numbers}."
    examples.forget_vectors((given if better else apart).encoder)
    return ReadingChoice(apart if better else given, why, each * count)


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
    encoder = old.with_parts(token_model=token_model, pooling=copy.deepcopy(old.pooling))
    return TextClassifier(encoder, given.head, given.labels).eval()


def _held_out_losses(
    readers: Sequence[TextClassifier], examples: LabelledExamples, kept: NDArray[np.int64], context: RunContext
) -> list[Tensor] | None:
    """Return, for each reader, the log-loss of each of the distinct examples `kept` (n,) under a head that had not seen it.

    None where nothing can be left out. Vectors of all examples serve the fine-tuning again.
    """
    rows = examples.groups.first[kept]
    known, ids = torch.unique(examples.label_ids[rows], return_inverse=True)
    if len(known) < 2:
        return None
    some = examples if len(kept) == len(examples.groups.first) else examples.select(rows.tolist())
    copies, found = torch.from_numpy(examples.groups.copies[kept]), []
    for reader in readers:
        vectors = some.frozen_vectors(reader.encoder, progress=context.progress)
        vectors = vectors[torch.from_numpy(rows)] if some is examples else vectors
        with one_thread_if(True):
            found.append(fit_logistic(LabelledVectors.of(vectors, ids, len(known), copies=copies)))
    both = torch.stack([head.scored for head in found]).all(dim=0)
    return [head.losses_on(both) for head in found] if bool(both.any()) else None
