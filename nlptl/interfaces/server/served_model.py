"""ServedModel: a name, the version that answers now, and its queues. A new version brings queues of its own.

A request stays with the version that it began with; an old version ends when its queue is empty.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from nlptl.errors import ConfigError, DataError
from nlptl.interfaces.server.batching import Batcher, Job
from nlptl.interfaces.server.loaded_model import LoadedModel
from nlptl.interfaces.server.prediction_request import PredictionRequest
from nlptl.interfaces.server.prediction_rows import PredictedBatch, RowWriter
from nlptl.interfaces.server.refusal import RequestRefused
from nlptl.interfaces.server.server_metrics import ServerMetrics
from nlptl.interfaces.server.server_settings import ServerSettings

if TYPE_CHECKING:
    from nlptl.inference.abstention.conformal import SetCoverage
    from nlptl.models.explaining.explanation import Explanation

MAX_EXPLAINED = 16  # texts of a request that are explained
MAX_EXPLANATIONS_WAITING = 64
EXPLANATION_TOKENS = (
    4_000  # that a transformer reads again for one text: less than the command's, so that nobody waits long
)
KEPT_COVERAGES = 16  # whose figures are kept; a client may ask for any


class ModelVersion:
    """Version of a classifier with its queues: one for labels, one for explanations, which take much longer."""

    def __init__(self, name: str, model: LoadedModel, settings: ServerSettings, metrics: ServerMetrics) -> None:
        self.model, self._name = model, name
        predictor = model.predictor
        self._writer = RowWriter(predictor.labels, multi_label=predictor.multi_label)
        self.labels = Batcher[PredictedBatch](
            self._predicted, limit=settings.queue, max_tokens=model.max_tokens, lanes=model.lanes,
            observe=metrics.batch_observer(name),
        )  # fmt: skip
        self.explanations = Batcher[Sequence["Explanation"]](
            self._explained, limit=MAX_EXPLANATIONS_WAITING, max_budget=1
        )
        self._coverages: dict[float, SetCoverage] = {}
        self._head = b'{"model":%s,"version":%s,' % (_json(name), _json(model.version))

    async def answer(self, request: PredictionRequest) -> bytes:
        """Return the JSON of an answer. Raises RequestRefused."""
        if request.explain and len(request.texts) > MAX_EXPLAINED:
            raise RequestRefused(
                413, "too_many_texts",
                f"explain: found {len(request.texts):,} texts; expected {MAX_EXPLAINED} at most, since an explanation takes long. "
                "Send fewer texts.",
            )  # fmt: skip
        coverage = None if request.coverage is None else await self.coverage(request.coverage)
        job = Job[PredictedBatch, bytes](
            request.texts, kind=coverage,
            write=lambda batch, begin, end: self._writer.rows(batch, begin, end, probabilities=request.probabilities),
        )  # fmt: skip
        rows = await self.labels.rows(job)
        if request.explain:
            why = await self.explanations.rows(Job(request.texts, kind=None, write=_explanation_rows))
            rows = [row + b',"explanation":' + one for row, one in zip(rows, why, strict=True)]
        told = b"" if coverage is None else b'"coverage":%s,' % _json(_told(coverage))
        return self._head + told + b'"predictions":[' + b"},".join(rows) + (b"}]}" if rows else b"]}")

    def close(self) -> None:
        """Let the threads end after what they compute."""
        self.labels.close()
        self.explanations.close()

    def _predicted(self, kind: Hashable, texts: Sequence[str]) -> PredictedBatch:
        if kind is not None:
            coverage: Any = kind
            sets, probabilities = self.model.predictor.sets_and_probabilities(texts, coverage)
            return PredictedBatch(probabilities, [], sets)
        probabilities = self.model.predictor.probabilities(texts)
        return PredictedBatch(probabilities, self.model.predictor.labels_of(probabilities))

    def _explained(self, kind: Hashable, texts: Sequence[str]) -> Sequence[Explanation]:
        return self.model.whole().explain(texts, tokens=EXPLANATION_TOKENS)

    async def coverage(self, coverage: float) -> SetCoverage:
        """Return what the held-out texts say of a coverage. Raises RequestRefused where the classifier cannot abstain."""
        if coverage not in self._coverages:
            try:
                found = await asyncio.to_thread(self._computed_coverage, coverage)
            except (ConfigError, DataError) as error:
                raise RequestRefused(422, "cannot_abstain", " ".join(str(error).split("\n"))) from None
            if len(self._coverages) >= KEPT_COVERAGES:
                self._coverages.clear()
            self._coverages[coverage] = found
        return self._coverages[coverage]

    def _computed_coverage(self, coverage: float) -> SetCoverage:
        return self.model.predictor.checked_abstention(where="coverage").coverage(coverage)


class ServedModel:
    """Name under which a classifier is served, and the version that answers now."""

    def __init__(self, name: str, model: LoadedModel, settings: ServerSettings, metrics: ServerMetrics) -> None:
        self.name, self._settings, self._metrics = name, settings, metrics
        self.current = ModelVersion(name, model, settings, metrics)
        self.failure: str | None = None  # of the newest reload, in a sentence
        metrics.version_is(name, model.version, before=None)

    def replace(self, model: LoadedModel) -> None:
        """Answer by another version from now on. What was asked of the old one is still answered, then its threads end with it."""
        old, self.current, self.failure = (
            self.current,
            ModelVersion(self.name, model, self._settings, self._metrics),
            None,
        )
        self._metrics.version_is(self.name, model.version, before=old.model.version)

    def description(self) -> dict[str, object]:
        """Return what /models tells."""
        model = self.current.model
        return {
            "name": self.name, "version": model.version, "labels": list(model.predictor.labels),
            "multi_label": model.predictor.multi_label, "can_abstain": model.can_abstain,
            "corrections": self._settings.corrections is not None,
        }  # fmt: skip


def _explanation_rows(found: Sequence[Explanation], begin: int, end: int) -> list[bytes]:
    return [_json(_explanation(one)) for one in found[begin:end]]


def _explanation(found: Explanation) -> dict[str, object]:
    weights = found.towards()
    words = [
        {"text": word.text, "start": word.start, "end": word.end, "contribution": round(weight, 6)}
        for word, weight in zip(found.contributions, weights, strict=True)
    ]
    return {
        "label": found.label, "method": found.how, "error": round(found.completeness_error, 6), "words": words,
        "remarks": list(found.remarks),
    }  # fmt: skip


def _told(found: SetCoverage) -> dict[str, object]:
    return {
        "promised": found.promised, "low": round(found.low, 4), "high": round(found.high, 4), "held_out": found.held_out
    }  # fmt: skip


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
