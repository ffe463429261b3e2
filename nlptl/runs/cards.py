"""Model cards of a run's classifiers: what the run knows of them beside their folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlptl.evaluation.scores import Evaluation
from nlptl.models.model_card import CardFacts, CardScore, CardTest, LearntPart

if TYPE_CHECKING:
    from nlptl.artifact import Manifest
    from nlptl.data import TextData
    from nlptl.evaluation.intervals import Estimate
    from nlptl.evaluation.label_sets import AnyEvaluation


def card_facts(manifests: Sequence[Manifest], data: TextData, test: CardTest | None = None) -> CardFacts:
    """Return the facts about a classifier that these stages have made of these data, first stage first."""
    digests = {name: digest for manifest in manifests for name, digest in manifest.data.items()}
    learnt = [LearntPart(name, _rows(data, name), digest) for name, digest in sorted(digests.items())]
    return CardFacts(tuple(_step(manifest.settings) for manifest in manifests), tuple(learnt), test)


def card_test(evaluation: AnyEvaluation, *, digest: str) -> CardTest:
    """Return the scores of a card from those on the test texts with this digest."""
    scores = [_score("Macro-F1", evaluation.macro_f1, "f1", {"average": "macro"})]
    if isinstance(evaluation, Evaluation):
        scores.insert(0, _score("Accuracy", evaluation.accuracy, "accuracy"))
    else:
        scores.insert(0, _score("Micro-F1", evaluation.micro_f1, "f1", {"average": "micro"}))
        scores.append(_score("All labels right", evaluation.subset_accuracy, "accuracy"))
    told = [] if evaluation.most_frequent is None else [f"To compare: {evaluation.most_frequent}."]
    return CardTest(evaluation.rows, digest, tuple(scores), (*evaluation.warnings(), *told))


def _score(name: str, found: Estimate, metric: str, arguments: dict[str, Any] | None = None) -> CardScore:
    return CardScore(name, str(found), round(found.value, 4), metric, arguments)


def _step(settings: Mapping[str, Any]) -> str:
    """Return a stage's name and that of its method."""
    methods = [block["method"] for block in settings.values() if isinstance(block, dict) and "method" in block]
    return f"{settings['stage']}{''.join(f' ({method})' for method in methods)}"


def _rows(data: TextData, name: str) -> int:
    part = getattr(data, name)
    return len(part.labels()) if name == "label_names" else len(part)
