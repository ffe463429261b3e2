"""Style of a text in numbers: its length, the kinds of its characters, its punctuation.

Vectors of an encoder hardly tell short messages of one source from those of another, which differ in how they are typed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SIGNS = "@#.,!?'\":;/-()&\n$%*_"
MAX_CHARACTERS = 2_000  # of a text, from its beginning
STYLE_DIM = 8 + len(SIGNS)


def styles(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return the style (B, 28) of texts."""
    return np.array([_style(text[:MAX_CHARACTERS]) for text in texts], dtype=np.float64).reshape(len(texts), STYLE_DIM)


def _style(text: str) -> list[float]:
    count = max(1, len(text))
    upper, digits, others = sum(map(str.isupper, text)), sum(map(str.isdigit, text)), sum(one > "\x7f" for one in text)
    shares = [upper, digits, others, *(text.count(sign) for sign in SIGNS)]
    ends = [text[:1].isupper(), text[:1].isalnum(), text[-1:].isalnum()]
    lengths = [math.log(count), math.log(count / (1 + len(text.split())))]
    return [*lengths, *map(float, ends), *(math.sqrt(share / count) for share in shares)]
