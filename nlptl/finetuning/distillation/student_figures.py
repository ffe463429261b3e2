"""What is told of a student: how often it agrees with its teacher, and what both cost where they are used."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nlptl.models.classifier import TextClassifier
from nlptl.progress import byte_size

if TYPE_CHECKING:
    from nlptl.finetuning.distillation.distilled import Distilled

MEASURED_SECONDS, MEASURED_TEXTS = 0.5, 20_000  # time and texts of one measurement, whichever ends first
BATCH_TEXTS = 2_000


def texts_per_second(classifier: TextClassifier, texts: Sequence[str]) -> float:
    """Return how many texts the classifier labels in a second, after some that warm it up."""
    classifier.probabilities(texts[:BATCH_TEXTS])
    done, begin = 0, time.perf_counter()
    for start in itertools.cycle(range(0, len(texts), BATCH_TEXTS)):
        done += len(classifier.probabilities(texts[start : start + BATCH_TEXTS]))
        seconds = time.perf_counter() - begin
        if seconds >= MEASURED_SECONDS or done >= MEASURED_TEXTS:
            return done / max(seconds, 1e-9)
    raise AssertionError("itertools.cycle ends for no text at all")


def megabytes(classifier: TextClassifier) -> float:
    """Return the size of all numbers and of the vocabulary, which is that of its folder but for some small files."""
    tensors = {tensor.data_ptr(): tensor for tensor in (*classifier.parameters(), *classifier.buffers())}
    numbers = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    return (numbers + len(classifier.encoder.tokenizer.to_str(pretty=False).encode())) / 1e6


@dataclasses.dataclass(frozen=True)
class StudentFigures:
    """Figures of a student beside its teacher; None where the teacher is no classifier, or labelled nothing here."""

    made: Distilled
    texts_per_second: float
    megabytes: float
    teacher_texts_per_second: float | None
    teacher_megabytes: float | None

    @classmethod
    def of(cls, made: Distilled, *, teacher: TextClassifier | None, rate: float | None) -> StudentFigures:
        """Measure a student; `rate` is that of the teacher while it labelled the pile."""
        size = None if teacher is None else megabytes(teacher)
        return cls(made, texts_per_second(made.classifier, made.held_out), megabytes(made.classifier), rate, size)

    def content(self) -> dict[str, Any]:
        """Return plain values, for the record."""
        made = self.made
        return {
            "texts": made.learnt,
            "penalty": made.penalty if math.isfinite(made.penalty) else None,
            "temperature": round(made.temperature, 4),
            "agreement": {**dataclasses.asdict(made.agreement), "texts": len(made.held_out)},
            "texts_per_second": {"student": self.texts_per_second, "teacher": self.teacher_texts_per_second},
            "megabytes": {"student": self.megabytes, "teacher": self.teacher_megabytes},
        }

    def sentence(self) -> str:
        """Tell the figures."""
        made, agree = self.made, self.made.agreement
        rate, size = self.teacher_texts_per_second, self.teacher_megabytes
        beside, larger = (
            f" (the teacher {rate:,.0f})" if rate else "",
            f" (the teacher {byte_size(1e6 * size)})" if size else "",
        )
        return (
            f"The student learnt the teacher's labels of {made.learnt:,} texts. Of {len(made.held_out):,} others it labels "
            f"{100 * agree.value:.1f} % [{100 * agree.low:.1f}, {100 * agree.high:.1f}] as the teacher does. It reads "
            f"{self.texts_per_second:,.0f} texts a second{beside} and takes {byte_size(1e6 * self.megabytes)}{larger}."
        )
