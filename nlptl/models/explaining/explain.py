"""Contributions of words to the logits of a classifier: exact where it sums over words, by occlusion elsewhere.

The logits of a linear head are sums over the encoder's own vectors and its views; each part is explained by itself.
Shapes: B texts, W words, D own width of the encoder, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nlptl.inference.segmenting import default_segmenters
from nlptl.models.at_rest import at_rest
from nlptl.models.encoder import Encoder
from nlptl.models.explaining.explanation import Contribution, Explanation, How
from nlptl.models.explaining.linear_parts import LinearWeights, Part, own_part, sums_words, view_part
from nlptl.models.explaining.occlusion import Occluded, occlude
from nlptl.models.explaining.pieces import PieceReader
from nlptl.models.explaining.word_spans import Floats, Span, word_spans
from nlptl.models.heads import Head

MAX_TOKENS = 32_000
"""Tokens that a transformer reads again for one text: all of 140 words are deleted one by one. MiniLM takes 8 s of one core."""
CHEAPER = 50  # times as many tokens of word vectors, which are only looked up
MIN_ODDS = 1e-6  # by which thresholds of 0 and 1 are moved, so that they have a logit
TEXTS_AT_ONCE = 50  # whose words are deleted together


@dataclass(frozen=True)
class Predicted:
    """What a classifier predicts of texts."""

    labels: tuple[str, ...]
    probabilities: NDArray[np.float64]  # (B, K)
    given: Sequence[tuple[str, ...]]  # (B,) labels of each text
    thresholds: tuple[float, ...] | None  # (K,) where a text may have several labels

    def strongest(self, row: int, logits: Floats) -> int:
        """Return the place of the label to explain: the most probable one, or the furthest above its threshold, or nearest."""
        if self.thresholds is None:
            return int(self.probabilities[row].argmax())
        odds = np.clip(self.thresholds, MIN_ODDS, 1 - MIN_ODDS)
        above = logits - np.log(odds / (1 - odds))
        places = [self.labels.index(label) for label in self.given[row]] or range(len(self.labels))
        return max(places, key=lambda place: float(above[place]))


def explained(
    encoder: Encoder, head: Head, texts: Sequence[str], predicted: Predicted, *, tokens: int = MAX_TOKENS,
    after_batch: Callable[[int], None] | None = None,
) -> Iterator[Explanation]:  # fmt: skip
    """Yield the explanation of each text. Occlusion reads at most `tokens` for one again, or not much more.

    `after_batch` is called with the number of texts of each finished batch.
    """
    for begin in range(0, len(texts), TEXTS_AT_ONCE):
        part = texts[begin : begin + TEXTS_AT_ONCE]
        cutter = encoder.word_cutter
        cutters = default_segmenters(part) if cutter is None else [cutter] * len(part)
        words = [word_spans(*both) for both in zip(part, cutters, strict=True)]
        explain = _by_deletion if head.hidden else _by_parts
        found = explain(encoder, head, part, words, tokens if encoder.token_model.sorts else CHEAPER * tokens)
        logits = _logits(encoder, head, encoder.encode(part))
        for row, one in enumerate(found):
            yield _explanation(part[row], words[row], one, logits[row], predicted, begin + row)
        if after_batch:
            after_batch(len(part))


@dataclass(frozen=True)
class Parts:
    """What the parts of a text's vector contribute: those that are exact, and the one that was occluded."""

    exact: Sequence[Part]
    occluded: Occluded | None = None

    @property
    def how(self) -> How:
        """By which method."""
        return "exact" if self.occluded is None else "occlusion"

    def words(self) -> Floats:
        """Return what the words contribute together (W, K)."""
        found: Floats = np.sum([part.words for part in self._all()], axis=0)
        return found

    def base(self) -> Floats:
        """Return what no word contributes (K,)."""
        found: Floats = np.sum([part.base for part in self._all()], axis=0)
        return found

    def _all(self) -> list[Part | Occluded]:
        return [*self.exact, *([] if self.occluded is None else [self.occluded])]


def _by_parts(
    encoder: Encoder, head: Head, texts: Sequence[str], words: Sequence[Sequence[Span]], tokens: int
) -> list[Parts]:
    """Explain a linear head: its views exactly, and the encoder's own vectors exactly where they are sums of word vectors."""
    weights = LinearWeights.of(head, encoder)
    exact = [_exact(encoder, weights, *each) for each in zip(texts, words, strict=True)]
    if not weights.reads_own or sums_words(encoder):
        return [Parts(found) for found in exact]

    def score(own: Floats, texts: Sequence[str]) -> Floats:
        del texts  # whose views are explained already
        found: Floats = own @ weights.own
        return found

    occluded = occlude(PieceReader(encoder), score, texts, words, tokens=tokens)
    return [Parts(*each) for each in zip(exact, occluded, strict=True)]


def _exact(encoder: Encoder, weights: LinearWeights, text: str, words: Sequence[Span]) -> list[Part]:
    found = [Part(np.zeros((len(words), len(weights.bias))), weights.bias)]
    if weights.reads_own and sums_words(encoder):
        found.append(own_part(encoder, weights.own, text, words))
    return found + [
        view_part(view, table, text, words) for view, table in zip(encoder.views, weights.views, strict=True)
    ]


def _by_deletion(
    encoder: Encoder, head: Head, texts: Sequence[str], words: Sequence[Sequence[Span]], tokens: int
) -> list[Parts]:
    """Explain a head with a hidden layer, which ties everything together, by the deletion of words from the whole text."""

    def score(own: Floats, texts: Sequence[str]) -> Floats:
        views = encoder.view_vectors(texts)
        return _logits(encoder, head, own if views is None else np.concatenate([own, views.numpy()], axis=1))

    return [Parts([], found) for found in occlude(PieceReader(encoder), score, texts, words, tokens=tokens)]


@torch.inference_mode()
def _logits(encoder: Encoder, head: Head, vectors: NDArray[np.floating]) -> Floats:
    """Return the logits (B, K) of sentence vectors (B, D)."""
    given = torch.from_numpy(vectors).float().to(head.centre.device)
    with torch.autocast(encoder.device.type, enabled=False):
        found: Floats = at_rest(head)(given).double().cpu().numpy()
    return found


def _explanation(
    text: str, words: Sequence[Span], parts: Parts, logits: Floats, predicted: Predicted, row: int
) -> Explanation:
    found, base, shares = parts.words(), parts.base(), predicted.probabilities[row]
    best = predicted.strongest(row, logits)
    return Explanation(
        text, predicted.labels, predicted.given[row], predicted.labels[best], float(shares[best]), _numbers(shares),
        _numbers(logits), _numbers(base), _contributions(text, words, found), _sentences(text, words, parts), parts.how,
        float(np.abs(base + found.sum(axis=0) - logits).max()), tuple(_remarks(len(words), parts.occluded)),
        thresholds=predicted.thresholds,
    )  # fmt: skip


def _contributions(text: str, spans: Sequence[Span], values: Floats) -> tuple[Contribution, ...]:
    return tuple(
        Contribution(begin, end, text[begin:end], _numbers(row))
        for (begin, end), row in zip(spans, values, strict=True)
    )  # fmt: skip


def _sentences(text: str, words: Sequence[Span], parts: Parts) -> tuple[Contribution, ...]:
    """Return what the sentences contribute that are read apart: their loss where they are deleted, and the words' exact part."""
    if parts.occluded is None or len(parts.occluded.spans) < 2:
        return ()
    values = parts.occluded.pieces.copy()
    for number, (begin, end) in enumerate(parts.occluded.spans):
        inside = [place for place, (start, stop) in enumerate(words) if begin < stop and start < end]
        for part in parts.exact:
            values[number] += part.words[inside].sum(axis=0)
    return _contributions(text, parts.occluded.spans, values)


def _remarks(words: int, found: Occluded | None) -> Iterator[str]:
    """Yield what a reader should know of an occluded text."""
    if found is not None and found.cut_off:
        read = words - found.cut_off
        yield f"The encoder reads {read:,} of {words:,} words. The others contribute nothing to its vector."
    if found is not None and found.groups:
        yield (
            f"The text is long. {found.alone:,} of its {found.read:,} words were deleted one by one, the others in "
            f"{found.groups:,} group{'s' * (found.groups > 1)}; the words of a group share its contribution."
        )


def _numbers(row: Floats) -> tuple[float, ...]:
    return tuple(row.tolist())
