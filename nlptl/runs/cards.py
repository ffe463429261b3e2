"""Model cards of a run's classifiers: what the run knows of them beside their folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.disk.sealed_text import CARD
from nlptl.models.card_metadata import CardScore, CardTest
from nlptl.models.model_card import CardFacts, LearntPart, renew_card

if TYPE_CHECKING:
    from nlptl.artifact import Manifest
    from nlptl.data import TextData
    from nlptl.evaluation.label_sets import AnyEvaluation
    from nlptl.evaluation.scores import MainScore


def card_facts(manifests: Sequence[Manifest], data: TextData, test: CardTest | None = None) -> CardFacts:
    """Return the facts about a classifier that these stages have made of these data, first stage first."""
    digests = {name: digest for manifest in manifests for name, digest in manifest.data.items()}
    learnt = [LearntPart(name, _rows(data, name), digest) for name, digest in sorted(digests.items())]
    return CardFacts(tuple(_step(manifest.settings) for manifest in manifests), tuple(learnt), test)


def renew_last_card(stages: Mapping[Path, Manifest], data: TextData, test: CardTest | None) -> None:
    """Write the card of a run's last stage anew, with scores if there are any; `stages` are folders, first stage first.

    A card stays as it is where no scores would come in: it may hold those of `nlptl start`.
    """
    folder, manifest = list(stages.items())[-1]
    if manifest.kind == "classifier" and (test is not None or not (folder / CARD).exists()):
        renew_card(folder, manifest, card_facts(list(stages.values()), data, test))


def card_test(evaluation: AnyEvaluation, *, digest: str) -> CardTest:
    """Return the scores of a card from those on the test texts with this digest."""
    told = [] if evaluation.most_frequent is None else [f"To compare: {evaluation.most_frequent}."]
    scores = card_scores(evaluation.main_scores())
    return CardTest(evaluation.rows, digest, scores, (*evaluation.warnings(), *told))


def card_scores(scores: Sequence[MainScore]) -> tuple[CardScore, ...]:
    """Return scores as a card holds them."""
    return tuple(
        CardScore(one.name, str(one.estimate), round(one.estimate.value, 4), one.metric, dict(one.arguments) or None)
        for one in scores
    )


def _step(settings: Mapping[str, Any]) -> str:
    """Return a stage's name and that of its method."""
    methods = [block["method"] for block in settings.values() if isinstance(block, dict) and "method" in block]
    return f"{settings['stage']}{''.join(f' ({method})' for method in methods)}"


def _rows(data: TextData, name: str) -> int:
    part = getattr(data, name)
    return len(part.labels()) if name == "label_names" else len(part)
