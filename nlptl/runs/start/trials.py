"""Trials of all candidates: the quick ones first, then as many fits of the slow ones as the time allows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nlptl.artifact import RUN_SETTINGS
from nlptl.context import RunContext
from nlptl.disk.drafts import write_text_atomically
from nlptl.evaluation.scores import load_classifier
from nlptl.models.classifier import TextClassifier
from nlptl.runs.folder import RUN
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.runner import RunResult
from nlptl.runs.start.candidates import CandidateChain, candidates_for
from nlptl.runs.start.choice import Scored
from nlptl.runs.start.files import pipeline_text
from nlptl.runs.start.fits import FitRow, Fits
from nlptl.runs.start.preparation import SEED, Prepared
from nlptl.runs.start.time_budget import MARGIN, Pace, TimeBudget, minutes_of_auto

SHARE_OF_REPEATS = 0.05  # of the time, that one more repeat of a quick candidate may take


def run_candidate(prepared: Prepared, candidate: CandidateChain, context: RunContext, *, why: str) -> RunResult:
    """Write the pipeline of a candidate and run it into the run folder, where finished stages are kept."""
    folder = prepared.request.folder
    path = folder / RUN_SETTINGS
    write_text_atomically(path, pipeline_text(prepared.settings, candidate, folder, seed=SEED, why=why))
    return Pipeline.from_yaml(path).run(folder / RUN, context=context, where=str(path))


class Trials:
    """Trials of one start."""

    def __init__(self, prepared: Prepared, fits: Fits, budget: TimeBudget, context: RunContext) -> None:
        self._prepared, self._fits, self._budget, self._context = prepared, fits, budget, context
        self._judging = prepared.judging

    @property
    def folder(self) -> Path:
        """Folder of the start."""
        return self._prepared.request.folder

    def scored(self) -> list[Scored]:
        """Return the candidates with their fits, the simplest first."""
        found = [self._quick(one) for one in self._candidates(minutes=1.0) if not one.slow]
        encoder = next((one.candidate for one in found if one.candidate.kind == "head"), None)
        if encoder is None:
            return found
        pace = Pace.of(self._fits.shared(encoder), self._prepared)
        minutes = minutes_of_auto(self._prepared, self._budget, pace, self.folder)
        *others, auto = [one for one in self._candidates(minutes=minutes) if one.slow]
        by_run = self._judging.by == "test"
        rows = self._by_run(auto) if by_run else self._folds(auto, pace, cost=60 * minutes, others=0.0)
        cost = max((row.seconds for row in rows), default=60 * minutes)
        slow = [self._with(auto, rows)]
        for one in others:
            slow.insert(0, self._with(one, self._folds(one, pace, cost=cost, others=0.0 if by_run else cost)))
        return [*found, *slow]

    def _candidates(self, *, minutes: float) -> Sequence[CandidateChain]:
        prepared = self._prepared
        return candidates_for(
            prepared.data.label_set.names, prepared.encoder, pile=prepared.pile, few=prepared.few, minutes=minutes
        )

    def _quick(self, candidate: CandidateChain) -> Scored:
        """Fit a candidate to all splits, repeat by repeat while that takes seconds."""
        rows: list[FitRow] = []
        most = SHARE_OF_REPEATS * self._budget.seconds
        with self._context.progress.task(candidate.name, total=len(self._judging.splits), unit="fits") as task:
            for number, split in enumerate(self._judging.splits):
                begins = split.repeat > 0 and self._judging.splits[number - 1].repeat < split.repeat
                if begins and sum(row.seconds for row in rows[-self._judging.folds :]) > most:
                    break
                rows.append(self._fits.fit(candidate, number))
                task.advance(1)
        return self._with(candidate, rows)

    def _by_run(self, candidate: CandidateChain) -> list[FitRow]:
        """Fit a candidate by its run, which learns the same and can be resumed."""

        def train() -> TextClassifier:
            result = run_candidate(self._prepared, candidate, self._context, why=f"{candidate.name}, on trial.")
            return load_classifier(result.stages[-1].folder, self._context)

        return [self._fits.fit_by(candidate, 0, train)]

    def _folds(self, candidate: CandidateChain, pace: Pace, *, cost: float, others: float) -> list[FitRow]:
        """Fit a slow candidate to the splits of the first repeat, as many as the time allows.

        `cost` is an estimate of one fit, `others` seconds are kept for what comes after.
        """
        rows: list[FitRow] = []
        count = self._judging.folds
        with self._context.progress.task(candidate.name, total=count, unit="fits") as task:
            for number in range(count):
                later = MARGIN * (cost + pace.at_the_end) + others
                if self._fits.known(candidate, number) is None and self._budget.left < cost + later:
                    break
                rows.append(self._fits.fit(candidate, number))
                cost = max(row.seconds for row in rows)
                task.advance(1)
        return rows

    def _with(self, candidate: CandidateChain, rows: Sequence[FitRow]) -> Scored:
        seconds = max((row.seconds for row in rows), default=0.0)
        return Scored(candidate, tuple(rows), self._judging, self._fits.labels, seconds)
