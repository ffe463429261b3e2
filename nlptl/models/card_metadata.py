"""Metadata of a model card: what the Hugging Face Hub reads of it, scores among it."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from nlptl.models.origin import FILE as ORIGIN
from nlptl.models.origin import Origin

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

TASK = "text-classification"
# Identifiers of licences that the Hub knows; others are named under `other`.
_LICENCES = (
    "afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bigcode-openrail-m bigscience-openrail-m bsd bsd-2-clause bsd-3-clause bsl-1.0 "
    "cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-4.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 "
    "cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 epl-2.0 eupl-1.2 gemma gfdl gpl gpl-2.0 gpl-3.0 isc lgpl-2.1 lgpl-3.0 "
    "llama2 llama3 mit mpl-2.0 odbl odc-by openrail pddl unlicense wtfpl zlib"
)
HUB_LICENCES = frozenset(_LICENCES.split())


@dataclasses.dataclass(frozen=True)
class CardScore:
    """Score on the test texts."""

    name: str
    told: str  # value and interval
    value: float
    metric: str  # its identifier among 🤗 metrics
    arguments: dict[str, Any] | None = None  # of the metric


@dataclasses.dataclass(frozen=True)
class CardTest:
    """Scores on one set of test texts, or on labelled texts while they were held out."""

    texts: int
    digest: str  # of the texts with their labels
    scores: tuple[CardScore, ...]
    remarks: tuple[str, ...] = ()
    how: str = ""  # sentence on how labelled texts were held out; empty for a test


def metadata(origin: Origin | None, kind: str, test: CardTest | None) -> str:
    """Return the metadata as YAML; `kind` is that of the encoder, as a tag."""
    from huggingface_hub import ModelCardData

    origin = origin or Origin()
    results = None if test is None else [_result(test, score) for score in test.scores]
    metrics = None if test is None else list(dict.fromkeys(score.metric for score in test.scores))
    data = ModelCardData(
        language=list(origin.languages) or None, **_licence_fields(origin), library_name="nlptl",
        tags=["nlptl", TASK, kind], pipeline_tag=TASK, base_model=origin.hub_name, metrics=metrics,
        model_name=None if test is None else "nlptl text classifier", eval_results=results,
    )  # fmt: skip
    return data.to_yaml()


def _result(test: CardTest, score: CardScore) -> EvalResult:
    from huggingface_hub import EvalResult

    name, split = ("Labelled texts of the run, held out", "train") if test.how else ("Test texts of the run", "test")
    return EvalResult(
        task_type=TASK, task_name="Text classification", dataset_type="custom", dataset_name=name, dataset_split=split,
        dataset_args={"texts": test.texts, "sha256": test.digest}, metric_type=score.metric, metric_name=score.name,
        metric_value=score.value, metric_args=score.arguments,
    )  # fmt: skip


def _licence_fields(origin: Origin) -> dict[str, Any]:
    licence = origin.licence.casefold()
    if licence in HUB_LICENCES:
        return {"license": licence}
    if not licence and not origin.licence_text:
        return {"license": "unknown"}
    name = re.sub("[^a-z0-9.]+", "-", licence).strip("-") or "see-origin-json"
    return {"license": "other", "license_name": name, "license_link": ORIGIN}
