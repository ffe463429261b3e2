"""Labelled examples nearest to a text, by the cosine of sentence vectors.

Shapes: n examples, B texts, D dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nlptl.models.encoder import Encoder
from nlptl.models.explaining.explanation import Neighbour

if TYPE_CHECKING:
    from nlptl.data import TextTable

MAX_ENCODED = 1_000  # examples that a transformer reads for their vectors: some ten seconds
NOTHING = 1e-6  # cosine of texts without a common word or n-gram, rounded
MAX_LOOKED_UP = 100_000  # examples whose vectors are sums of word vectors or n-grams


@dataclass(frozen=True)
class NearestExamples:
    """Labelled examples and their vectors, scaled to length 1: the encoder's own, or its n-grams where it has no others."""

    encoder: Encoder
    texts: tuple[str, ...]  # (n,), distinct
    labels: tuple[tuple[str, ...], ...]  # (n,) those of each
    rows: tuple[int, ...]  # (n,) of the table, counted from 1
    of: int  # number of distinct examples that they were taken from
    vectors: Any  # (n, D), dense or sparse

    @classmethod
    def among(cls, encoder: Encoder, table: TextTable) -> NearestExamples:
        """Return the examples of a table, each text once with each label; of many, some at equal distances."""
        first: dict[tuple[str, tuple[str, ...]], int] = {}
        for place, (text, labels) in enumerate(zip(table.texts(), table.label_sets(), strict=True)):
            first.setdefault((text, tuple(labels)), place)
        found = [(text, labels, place) for (text, labels), place in first.items()]
        limit = MAX_ENCODED if encoder.own_dim and encoder.token_model.sorts else MAX_LOOKED_UP
        count = min(limit, len(found))
        kept = [found[place] for place in np.linspace(0, len(found) - 1, count).round().astype(int).tolist()]
        texts, label_sets = tuple(text for text, _, _ in kept), tuple(labels for _, labels, _ in kept)
        rows = tuple(place + 1 if table.numbers is None else int(table.numbers[place]) for _, _, place in kept)
        return cls(encoder, texts, label_sets, rows, len(found), _vectors(encoder, texts))

    def remark(self) -> str:
        """Return which of the examples were compared, if not all."""
        if len(self.texts) == self.of:
            return ""
        return f"The nearest examples are sought among {len(self.texts):,} of {self.of:,}, taken at equal distances."

    def nearest(self, texts: Sequence[str], count: int) -> list[tuple[Neighbour, ...]]:
        """Return, for each text, at most `count` examples with another text, the nearest first.

        An example that has nothing in common with a text, as where no word of it is known, is not near.
        """
        found = _vectors(self.encoder, texts) @ self.vectors.T
        cosines = np.asarray(found.toarray() if hasattr(found, "toarray") else found)
        return [self._nearest(text, row, count) for text, row in zip(texts, cosines, strict=True)]

    def labels_of(self, text: str) -> list[tuple[str, ...]]:
        """Return the labels under which a text is an example itself."""
        return [labels for one, labels in zip(self.texts, self.labels, strict=True) if one == text]

    def _nearest(self, text: str, cosines: Any, count: int) -> tuple[Neighbour, ...]:
        order = np.argsort(-cosines, kind="stable").tolist()
        others = (place for place in order if self.texts[place] != text and abs(cosines[place]) > NOTHING)
        return tuple(
            Neighbour(self.texts[place], self.labels[place], float(cosines[place]), self.rows[place])
            for place, _ in zip(others, range(count), strict=False)
        )


def _vectors(encoder: Encoder, texts: Sequence[str]) -> Any:
    """Return vectors (B, D) of length 1, or zero."""
    if encoder.own_dim:
        return encoder.alone().encode(texts, normalize=True)
    from scipy.sparse import hstack
    from sklearn.preprocessing import normalize

    return normalize(hstack([view.terms.weights(texts) for view in encoder.views], format="csr"))
