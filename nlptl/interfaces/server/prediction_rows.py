"""Predictions of a batch, and the JSON of each row, written with prepared parts: a server's time goes into small things.

Shapes: B texts of a batch, K labels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nlptl.inference.abstention.abstention import PredictionSet

DIGITS = 6  # significant ones of a probability


@dataclass(frozen=True)
class PredictedBatch:
    """What a classifier predicts of a batch of texts."""

    probabilities: NDArray[np.float64]  # (B, K)
    labels: Sequence[Any]  # (B,) a label each, or a tuple of labels
    sets: Sequence[PredictionSet] | None = None  # (B,) where a coverage was asked for


class RowWriter:
    """Writer of predictions as JSON objects, for one set of labels."""

    def __init__(self, labels: Sequence[str], *, multi_label: bool) -> None:
        self._labels, self._multi_label = labels, multi_label
        self._alone = {label: b'{"label":' + _json(label) for label in labels}
        escaped = [_json(label).decode().replace("%", "%%") for label in labels]
        self._shares = ',"probabilities":{' + ",".join(f"{label}:%.{DIGITS}g" for label in escaped) + "}"

    def rows(self, batch: PredictedBatch, begin: int, end: int, *, probabilities: bool) -> list[bytes]:
        """Return the JSON of the texts from `begin` to `end`, each without its last brace, so that more may follow."""
        if batch.sets is not None:
            rows = [_of_set(one) for one in batch.sets[begin:end]]
        elif self._multi_label:
            rows = [
                self._of_several(*each)
                for each in zip(batch.labels[begin:end], batch.probabilities[begin:end], strict=True)
            ]
        else:
            rows = [self._alone[label] for label in batch.labels[begin:end]]
        if not probabilities:
            return rows
        shares = batch.probabilities[begin:end].tolist()
        return [row + (self._shares % tuple(each)).encode() for row, each in zip(rows, shares, strict=True)]

    def _of_several(self, found: tuple[str, ...], probabilities: NDArray[np.float64]) -> bytes:
        """Return the JSON of a text with several labels, or none; `label` is the most probable of them."""
        shares = dict(zip(self._labels, probabilities.tolist(), strict=True))
        label = max(found, key=shares.__getitem__) if found else None
        return b'{"label":' + _json(label) + b',"labels":' + _json(list(found))


def _of_set(found: PredictionSet) -> bytes:
    """Return the JSON of a prediction set, whose label is null where the classifier abstains."""
    return b'{"label":%s,"set":%s,"unknown":%s' % (_json(found.label), _json(list(found.labels)), _json(found.unknown))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
