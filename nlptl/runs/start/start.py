"""From files that a person has to a classifier, judged beside simpler ones: `nlptl start`."""

from __future__ import annotations

import dataclasses
import time

from nlptl.artifact import Manifest
from nlptl.context import CUTS, RunContext
from nlptl.evaluation.scores import accuracy_and_macro_f1, load_classifier
from nlptl.models.card_metadata import CardTest
from nlptl.runs.cards import card_scores, renew_cards
from nlptl.runs.folder import START_FITS
from nlptl.runs.judging.fits import Fits, SharedEncoder
from nlptl.runs.judging.scored import Scored, paired
from nlptl.runs.runner import RunResult
from nlptl.runs.start.choice import Choice, choose, pile_sentence
from nlptl.runs.start.outcome import JudgedCandidate, StartOutcome
from nlptl.runs.start.preparation import SEED, Prepared
from nlptl.runs.start.since_last import BEFORE, Earlier
from nlptl.runs.start.tables import write_next_labels, write_predictions, write_suspects
from nlptl.runs.start.time_budget import Pace, TimeBudget, estimated_seconds
from nlptl.runs.start.trials import Trials, run_candidate


class Start:
    """One call of `nlptl start`, after its data were read."""

    def __init__(self, prepared: Prepared, context: RunContext) -> None:
        """Nothing is written before `run`."""
        self.prepared, self._context = prepared, dataclasses.replace(context, seed=SEED)
        self._begin = time.monotonic()
        self._folder = prepared.request.folder
        self._fits = Fits(prepared.data, prepared.judging, self._folder / START_FITS, self._context)

    def estimated_seconds(self) -> float:
        """Return about how many seconds `run` will take; the encoder is loaded and its speed measured."""
        has_encoder = self.prepared.encoder.weights is not None
        return estimated_seconds(self.prepared, Pace.of(self._reader(), self.prepared) if has_encoder else None)

    def run(self) -> StartOutcome:
        """Judge the candidates, train the chosen one into the run folder, and write all files but the report."""
        prepared, context, folder = self.prepared, self._context, self._folder
        folder.mkdir(parents=True, exist_ok=True)
        held_out = None if prepared.settings.hold_out is None else prepared.data.test
        earlier = Earlier.of(folder, self._fits, held_out=held_out)
        budget = TimeBudget(60 * prepared.request.minutes, self._begin)
        scored = Trials(prepared, self._fits, budget, context).scored()
        choice = choose(scored)
        result = run_candidate(prepared, choice.chosen.candidate, context, why=_why(choice))
        classifier = load_classifier(result.stages[-1].folder, context)
        write_predictions(folder, prepared, choice.chosen)
        write_next_labels(folder, prepared, self._reader(), classifier)
        write_suspects(folder, prepared, self._reader(), choice.chosen)
        outcome = self._outcome(scored, choice, result, None if earlier is None else earlier.since_last(choice.chosen))
        outcome.write(folder)
        if result.scores is None:
            self._complete_card(result, outcome)
        self._fits.rows.keep_used(but_split=BEFORE)
        return outcome

    def _reader(self) -> SharedEncoder:
        """Return the encoder by whose vectors texts are compared: the pretrained one, else word vectors."""
        kinds = {one.kind: one for one in self.prepared.candidates()}
        return self._fits.shared(kinds.get("head") or kinds["word vectors"])

    def _complete_card(self, result: RunResult, outcome: StartOutcome) -> None:
        """Write the scores of the held-out texts into the model card, where the run has no test of its own."""
        if outcome.texts and (labelled := self.prepared.data.labelled) is not None:
            scores = card_scores(accuracy_and_macro_f1(outcome.chosen.accuracy, outcome.chosen.macro_f1))
            test = CardTest(outcome.texts, labelled.digest, scores, how=outcome.judged_how)
            remarks = renew_cards({one.folder: one.manifest for one in result.stages}, self.prepared.data, test)
            for told in remarks if result.stages[-1].kept else ():  # else the run itself has told them
                self._context.progress.say(told)

    def _outcome(self, scored: list[Scored], choice: Choice, result: RunResult, since_last: str | None) -> StartOutcome:
        prepared = self.prepared
        return StartOutcome(
            labels=prepared.data.label_set.names,
            taken_as=prepared.taken_as,
            profile=tuple(prepared.profile.sentences()),
            warnings=prepared.warnings(),
            judged=prepared.judging.by,
            judged_how=prepared.judging.how,
            texts=choice.chosen.texts,
            candidates=tuple(_judged(one, choice) for one in scored),
            verdict=verdict(scored, choice),
            pile=pile_sentence(scored, pile=prepared.pile),
            cuts=cuts_sentence(scored, result.stages[-1].manifest),
            since_last=since_last,
            seconds=round(time.monotonic() - self._begin, 1),
        )


def verdict(scored: list[Scored], choice: Choice) -> str:
    """Return which candidate is taken, how good it is beside guessing, and why it is taken."""
    chosen = choice.chosen
    texts = chosen.texts
    if not texts:
        return f"{chosen.candidate.name} is taken. {choice.why}"
    found = chosen.accuracy(optimism=choice.optimism)
    guessing = next((one.accuracy().value for one in scored if one.candidate.kind == "most frequent"), None)
    beside = "" if guessing is None else f"; always guessing the most frequent label gets {guessing:.0%}"
    right = f"is right in {found.value:.0%} [{found.low:.0%}, {found.high:.0%}] of {texts:,} texts{_folds_judged(chosen)}{beside}"
    return f"{chosen.candidate.name} {right}. {choice.why}"


def cuts_sentence(scored: list[Scored], manifest: Manifest) -> str:
    """Return what the time did not allow: candidates, folds, and parts of the chosen one's training; empty for nothing.

    `manifest` is that of the chosen classifier.
    """
    found = [f"{one.candidate.kind} was {note}" for one in scored if (note := _less(one))]
    found += [str(cut) for cut in manifest.report.get(CUTS, [])]
    return f"For lack of time, {'; '.join(found)}. Raise --minutes." if found else ""


def _less(one: Scored) -> str:
    """Return how little of a candidate was judged; empty where all was."""
    folds = one.judging.folds
    if not one.rows:
        return "not tried" if one.judging.splits else ""
    return f"judged on {len(one.rows)} of {folds} folds" if len(one.rows) < folds else ""


def _folds_judged(one: Scored) -> str:
    """Tell how many folds the time allowed, where it did not allow all; empty elsewhere."""
    folds = one.judging.folds
    return f" ({len(one.rows)} of {folds} folds, for lack of time)" if 0 < len(one.rows) < folds else ""


def _why(choice: Choice) -> str:
    return f"{choice.chosen.candidate.name}. {choice.why}"


def _judged(one: Scored, choice: Choice) -> JudgedCandidate:
    is_chosen, less = one is choice.chosen, _less(one)
    return JudgedCandidate(
        name=one.candidate.name,
        accuracy=one.accuracy(optimism=choice.optimism if is_chosen else 0.0),
        macro_f1=one.macro_f1(),
        difference=None if is_chosen else paired(choice.chosen, one),
        seconds=round(one.seconds, 1),
        chosen=is_chosen,
        note=f"{less}, for lack of time" if less else "",
    )
