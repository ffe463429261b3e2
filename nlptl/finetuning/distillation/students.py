"""Students: static classifiers whose logits are linear in the words or n-grams of a text.

A student by words has word vectors that do not move, and beside them numbers of each word that are learnt: one for each label.
Its logits are convex in all that is learnt, which a student whose vectors moved by gradient would not be.

Shapes: n texts, V words, D dimension, K labels, T n-grams.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from nlptl.errors import ConfigError, DataError
from nlptl.finetuning.distillation.soft_logistic import Block, SoftHead
from nlptl.inference.segmenter import Segmenter
from nlptl.inference.segmenting import cut_texts
from nlptl.inference.static_views import NgramUnit
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.heads import Head
from nlptl.models.pooling import Pooling, remove_component, sif_weights
from nlptl.models.subwords import Subwords
from nlptl.models.view_terms import Ngrams, NgramTerms, new_vectorizer
from nlptl.models.views import View
from nlptl.models.word_vectors import WordVectors
from nlptl.pretraining.views.view_encoder import view_encoder

Floats = NDArray[np.float64]

TEXTS_AT_ONCE = 20_000  # of which token ids are in memory
MIN_TEXTS_TO_DROP_RARE = 1_000  # from which an n-gram of one text alone is dropped
RARITY = 1e-3  # share of a word in the pile above which it counts for less
VECTORS_PENALTY = 3e-4  # of the weights on word vectors, which a pile determines well


class Student(Protocol):
    """Static classifier before it has learnt."""

    @property
    def steady(self) -> Sequence[float]:
        """Penalty of each block but the last, whose penalty is chosen."""

    def blocks(self, texts: Sequence[str]) -> list[Block]:
        """Return features of texts (n, F), block by block."""

    def finished(self, head: SoftHead, labels: Sequence[str], thresholds: Sequence[float] | None) -> TextClassifier:
        """Return the classifier whose logits are those of `head` over the blocks."""


@dataclasses.dataclass(frozen=True)
class WordVectorStudent:
    """logits = W (mean of v(w)) + mean of d(w) + b over the words w of a text, where W, d and b are learnt."""

    encoder: Encoder  # means of word vectors, and views beside them
    compact: bool
    centre: Floats  # (D,) of vectors of the pile
    scale: float
    word_scale: float  # root of the mean squared length of the rows of word shares
    steady: Sequence[float] = (VECTORS_PENALTY,)

    @classmethod
    def of(cls, encoder: Encoder, sample: Sequence[str], *, compact: bool, where: str) -> WordVectorStudent:
        """Return a student over a static encoder, scaled to texts of the pile. ConfigError for one that is not linear."""
        plain = _mean_of_words(encoder, where=where)
        if compact and plain.views:
            raise ConfigError(
                f"{where}.compact: found an encoder with views beside its word vectors, which stay as they are; expected word "
                "vectors alone. Drop compact or the views."
            )
        vectors = plain.encode(sample).astype(np.float64)
        centre = vectors.mean(axis=0)
        spread = float(np.sqrt(((vectors - centre) ** 2).sum(axis=1).mean())) or 1.0
        shares = _word_shares(plain, sample)
        length = float(np.sqrt(shares.multiply(shares).sum(axis=1).mean())) or 1.0
        return cls(plain, compact, centre, spread, length)

    def blocks(self, texts: Sequence[str]) -> list[Block]:
        """Return scaled vectors (n, D) and the share of each word in each text (n, V)."""
        vectors = (self.encoder.encode(texts).astype(np.float64) - self.centre) / self.scale
        return [vectors, _word_shares(self.encoder, texts) / self.word_scale]

    def finished(self, head: SoftHead, labels: Sequence[str], thresholds: Sequence[float] | None) -> TextClassifier:
        """Return the classifier over word vectors with K more numbers a word, or K numbers alone where it is `compact`."""
        on_vectors, on_words = head.weights[0] / self.scale, head.weights[1] / self.word_scale
        bias = head.bias - self.centre @ on_vectors
        table, width = _table(self.encoder), len(labels)
        own = table.dim
        if self.compact:
            known = table.vectors.detach().double().numpy() @ on_vectors + on_words
            spelt = None if table.subwords is None else table.subwords.buckets.double().numpy() @ on_vectors
            weights = np.eye(width)
        else:
            known = np.concatenate([table.vectors.detach().numpy(), on_words], axis=1)
            spelt = None if table.subwords is None else _with_zeros(table.subwords.buckets.numpy(), width)
            weights = np.concatenate([on_vectors[:own], np.eye(width), on_vectors[own:]])
        known[0] = 0.0
        encoder = Encoder(
            self.encoder.tokenizer, _with_table(table, known, spelt), Pooling("mean"), views=self.encoder.views
        ).eval()
        return TextClassifier(encoder, _head(weights, bias, thresholds), labels).eval()


@dataclasses.dataclass(frozen=True)
class NgramTermStudent:
    """logits = W (tf-idf of the n-grams of a text) + b."""

    terms: NgramTerms
    sample: Sequence[str]  # texts whose words the encoder will know
    steady: Sequence[float] = ()

    @classmethod
    def of(
        cls, texts: Sequence[str], lengths: Mapping[NgramUnit, Sequence[int]], *, max_terms: int, where: str,
        segmenter: Segmenter | None = None,
    ) -> NgramTermStudent:  # fmt: skip
        """Return a student by the n-grams of texts. Raises DataError where they have none."""
        cut = cut_texts(texts, segmenter)
        parts, least = [], 2 if len(texts) >= MIN_TEXTS_TO_DROP_RARE else 1
        for unit, (fewest, most) in lengths.items():
            counter: Any = new_vectorizer(unit, (fewest, most), min_df=least, max_features=max_terms)
            try:
                counter.fit(cut)
            except ValueError:  # scikit-learn: "empty vocabulary"
                raise DataError(
                    f"{where}: the pile has no n-grams of {unit}; expected texts with words. Give others."
                ) from None
            found = counter.get_feature_names_out().tolist()
            parts.append(Ngrams(unit, (fewest, most), found, counter.idf_.astype(np.float32)))
        return cls(NgramTerms(tuple(parts), segmenter), texts)

    def blocks(self, texts: Sequence[str]) -> list[Block]:
        """Return the weights of the n-grams (n, T)."""
        return [self.terms.weights(texts).astype(np.float64)]

    def finished(self, head: SoftHead, labels: Sequence[str], thresholds: Sequence[float] | None) -> TextClassifier:
        """Return the classifier over one view, whose vectors are the logits but for the bias."""
        table = torch.from_numpy(np.ascontiguousarray(head.weights[0], np.float32))
        view = View(self.terms, table, torch.zeros(len(labels)))
        encoder = view_encoder([view], [self.sample])
        return TextClassifier(encoder, _head(np.eye(len(labels)), head.bias, thresholds), labels).eval()


def with_rare_words_louder(encoder: Encoder) -> Encoder:
    """Return an encoder of word vectors whose pooling gives frequent words less weight (SIF: Arora et al. 2017)."""
    counts = _table(encoder).counts
    counts = torch.cat([counts.new_zeros(1), counts[1:]])  # row 0 stands for each single unseen word
    return encoder.with_parts(pooling=Pooling("sif", token_weights=sif_weights(counts, RARITY))).eval()


def _mean_of_words(encoder: Encoder, *, where: str) -> Encoder:
    """Return an encoder with equal vectors whose pooling is the mean: weights of words are multiplied into their vectors."""
    pooling = encoder.pooling
    if not isinstance(encoder.token_model, WordVectors) or not encoder.own_dim:
        found = "layers" if encoder.own_dim else "n-grams alone"
        raise ConfigError(
            f"{where}: the student's encoder has {found}; expected word vectors. Begin the chain with skipgram, or set "
            f"{where}.student."
        )
    if pooling.mode not in ("mean", "sif") or encoder.normalized:
        found = "vectors scaled to length 1" if encoder.normalized else f"{pooling.mode} pooling"
        raise ConfigError(
            f"{where}: the student's encoder has {found}, which is not linear in the words; expected mean or sif pooling. Set "
            "it in sentence_vectors, without normalize."
        )
    table = encoder.token_model
    vectors, unseen = table.vectors.detach(), 1.0
    spelt = None if table.subwords is None else table.subwords.buckets.detach()
    if pooling.mode == "sif":
        vectors, unseen = vectors * pooling.token_weights[:, None], float(pooling.token_weights[0])
    if len(pooling.common_component):
        vectors = remove_component(vectors, pooling.common_component)
        spelt = None if spelt is None else remove_component(spelt, pooling.common_component)
    spelt = None if spelt is None else spelt * unseen
    folded = _with_table(table, vectors.numpy(), None if spelt is None else spelt.numpy())
    return Encoder(encoder.tokenizer, folded, Pooling("mean"), views=encoder.views).eval()


def _with_table(table: WordVectors, vectors: NDArray[Any], buckets: NDArray[Any] | None) -> WordVectors:
    """Return word vectors of the same words with other numbers."""
    subwords = None
    if table.subwords is not None and buckets is not None:
        spelling, ids = table.subwords.spelling, table.subwords.bucket_ids
        subwords = Subwords(spelling, ids, torch.from_numpy(np.ascontiguousarray(buckets, np.float32)))
    made = WordVectors(
        torch.from_numpy(np.array(vectors, np.float32)), table.counts, subwords=subwords, phrases=table.phrases
    )
    made.origin = table.origin
    return made


def _with_zeros(rows: NDArray[Any], width: int) -> NDArray[Any]:
    return np.concatenate([rows, np.zeros((len(rows), width), rows.dtype)], axis=1)


def _head(weights: Floats, bias: Floats, thresholds: Sequence[float] | None) -> Head:
    """Return a trained linear head with weights (D, K) and bias (K,)."""
    head = Head(len(weights), len(bias), trained=True, thresholds=thresholds)
    with torch.no_grad():
        head.last_linear.weight.copy_(torch.from_numpy(weights.T))
        head.last_linear.bias.copy_(torch.from_numpy(bias))
    return head


def _table(encoder: Encoder) -> WordVectors:
    assert isinstance(encoder.token_model, WordVectors)
    return encoder.token_model


def _word_shares(encoder: Encoder, texts: Sequence[str]) -> Any:
    """Return the share of each known word among those of each text (n, V), float64, sparse."""
    from scipy.sparse import csr_matrix, vstack

    words, parts = len(_table(encoder).vectors), []
    for begin in range(0, max(1, len(texts)), TEXTS_AT_ONCE):
        with encoder.token_model.reading():
            ids = encoder.token_ids(texts[begin : begin + TEXTS_AT_ONCE])
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        flat = np.fromiter(itertools.chain.from_iterable(ids), np.int64, int(lengths.sum()))
        shares = np.repeat(1 / np.maximum(1, lengths), lengths)
        shares[flat >= words] = 0.0  # known by their spelling alone
        flat[flat >= words] = 0
        ends = np.concatenate([[0], lengths.cumsum()])
        parts.append(csr_matrix((shares, flat, ends), shape=(len(ids), words)))
        parts[-1].sum_duplicates()
    return parts[0] if len(parts) == 1 else vstack(parts, format="csr")
