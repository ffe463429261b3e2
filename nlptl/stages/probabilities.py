"""What a fitted classifier's probabilities mean: how sharp they are, and for which shares of the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from nlptl.config import did_you_mean
from nlptl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from nlptl.data import TextData
    from nlptl.models.classifier import TextClassifier
    from nlptl.stages.stage import RunContext

FEWEST = 20
"""Validation texts from which they say more of how sharp probabilities should be than the examples do."""


def on_validation(classifier: TextClassifier, data: TextData, context: RunContext) -> TextClassifier:
    """Return the classifier with its probabilities made as sharp as `data.validation` shows; itself where that is short."""
    import torch

    from nlptl.closed_form import fit_temperature
    from nlptl.data import LabelSet

    count = 0 if data.validation is None else len(data.validation)
    if data.validation is None or count < FEWEST:
        if data.validation is not None:
            told = (
                f"data.validation: {count} texts are too few to calibrate probabilities on (from {FEWEST} on they do)."
            )
            context.record.find("temperature", None, told)
        return classifier
    chances = torch.from_numpy(classifier.predict_proba(data.validation.texts()))
    labels = torch.tensor(LabelSet(classifier.labels).ids(data.validation.labels()))
    temperature = fit_temperature(log_chances(chances), labels)
    context.record.find("temperature", temperature, f"The probabilities are calibrated on {count} validation texts.")
    return at_temperature(classifier, temperature)


def log_chances(chances: Tensor) -> Tensor:
    """Return logarithms of probabilities (B, K), with a finite one for 0."""
    return chances.clamp(min=1e-300).log()


def at_temperature(classifier: TextClassifier, temperature: float) -> TextClassifier:
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
    classifier: TextClassifier, priors: Literal["observed", "uniform"] | Mapping[str, float], data: TextData
) -> TextClassifier:
    """Return the classifier with its probabilities moved from the shares of `data.labelled` to `priors`.

    Without labelled examples the labels were all alike.
    """
    import copy

    import torch

    from nlptl.data import LabelSet
    from nlptl.models.classifier import TextClassifier

    if priors == "observed":
        return classifier
    count = len(classifier.labels)
    if data.labelled is None:
        old = torch.ones(count, dtype=torch.float64)
    else:
        old = torch.bincount(
            torch.tensor(LabelSet(classifier.labels).ids(data.labelled.labels())), minlength=count
        ).double()
    shares = [1 / count] * count if isinstance(priors, str) else [priors[label] for label in classifier.labels]
    head = copy.deepcopy(classifier.head)
    with torch.no_grad():
        shift = torch.tensor(shares, dtype=torch.float64).log() - (old / old.sum()).log()
        head.last_linear.bias.add_(shift.to(head.last_linear.bias))
    return TextClassifier(classifier.encoder, head, classifier.labels).eval()
