"""Small texts with several labels, or none, that any working classifier tells apart."""

from __future__ import annotations

import random

WORDS = {
    "food": ["soup", "bread", "fish", "sauce"],
    "price": ["cheap", "bill", "cost", "euro"],
    "service": ["staff", "waiter", "rude", "quick"],
}
COMMON = ["the", "it", "was", "and", "we", "there"]


def meals(count: int, *, seed: int) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return texts and their labels: a text has a label where two of the label's words stand in it."""
    draw = random.Random(seed)
    texts, sets = [], []
    for number in range(count):
        labels = tuple(label for label in WORDS if draw.random() < 0.45)
        words = [word for label in labels for word in draw.sample(WORDS[label], 2)] + draw.sample(COMMON, 3)
        draw.shuffle(words)
        texts.append(f"{' '.join(words)} {number + 1000 * seed}")
        sets.append(labels)
    return texts, sets
