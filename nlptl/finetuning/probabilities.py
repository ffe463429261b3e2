"""What a fitted classifier's probabilities mean: how sharp they are, and for which shares of the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from nlptl.config import did_you_mean
from nlptl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from nlptl.context import RunContext
    from nlptl.data import TextData
    from nlptl.models.classifier import TextClassifier

FEWEST = 20
"""Validation texts from which they correct probabilities."""
HEAVIEST = 5.0
"""Times that a validation text of a label that is rare there may count."""
UNKNOWN = 2.0
"""Texts that probabilities are worth which nothing has calibrated: hardly any."""


def calibrated(
    classifier: TextClassifier, data: TextData, context: RunContext, *, temperature: float = 1.0, scored: int = 0
) -> TextClassifier:
    """Return the classifier with its probabilities corrected by `data.validation`; the record tells it.

    Where that is missing, shorter than `FEWEST` or lacks a label, `temperature` is taken, which `scored` other texts told.
    Without labelled examples nothing has calibrated the probabilities before, so validation alone decides.
    """
    found = None if data.validation is None else _on_validation(classifier, data, context)
    if found is None and not scored:
        return classifier
    told = f"The probabilities are corrected on {scored} held-out examples"
    if found is not None and data.validation is not None:
        temperature, told = found, f"The probabilities are corrected on {len(data.validation)} validation texts"
    context.record.add_finding("temperature", temperature, f"{told} (temperature {temperature:.2f}).")
    return _at_temperature(classifier, temperature)


def _on_validation(classifier: TextClassifier, data: TextData, context: RunContext) -> float | None:
    """Return the temperature that `data.validation` asks for; None, which is told, where it says too little.

    Labels count as they do among the examples, or all alike where there are none, whatever their shares in validation are.
    """
    import torch

    from nlptl.evaluation.calibration import BELIEF, corrected_temperature, log_probabilities
    from nlptl.training.distributed import broadcast

    assert data.validation is not None
    labels = classifier.label_ids(data.validation.labels())
    there = torch.bincount(labels, minlength=len(classifier.labels))
    short = ""
    if len(labels) < FEWEST:
        short = f"found {len(labels)} texts, too few to correct probabilities by; expected {FEWEST} at least. Add some"
    elif not bool((there > 0).all()):
        missing = classifier.labels[int(there.argmin())]
        short = (
            f"found no text of the label {missing!r}; expected some of each label to correct probabilities by. Add them"
        )
    if short:
        context.record.add_finding("temperature", None, f"data.validation: {short}, or leave them as they are.")
        return None
    weights = (_shares(classifier, data) / (there / there.sum())).clamp(max=HEAVIEST)[labels]
    logits = log_probabilities(classifier.predict_proba(data.validation.texts()))
    belief = BELIEF if data.labelled is not None else UNKNOWN
    return broadcast(corrected_temperature(logits, labels, weights=weights, belief=belief))


def _shares(classifier: TextClassifier, data: TextData) -> Tensor:
    """Return the shares (K,) of the labels that a classifier's probabilities assume."""
    import torch

    count = len(classifier.labels)
    if data.labelled is None:
        return torch.full((count,), 1 / count, dtype=torch.float64)
    counts = torch.bincount(classifier.label_ids(data.labelled.labels()), minlength=count).double()
    counts = counts.clamp(min=1)  # a label that no example has, but a name: its share is above 0
    return counts / counts.sum()


def _at_temperature(classifier: TextClassifier, temperature: float) -> TextClassifier:
    """Return the classifier with its logits divided by `temperature`: above 1 is flatter, below 1 sharper."""
    import copy

    import torch

    from nlptl.models.classifier import TextClassifier

    head = copy.deepcopy(classifier.head)
    with torch.no_grad():
        head.last_linear.weight.div_(temperature)
        head.last_linear.bias.div_(temperature)
    return TextClassifier(classifier.encoder, head, classifier.labels).eval()


def check_priors(priors: str | Mapping[str, float], labels: Sequence[str], *, where: str) -> None:
    """Raise ConfigError for explicit priors that do not name each label once or do not sum to 1."""
    if isinstance(priors, str):
        return
    for label in priors:
        if label not in labels:
            raise ConfigError(
                f"{where}.priors: found the label {label!r}; expected {', '.join(labels)}."
                f"{did_you_mean(label, labels)} Correct the label."
            )
    missing = [label for label in labels if label not in priors]
    total = sum(priors.values())
    if missing or abs(total - 1) > 1e-3:
        found = f"no share for {missing[0]!r}" if missing else f"shares that sum to {total:g}"
        raise ConfigError(
            f"{where}.priors: found {found}; expected a share for each label, 1 in all. Correct the shares, or write "
            "observed or uniform."
        )


def at_priors(
    classifier: TextClassifier,
    priors: Literal["observed", "uniform"] | Mapping[str, float],
    data: TextData,
    *,
    balanced: bool = False,
) -> TextClassifier:
    """Return the classifier with its probabilities moved from the shares of `data.labelled` to `priors`.

    Without labelled examples, and where they were weighed so (`balanced`), the labels were all alike.
    """
    import copy

    import torch

    from nlptl.models.classifier import TextClassifier

    if priors == "observed":
        return classifier
    count = len(classifier.labels)
    shares = [1 / count] * count if isinstance(priors, str) else [priors[label] for label in classifier.labels]
    head = copy.deepcopy(classifier.head)
    with torch.no_grad():
        old = torch.full((count,), 1 / count, dtype=torch.float64) if balanced else _shares(classifier, data)
        shift = torch.tensor(shares, dtype=torch.float64).log() - old.log()
        head.last_linear.bias.add_(shift.to(head.last_linear.bias))
    return TextClassifier(classifier.encoder, head, classifier.labels).eval()
