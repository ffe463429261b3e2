"""Occlusion: a word contributes what the logits lose where it is deleted (Li et al. 2016).

A word is deleted from its sentence where sentences are read apart, so that one word costs one sentence. A long text has a
bound of tokens: its words are deleted in groups first, and one by one in the groups that matter most.
Shapes: B texts, M pieces of a text, W words, U deletions, D own width of the encoder, K labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nlptl.inference.sentences import BREAK
from nlptl.models.explaining.pieces import Piece, PieceReader
from nlptl.models.explaining.word_spans import Floats, Span

MIN_DELETIONS = 8  # that a piece must afford; with fewer, its words share what the whole piece contributes
SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]」』）]*$")

Score = Callable[[Floats, Sequence[str]], Floats]  # from own vectors (B, D) and the texts to logits (B, K)


@dataclass(frozen=True)
class Occluded:
    """What the words and the pieces of one text contribute."""

    words: Floats  # (W, K)
    base: Floats  # (K,) logits of a text without words
    pieces: Floats  # (M, K)
    spans: tuple[Span, ...]  # (M,) places of the pieces
    read: int  # number of words that the encoder reads
    cut_off: int  # number of words that it does not, breaks of lines not counted
    alone: int  # number of words that were deleted one by one
    groups: int  # number of groups that the other words that are read were deleted in


@dataclass(frozen=True)
class Group:
    """Words of one piece that are deleted together: those from `first` to the one before `end`."""

    piece: int
    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first


@dataclass(frozen=True)
class PiecedText:
    """Text with its words and pieces, and the vectors of these."""

    text: str
    words: Sequence[Span]
    pieces: Sequence[Piece]
    vectors: Floats  # (M, D)

    def groups(self) -> list[Group]:
        """Return the words of each piece; those that are not read are in none."""
        found, begins, ends = list[Group](), [begin for begin, _ in self.words], [end for _, end in self.words]
        for number, piece in enumerate(self.pieces):
            first = int(np.searchsorted(ends, piece.start, side="right"))
            first = max(first, found[-1].end if found else 0)
            found.append(Group(number, first, max(first, int(np.searchsorted(begins, piece.end, side="left")))))
        return found

    def span(self, group: Group) -> Span:
        """Return where the words of a group stand in the text."""
        return self.words[group.first][0], self.words[group.end - 1][1]

    def piece_without(self, group: Group) -> str:
        """Return the piece of a group without its words."""
        piece, (begin, end) = self.pieces[group.piece], self.span(group)
        return without(piece.text, max(0, begin - piece.start), min(piece.end, end) - piece.start)


def occlude(
    reader: PieceReader, score: Score, texts: Sequence[str], words: Sequence[Sequence[Span]], *, tokens: int
) -> list[Occluded]:
    """Return what the words contribute to the logits that `score` gives; `tokens` bounds what is read again for a text."""
    pieces = [reader.pieces(text) for text in texts]
    flat = reader.vectors([*(piece.text for found in pieces for piece in found), ""])
    empty, ends = flat[-1:], np.cumsum([len(found) for found in pieces])
    given = [
        PiecedText(*each)
        for each in zip(texts, words, pieces, np.split(flat[:-1], ends[:-1]), strict=True)
    ]  # fmt: skip
    losses = _Losses(reader, score, given, empty)
    whole = [one.groups() for one in given]
    by_piece = losses.of(whole)
    parts = [_parts(*each, tokens=tokens) for each in zip(given, whole, by_piece, strict=True)]
    by_part = losses.of([found for found, _ in parts])
    opened = [_opened(*part, found) for part, found in zip(parts, by_part, strict=True)]
    by_word = losses.of(opened)
    return [
        _joined(one, losses.base, by_piece[row], [(parts[row][0], by_part[row]), (opened[row], by_word[row])])
        for row, one in enumerate(given)
    ]


class _Losses:
    """What the logits of some texts lose where words are deleted."""

    def __init__(self, reader: PieceReader, score: Score, given: Sequence[PiecedText], empty: Floats) -> None:
        self._reader, self._score, self._given, self._empty = reader, score, given, empty
        own = np.stack([reader.joined(one.vectors) for one in given])
        self._full = score(own, [one.text for one in given])
        self.base: Floats = score(reader.joined(empty)[None], [""])[0]

    def of(self, groups: Sequence[Sequence[Group]]) -> list[Floats]:
        """Return what each deletion (U, K) costs in each text. All are encoded together."""
        changed = [(one, group) for one, found in zip(self._given, groups, strict=True) for group in found]
        parts = [one.piece_without(group) if len(group) else one.pieces[group.piece].text for one, group in changed]
        left = list(dict.fromkeys(part for part in parts if part.strip()))
        vectors = dict(zip(left, self._reader.vectors(left), strict=True)) if left else {}
        own = [
            self._own(one, group, vectors.get(part)) for (one, group), part in zip(changed, parts, strict=True)
        ]  # fmt: skip
        texts = [without(one.text, *one.span(group)) if len(group) else one.text for one, group in changed]
        scores = self._score(np.stack(own), texts) if own else np.zeros((0, self._full.shape[1]))
        ends = np.cumsum([len(found) for found in groups])
        rows = np.split(scores, ends[:-1])
        return [full - row for full, row in zip(self._full, rows, strict=True)]

    def _own(self, one: PiecedText, group: Group, vector: Floats | None) -> Floats:
        """Return the own vector of a text in which a piece has another vector, or none, since nothing is left of it."""
        if vector is None:
            rest = np.delete(one.vectors, group.piece, axis=0)
            return self._reader.joined(rest if len(rest) else self._empty)
        vectors = one.vectors.copy()
        vectors[group.piece] = vector
        return self._reader.joined(vectors)


def _parts(one: PiecedText, pieces: Sequence[Group], losses: Floats, *, tokens: int) -> tuple[list[Group], list[int]]:
    """Return the deletions of a first round, and how many more each piece affords. The strongest pieces are served first.

    A piece affords its words one by one, or groups of them, or nothing more than to be deleted whole.
    """
    found, left = list[Group](), [0] * len(pieces)
    for number in np.argsort(-_strengths(losses), kind="stable").tolist():
        group, cost = pieces[number], one.pieces[number].tokens
        affords = min(tokens // max(1, cost), len(group))
        if affords == len(group):
            found += [Group(number, word, word + 1) for word in range(group.first, group.end)]
            used = affords
        elif affords < MIN_DELETIONS:
            found.append(group)
            used = 0
        else:
            parts = _divided(one, group, at_most=-(-4 * len(group) // affords))
            found += parts
            left[number], used = affords - len(parts), affords
        tokens -= used * cost
    return found, left


def _divided(one: PiecedText, group: Group, *, at_most: int) -> list[Group]:
    """Return groups of about a sentence, of `at_most` words, and no more than twice as many as there must be."""
    found, first = list[Group](), group.first
    for word in range(group.first, group.end):
        size = word + 1 - first
        ends = SENTENCE_END.search(one.text[slice(*one.words[word])]) is not None
        if size >= at_most or word + 1 == group.end or (ends and 2 * size >= at_most):
            found.append(Group(group.piece, first, word + 1))
            first = word + 1
    return found


def _opened(parts: Sequence[Group], left: Sequence[int], losses: Floats) -> list[Group]:
    """Return the words, one by one, of the strongest parts that a piece still affords."""
    found, affords = list[Group](), list(left)
    for number in np.argsort(-_strengths(losses), kind="stable").tolist():
        part = parts[number]
        if 1 < len(part) <= affords[part.piece]:
            found += [Group(part.piece, word, word + 1) for word in range(part.first, part.end)]
            affords[part.piece] -= len(part)
    return found


def _joined(
    one: PiecedText, base: Floats, by_piece: Floats, rounds: Sequence[tuple[Sequence[Group], Floats]]
) -> Occluded:
    """Return the contributions of a text's words. The words of a group share its loss by their characters."""
    found, groups = np.zeros((len(one.words), by_piece.shape[1])), np.full(len(one.words), -1)
    lengths = np.array([end - begin for begin, end in one.words], np.float64)
    count = 0
    for parts, losses in rounds:
        for group, loss in zip(parts, losses, strict=True):
            among = slice(group.first, group.end)
            found[among] = np.outer(lengths[among] / max(1.0, lengths[among].sum()), loss)
            groups[among] = count
            count += 1
    read = groups[groups >= 0]
    sizes = np.bincount(read) if len(read) else np.zeros(0, np.int64)
    cut_off = sum(
        not BREAK.fullmatch(one.text[slice(*one.words[word])]) for word in np.flatnonzero(groups < 0).tolist()
    )
    spans = tuple(piece.span for piece in one.pieces)
    return Occluded(found, base, by_piece, spans, len(read), cut_off, int((sizes == 1).sum()), int((sizes > 1).sum()))


def _strengths(losses: Floats) -> Floats:
    """Return how much each loss (U, K) moves the labels apart (U,)."""
    return np.abs(losses - losses.mean(axis=1, keepdims=True)).max(axis=1) if losses.shape[1] > 1 else abs(losses[:, 0])


def without(text: str, begin: int, end: int) -> str:
    """Return a text without what stands between two places, and without the blanks that would be left on both sides."""
    before, after = text[:begin], text[end:]
    if not before.rstrip():
        return after.lstrip()
    if not after.lstrip():
        return before.rstrip()
    return before + (after.lstrip() if before[-1:].isspace() else after)
