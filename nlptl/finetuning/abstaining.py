"""What a fine-tuned classifier needs to abstain: held-out logits of its examples, and the look of known texts.

Nothing is trained for it but linear heads. Held-out logits are, where at hand, those of validation texts, of fits without the
example, or of the comparison that chose the method. Else a logistic head on the vectors of the encoder before its layers learnt
stands in for the classifier, and the coverage is approximate.

Shapes: n examples, K labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlptl.finetuning.probabilities import MIN_VALIDATION_TEXTS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from nlptl.context import RunContext
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.finetuning.method import Fitted
    from nlptl.models.abstention.abstention import Abstention, HeldOutLogits
    from nlptl.models.abstention.known_texts import KnownTexts
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

MAX_HELD_OUT = 1_000  # texts; with more the coverage is no more certain for any use
MAX_PILE = 300  # texts of the pile that show what known texts look like; 1,000 told other sets no better
MIN_POOL = 100  # texts without labels, from which they alone show it


def abstention_of(
    fitted: Fitted, final: TextClassifier, given: TextClassifier, examples: LabelledExamples, context: RunContext
) -> Abstention | None:
    """Return what the `final` classifier carries, whose head is that of `fitted` with corrected probabilities.

    None where there is nothing to hold out: texts with several labels, labels without an example, one example of each.
    """
    from nlptl.models.abstention.abstention import Abstention

    if not len(examples) or examples.label_sets is not None or examples.unseen:
        return None
    held_out = _held_out(fitted, final, given, examples, context)
    if held_out is None:
        return None
    return Abstention.of(held_out, final.head, _known_texts(final, given, examples, context))


def _held_out(
    fitted: Fitted, final: TextClassifier, given: TextClassifier, examples: LabelledExamples, context: RunContext
) -> HeldOutLogits | None:
    """Return the held-out logits on the scale of the final head; None where nothing can be held out."""
    import torch

    from nlptl.evaluation.calibration import log_probabilities
    from nlptl.models.abstention.abstention import HeldOutLogits

    own = None if fitted.held_out_logits is None else fitted.held_out_logits()
    own = None if own is None else _corrected(own, fitted.classifier, final)
    logits, label_ids = own, examples.label_ids
    if logits is None:
        logits = _stand_in(given, examples, context)
    rows = _held_out_once(logits, examples)
    validation = examples.validation
    fresh = validation is not None and fitted.calibration.by_validation
    if (
        validation is not None
        and fresh
        and len(validation.texts) >= max(MIN_VALIDATION_TEXTS, 0 if own is None else len(rows))
    ):
        logits = log_probabilities(final.probabilities(validation.texts))
        own, label_ids, rows = logits, validation.label_ids, torch.arange(len(validation.texts))
    if not len(rows):
        return None
    rows = rows[_drawn(len(rows), MAX_HELD_OUT, context.generator("held-out logits"))]
    return HeldOutLogits(logits[rows].float(), label_ids[rows], is_approximate=own is None)


def _held_out_once(logits: Tensor, examples: LabelledExamples) -> Tensor:
    """Return the rows whose logits (n, K) are known, one of each group of copies."""
    import numpy as np
    import torch

    known = (~logits.isnan().any(dim=1)).nonzero()[:, 0].numpy()
    return torch.from_numpy(known[np.unique(examples.groups.owner[known], return_index=True)[1]])


def _corrected(logits: Tensor, fitted: TextClassifier, final: TextClassifier) -> Tensor:
    """Return logits (n, K) of a head as its copy gives them: divided by a temperature, then moved to other priors."""
    before, after = fitted.head.last_linear, final.head.last_linear
    sizes = [float(layer.weight.detach().double().norm()) for layer in (before, after)]
    temperature = sizes[0] / sizes[1] if all(sizes) else 1.0
    shift = after.bias.detach().double() - before.bias.detach().double() / temperature
    found: Tensor = logits.double().cpu() / temperature + shift.cpu()
    return found


def _stand_in(given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Tensor:
    """Return the held-out logits (n, K) of a logistic head on the vectors of the `given` encoder."""
    import torch

    from nlptl.finetuning.linear import LabelledVectors, fit_logistic
    from nlptl.training.compute import one_thread_if

    first, owner = map(torch.from_numpy, (examples.groups.first, examples.groups.owner))
    vectors = examples.frozen_vectors(given.encoder, progress=context.progress)[first]
    copies = torch.from_numpy(examples.groups.copies)
    rows = LabelledVectors.of(vectors, examples.label_ids[first], examples.label_count, copies=copies)
    rows = rows.balanced() if examples.is_skewed else rows
    with one_thread_if(True):
        head = fit_logistic(rows)
    return (head.out_of_fold_logits / head.temperature)[owner]


def _known_texts(
    final: TextClassifier, given: TextClassifier, examples: LabelledExamples, context: RunContext
) -> KnownTexts | None:
    """Return the look of the labelled texts, of validation texts and of a part of the pile.

    Layers that have learnt bring the labelled texts together, and new texts less: there the others alone show it. None where
    these are too few.
    """
    import torch

    from nlptl.models.abstention.known_texts import KnownTexts

    encoder = final.encoder.alone()
    pool = [] if examples.validation is None else examples.validation.texts[:MAX_PILE]
    pool = list(dict.fromkeys([*pool, *examples.draw_unlabelled(MAX_PILE, context.generator("known texts"))]))
    texts = [text for text in pool if text not in set(examples.texts)]
    if not _has_learnt(encoder, given.encoder):
        labelled = [examples.texts[row] for row in examples.groups.first]
        texts += [
            labelled[row] for row in _drawn(len(labelled), MAX_HELD_OUT, context.generator("known labelled texts"))
        ]
    elif len(texts) < MIN_POOL:
        return None
    if len(texts) < 2:
        return None
    texts = [texts[row] for row in torch.randperm(len(texts), generator=context.generator("order of known texts"))]
    with context.progress.task("encoding known texts", total=len(texts), unit="texts") as task:
        return KnownTexts.of(texts, encoder.encode(texts, after_batch=task.advance).astype("float64"))


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
