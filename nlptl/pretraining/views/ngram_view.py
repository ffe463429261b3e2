"""View of a text by its word and character n-grams, weighted by tf-idf of the pile.

Shapes: P texts of the pile, T n-grams, R width of the view.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nlptl.context import RunContext
from nlptl.errors import DataError
from nlptl.inference.segmenting import cut_texts
from nlptl.inference.static_views import NgramUnit
from nlptl.models.view_terms import (
    LENGTHS_CUT,
    LENGTHS_UNSPACED,
    Ngrams,
    NgramTerms,
    UnitLengths,
    are_unspaced,
    joined_weights,
    new_vectorizer,
)
from nlptl.models.views import View
from nlptl.pretraining.views.space import Space
from nlptl.pretraining.views.view_settings import COUNTED_CHARACTERS, NgramSettings
from nlptl.training.compute import one_blas_thread

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

COMMON_TEXTS = 100  # texts from which on an n-gram must occur in two of them: one alone tells no texts alike
MORE_DIRECTIONS = 10  # than wanted, since the leading ones are those of vectors that are not centred yet
MAX_TEXTS_ONE_THREAD = 2_000  # up to which one thread decomposes: two wait for each other longer than they compute
SWEEPS = 2  # of the randomised decomposition (Halko et al. 2011); more find the last directions better, and take longer


def learn_ngram_view(
    texts: Sequence[str],
    settings: NgramSettings,
    context: RunContext,
    *,
    length: float = 1.0,
    where: str = "sentence_vectors.views",
) -> View:
    """Return the view by the n-grams of texts of a pile (P), whose vectors have the mean `length` over them.

    vector(text) = tf-idf of its n-grams in the leading directions of the texts (latent semantic analysis, Deerwester et al.
    1990). Raises DataError, which names `where`, for texts without n-grams.
    """
    from sklearn.utils.extmath import randomized_svd

    texts = texts[:: 1 + sum(map(len, texts)) // COUNTED_CHARACTERS]
    segmenter = None if settings.segmenter is None else settings.segmenter.installed(where=f"{where}.segmenter")
    texts = cut_texts(texts, segmenter)
    try:
        found = [_counted(texts, unit, lengths, settings) for unit, lengths in _units(settings, texts)]
    except ValueError:  # of scikit-learn: no n-gram is left
        raise _alike(where) from None
    weights = joined_weights([part for _, part in found])
    wanted = min(settings.dim + MORE_DIRECTIONS, *weights.shape)
    with one_blas_thread() if len(texts) <= MAX_TEXTS_ONE_THREAD else contextlib.nullcontext():
        _, _, rows = randomized_svd(weights, wanted, n_iter=SWEEPS, random_state=context.seed % 2**32)
    directions = np.ascontiguousarray(rows.T, np.float32)  # (T, wanted)
    try:
        space = Space.of(torch.from_numpy(weights @ directions), directions=settings.dim, length=length)
    except ValueError:  # no two vectors differ
        raise _alike(where) from None
    axes = space.axes.float()
    table, centre = torch.from_numpy(directions) @ axes, space.centre.float() @ axes
    return View(NgramTerms(tuple(ngrams for ngrams, _ in found), segmenter), table, centre)


def _alike(where: str) -> DataError:
    return DataError(
        f"{where}: found no two texts of the pile that differ in n-grams which several texts share; a view of n-grams needs "
        "some. Add text."
    )


def _units(settings: NgramSettings, texts: Sequence[str]) -> UnitLengths:
    """Return the units that are counted and their lengths, which fit the script where the settings are the defaults."""
    if settings.lengths() == NgramSettings().lengths() and are_unspaced(texts):
        return LENGTHS_UNSPACED if settings.segmenter is None else LENGTHS_CUT
    return tuple((unit, (lengths[0], lengths[1])) for unit, lengths in settings.lengths().items())


def _counted(
    texts: Sequence[str], unit: NgramUnit, lengths: tuple[int, int], settings: NgramSettings
) -> tuple[Ngrams, csr_matrix]:
    """Return the n-grams of texts and their weights there (P, T). Raises ValueError if there is none."""
    least = 2 if len(texts) >= COMMON_TEXTS else 1
    counter: Any = new_vectorizer(unit, lengths, min_df=least, max_features=settings.max_terms)
    weights = counter.fit_transform(texts)
    return Ngrams(unit, lengths, counter.get_feature_names_out().tolist(), counter.idf_.astype(np.float32)), weights
