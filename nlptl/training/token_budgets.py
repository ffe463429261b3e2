"""Index batches cut by a token budget; torch is not needed for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

TOKEN_BUDGET = 1 << 16  # tokens a batch for word vectors: 65,536 rows of 100 floats are 26 MB
MIN_SHARED_TOKENS = 256  # of the last batches shared by several workers; smaller ones cost more a token


def token_budget_batches(lengths: Sequence[int], *, budget: int = TOKEN_BUDGET) -> Iterator[range]:
    """Cut rows, in order, into batches of at most `budget` tokens and `budget` rows. A longer text is alone."""
    begin, tokens = 0, 0
    for row, length in enumerate(lengths):
        if row > begin and (tokens + length > budget or row - begin >= budget):
            yield range(begin, row)
            begin, tokens = row, 0
        tokens += length
    if begin < len(lengths):
        yield range(begin, len(lengths))


def shrinking_batches(lengths: Sequence[int], *, budget: int, workers: int) -> Iterator[range]:
    """Cut rows, in order, into batches of at most `budget` tokens and half of a worker's share of what is left.

    All workers then finish at almost the same time (guided self-scheduling, Polychronopoulos & Kuck 1987).
    """
    left, begin = sum(lengths), 0
    while begin < len(lengths):
        now = min(budget, max(MIN_SHARED_TOKENS, left // (2 * workers)))
        rows = next(token_budget_batches(lengths[begin : begin + now + 1], budget=now))
        yield range(begin, begin + rows.stop)
        left -= sum(lengths[begin : begin + rows.stop])
        begin += rows.stop
