"""Which label's further examples promise most, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from nlptl.runs.studies.learning_curve.outcome import LabelCurve

FEW_TEXTS = 10  # of a label, below which its curve is not extrapolated
MAX_NAMED = 3  # labels with few texts that the sentence names
MIN_GAIN = 0.01  # of the F1, that the lower end of the interval must show


def label_sentence(curves: Sequence[LabelCurve]) -> str:
    """Return which label gains most from twice as many labels, and which have too few texts to tell.

    None stands out where the intervals do not show it. The result is empty where no label is predicted.
    """
    known = [(one, one.gain) for one in curves if one.gain is not None and one.f1]
    if not known:
        return ""
    few = sorted((one for one in curves if one.gain is None and one.texts < FEW_TEXTS), key=lambda one: one.texts)
    label, gain = max(known, key=lambda pair: pair[1].low or 0.0)
    told = [_of_few(few)] if few else []
    if len(known) > 1 and gain.low is not None and gain.high is not None and gain.low >= MIN_GAIN:
        told.append(
            f"Label more of *{label.label}*: with twice as many labels its F1 of {label.f1[-1].score.value:.2f} gains most, "
            f"{100 * gain.low:.0f} to {100 * gain.high:.0f} points (90 % interval)."
        )
    elif len(known) > 1 and not few:
        told.append("No label stands out as the one to label more of.")
    return " ".join(told)


def _of_few(few: Sequence[LabelCurve]) -> str:
    """Say which labels have too few texts."""
    first = f"*{few[0].label}* has {few[0].texts} text{'s' * (few[0].texts != 1)}"
    if len(few) == 1:
        return f"{first}: too few to judge; label more of it."
    named = [first, *(f"*{one.label}* {one.texts}" for one in few[1:MAX_NAMED])]
    more = f" and {len(few) - len(named)} more labels have fewer than {FEW_TEXTS}" if len(few) > len(named) else ""
    return f"{', '.join(named)}{more}: too few to judge; label more of these."
