"""Self-training of a fitted classifier on the pile: the gate, views of the pile's own words, and the head over all views.

Shapes: n labelled texts, P texts of the pile, D dimension, K labels.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from nlptl.errors import DataError
from nlptl.evaluation.calibration import temperature_at_confidence
from nlptl.finetuning.linear import LinearHead, with_temperature, write_head
from nlptl.finetuning.method import Fitted
from nlptl.finetuning.self_training.gate import MAX_SEPARATION, PILE_TEXTS, separation
from nlptl.finetuning.self_training.rounds import Rounds, self_trained
from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head
from nlptl.pretraining.views.view_settings import cut_alike
from nlptl.training.compute import one_thread_if
from nlptl.training.distributed import broadcast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nlptl.context import RunContext
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.inference.segmenter import Segmenter
    from nlptl.models.views import View
    from nlptl.pretraining.views.view_settings import ViewSettings

MIN_PILE = 200
"""Texts of a pile below which nothing is learnt from it. With 8 labels each, mean of 13 sets: of 60 texts a student lost 1.4
points, of 200 it gained 0.2, of 500 1.1."""
MAX_LABELS = 20
"""Labels above which nothing is learnt from a pile. Of 2,000 texts with 77 labels a student lost 2 to 10 points."""
SHOWN_LABELS = 5
ALL_EQUAL = "the encoder gives all its texts the same vector"


@dataclasses.dataclass(frozen=True)
class PileUse:
    """How the pile is put to use."""

    rounds: Rounds
    texts: int  # of the pile, drawn at random
    views: tuple[ViewSettings, ...]  # to learn on the pile where the encoder has none
    gate: Literal["auto", "always"]  # auto leaves out a pile of another kind; always uses it unseen


def with_pile(
    teacher: Fitted, given: TextClassifier, examples: LabelledExamples, use: PileUse, context: RunContext
) -> Fitted:
    """Return what self-training on the pile makes of a `teacher`, which learnt from `given`; or the teacher itself.

    The record tells whether the pile took part, and why. Nothing is kept of a pile half read: a stopped run reads it again.
    """
    pile = examples.draw_unlabelled(use.texts, context.generator("pile"))
    why_not = _why_not(pile, given, examples, use, context)
    if why_not:
        return _left_out(teacher, why_not, context)
    own_encoder = teacher.classifier.encoder.alone()
    with context.progress.task("encoding the pile", total=len(pile), unit="texts") as task:
        own = torch.from_numpy(own_encoder.encode(pile, after_batch=task.advance))
    if _are_equal(own):
        return _left_out(teacher, ALL_EQUAL, context)
    views = given.encoder.joined_views or _learnt_views(pile, examples, use, given.encoder.segmenter, context)
    parts = [own, *(view.vectors(pile) for view in views)]
    answers = _answers(teacher.classifier, own, pile)
    if len(chosen := torch.unique(answers.argmax(dim=1))) < 2:
        return _left_out(
            teacher, f"the classifier gives all its texts the label {given.labels[int(chosen)]!r}", context
        )
    linear = _student(parts, answers, use.rounds)
    encoder, vectors = own_encoder.with_views((*own_encoder.views, *views)), torch.cat(parts, dim=1)
    head = Head(encoder.dim, len(given.labels))
    head.fit_scale(vectors)
    write_head(linear, head)
    shares = linear.probabilities(vectors).mean(dim=0)
    _tell(len(pile), views, dict(zip(given.labels, shares.tolist(), strict=True)), context)
    classifier = TextClassifier(encoder, head.to(given.device), given.labels).eval()
    learnt = teacher.trainable_parameters + linear.weights.numel() + len(linear.bias)
    return dataclasses.replace(
        teacher, classifier=classifier, trainable_parameters=learnt, used_unlabelled=True, shares=tuple(shares.tolist()),
        held_out_logits=None,
    )  # fmt: skip


def _left_out(teacher: Fitted, why: str, context: RunContext) -> Fitted:
    """Return the teacher, and tell why."""
    context.record.add_finding("pile", {"used": "nothing"}, f"The pile is left out: {why}.", warns=True)
    return teacher


def _why_not(
    pile: Sequence[str], given: TextClassifier, examples: LabelledExamples, use: PileUse, context: RunContext
) -> str:
    """Return why the pile is left out, as part of a sentence; empty where it is not."""
    if given.head.hidden:
        return f"it teaches a linear head, but the classification head has a hidden layer of {given.head.hidden} units"
    if (distinct := len(set(pile))) < MIN_PILE:
        return f"it has {distinct} different texts beside the labelled ones, and {MIN_PILE} are the fewest that help; add texts"
    if len(given.labels) > MAX_LABELS:
        return f"there are {len(given.labels)} labels, and with more than {MAX_LABELS} it does harm"
    first = torch.from_numpy(examples.groups.first)
    if use.gate == "always" or len(first) < 2:
        return ""
    encoder, some = given.encoder.alone(), pile[:PILE_TEXTS]
    own = examples.frozen_vectors(given.encoder, progress=context.progress)[first, : encoder.dim]
    with context.progress.task("comparing the pile with the labelled texts", total=len(some), unit="texts") as task:
        others = torch.from_numpy(encoder.encode(some, after_batch=task.advance))
    if _are_equal(others):
        return ALL_EQUAL
    area = broadcast(separation(own, others))
    context.record.add_finding("pile_separation", round(area, 3))
    told = f"they can be told from the labelled ones (area under the ROC curve {area:.2f}, allowed: {MAX_SEPARATION:g})"
    return "" if area < MAX_SEPARATION else f"its texts are of another kind, since {told}; give texts of the same kind"


def _are_equal(vectors: Tensor) -> bool:
    """Say whether all vectors (P, D) are the same, as those of texts without a known word."""
    return bool((vectors == vectors[0]).all())


def _learnt_views(
    pile: Sequence[str], examples: LabelledExamples, use: PileUse, segmenter: Segmenter | None, context: RunContext
) -> tuple[View, ...]:
    """Return the views of the whole pile and the labelled texts, but those that these are too few for.

    Their words are cut as those of the encoder.
    """
    unlabelled = examples.unlabelled
    assert unlabelled is not None
    found = []
    for settings in (cut_alike(view, segmenter) for view in use.views):
        with contextlib.suppress(DataError):
            found.append(settings.learn(lambda: itertools.chain(unlabelled.batches(), [examples.texts]), pile, context))
    return tuple(found)


@torch.inference_mode()
def _answers(teacher: TextClassifier, own: Tensor, pile: Sequence[str]) -> Tensor:
    """Return the teacher's logits (P, K) of the pile, whose vectors `own` (P, D) are without the teacher's views."""
    views = [view.vectors(pile) for view in teacher.encoder.joined_views]
    logits: Tensor = teacher.head(torch.cat([own, *views], dim=1).to(teacher.device))
    return logits.double().cpu()


def _student(parts: Sequence[Tensor], answers: Tensor, rounds: Rounds) -> LinearHead:
    """Return the head over the joined `parts` (P, D) that learns the teacher's answers (P, K), as confident as these are."""
    with one_thread_if(True):
        linear = self_trained(parts, answers, rounds)
    confidence = float(answers.softmax(dim=1).max(dim=1).values.mean())
    return with_temperature(
        linear, temperature_at_confidence(linear.logits(torch.cat(tuple(parts), dim=1)), confidence)
    )


def _tell(texts: int, views: Sequence[View], shares: Mapping[str, float], context: RunContext) -> None:
    """Tell how the pile took part."""
    found = {"used": "self-training", "texts": texts, "views": 1 + len(views), "shares": shares}
    beside = f" and by {len(views)} view{'s' * (len(views) != 1)} of its own words" if views else ""
    told = f"The pile is used: a linear head learnt the classifier's answers to {texts} of its texts, seen by the encoder{beside}. "
    most = sorted(shares, key=shares.__getitem__, reverse=True)[:SHOWN_LABELS]
    told += f"Found in it: {', '.join(f'{label} {100 * shares[label]:.0f} %' for label in most)}"
    told += "." if len(most) == len(shares) else f" and {len(shares) - len(most)} more labels."
    context.record.add_finding("pile", found, told, warns=True)  # not a fault, but what a person asks first
