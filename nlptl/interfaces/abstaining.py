"""`predict --abstain`: which texts keep their label, and what is told of the others at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlptl.interfaces.prediction_lines import Answer

if TYPE_CHECKING:
    from nlptl.inference.abstention.abstention import PredictionSet
    from nlptl.inference.abstention.conformal import SetCoverage
    from nlptl.inference.predictor import Predictor

WHERE = "--abstain"
MAX_UNKNOWN = 0.2  # share of texts of no known label, from which the reader is asked to look at the texts


@dataclass
class Abstaining:
    """Prediction sets at one coverage, counted as they come."""

    coverage: SetCoverage
    texts: int = 0
    kept: int = 0
    unknown: int = 0
    cannot_tell: bool = False  # whether a text is of no known label

    @classmethod
    def of(cls, classifier: Predictor, coverage: float) -> Abstaining:
        """Begin with no texts. Raises ConfigError or DataError where the classifier has no sets of this coverage."""
        return cls(classifier.checked_abstention(where=WHERE).coverage(coverage, where=WHERE))

    def answers(self, classifier: Predictor, texts: Sequence[str]) -> list[Answer]:
        """Return the answer to each text: a label where its set holds one and the text is not unknown."""
        found, shares = classifier.sets_and_probabilities(texts, self.coverage)
        for one in found:
            self._count(one)
        return [Answer(one.label, row, one) for one, row in zip(found, shares.tolist(), strict=True)]

    def _count(self, found: PredictionSet) -> None:
        self.texts += 1
        self.kept += found.label is not None
        self.unknown += found.unknown is True
        self.cannot_tell |= found.unknown is None

    def sentences(self) -> list[str]:
        """Return what is told at the end: how many texts have no label and why, what the coverage is worth, what to do."""
        left = self.texts - self.kept
        why = f": several labels in the set of {left - self.unknown}, no known label for {self.unknown}" if left else ""
        return [
            f"The label is empty for {left} of {self.texts} texts{why}.",
            self._worth(),
            *self._remarks(),
            self._next_step(),
        ]

    def _worth(self) -> str:
        from nlptl.evaluation.intervals import wilson

        held = self.coverage
        told = f"A set holds the right label with a probability of {held}"
        if not held.single:
            return f"{told}; none of these has one label in its set."
        have = f"{held.single} {'has' if held.single == 1 else 'have'} one label in {'its' if held.single == 1 else 'their'} set"
        return (
            f"{told}. Of these {held.held_out} texts, {have}, which is right for {held.right} "
            f"({wilson(held.right, held.single).told('.2f')})."
        )

    def _remarks(self) -> list[str]:
        told = []
        if self.coverage.is_approximate:
            told.append(
                "The coverage is approximate, for layers learnt: a head on the encoder before that was held out. Texts in "
                "data.validation make it exact."
            )
        if self.cannot_tell:
            told.append(
                "Whether a text looks like no known label is not told, since too few texts show what known ones look like. Add "
                "data.unlabelled."
            )
        return told

    def _next_step(self) -> str:
        left = self.texts - self.kept
        if self.unknown > MAX_UNKNOWN * self.texts or (left and left == self.unknown):
            return "Next: look at the texts with unknown true; label some if they belong to the labels."
        if left:
            return "Next: label some texts without a label, which teach most, and train again; or lower --abstain."
        return "Next: raise --abstain for larger sets."
