"""Parity of an export and its source: what both predict of the same real texts, and when it is too little alike.

Shapes: N texts, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import is_run
from nlptl.data.labelled_parts import spelt_as
from nlptl.errors import ArtifactError, ConfigError, DataError
from nlptl.evaluation.intervals import paired_difference
from nlptl.inference.export_settings import AccuracyParity, Parity
from nlptl.runs.reading.texts import read_data

if TYPE_CHECKING:
    from nlptl.data import TextTable
    from nlptl.inference.predictor import Predictor

MAX_TEXTS = 2_000
"""Texts that are compared, spread over all; more take longer and tell smaller differences."""
MAX_WORSE = 0.003
"""Share of texts by which the export may be right less often."""
MAX_FLIPS = 0.02
"""Share of labels that may differ where a single text is worth more than `MAX_WORSE`; one text may in any case."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RealTexts:
    """Texts on which an export is held against its source."""

    told: str  # such as "texts of the run's test"
    texts: list[str]
    labels: list[tuple[str, ...]] | None  # of each text; None where there are none, or unknown ones


def real_texts(run: Path, labels: Sequence[str]) -> RealTexts:
    """Read texts of a run: of its test, else validation, else of those that it learnt from.

    Raises ConfigError for a folder that is no run.
    """
    if not is_run(run):
        raise ConfigError(
            f"RUN: {run} lies in no run; expected a classifier of one, on whose texts it is compared before it is written. Give "
            "the run that trained it."
        )
    data = read_data(run)[1]
    parts = {"test": data.test, "validation": data.validation, "labelled": data.labelled, "source": data.source}
    for name, table in parts.items():
        if table is not None and len(table):
            return _spread(f"of the run's {name} texts", table, labels)
    raise DataError(
        f"{run}: its pipeline has no texts any more, on which an export is compared; expected some. Restore them."
    )


def parity_of(source: Floats, export: Floats, given: RealTexts, classifier: Predictor) -> Parity:
    """Compare probabilities (N, K) of a source and its export."""
    before, after = (classifier.labels_of(found) for found in (source, export))
    flips = sum(a != b for a, b in zip(before, after, strict=True))
    accuracy = None
    if given.labels is not None:
        right = [_right(found, given.labels) for found in (before, after)]
        apart = paired_difference(right[0][None], right[1][None]).difference
        accuracy = AccuracyParity(
            source=float(right[0].mean()),
            export=float(right[1].mean()),
            difference=apart.value,
            low=apart.low,
            high=apart.high,
        )
    largest = float(np.abs(source - export).max())
    return Parity(texts=len(given.texts), told=given.told, flips=flips, largest_difference=largest, accuracy=accuracy)


def check_parity(parity: Parity) -> None:
    """Raise ArtifactError for an export that predicts too little like its source."""
    tells = parity.accuracy is not None and parity.texts * MAX_WORSE >= 1
    if tells and parity.accuracy is not None and parity.accuracy.difference < -MAX_WORSE:
        reason = f"its accuracy is more than {100 * MAX_WORSE:g} points worse"
    elif not tells and parity.flips > max(1, MAX_FLIPS * parity.texts):
        reason = f"more than {100 * MAX_FLIPS:g} % of its labels differ"
    else:
        return
    raise ArtifactError(
        f"export: is too little like the run, since {reason}; nothing was published. {' '.join(parity_sentences(parity))} Choose a "
        "higher --precision, or another --format."
    )


def parity_sentences(parity: Parity) -> list[str]:
    """Return what the comparison shows, in sentences."""
    differ = "1 label differs" if parity.flips == 1 else f"{parity.flips or 'no'} labels differ"
    sentences = [
        f"On {parity.texts:,} {parity.told} {differ} ({parity.flips / parity.texts:.1%}), and probabilities by "
        f"{parity.largest_difference:.4f} at most."
    ]
    if (found := parity.accuracy) is not None:
        points = " to ".join(f"{100 * end:+.1f}" for end in (found.low, found.high))
        sentences.append(
            f"Accuracy {found.export:.3f}, that of the run {found.source:.3f}: {100 * found.difference:+.1f} points "
            f"[{points}]."
        )
    return sentences


def _spread(told: str, table: TextTable, labels: Sequence[str]) -> RealTexts:
    """Return up to `MAX_TEXTS` rows of a table, evenly spread."""
    if len(table) > MAX_TEXTS:
        table = table.select(np.unique(np.linspace(0, len(table) - 1, MAX_TEXTS).astype(np.int64)))
    known = spelt_as(table, labels).label_sets()
    fits = {label for one in known for label in one} <= set(labels)
    return RealTexts(told, table.texts(), known if fits else None)


def _right(predicted: Sequence[str | tuple[str, ...]], labels: Sequence[tuple[str, ...]]) -> Floats:
    sets = [(found,) if isinstance(found, str) else found for found in predicted]
    return np.array([set(found) == set(own) for found, own in zip(sets, labels, strict=True)], np.float64)
