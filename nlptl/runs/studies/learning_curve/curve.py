"""Learning curve of a chain: measured on subsets of its labelled texts, then extrapolated."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from nlptl.artifact import digest_of
from nlptl.context import RunContext
from nlptl.data import TextData, rows_not_in
from nlptl.errors import ConfigError, DataError
from nlptl.runs.chain import Chain, ExternalDigests
from nlptl.runs.folder import CURVE_ROWS
from nlptl.runs.judging.fits import Fits
from nlptl.runs.judging.judged_chain import JudgedChain, chain_of
from nlptl.runs.studies.learning_curve.curve_rows import CurveRow, CurveRows
from nlptl.runs.studies.learning_curve.label_advice import label_sentence
from nlptl.runs.studies.learning_curve.measuring import Measuring
from nlptl.runs.studies.learning_curve.outcome import VERSION, CurveResult, Metric, PileWorth
from nlptl.runs.studies.learning_curve.pile_worth import pile_worth
from nlptl.runs.studies.learning_curve.points import counts_of_draws
from nlptl.runs.studies.learning_curve.predicting import SCORES, label_curves, metric_curve
from nlptl.runs.studies.learning_curve.subsets import subsets_of
from nlptl.stages.stage import Stage
from nlptl.stages.union import as_finetune

MINUTES = 10.0
MIN_FITS = 25  # that the time must allow; below, a proxy is measured
SHARE_OF_PILE = 0.5  # of the time, for the curve without the pile


class LearningCurve:
    """Learning curve of one chain."""

    def __init__(self, chain: Chain, data: TextData, folder: Path | None, context: RunContext) -> None:
        """`folder` keeps each fit and the result. Raises ConfigError or DataError where there is no curve to measure."""
        check_chain(chain, data)
        self._data = dataclasses.replace(data, validation=None)
        self._folder, self._context = folder, dataclasses.replace(context, seed=chain.seed)
        self._chain, self._reads_pile = chain, reads_pile(chain, data)
        self.subsets = subsets_of(data, seed=chain.seed)
        self._rows = CurveRows(None if folder is None else folder / CURVE_ROWS)
        self._measuring = Measuring(self.subsets, self._rows, context.progress)

    def run(self, *, minutes: float = MINUTES, metric: Metric = "accuracy") -> CurveResult:
        """Measure the curve within a time, and write it into the folder."""
        begin = time.monotonic()
        fits = Fits(self._data, self.subsets.judging, None, self._context)
        judged = JudgedChain("pipeline", "learning curve", tuple(self._chain.stages))
        once = not self._reads_pile or adds_no_text(self._data)
        seconds = 60 * minutes * (1 if once else 1 - SHARE_OF_PILE)
        proxy = self._proxy(judged, fits, seconds)
        rows = self._measuring.measured(proxy or judged, fits, seconds=seconds)
        pile = self._pile(metric, rows, proxy or judged, 60 * minutes - (time.monotonic() - begin))
        result = self._result(rows, metric, pile, how_measured(proxy), time.monotonic() - begin)
        if self._folder is not None:
            result.write(self._folder)
        return result

    def _proxy(self, judged: JudgedChain, fits: Fits, seconds: float) -> JudgedChain | None:
        """Return the head alone over the same encoder where the pipeline's own method is too slow for a curve."""
        if as_finetune(judged.stages[-1]).update.method in ("head", "words"):
            return None
        cost = self._measuring.first_seconds(judged, fits)
        if cost * MIN_FITS <= seconds:
            return None
        encoder = [stage.model_dump(mode="json") for stage in judged.encoder_stages]
        head = {"stage": "finetune", "update": {"method": "head", "solver": "auto"}}
        stages = chain_of([*encoder, {"stage": "classification_head"}, head]).stages
        return JudgedChain("head", "learning curve of the head alone", tuple(stages))

    def _pile(self, metric: Metric, rows: list[CurveRow], judged: JudgedChain, seconds: float) -> PileWorth | None:
        """Return what the pile is worth, by the same fits without it; None where the pipeline reads none.

        Without it the encoder's stages read the texts of each fit alone: all others, unlabelled, are a pile.
        """
        if not self._reads_pile:
            return None
        if adds_no_text(self._data):
            told = "What the pile is worth is not measured: all of its texts are labelled texts."
            return PileWorth(difference=None, labels=None, sentence=told)
        data = dataclasses.replace(self._data, unlabelled=None)
        alone = dataclasses.replace(
            judged, kind=f"{judged.kind} without the pile", name="learning curve without the pile",
            reads_all=not any("labelled" in _parts(stage, data) for stage in judged.encoder_stages),
        )  # fmt: skip
        try:
            fits = Fits(data, self.subsets.judging, None, self._context)
            without = self._measuring.measured(alone, fits, seconds=seconds)
        except (ConfigError, DataError) as error:
            told = f"What the pile is worth was not measured, since nothing can be learnt without it. {error}"
            return PileWorth(difference=None, labels=None, sentence=told)
        draws = [counts_of_draws(one, self.subsets) for one in (rows, without)]
        return pile_worth(metric, draws[0], draws[1], self.subsets, seed=self._chain.seed)

    def _result(
        self, rows: list[CurveRow], metric: Metric, pile: PileWorth | None, method: str, seconds: float
    ) -> CurveResult:
        draws = counts_of_draws(rows, self.subsets)
        metrics = sorted(SCORES, key=lambda one: one != metric)
        curves = tuple(metric_curve(one, draws, self.subsets) for one in metrics)
        labels = label_curves(draws, self.subsets)
        planned = len(self.subsets.fits)
        told = [curves[0].sentence, label_sentence(labels), "" if pile is None else pile.sentence, method]
        if len(rows) < planned:
            told.append(f"The time allowed {len(rows)} of {planned} fits; more --minutes narrow the intervals.")
        return CurveResult(
            identity=identity_of(self._chain, self._data), data=digests_of(self._data), metric=metric,
            labels=self.subsets.labels, texts=self.subsets.texts,
            judged=self.subsets.judging.by, judged_how=self.subsets.judging.how, fits=len(rows), planned=planned, method=method,
            curves=curves, label_curves=labels, pile=pile, sentences=tuple(one for one in told if one),
            seconds=round(seconds, 1),
        )  # fmt: skip


def learning_curve(
    chain: Chain, data: TextData, folder: Path | str | None = None, context: RunContext | None = None, *,
    minutes: float = MINUTES, metric: Metric = "accuracy",
) -> CurveResult:  # fmt: skip
    """Return the learning curve of a chain on its labelled texts, judged on its test, else on the texts that a fit leaves out.

    A `folder` keeps every fit (curve.jsonl), so that a killed call goes on, and the result (curve.json). Raises ConfigError
    or DataError for a chain without finetune, for names alone, for several labels a text, and for too few texts.
    """
    check_minutes(minutes)
    path = None if folder is None else Path(folder)
    if path is not None:
        path.mkdir(parents=True, exist_ok=True)
    return LearningCurve(chain, data, path, context or RunContext()).run(minutes=minutes, metric=metric)


def check_minutes(minutes: float) -> None:
    """Raise ConfigError for minutes that are no time."""
    if not 0 < minutes <= 100_000:
        raise ConfigError(
            f"--minutes: found {minutes:g}; expected a number above 0, at most 100,000. Give the minutes that it may take."
        )


def check_chain(chain: Chain, data: TextData) -> None:
    """Raise ConfigError or DataError where a chain learns no labelled texts, or texts with several labels."""
    last = chain.stages[-1]
    if last.stage != "finetune":
        raise ConfigError(
            f"curve: the chain ends with {last.stage}; expected finetune, which learns the labelled texts that are counted. "
            "Add classification_head and finetune."
        )
    if data.labelled is None:
        raise DataError(
            "curve: found names of labels and no labelled text; expected labelled texts, which are counted. Give data.labelled."
        )
    if data.has_label_sets:
        raise DataError(
            f"{data.labelled.name}: its rows have lists of labels, but a learning curve counts texts with one label each. Give "
            "texts one label, or compare the micro-F1 of runs with more and with fewer rows."
        )


def digests_of(data: TextData) -> dict[str, str]:
    """Return the digest of each part."""
    parts = {"labelled": data.labelled, "unlabelled": data.unlabelled, "test": data.test}
    return {name: table.digest for name, table in parts.items() if table is not None}


def reads_pile(chain: Chain, data: TextData) -> bool:
    """Say whether a stage of the chain learns from the pile."""
    return data.unlabelled is not None and any("unlabelled" in _parts(stage, data) for stage in chain.stages)


def adds_no_text(data: TextData) -> bool:
    """Say whether the pile holds no text beside the labelled ones."""
    return not (data.unlabelled and data.labelled and rows_not_in(data.unlabelled, data.labelled))


def how_measured(proxy: JudgedChain | None) -> str:
    """Return what was fitted instead of the pipeline's own method; empty where that was fitted."""
    if proxy is None:
        return ""
    return (
        "The pipeline's own method is too slow for a curve in this time, so the head alone over the frozen encoder was fitted "
        "instead: the curve shows how it learns, and not how the pipeline does."
    )


def identity_of(chain: Chain, data: TextData) -> str:
    """Return a digest of all that shapes a learning curve: settings, versions, data."""
    stages = [one.own for one in chain.identities(data, ExternalDigests())]
    return digest_of([VERSION, stages[-1], None if data.test is None else data.test.digest])


def _parts(stage: Stage, data: TextData) -> frozenset[str]:
    return frozenset(stage.reads(data))
