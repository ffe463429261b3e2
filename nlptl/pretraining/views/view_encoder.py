"""Encoder of views alone: it knows the words of some texts, and no word has a vector of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import torch

from nlptl.models.encoder import Encoder
from nlptl.models.origin import OWN
from nlptl.models.pooling import Pooling
from nlptl.models.views import View
from nlptl.models.word_vectors import WordVectors
from nlptl.pretraining.word2vec.tokenizer import UNKNOWN, TextSettings, set_vocabulary, untrained_tokenizer, words_of

MAX_WORDS = 50_000  # the most frequent ones; they tell what share of other texts is known, and no vector needs them


def view_encoder(views: Sequence[View], batches: Iterable[Sequence[str]]) -> Encoder:
    """Return the encoder whose vectors are those of the views, of which `own_dim` is 0.

    Its vocabulary holds the words of the texts in `batches`, cut as the views cut them.
    """
    segmenter = next((view.terms.segmenter for view in views if view.terms.segmenter is not None), None)
    tokenizer = untrained_tokenizer(TextSettings(segmenter=None if segmenter is None else segmenter.settings))
    counted = Counter(word for words in words_of(tokenizer, batches) for word in words)
    known = counted.most_common(MAX_WORDS)
    set_vocabulary(tokenizer, [UNKNOWN, *(word for word, _ in known)])
    counts = torch.tensor([counted.total() - sum(count for _, count in known), *(count for _, count in known)])
    table = WordVectors(torch.empty(len(counts), 0), counts)
    table.origin = OWN
    return Encoder(tokenizer, table, Pooling("mean"), views=views).eval()
