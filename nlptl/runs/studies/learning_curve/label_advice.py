"""Which label's further examples promise most, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from nlptl.runs.studies.learning_curve.outcome import LabelCurve

MIN_GAIN = 0.01  # of the F1, that the lower end of the interval must show


def label_sentence(curves: Sequence[LabelCurve]) -> str:
    """Return which label gains most from twice as many labels; that none stands out where the intervals do not show it."""
    known = [(one, one.gain) for one in curves if one.gain is not None and one.f1]
    if len(known) < 2:
        return ""
    label, gain = max(known, key=lambda pair: pair[1].low or 0.0)
    if gain.low is None or gain.high is None or gain.low < MIN_GAIN:
        return "No label stands out as the one to label more of."
    now = label.f1[-1].score.value
    return (
        f"Label more of *{label.label}*: with twice as many labels its F1 of {now:.2f} gains most, {100 * gain.low:.0f} to "
        f"{100 * gain.high:.0f} points (90 % interval)."
    )
