"""Probabilities of a fitted classifier: their temperature, and the shares of labels that they assume.

Shapes: K labels, V validation texts.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from typing import TYPE_CHECKING, Literal

from nlptl.config import did_you_mean, dump_yaml
from nlptl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from nlptl.context import Record
    from nlptl.finetuning.examples import LabelledExamples, ValidationExamples
    from nlptl.models.classifier import TextClassifier

MIN_VALIDATION_TEXTS = 20  # from which they correct probabilities
MAX_WEIGHT = 5.0  # of a validation text whose label is rare there
MAX_SUM_ERROR = 1e-3  # by which given shares may miss 1 in all
MAX_PRIORS_TOLD = 4  # labels, whose shares a sentence can hold
UNCALIBRATED_STRENGTH = 2.0  # prior strength, in texts, of probabilities that were never calibrated

Priors = Literal["observed", "uniform"] | dict[str, float]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Correction that the probabilities of a fit may get."""

    by_validation: bool = True  # whether `data.validation` may; False where it has stopped the training
    temperature: float = 1.0  # by which the logits are to be divided, as the `held_out` examples say
    held_out: int = 0


def calibrated(
    classifier: TextClassifier, calibration: Calibration, examples: LabelledExamples, record: Record
) -> TextClassifier:
    """Return the classifier with corrected probabilities; the record tells it.

    Validation texts decide where they say enough, else the held-out examples of `calibration`.
    """
    temperature, told = calibration.temperature, f"{calibration.held_out} held-out examples"
    found = None
    if calibration.by_validation and examples.validation is not None:
        found = _by_validation(classifier, examples, examples.validation, record)
        if found is not None:
            temperature, told = found, f"{len(examples.validation.texts)} validation texts"
    if found is None and not calibration.held_out:
        return classifier
    told = f"The probabilities are corrected on {told} (temperature {temperature:.2f})."
    record.add_finding("temperature", temperature, told)
    return _corrected(classifier, temperature=temperature)


def _by_validation(
    classifier: TextClassifier, examples: LabelledExamples, validation: ValidationExamples, record: Record
) -> float | None:
    """Return the temperature that validation texts ask for; None, which is told, where they say too little.

    Labels count as they do among the examples, or all alike where there are none.
    """
    import torch

    from nlptl.evaluation.calibration import PRIOR_STRENGTH, corrected_temperature, log_probabilities
    from nlptl.training.distributed import broadcast

    labels = validation.label_ids
    counts = torch.bincount(labels, minlength=len(classifier.labels))
    short = ""
    if len(labels) < MIN_VALIDATION_TEXTS:
        expected = f"expected {MIN_VALIDATION_TEXTS} at least. Add some"
        short = f"found {len(labels)} texts, too few to correct probabilities by; {expected}"
    elif not bool((counts > 0).all()):
        expected = "expected some of each label to correct probabilities by. Add them"
        short = f"found no text of the label {classifier.labels[int(counts.argmin())]!r}; {expected}"
    if short:
        record.add_finding("temperature", None, f"data.validation: {short}, or leave them as they are.", warns=True)
        return None
    weights = (examples.label_shares() / (counts / counts.sum())).clamp(max=MAX_WEIGHT)[labels]
    logits = log_probabilities(classifier.predict_proba(validation.texts))
    strength = PRIOR_STRENGTH if len(examples) else UNCALIBRATED_STRENGTH
    return broadcast(corrected_temperature(logits, labels, weights=weights, prior_strength=strength))


def check_priors(priors: Priors, labels: Sequence[str], *, where: str) -> None:
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
    if missing or abs(total - 1) > MAX_SUM_ERROR:
        found = f"no share for {missing[0]!r}" if missing else f"shares that sum to {total:g}"
        raise ConfigError(
            f"{where}.priors: found {found}; expected a share for each label, 1 in all. Correct the shares, or write "
            "observed or uniform."
        )


def skew_told(examples: LabelledExamples, *, pile: bool) -> str:
    """Return what tells how a skew is met; `pile` says that the shares of the labels are those found there."""
    counts, labels = examples.label_counts().tolist(), examples.labels
    usual, rare = (choose(examples.seen(), key=counts.__getitem__) for choose in (max, min))
    same = "weigh the same"
    if pile:
        same = "weighed the same until the pile joined; the probabilities are at the shares found there"
    return (
        f"{counts[usual]} of the {len(examples)} examples have the label {labels[usual]}, and {counts[rare]} the label "
        f"{labels[rare]}, so all labels {same}. For probabilities at the shares of the examples set "
        f"{priors_told(labels, examples.label_shares().tolist())}."
    )


def priors_told(labels: Sequence[str], shares: Sequence[float]) -> str:
    """Return the setting `priors` for the `shares` of the labels, as a pipeline has it; its form alone for many labels."""
    if len(labels) > MAX_PRIORS_TOLD:
        return "priors: {LABEL: SHARE, ...}, a share for each label, 1 in all"
    digits = 2
    while not _are_priors(numbers := [f"{share:.{digits}f}" for share in shares]):
        digits += 1
    pairs = zip(map(_as_key, labels), numbers, strict=True)
    return f"priors: {{{', '.join(f'{label}: {number}' for label, number in pairs)}}}"


def _are_priors(numbers: Sequence[str]) -> bool:
    """Say whether rounded shares are all above 0 and close enough to 1 in all."""
    found = [float(number) for number in numbers]
    return min(found) > 0 and abs(sum(found) - 1) < MAX_SUM_ERROR / 2


def _as_key(label: str) -> str:
    """Return a label as a key of YAML within braces, in quotes where it is not surely read as this text."""
    plain = re.fullmatch(r"[^\W\d_][\w-]*", label) and dump_yaml({label: 1}) == f"{label}: 1\n"
    return label if plain else json.dumps(label, ensure_ascii=False)


def at_priors(classifier: TextClassifier, priors: Priors, learnt: Tensor) -> TextClassifier:
    """Return the classifier with probabilities moved from the shares (K,) that it `learnt` to `priors`."""
    import torch

    if priors == "observed":
        return classifier
    even = 1 / len(classifier.labels)
    shares = [priors[label] if isinstance(priors, dict) else even for label in classifier.labels]
    shift = moved_to_priors(0.0, torch.tensor(shares, dtype=torch.float64), learnt)
    return _corrected(classifier, shift=shift)


def moved_to_priors(bias: Tensor | float, new: Tensor, learnt: Tensor) -> Tensor:
    """Return a bias (K,) after log(new / learnt) was added for `new` shares of the labels instead of those that were learnt.

    That is Bayes' rule (Saerens, Latinne & Decaestecker 2002, eq. 2.4).
    """
    return bias + new.log() - learnt.log()


def _corrected(classifier: TextClassifier, *, temperature: float = 1.0, shift: Tensor | None = None) -> TextClassifier:
    """Return the classifier under a copy of its head with logits divided by `temperature`, then moved by `shift` (K,)."""
    import torch

    from nlptl.models.classifier import TextClassifier

    head = copy.deepcopy(classifier.head)
    last = head.last_linear
    with torch.no_grad():
        for parameter in (last.weight, last.bias):
            parameter.div_(temperature)
        if shift is not None:
            last.bias.add_(shift.to(last.bias))
    return TextClassifier(classifier.encoder, head, classifier.labels).eval()
