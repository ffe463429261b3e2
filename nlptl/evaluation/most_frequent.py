"""The bar to beat: the accuracy of always predicting the most frequent label of the training part."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from nlptl.evaluation.intervals import Interval, wilson


@dataclasses.dataclass(frozen=True)
class MostFrequent:
    """Most frequent label of the training part, and its accuracy on the test texts, with a Wilson interval."""

    label: str
    accuracy: Interval

    @classmethod
    def of(cls, labels: Sequence[str], *, learnt: Mapping[str, int]) -> MostFrequent:
        """Return the label that is most frequent in `learnt`, scored on the test's `labels`.

        Of equally frequent labels, as in a balanced few-shot draw, the one with most test texts counts, which is the
        highest bar; so it does where nothing is known of the training part. Equal ones again go by name.
        """
        tested = Counter(labels)
        label = max(sorted({*learnt, *tested}), key=lambda name: (learnt.get(name, 0), tested[name]))
        return cls(label, wilson(tested[label], len(labels)))

    def __str__(self) -> str:
        return f"the most frequent label, {self.label!r}, gets {self.accuracy.value:.3f}"
