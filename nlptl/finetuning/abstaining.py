"""What a fine-tuned classifier needs to abstain: held-out logits of its examples, and the look of known texts.

Nothing is trained for it but linear heads. Held-out logits are, where at hand, those of validation texts, of fits without the
example, or of the comparison that chose the method. Else a logistic head on the vectors of the encoder before its layers learnt
stands in for the classifier, as confident as this is, and the coverage is approximate.

Shapes: n examples, K labels, D dimension.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from nlptl.finetuning.probabilities import MIN_VALIDATION_TEXTS

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from nlptl.context import RunContext
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.finetuning.method import Fitted
    from nlptl.inference.abstention.abstention import Abstention, HeldOutLogits
    from nlptl.inference.abstention.known_texts import KnownTexts
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

MAX_HELD_OUT = 1_000  # texts; with more the coverage is no more certain for any use
MAX_PILE = 300  # texts of the pile that show what known texts look like; 1,000 told other sets no better
MIN_POOL = 100  # texts without labels, from which they alone show it
MIN_CONFIDENT = 20  # texts without labels, from which they alone show how confident a classifier is


@dataclasses.dataclass(frozen=True)
class _Encoded:
    """Texts with their vectors (B, D), views included."""

    texts: list[str]
    vectors: NDArray[np.float32]


def abstention_of(
    fitted: Fitted, final: TextClassifier, given: TextClassifier, examples: LabelledExamples, context: RunContext
) -> Abstention | None:
    """Return what the `final` classifier carries, whose head is that of `fitted` with corrected probabilities.

    None where there is nothing to hold out: texts with several labels, labels without an example, one example of each.
    """
    from nlptl.inference.abstention.abstention import Abstention

    if not len(examples) or examples.label_sets is not None or examples.unseen:
        return None
    own = _by_fits(fitted, final, examples)
    least = 0 if own is None else len(own.label_ids)
    held_out = _by_validation(fitted, final, examples, context, least=least) or own
    pool = _pool(final.encoder, examples, context)
    if held_out is None:
        held_out = _by_stand_in(final, given, examples, pool, context)
    if held_out is None:
        return None
    kept = _drawn(len(held_out.label_ids), MAX_HELD_OUT, context.generator("held-out logits"))
    held_out = dataclasses.replace(held_out, logits=held_out.logits[kept], label_ids=held_out.label_ids[kept])
    return Abstention.of(
        held_out, final.head.last_weight, _known_texts(final.encoder, given.encoder, examples, pool, context)
    )


def _by_validation(
    fitted: Fitted, final: TextClassifier, examples: LabelledExamples, context: RunContext, *, least: int
) -> HeldOutLogits | None:
    """Return the classifier's own logits of validation texts, unless these stopped its training or are fewer than `least`."""
    from nlptl.evaluation.calibration import log_probabilities
    from nlptl.inference.abstention.abstention import HeldOutLogits

    validation = examples.validation
    if validation is None or not fitted.calibration.by_validation:
        return None
    if len(validation.texts) < max(MIN_VALIDATION_TEXTS, least):
        return None
    rows = _drawn(len(validation.texts), MAX_HELD_OUT, context.generator("validation texts"))
    logits = log_probabilities(final.probabilities([validation.texts[row] for row in rows]))
    return HeldOutLogits(logits.float().numpy(), validation.label_ids[rows].numpy(), is_approximate=False, weight=1.0)


def _by_fits(fitted: Fitted, final: TextClassifier, examples: LabelledExamples) -> HeldOutLogits | None:
    """Return the logits of fits without the example, on the scale of the final head; None where there are none."""
    logits = None if fitted.held_out_logits is None else fitted.held_out_logits()
    if logits is None:
        return None
    return _held_out_once(_corrected(logits, fitted.classifier, final), examples, is_approximate=False)


def _by_stand_in(
    final: TextClassifier, given: TextClassifier, examples: LabelledExamples, pool: _Encoded, context: RunContext
) -> HeldOutLogits | None:
    """Return the held-out logits of a logistic head on the vectors of the `given` encoder; None where nothing can be held out.

    They are as confident as the final classifier is on texts without labels. It is more often right than the head: its sets
    hold the label more often than is promised.
    """
    import torch

    from nlptl.evaluation.calibration import temperature_at_confidence
    from nlptl.finetuning.linear import LabelledVectors, fit_logistic
    from nlptl.training.compute import one_thread_if

    examples = _some(examples, context)
    first, owner = map(torch.from_numpy, (examples.groups.first, examples.groups.owner))
    vectors = examples.frozen_vectors(given.encoder, progress=context.progress)[first]
    copies = torch.from_numpy(examples.groups.copies)
    rows = LabelledVectors.of(vectors, examples.label_ids[first], examples.label_count, copies=copies)
    rows = rows.balanced() if examples.is_skewed else rows
    with one_thread_if(True):
        head = fit_logistic(rows)
    if not bool(head.scored.any()):
        return None
    fresh = len(pool.texts) >= MIN_CONFIDENT
    probabilities = final.probabilities_of(pool.vectors) if fresh else final.probabilities(examples.texts)
    confidence = float(probabilities.max(axis=1).mean())
    temperature = temperature_at_confidence(head.out_of_fold_logits[head.scored], confidence)
    return _held_out_once((head.out_of_fold_logits / temperature)[owner], examples, is_approximate=True)


def _some(examples: LabelledExamples, context: RunContext) -> LabelledExamples:
    """Return about `MAX_HELD_OUT` of the examples, at random, with two of each label at least where it has them."""
    if len(examples) <= MAX_HELD_OUT:
        return examples
    rows = set(_drawn(len(examples), MAX_HELD_OUT, context.generator("stand-in")))
    for label in range(examples.label_count):
        rows |= {*(examples.label_ids == label).nonzero()[:2, 0].tolist()}
    return examples.select(sorted(rows))


def _held_out_once(logits: Tensor, examples: LabelledExamples, *, is_approximate: bool) -> HeldOutLogits | None:
    """Return the logits (n, K) that are known, those of one example of each group of copies; None where none is."""
    import numpy as np

    from nlptl.inference.abstention.abstention import HeldOutLogits

    found, label_ids = logits.float().numpy(), examples.label_ids.numpy()
    known = np.flatnonzero(~np.isnan(found).any(axis=1))
    rows = known[np.unique(examples.groups.owner[known], return_index=True)[1]]
    return HeldOutLogits(found[rows], label_ids[rows], is_approximate) if len(rows) else None


def _corrected(logits: Tensor, fitted: TextClassifier, final: TextClassifier) -> Tensor:
    """Return logits (n, K) of a head as its copy gives them: divided by a temperature, then moved to other priors."""
    before, after = fitted.head.last_linear, final.head.last_linear
    sizes = [float(layer.weight.detach().double().norm()) for layer in (before, after)]
    temperature = sizes[0] / sizes[1] if all(sizes) else 1.0
    shift = after.bias.detach().double() - before.bias.detach().double() / temperature
    found: Tensor = logits.double().cpu() / temperature + shift.cpu()
    return found


def _pool(encoder: Encoder, examples: LabelledExamples, context: RunContext) -> _Encoded:
    """Return validation texts and a part of the pile, none of them a labelled text."""
    known = set(examples.texts)
    pool = [] if examples.validation is None else examples.validation.texts[:MAX_PILE]
    pool = list(dict.fromkeys([*pool, *examples.draw_unlabelled(MAX_PILE, context.generator("known texts"))]))
    texts = [text for text in pool if text not in known]
    with context.progress.task("encoding known texts", total=len(texts), unit="texts") as task:
        return _Encoded(texts, encoder.encode(texts, after_batch=task.advance))


def _known_texts(
    encoder: Encoder, before: Encoder, examples: LabelledExamples, pool: _Encoded, context: RunContext
) -> KnownTexts | None:
    """Return the look of the labelled texts and the pool.

    Layers that have learnt bring the labelled texts together, and new texts less: there the pool alone shows it. None where
    it is too small. Views that are joined to an encoder are left out, for they know their own pile only.
    """
    import numpy as np
    import torch

    from nlptl.finetuning.known_texts import MIN_TEXTS, learn_known_texts

    texts, vectors = pool.texts, pool.vectors
    if not _has_learnt(encoder, before):
        places = _drawn(len(examples.groups.first), MAX_HELD_OUT, context.generator("labelled texts"))
        rows = examples.groups.first[places].tolist()
        labelled, known = [examples.texts[row] for row in rows], examples.knows_vectors(encoder)
        own = examples.frozen_vectors(encoder)[rows].numpy() if known else encoder.encode(labelled)
        texts, vectors = [*labelled, *texts], np.concatenate([own, vectors])
    elif len(texts) < MIN_POOL:
        return None
    if len(texts) < MIN_TEXTS:
        return None
    order = torch.randperm(len(texts), generator=context.generator("order of known texts")).tolist()
    width = encoder.own_dim or encoder.dim
    return learn_known_texts([texts[row] for row in order], vectors[order, :width].astype(np.float64))


def _has_learnt(encoder: Encoder, before: Encoder) -> bool:
    """Say whether an encoder differs from the one before the training in a weight of its token model or its pooling."""
    import torch

    found, known = (
        {
            f"{name}.{key}": value
            for name in ("token_model", "pooling")
            for key, value in getattr(one, name).state_dict().items()
        }
        for one in (encoder, before)
    )
    return found.keys() != known.keys() or any(
        not torch.equal(value, known[key].to(value)) for key, value in found.items()
    )


def _drawn(count: int, most: int, generator: torch.Generator) -> list[int]:
    """Return the places of at most so many of `count` things, ascending."""
    import torch

    places: list[int] = torch.randperm(count, generator=generator)[:most].sort().values.tolist()
    return places
