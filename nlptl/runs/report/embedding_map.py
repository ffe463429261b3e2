"""Map of sentence vectors: where texts lie for the classifier, in two dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nlptl.runs.reading.judged import Judged, joined
from nlptl.runs.reading.texts import place_of
from nlptl.runs.report.facts import EmbeddingMap, MapPoint

if TYPE_CHECKING:
    from nlptl.data import TextTable
    from nlptl.models.encoder import Encoder

MAX_POINTS = 1500
MIN_POINTS = 4
MIN_NEIGHBOURS = 30  # points from which t-SNE finds neighbourhoods; fewer are projected
PCA_DIM = 50
SEED = 13  # of the sample and of t-SNE: the same run gives the same map

Floats = npt.NDArray[np.float64]


def embedding_map(
    encoder: Encoder, judged: Judged | None, labelled: TextTable | None, *, most: int = MAX_POINTS,
    after_batch: Callable[[int], None] | None = None,
) -> EmbeddingMap | None:  # fmt: skip
    """Return the map of judged and of labelled texts, a sample of at most `most`. None for fewer than four texts."""
    drawn, texts = _sample(judged, labelled, most)
    if len(drawn) < MIN_POINTS:
        return None
    vectors = encoder.encode([point.text for point in drawn], after_batch=after_batch).astype(np.float64)
    places, how = flattened(vectors)
    points = [
        MapPoint(float(x), float(y), one.text, one.label, one.place, one.part, one.predicted)
        for one, (x, y) in zip(drawn, places, strict=True)
    ]
    by_sets = (judged is not None and judged.sets is not None) or (labelled is not None and labelled.has_label_sets)
    return EmbeddingMap(tuple(points), texts, how, by_sets)


def flattened(vectors: Floats) -> tuple[Floats, str]:
    """Return places (N, 2) in [0, 1] of vectors (N, D), and how they were found."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    count, dim = vectors.shape
    vectors = vectors - vectors.mean(axis=0)
    if not vectors.any():
        return np.full((count, 2), 0.5), "All vectors are equal."
    reduced = PCA(min(PCA_DIM, count, dim), random_state=SEED).fit_transform(vectors)
    if count < MIN_NEIGHBOURS or reduced.shape[1] < 2:
        places = np.pad(reduced[:, :2], ((0, 0), (0, max(0, 2 - reduced.shape[1]))))
        return _in_unit_square(places), "The first two principal components of their sentence vectors."
    perplexity = min(30.0, (count - 1) / 3)
    found = TSNE(2, init="pca", perplexity=perplexity, max_iter=500, random_state=SEED).fit_transform(reduced)
    dims = reduced.shape[1]
    return _in_unit_square(found), (
        f"t-SNE of their sentence vectors ({dims} principal components, perplexity {perplexity:.0f}, seed {SEED}). Near "
        "texts are alike for the classifier; long distances and empty space mean little."
    )


def _sample(judged: Judged | None, labelled: TextTable | None, most: int) -> tuple[list[MapPoint], int]:
    """Return a sample of the known texts, without their places yet, and the number of all. Judged texts go first."""
    rng = np.random.default_rng(SEED)
    found: dict[str, MapPoint] = {}
    if judged is not None:
        predicted = judged.predicted
        for row in rng.permutation(len(judged.texts))[:most].tolist():
            text, label = judged.texts[row], judged.labels[row]
            found.setdefault(text, MapPoint(0, 0, text, label, judged.places[row], "judged", predicted[row]))
    if labelled is not None and len(found) < most:
        rows = np.sort(rng.permutation(len(labelled))[:most]).tolist()
        drawn = labelled.select(rows)
        for row, text, label in zip(rows, drawn.texts(), map(joined, drawn.label_sets()), strict=True):
            found.setdefault(text, MapPoint(0, 0, text, label, place_of(labelled, row), "labelled"))
    total = (0 if judged is None else len(judged.texts)) + (0 if labelled is None else len(labelled))
    return list(found.values())[:most], total


def _in_unit_square(places: Floats) -> Floats:
    """Return places with the same shape, moved and scaled into the unit square, a little off its edges."""
    low, high = places.min(axis=0), places.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    found: Floats = 0.03 + 0.94 * (places - low) / span
    return np.where(high > low, found, 0.5)
