"""Compiled loops of a corpus: bytes of text → chunk numbers → word ids.

A chunk is text between ASCII whitespace. Chunk 0 is the end of a text.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nlptl.training.compiled import kept_njit

USED, NEEDED = 0, 1  # indices of Table.sizes: chunks so far, and arena bytes that the next chunk needs
POSITION, TEXT, WRITTEN = 0, 1, 2  # indices of a scan's state
SEPARATOR = 0xFF  # after each chunk in the arena; no byte of UTF-8
LOW, HIGH, CHUNK, COUNT = 0, 1, 2, 3  # indices of a slot
_SHORT = 16  # bytes in LOW and HIGH, so that most look-ups need no arena
_BYTE, _TOP, _HALF = np.uint64(8), np.uint64(56), np.uint64(32)
_OFFSET, _PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)  # FNV-1a, 64 bits
_MIX, _MIX_HIGH = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_ID = np.uint64(0xFFFFFFFF)  # lower half of CHUNK: the number
Bytes = NDArray[np.uint8]
Ids = NDArray[np.int32]
Longs = NDArray[np.int64]
Slots = NDArray[np.uint64]
_compiled, _inlined = kept_njit(nogil=True), kept_njit(nogil=True, forceinline=True)


class Table(NamedTuple):
    """Hash table of chunks and their counts: open addressing, at most half full."""

    slots: Slots
    """(S, 4) LOW and HIGH: bytes of a short chunk, or hashes of a long one; CHUNK: length (upper half) and number, 0 if
    empty; COUNT. S is a power of two. A slot is half a cache line: one miss a look-up."""
    ends: Longs  # (C,) end of each chunk in the arena. It starts one byte after the end of the one before.
    arena: Bytes  # all chunks, SEPARATOR after each
    sizes: Longs  # (2,) USED and NEEDED


@_inlined
def _is_space(byte: int) -> bool:
    return byte == 32 or 9 <= byte <= 13


@_inlined
def _is_open_break(content: Bytes, begin: int, end: int) -> bool:
    """Return whether a chunk ends in <br, after which the tokenizer looks across whitespace for />."""
    if end - begin < 3 or content[end - 3] != 60:
        return False
    return bool((content[end - 2] | 32) == 98 and (content[end - 1] | 32) == 114)


@_inlined
def _first_slot(low: np.uint64, high: np.uint64, last: np.uint64) -> np.uint64:
    key = (low ^ (high * _MIX_HIGH)) * _MIX
    return (key ^ (key >> _HALF)) & last


@_compiled
def _spells(table: Table, chunk: int, content: Bytes, begin: int, end: int) -> bool:
    start = table.ends[chunk - 1] + 1
    if table.ends[chunk] - start != end - begin:
        return False
    same = begin
    while same < end and table.arena[start + same - begin] == content[same]:
        same += 1
    return same == end


@_inlined
def _find(slots: Slots, low: np.uint64, high: np.uint64, length: np.uint64) -> np.uint64:
    """Return the slot of a short chunk, or its empty slot."""
    last = np.uint64(len(slots) - 1)
    slot = _first_slot(low, high, last)
    while slots[slot, CHUNK] != 0 and not (
        slots[slot, LOW] == low and slots[slot, HIGH] == high and (slots[slot, CHUNK] & ~_ID) == length
    ):
        slot = (slot + np.uint64(1)) & last
    return np.uint64(slot)


@_compiled
def _find_long(table: Table, content: Bytes, begin: int, end: int, low: np.uint64, high: np.uint64) -> np.uint64:
    """Return the slot of a long chunk, or its empty slot."""
    slots, length = table.slots, np.uint64(end - begin) << _HALF
    slot = _find(slots, low, high, length)
    while slots[slot, CHUNK] != 0 and not _spells(table, np.int64(slots[slot, CHUNK] & _ID), content, begin, end):
        slot = (slot + np.uint64(1)) & np.uint64(len(slots) - 1)
    return np.uint64(slot)


@_compiled
def _hash(content: Bytes, begin: int, end: int) -> np.uint64:
    key = _OFFSET
    for place in range(begin, end):
        key = (key ^ np.uint64(content[place])) * _PRIME
    return key


@_compiled
def _filled(table: Table, slot: Any, content: Bytes, begin: int, end: int, low: Any, high: Any) -> bool:
    """Append a new chunk and put it into an empty slot. Return False if the table must grow."""
    chunk = table.sizes[USED]
    start = table.ends[chunk - 1] + 1
    if chunk == len(table.ends) or 2 * chunk >= len(table.slots) or start + end - begin >= len(table.arena):
        table.sizes[NEEDED] = end - begin + 1
        return False
    for place in range(end - begin):  # a slice would take numba four seconds to compile
        table.arena[start + place] = content[begin + place]
    table.arena[start + end - begin] = SEPARATOR
    table.ends[chunk] = start + end - begin
    table.sizes[USED] = chunk + 1
    table.slots[slot, LOW], table.slots[slot, HIGH] = low, high
    table.slots[slot, CHUNK] = (np.uint64(end - begin) << _HALF) | np.uint64(chunk)
    return True


@_compiled
def scan(table: Table, content: Bytes, offsets: Longs, state: Longs, out: Ids) -> bool:
    """Write the chunks of all texts to `out`, 0 after each text. Return False if the table must grow.

    `offsets` (texts + 1,) are the starts of texts in `content`. `state` is where the next call goes on.
    """
    slots, written, position = table.slots, state[WRITTEN], state[POSITION]
    for text in range(state[TEXT], len(offsets) - 1):
        end, position = offsets[text + 1], max(position, offsets[text])
        while True:
            while position < end and _is_space(content[position]):
                position += 1
            if position == end:
                break
            begin, low, high = position, np.uint64(0), np.uint64(0)
            inside_break = False
            while position < end:
                if _is_space(content[position]):
                    inside_break = inside_break or _is_open_break(content, begin, position)
                    if not inside_break:
                        break
                else:
                    inside_break = False
                high = (high << _BYTE) | (low >> _TOP)
                low = (low << _BYTE) | np.uint64(content[position])
                position += 1
            if position - begin <= _SHORT:
                slot = _find(slots, low, high, np.uint64(position - begin) << _HALF)
            else:
                low = _hash(content, begin, position)
                slot = _find_long(table, content, begin, position, low, high)
            if slots[slot, CHUNK] == 0 and not _filled(table, slot, content, begin, position, low, high):
                state[POSITION], state[TEXT], state[WRITTEN] = begin, text, written
                return False
            slots[slot, COUNT] += np.uint64(1)
            out[written] = np.int32(slots[slot, CHUNK] & _ID)
            written += 1
        out[written] = 0
        written += 1
    state[TEXT], state[WRITTEN] = len(offsets) - 1, written
    return True


@_compiled
def absorb(table: Table, other: Table, counts: Longs, first: int, places: Longs) -> int:
    """Add the chunks of `other` from `first` on and write their `places`. Return the first that needs a larger table."""
    slots = table.slots
    for chunk in range(first, other.sizes[USED]):
        low, high = np.uint64(0), np.uint64(0)
        begin, end = other.ends[chunk - 1] + 1, other.ends[chunk]
        for position in range(begin, end):
            high = (high << _BYTE) | (low >> _TOP)
            low = (low << _BYTE) | np.uint64(other.arena[position])
        if end - begin <= _SHORT:
            slot = _find(slots, low, high, np.uint64(end - begin) << _HALF)
        else:
            low = _hash(other.arena, begin, end)
            slot = _find_long(table, other.arena, begin, end, low, high)
        if slots[slot, CHUNK] == 0 and not _filled(table, slot, other.arena, begin, end, low, high):
            return int(chunk)
        slots[slot, COUNT] += np.uint64(counts[chunk])
        places[chunk] = np.int64(slots[slot, CHUNK] & _ID)
    return int(other.sizes[USED])


@_compiled
def rehash(old: Slots, new: Slots) -> None:
    """Move all slots of a table into `new`, larger and all zero."""
    for source in range(len(old)):
        if old[source, CHUNK] != 0:
            slot = _first_slot(old[source, LOW], old[source, HIGH], np.uint64(len(new) - 1))
            while new[slot, CHUNK] != 0:
                slot = (slot + np.uint64(1)) & np.uint64(len(new) - 1)
            for place in range(4):
                new[slot, place] = old[source, place]


@_compiled
def spell(chunks: Ids, spans: Longs, words: Ids, out: Ids, lengths: Longs) -> None:
    """Write the words of each chunk, words[spans[0, c] : spans[1, c]], to `out` and word counts of texts to `lengths`."""
    written = text = last = 0
    for chunk in chunks:
        if chunk == 0:
            lengths[text] = written - last
            last = written
            text += 1
        for place in range(spans[0, chunk], spans[1, chunk]):
            out[written] = words[place]
            written += 1
