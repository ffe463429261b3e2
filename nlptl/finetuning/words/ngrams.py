"""Words, pairs of words and pieces of words of a text, weighted by tf-idf.

Shapes: n texts, T terms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

WORDS: dict[str, Any] = {"ngram_range": (1, 2), "token_pattern": r"\w+|[^\w\s]"}  # signs count as words
PIECES: dict[str, Any] = {"ngram_range": (3, 5), "analyzer": "char_wb"}
MAX_CHARACTERS_IN_PIECES = 2_000_000  # of all texts together, above which pieces of words cost more than they tell
MIN_TEXTS_TO_DROP_RARE = 1_000  # from which a term of one text alone is dropped


@dataclasses.dataclass(frozen=True)
class Ngrams:
    """Terms and their weights: sublinear tf-idf of each kind of term, a text's row of length 1."""

    vectorizers: tuple[TfidfVectorizer, ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Ngrams | None:
        """Return the terms of `texts` with idf counted on them; None where there is no term."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        kinds = [WORDS, PIECES] if sum(map(len, texts)) <= MAX_CHARACTERS_IN_PIECES else [WORDS]
        least = 2 if len(texts) >= MIN_TEXTS_TO_DROP_RARE else 1
        try:
            return cls(tuple(TfidfVectorizer(sublinear_tf=True, min_df=least, **kind).fit(texts) for kind in kinds))
        except ValueError:  # scikit-learn: "empty vocabulary"
            return None

    def rows(self, texts: Sequence[str]) -> csr_matrix:
        """Return the term weights (n, T)."""
        from scipy.sparse import hstack

        kinds = [vectorizer.transform(texts) for vectorizer in self.vectorizers]
        return (hstack(kinds) / len(kinds) ** 0.5).tocsr()
