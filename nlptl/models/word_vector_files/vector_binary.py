"""Records of word2vec's binary format: a word, a space, and numbers of four bytes, with or without a line end.

Shapes: D dimension.
"""

from __future__ import annotations

from typing import IO

import numpy as np

from nlptl.models.word_vector_files import vector_text
from nlptl.models.word_vector_files.vector_text import MAX_WORD_BYTES, Blocks, RecordError


def binary_blocks(file: IO[bytes], count: int, width: int) -> Blocks:
    """Yield words and vectors of many records. Bytes behind the last count as one more. Raises RecordError."""
    rest, left = b"", count
    while block := file.read(vector_text.BLOCK):
        rest += block
        words, rows, begin = [], [], 0
        while left and (space := rest.find(b" ", begin, begin + MAX_WORD_BYTES)) >= 0:
            end = space + 1 + 4 * width
            if end > len(rest):
                break
            words.append(rest[begin:space].strip())
            rows.append(rest[space + 1 : end])
            begin, left = end, left - 1
        yield words, np.frombuffer(b"".join(rows), "<f4").reshape(-1, width)
        rest = rest[begin:]
        if left and len(rest) >= MAX_WORD_BYTES and b" " not in rest[:MAX_WORD_BYTES]:
            raise RecordError(f"found {rest[:40]!r}; expected a word, a space and {width} numbers of four bytes")
        if not left and rest.strip(b"\n"):
            yield [b""], np.zeros((1, width), np.float32)
            return
