"""Pieces of a text that an encoder reads apart: its sentences where it reads by sentence, else the whole text.

Shapes: M pieces, D width of their vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nlptl.inference.sentences import MIN_CUT_TOKENS, placed_sentences, without_breaks
from nlptl.models.encoder import Encoder
from nlptl.models.explaining.word_spans import Floats, Span


@dataclass(frozen=True)
class Piece:
    """Part of a text that is read, cut where the encoder cuts it."""

    start: int
    end: int
    text: str
    tokens: int  # special ones included

    @property
    def span(self) -> Span:
        """Its place in the text."""
        return self.start, self.end


class PieceReader:
    """Reads texts piece by piece, so that a change of one sentence costs one sentence."""

    def __init__(self, encoder: Encoder) -> None:
        self._kept, self._normalized = encoder.own_dim, encoder.normalized
        self._tokenizer, self._rule = encoder.tokenizer, encoder.token_model.rule
        self._from_left = (encoder.tokenizer.truncation or {}).get("direction") == "left"
        self._encoder = Encoder(
            encoder.tokenizer, encoder.token_model, encoder.pooling, normalized=encoder.normalized,
            projection=encoder.projection,
        )  # fmt: skip

    @property
    def by_sentence(self) -> bool:
        """Whether sentences are read apart."""
        return self._rule.sentence_start is not None

    def pieces(self, text: str) -> list[Piece]:
        """Return what is read of a text (M). A blank text is one piece."""
        if not self.by_sentence:
            return [self._piece(text, (0, len(text)))[0]]
        lines = without_breaks(text)
        found = [self._piece(lines, span) for span in placed_sentences(text) or [(0, len(text))]]
        limit = self._rule.max_text_length
        left, kept = sum(piece.tokens for piece, _ in found) if limit is None else limit, list[Piece]()
        for piece, places in reversed(found) if self._from_left else found:
            if piece.tokens > left:
                if left >= MIN_CUT_TOKENS:
                    kept.append(self._cut(piece, places, left - 2))
                break
            kept.append(piece)
            left -= piece.tokens
        return kept[::-1] if self._from_left else kept

    def vectors(self, pieces: Sequence[str]) -> Floats:
        """Return the vector (M, D) of each piece by itself."""
        if not self._kept:  # the encoder has views alone
            return np.zeros((len(pieces), 0))
        return self._encoder.encode(pieces).astype(np.float64)

    def joined(self, vectors: Floats) -> Floats:
        """Return the encoder's own vector of a text whose pieces have these vectors (M, D)."""
        mean: Floats = vectors.mean(axis=0)
        if self._normalized:
            mean = mean / max(1e-12, float(np.linalg.norm(mean)))
        return mean[: self._kept]

    def _piece(self, text: str, span: Span) -> tuple[Piece, list[Span]]:
        """Return a piece, and where the tokens of its text stand in it; special tokens and a prompt have none."""
        prompt, part = self._rule.prompt, text[slice(*span)]
        found = self._tokenizer.encode(prompt + part, add_special_tokens=self._rule.special_tokens)
        places = [
            (begin - len(prompt), end - len(prompt))
            for (begin, end), special in zip(found.offsets, found.special_tokens_mask, strict=True)
            if not special and end > len(prompt)
        ]
        piece = Piece(*span, part, len(found.ids))
        is_cut = self._rule.max_length is not None and len(found.ids) >= self._rule.max_length
        return (self._cut(piece, places, len(places)) if is_cut else piece), places

    def _cut(self, piece: Piece, places: Sequence[Span], tokens: int) -> Piece:
        """Return the first or the last `tokens` of a piece, as the encoder cuts."""
        if not (kept := places[-tokens:] if self._from_left else places[:tokens]):
            return piece
        begin = max(0, kept[0][0]) if self._from_left else 0
        end = len(piece.text) if self._from_left else kept[-1][1]
        start, text = piece.start + begin, piece.text[begin:end]
        return replace(piece, start=start, end=piece.start + end, text=text)
