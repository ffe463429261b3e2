"""Trials of all candidates: the quick ones first, then as many fits of the slow ones as the time allows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from nlptl.artifact import RUN_SETTINGS
from nlptl.context import RunContext
from nlptl.disk.drafts import write_text_atomically
from nlptl.evaluation.scores import load_classifier
from nlptl.models.classifier import TextClassifier
from nlptl.progress import TasksAlone
from nlptl.runs.folder import RUN
from nlptl.runs.judging.fit_rows import FitRow
from nlptl.runs.judging.fits import Fits
from nlptl.runs.judging.judged_chain import JudgedChain
from nlptl.runs.judging.scored import Scored
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.runner import RunResult
from nlptl.runs.start.files import pipeline_text
from nlptl.runs.start.preparation import SEED, Prepared
from nlptl.runs.start.time_budget import MARGIN, Pace, TimeBudget, minutes_of_auto

SHARE_OF_REPEATS = 0.05  # of the time, that one more repeat of a quick candidate may take
SHARE_OF_ABLATION = 0.1  # of the time, that showing what the pile brings may take
SHARE_OF_SLOW_REPEATS, SLOW_REPEATS = 0.08, 2  # the same of a slow one, and how many it has at most


def run_candidate(prepared: Prepared, candidate: JudgedChain, context: RunContext, *, why: str) -> RunResult:
    """Write the pipeline of a candidate and run it into the run folder, where finished stages are kept."""
    folder = prepared.request.folder
    path = folder / RUN_SETTINGS
    context = dataclasses.replace(context, progress=TasksAlone(context.progress))
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
        found = [self._quick(one) for one in self._prepared.candidates() if not one.slow]
        encoder = next((one.candidate for one in found if one.candidate.kind == "head"), None)
        if encoder is None:
            return found
        pace = Pace.of(self._fits.shared(encoder), self._prepared)
        minutes = minutes_of_auto(self._prepared, self._budget, pace, self.folder)
        *others, auto = [one for one in self._prepared.candidates(minutes=minutes) if one.slow]
        by_run = self._judging.by == "test"
        rows = self._by_run(auto) if by_run else self._folds(auto, pace, cost=60 * minutes, others=0.0)
        cost = max((row.seconds for row in rows), default=60 * minutes)
        slow = [self._with(auto, rows)]
        for one in others:
            most = SHARE_OF_ABLATION * self._budget.seconds
            found_rows = self._folds(one, pace, cost=cost, others=0.0 if by_run else cost, most=most)
            slow.insert(0, self._with(one, found_rows))
        return [*found, *slow]

    def _quick(self, candidate: JudgedChain) -> Scored:
        """Fit a candidate to all splits, repeat by repeat while that takes seconds."""
        rows: list[FitRow] = []
        with self._context.progress.task(candidate.name, total=len(self._judging.splits), unit="fits") as task:
            for number in range(len(self._judging.splits)):
                if number and self._repeats_end(number, rows, SHARE_OF_REPEATS):
                    break
                rows.append(self._fits.fit(candidate, number))
                task.advance(1)
        return self._with(candidate, rows)

    def _by_run(self, candidate: JudgedChain) -> list[FitRow]:
        """Fit a candidate by its run, which learns the same and can be resumed."""

        def train() -> TextClassifier:
            result = run_candidate(self._prepared, candidate, self._context, why=f"{candidate.name}, on trial.")
            return load_classifier(result.stages[-1].folder, self._context)

        return [self._fits.fit_by(candidate, 0, train)]

    def _folds(
        self, candidate: JudgedChain, pace: Pace, *, cost: float, others: float, most: float = math.inf
    ) -> list[FitRow]:
        """Fit a slow candidate to the splits of the first repeat, as many as the time allows; to those of the next if it is quick.

        `cost` is an estimate of one fit, `others` seconds are kept for what comes after, `most` are spent here.
        """
        rows: list[FitRow] = []
        splits = [number for number, split in enumerate(self._judging.splits) if split.repeat < SLOW_REPEATS]
        with self._context.progress.task(candidate.name, total=len(splits), unit="fits") as task:
            for number in splits:
                later = MARGIN * (cost + pace.at_the_end) + others
                spent = sum(row.seconds for row in rows)
                short = self._budget.left < cost + later or spent + cost > most
                if self._fits.known(candidate, number) is None and short:
                    break
                if number and self._repeats_end(number, rows, SHARE_OF_SLOW_REPEATS):
                    break
                rows.append(self._fits.fit(candidate, number))
                cost = max(row.seconds for row in rows)
                task.advance(1)
        return rows

    def _repeats_end(self, number: int, rows: Sequence[FitRow], share: float) -> bool:
        """Return whether a repeat begins with split `number`, and the one before took more than this share of the time."""
        splits = self._judging.splits
        begins = splits[number].repeat > splits[number - 1].repeat
        return begins and sum(row.seconds for row in rows[-self._judging.folds :]) > share * self._budget.seconds

    def _with(self, candidate: JudgedChain, rows: Sequence[FitRow]) -> Scored:
        seconds = max((row.seconds for row in rows), default=0.0)
        return Scored(candidate, tuple(rows), self._judging, self._fits.labels, seconds)
