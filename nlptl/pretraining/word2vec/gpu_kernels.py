"""Triton kernel of skip-gram: a program for each segment of text, a small matrix product for each tile of centres.

As in word2vec.c and gensim, the input vector is that of the context word, the output vectors are those of the centre word
(the positive) and of noise words. For the pairs of a tile, with s the logistic function,

    loss = - sum over pairs (c, w) of  log s(v_c . u_w) + N / K sum over noise words n != w of log s(-v_c . u_n)

(Mikolov et al. 2013b, eq. 4). All pairs of a tile share K noise words. The weight N / K makes the expected gradient that of
N independent noise words a pair. Each row is read once and its change written once, by an atomic addition: programs do
not wait for one another.

Shapes: T slots for a tile's centres, C slots for context around them (the centres too), K noise words, B columns of a
block. Slots are powers of two of at least 16, as tensor cores need; empty ones are in no pair. Offsets of rows have
64 bits: the table of a large vocabulary has more than 2 ** 31 numbers.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import triton
import triton.language as tl

INTERPRETED: bool = triton.knobs.runtime.interpret  # by Triton, on CPU tensors (TRITON_INTERPRET=1 at import)
HALF, SINGLE = tl.bfloat16, tl.float32  # values of OPERAND, the precision of products; sums are float32
NOISE_STREAM = tl.constexpr(1 << 30)  # first random number of noise; those of windows start at 0


@triton.jit(do_not_specialize=["kept", "first_tile", "tiles", "rate", "slope", "key", "vocabulary"])
def train_segments(
    inputs: tl.tensor, outputs: tl.tensor, words: tl.tensor, texts: tl.tensor, aliases: tl.tensor, cuts: tl.tensor,
    caps: tl.tensor, kept: tl.int32, first_tile: tl.int32, tiles: tl.int32,
    rate: tl.float32, slope: tl.float32, key: tl.int32, vocabulary: tl.int32,
    WIDTH: tl.constexpr, WINDOW: tl.constexpr, NEGATIVES: tl.constexpr,
    CENTRES: tl.constexpr, SLOTS: tl.constexpr, CONTEXTS: tl.constexpr, NOISE: tl.constexpr, BLOCK: tl.constexpr,
    OPERAND: tl.constexpr,
) -> None:  # fmt: skip
    """Train on `tiles` tiles a program, from tile `first_tile` on.

    inputs, outputs: (vocabulary, WIDTH) float32; words, texts: (kept,) int32, the word and the number of the text at
    each place; aliases int32, cuts float32: (vocabulary,) the noise words' alias table. The learning rate is
    `rate + slope * place`, for each row at most its word's in caps (vocabulary,) float32; `key` names the random numbers.
    """
    first = first_tile + tl.program_id(0) * tiles
    for tile in range(first, first + tiles):
        if tile * CENTRES < kept:
            context, centre, pairs = draw_pairs(words, texts, tile, kept, key, WINDOW, CENTRES, SLOTS, CONTEXTS)
            noise = draw_noise(aliases, cuts, tile, key, vocabulary, NOISE)
            _train_tile(
                inputs, outputs, caps, context, centre, noise, pairs, rate + slope * (tile * CENTRES),
                WIDTH, NEGATIVES, NOISE, BLOCK, OPERAND,
            )  # fmt: skip


@triton.jit
def draw_pairs(
    words: tl.tensor, texts: tl.tensor, tile: tl.tensor, kept: tl.tensor, key: tl.tensor,
    WINDOW: tl.constexpr, CENTRES: tl.constexpr, SLOTS: tl.constexpr, CONTEXTS: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:  # fmt: skip
    """Return words (C) and (T), and which are pairs (C, T): in one text, within the centre's reach in 1..WINDOW."""
    slot = tl.arange(0, SLOTS)
    centre = tile * CENTRES + slot
    context = tile * CENTRES - WINDOW + tl.arange(0, CONTEXTS)
    is_centre = (slot < CENTRES) & (centre < kept)
    is_context = (context >= 0) & (context < kept)
    bits, _, _, _ = tl.randint4x(key, centre)
    reach = 1 + tl.umulhi(bits, tl.full((SLOTS,), WINDOW, tl.uint32)).to(tl.int32)
    centre_text = tl.load(texts + centre, mask=is_centre, other=-1)
    context_text = tl.load(texts + context, mask=is_context, other=-2)
    distance = tl.abs(context[:, None] - centre[None, :])
    pairs = (distance > 0) & (distance <= reach[None, :]) & (context_text[:, None] == centre_text[None, :])
    context_words = tl.load(words + context, mask=is_context, other=0)
    return context_words, tl.load(words + centre, mask=is_centre, other=0), pairs


@triton.jit
def draw_noise(
    aliases: tl.tensor, cuts: tl.tensor, tile: tl.tensor, key: tl.tensor, vocabulary: tl.tensor, NOISE: tl.constexpr
) -> tl.tensor:
    """Return noise words (K) from an alias table (Walker 1977): a random column or its alias."""
    column_bits, coin_bits, _, _ = tl.randint4x(key, tl.arange(0, NOISE) + tile * NOISE + NOISE_STREAM)
    column = tl.umulhi(column_bits, tl.zeros((NOISE,), tl.uint32) + vocabulary.to(tl.uint32)).to(tl.int32)
    is_own = tl.uint_to_uniform_float(coin_bits) < tl.load(cuts + column)
    return tl.where(is_own, column, tl.load(aliases + column))


@triton.jit
def _train_tile(
    inputs: tl.tensor, outputs: tl.tensor, caps: tl.tensor, context: tl.tensor, centre: tl.tensor, noise: tl.tensor,
    pairs: tl.tensor, rate: tl.tensor,
    WIDTH: tl.constexpr, NEGATIVES: tl.constexpr, NOISE: tl.constexpr, BLOCK: tl.constexpr, OPERAND: tl.constexpr,
) -> None:  # fmt: skip
    """Take one gradient step on the rows of a tile, from their values before it. Columns beyond BLOCK are read twice."""
    has_context = tl.sum(pairs.to(tl.int32), 1) > 0
    has_centre = tl.sum(pairs.to(tl.int32), 0) > 0
    has_noise = noise >= 0
    v = _rows(inputs, context, has_context, 0, WIDTH, BLOCK, OPERAND)
    u = _rows(outputs, centre, has_centre, 0, WIDTH, BLOCK, OPERAND)
    n = _rows(outputs, noise, has_noise, 0, WIDTH, BLOCK, OPERAND)
    positive = tl.dot(v, tl.trans(u), input_precision="ieee")
    negative = tl.dot(v, tl.trans(n), input_precision="ieee")
    for begin in range(BLOCK, WIDTH, BLOCK):
        v_more = _rows(inputs, context, has_context, begin, WIDTH, BLOCK, OPERAND)
        u_more = _rows(outputs, centre, has_centre, begin, WIDTH, BLOCK, OPERAND)
        n_more = _rows(outputs, noise, has_noise, begin, WIDTH, BLOCK, OPERAND)
        positive = tl.dot(v_more, tl.trans(u_more), positive, input_precision="ieee")
        negative = tl.dot(v_more, tl.trans(n_more), negative, input_precision="ieee")
    pull, push = _slopes(positive, negative, pairs, centre, noise, NEGATIVES / NOISE, OPERAND)
    v_rate, u_rate, n_rate = _rates(caps, context, rate), _rates(caps, centre, rate), _rates(caps, noise, rate)
    _add(inputs, context, has_context, v_rate * _mix(pull, u, push, n), 0, WIDTH, BLOCK)
    _add(outputs, centre, has_centre, u_rate * tl.dot(tl.trans(pull), v, input_precision="ieee"), 0, WIDTH, BLOCK)
    _add(outputs, noise, has_noise, n_rate * tl.dot(tl.trans(push), v, input_precision="ieee"), 0, WIDTH, BLOCK)
    for begin in range(BLOCK, WIDTH, BLOCK):
        v_more = _rows(inputs, context, has_context, begin, WIDTH, BLOCK, OPERAND)
        u_more = _rows(outputs, centre, has_centre, begin, WIDTH, BLOCK, OPERAND)
        n_more = _rows(outputs, noise, has_noise, begin, WIDTH, BLOCK, OPERAND)
        _add(inputs, context, has_context, v_rate * _mix(pull, u_more, push, n_more), begin, WIDTH, BLOCK)
        u_change = u_rate * tl.dot(tl.trans(pull), v_more, input_precision="ieee")
        _add(outputs, centre, has_centre, u_change, begin, WIDTH, BLOCK)
        n_change = n_rate * tl.dot(tl.trans(push), v_more, input_precision="ieee")
        _add(outputs, noise, has_noise, n_change, begin, WIDTH, BLOCK)


@triton.jit
def _rates(caps: tl.tensor, words: tl.tensor, rate: tl.tensor) -> tl.tensor:
    """Return the words' learning rates as a column."""
    return tl.minimum(rate, tl.load(caps + words))[:, None]


@triton.jit
def _slopes(
    positive: tl.tensor, negative: tl.tensor, pairs: tl.tensor, centre: tl.tensor, noise: tl.tensor,
    WEIGHT: tl.constexpr, OPERAND: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:  # fmt: skip
    """Return the negative slope of the loss by each logit: (C, T) for pairs, (C, K) for context words and noise.

    A noise word counts once for every pair of the context word, except pairs whose positive it is.
    """
    pull = tl.where(pairs, tl.sigmoid(-positive), 0.0)
    differs = (centre[:, None] != noise[None, :]).to(OPERAND)
    times = tl.dot(pairs.to(OPERAND), differs, input_precision="ieee")
    push = -WEIGHT * times * tl.sigmoid(negative)
    return pull.to(OPERAND), push.to(OPERAND)


@triton.jit
def _mix(pull: tl.tensor, u: tl.tensor, push: tl.tensor, n: tl.tensor) -> tl.tensor:
    """Return pull @ u + push @ n (C, B)."""
    return tl.dot(push, n, tl.dot(pull, u, input_precision="ieee"), input_precision="ieee")


@triton.jit
def _rows(
    table: tl.tensor, words: tl.tensor, is_wanted: tl.tensor, begin: tl.tensor,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, OPERAND: tl.constexpr,
) -> tl.tensor:  # fmt: skip
    """Return B columns of the words' rows, zero where not wanted. .cg: a processor's own cache would hide additions."""
    columns = begin + tl.arange(0, BLOCK)
    places = (table + words.to(tl.int64) * WIDTH)[:, None] + columns[None, :]
    mask = is_wanted[:, None] & (columns < WIDTH)[None, :]
    return tl.load(places, mask=mask, other=0.0, cache_modifier=".cg").to(OPERAND)


@triton.jit
def _add(
    table: tl.tensor, words: tl.tensor, is_wanted: tl.tensor, change: tl.tensor, begin: tl.tensor,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """Add `change` to B columns of the words' rows. A word that occurs twice gets both."""
    columns = begin + tl.arange(0, BLOCK)
    places = (table + words.to(tl.int64) * WIDTH)[:, None] + columns[None, :]
    mask = is_wanted[:, None] & (columns < WIDTH)[None, :]
    tl.atomic_add(places, change, mask=mask, sem="relaxed")
