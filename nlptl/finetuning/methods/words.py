"""The method `words`: logistic regression over the tf-idf of the n-grams of the labelled texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from nlptl.data.columns import names_shown
from nlptl.errors import ConfigError, DataError
from nlptl.finetuning.method import Fitted, Method, linear_head_needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nlptl.context import RunContext
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.models.classifier import TextClassifier


class Words(Method):
    """A linear classifier over the n-grams of words and characters of the labelled texts; the encoder is left out.

    It costs seconds, predicts thousands of texts a second, and is the bar that a pretrained encoder has to beat. Held-out
    examples choose its penalty and calibrate its probabilities.
    """

    needs_linear_head: ClassVar[bool] = True

    method: Literal["words"] = "words"
    """The name of this method."""

    def with_named_labels(self, labels: Sequence[str], *, where: str) -> Words:
        """Refuse `labels` that have a name alone: no labelled text shows which words tell them."""
        count = f"{len(labels)} labels have" if len(labels) > 1 else "1 label has"
        raise ConfigError(
            f"{where}: found words, which learns from the words of labelled texts alone, and {count} no example "
            f"({names_shown(labels, 4)}); expected examples of every label. Add some, or set `update: {{method: auto}}`, "
            "under which a name stands in."
        )

    def fit(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return a classifier by the words alone. Raises DataError for texts without words in common."""
        from nlptl.finetuning.words.joined import words_alone
        from nlptl.finetuning.words.word_expert import words_of

        if given.head.hidden:
            raise linear_head_needed(self.title, given.head.hidden, where="finetune.update")
        words = words_of(
            examples, seed=context.seed, balanced=examples.is_skewed, most_in_span=0, segmenter=given.encoder.segmenter
        )
        if words is None:
            raise DataError(
                "finetune.update: found no word that two labelled texts share, and words learns from nothing else; expected "
                "texts in words. Check the text column, or choose another update."
            )
        context.record.add_finding("words", {"terms": len(words.view.terms)}, words.how)
        classifier = words_alone(words.view, examples.texts, given.labels)
        learnt = words.view.table.numel() + words.view.centre.numel()
        return Fitted(classifier, learnt, balanced=examples.is_skewed, met_skew=examples.is_skewed)
