"""Model cards of a run's classifiers: what the run knows of them beside their folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.disk.sealed_text import CARD, is_edited
from nlptl.models.card_metadata import CardScore, CardTest
from nlptl.models.markdown_text import in_line
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


def renew_cards(stages: Mapping[Path, Manifest], data: TextData, test: CardTest | None) -> list[str]:
    """Write the card of a run's last stage anew, and those that are missing; `stages` are folders, first stage first.

    A card stays as it is where no scores would come in: it may hold those of `nlptl start`. Returns remarks on cards that
    stay since a person has edited them, but that lack what the run has made.
    """
    remarks, manifests = list[str](), list(stages.values())
    for number, (folder, manifest) in enumerate(stages.items(), start=1):
        if manifest.kind != "classifier":
            continue
        scores = test if number == len(stages) else None
        if is_edited(folder / CARD):
            remarks += _lacks(folder, manifest, scores)
        elif scores is not None or not (folder / CARD).exists():
            renew_card(folder, manifest, card_facts(manifests[:number], data, scores))
    return remarks


def _lacks(folder: Path, manifest: Manifest, test: CardTest | None) -> list[str]:
    """Return a remark on an edited card without the classifier's identity, or without its scores."""
    try:
        card = (folder / CARD).read_text(encoding="utf-8", errors="replace")
    except OSError:
        card = ""
    scores = [] if test is None else [test.digest, *(in_line(score.told) for score in test.scores)]
    if manifest.identity not in card:
        what = "it may tell of an earlier classifier"
    elif not all(score in card for score in scores):
        what = "the new scores are not in it"
    else:
        return []
    return [
        f"{folder.name}/{CARD} was edited and stays as it is: {what}. Move it elsewhere, and the next run writes a new one."
    ]


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
