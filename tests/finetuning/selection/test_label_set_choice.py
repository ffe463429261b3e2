"""The choice between the head alone and all layers, where texts may have several labels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.method import Fitted
from nlptl.finetuning.selection import label_set_choice
from nlptl.finetuning.selection.label_set_choice import LabelSetTask, fitted_to_label_sets
from tests.label_sets import WORDS, meals

LABELS = tuple(WORDS)


class Fake:
    """Method whose fits know each label of a text with some error, and note what they learn from."""

    def __init__(self, error: float) -> None:
        self.error, self.learnt = error, list[int]()

    def fit(self, given: Any, examples: LabelledExamples, context: RunContext) -> Fitted:
        self.learnt.append(len(examples))
        known = torch.from_numpy(self.logits(examples.texts))
        classifier: Any = SimpleNamespace(
            head=SimpleNamespace(trained=False), probabilities=lambda texts: 1 / (1 + np.exp(-self.logits(texts)))
        )
        return Fitted(classifier, 1, held_out_logits=lambda: known)

    def logits(self, texts: list[str]) -> np.ndarray:
        """Return 2 for each label that a text has, -2 for the others; for a share of the texts the wrong way round."""
        found = np.array(
            [[2.0 if set(words) & set(text.split()) else -2.0 for words in WORDS.values()] for text in texts]
        )
        wrong = np.array([(int(text.split()[-1]) * 37 % 100) < 100 * self.error for text in texts])
        return np.where(wrong[:, None], -found, found)


def task(head: Fake, full: Fake, *, kind: str = "transformer", seconds: float = 1e9) -> tuple[LabelSetTask, RunContext]:
    examples = LabelledExamples.of(TextData(labelled=meals(100, seed=2)), LABELS)
    given: Any = SimpleNamespace(encoder=SimpleNamespace(token_model=SimpleNamespace(kind=kind)))
    speed: Any = SimpleNamespace(seconds_for=lambda texts: 1.0)
    context, methods = RunContext(seed=1, device="cpu"), (head, lambda epochs: full)
    return LabelSetTask(given, examples, context, speed, *methods, seconds), context  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _hundred_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_set_choice, "MIN_EXAMPLES_ONE_SPLIT", 100)


def test_layers_that_are_surely_better_learn_from_all_examples() -> None:
    head, full = Fake(0.4), Fake(0.0)
    given, context = task(head, full)
    found = fitted_to_label_sets(given)
    assert (head.learnt, full.learnt) == ([100], [80, 100])
    assert found.held_out_logits is not None
    logits = found.held_out_logits()
    assert logits is not None
    assert int((~logits.isnan()).all(dim=1).sum()) == 20, "thresholds come of the examples that the trial held out"
    [told] = context.record.sentences
    assert told.startswith("On 20 held-out examples micro-F1 is 1.000 with all layers, 0.")
    assert told.endswith(" with the head alone, so all layers learn.")


@pytest.mark.parametrize("error", [0.0, 0.03])
def test_the_head_alone_learns_where_layers_are_not_surely_better(error: float) -> None:
    head, full = Fake(error), Fake(0.0)
    given, context = task(head, full)
    fitted_to_label_sets(given)
    assert (head.learnt, full.learnt) == ([100], [80])
    assert context.record.sentences[0].endswith(", so the head alone learns.")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kind": "word_vectors"}, "The head alone learns, since the encoder has no layers that could learn."),
        ({"seconds": 5.0}, "The head alone learns, since the time is short."),
    ],
)
def test_nothing_is_tried_that_cannot_be(options: dict[str, Any], told: str) -> None:
    head, full = Fake(0.4), Fake(0.0)
    given, context = task(head, full, **options)
    fitted_to_label_sets(given)
    assert (head.learnt, full.learnt) == ([100], [])
    assert context.record.sentences == [told]
    assert context.record.report.get("cuts", []) == (["full was not tried"] if "time" in told else [])
