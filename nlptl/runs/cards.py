"""Model cards of a run's classifiers: what the run knows of them beside their folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlptl.models.model_card import CardFacts, CardScore, CardTest, LearntPart

if TYPE_CHECKING:
    from nlptl.artifact import Manifest
    from nlptl.data import TextData
    from nlptl.evaluation.scores import Evaluation


def card_facts(manifests: Sequence[Manifest], data: TextData, test: CardTest | None = None) -> CardFacts:
    """Return the facts about a classifier that these stages have made of these data, first stage first."""
    digests = {name: digest for manifest in manifests for name, digest in manifest.data.items()}
    learnt = [LearntPart(name, _rows(data, name), digest) for name, digest in sorted(digests.items())]
    return CardFacts(tuple(_step(manifest.settings) for manifest in manifests), tuple(learnt), test)


def card_test(evaluation: Evaluation, *, digest: str) -> CardTest:
    """Return the scores of a card from those on the test texts with this digest."""
    accuracy, macro_f1 = evaluation.accuracy, evaluation.macro_f1
    scores = (
        CardScore("Accuracy", str(accuracy), round(accuracy.value, 4), "accuracy"),
        CardScore("Macro-F1", str(macro_f1), round(macro_f1.value, 4), "f1", {"average": "macro"}),
    )
    told = [] if evaluation.most_frequent is None else [f"To compare: {evaluation.most_frequent}."]
    return CardTest(evaluation.rows, digest, scores, (*evaluation.warnings(), *told))


def _step(settings: Mapping[str, Any]) -> str:
    """Return a stage's name and that of its method."""
    methods = [block["method"] for block in settings.values() if isinstance(block, dict) and "method" in block]
    return f"{settings['stage']}{''.join(f' ({method})' for method in methods)}"


def _rows(data: TextData, name: str) -> int:
    part = getattr(data, name)
    return len(part.labels()) if name == "label_names" else len(part)
