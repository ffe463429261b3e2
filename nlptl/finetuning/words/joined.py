"""The words in a classifier: alone, or beside an encoder that gets a view whose columns are the words' logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head
from nlptl.models.views import View
from nlptl.pretraining.views.view_encoder import view_encoder


@torch.no_grad()
def with_words(classifier: TextClassifier, words: View, *, own_weight: float, words_weight: float) -> TextClassifier:
    """Return the classifier with logits `own_weight` times its own plus `words_weight` times those of `words`.

    That is a product of both probabilities to these powers. The head must be linear.
    """
    before, last = classifier.head, classifier.head.last_linear
    head = Head(before.dim + words.dim, before.label_count)
    head.centre[: before.dim] = before.centre
    head.scale.copy_(before.scale)
    by_words = words_weight * head.scale * torch.eye(words.dim, device=last.weight.device)
    head.last_linear.weight.copy_(torch.cat([own_weight * last.weight, by_words], dim=1))
    head.last_linear.bias.copy_(own_weight * last.bias)
    head.trained = True
    encoder = classifier.encoder.with_views([*classifier.encoder.views, words])
    return TextClassifier(encoder, head.to(classifier.device), classifier.labels).eval()


@torch.no_grad()
def words_alone(words: View, texts: Sequence[str], labels: Sequence[str]) -> TextClassifier:
    """Return the classifier whose logits are those of `words`. It knows the words of `texts`."""
    head = Head(words.dim, len(labels), trained=True)
    head.last_linear.weight.copy_(torch.eye(words.dim))
    return TextClassifier(view_encoder([words], [texts]), head, labels).eval()
