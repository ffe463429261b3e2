"""Choice of one encoder among several by the labelled texts: the one whose frozen vectors explain the labels best (LogME).

Held-out losses of linear heads and the H-score choose worse (benchmarks/encoder_choice.py). Shapes: n labelled texts.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlptl.errors import ConfigError
from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.evaluation.held_out import draw_evenly
from nlptl.evaluation.intervals import wilson
from nlptl.finetuning.linear import FittedHead, LabelledVectors, fit_logistic
from nlptl.finetuning.linear.evidence import evidence_of_halves, gram_of, log_evidence
from nlptl.finetuning.selection.encoder_limits import Candidate, Candidates, EncoderLimits, none_left
from nlptl.finetuning.selection.long_texts import MIN_SENTENCES
from nlptl.inference.sentences import rule_for, sentence_start, sentences
from nlptl.models.encoder import Encoder
from nlptl.models.weights import Weights
from nlptl.progress import Progress
from nlptl.training.checkpoints import Checkpoints
from nlptl.training.compute import one_thread_if
from nlptl.training.distributed import broadcast, processes

COUNTS = (400, 200, 100, 50, 25)  # of labelled texts on which encoders are compared: the most that the time allows
SPEED_TEXTS = 16  # by which the time is estimated
Z = 1.96  # standard errors of a 95 % interval


@dataclasses.dataclass(frozen=True)
class EncoderTrial:
    """One encoder, its speed, and later its score."""

    candidate: Candidate
    encoder: Encoder  # as it was loaded
    pace: float  # seconds a character
    milliseconds: float  # a text
    head: FittedHead | None = None
    evidence: float = -math.inf  # log-evidence a text
    halves: Tensor | None = None  # log-evidence of random halves, the same ones for all encoders

    @property
    def name(self) -> str:
        """Name of the weights in the settings."""
        return self.candidate.weights.name

    def row(self) -> dict[str, Any]:
        """Return the trial as plain JSON values."""
        assert self.head is not None
        scored, facts = self.head.scored, self.candidate.facts
        right = self.head.out_of_fold_logits[scored].argmax(dim=1) == self.head.labels[scored]
        accuracy = wilson(int(right.sum()), len(right))
        return {
            "encoder": self.name, "log_evidence": round(self.evidence, 4),
            "accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high,
            "log_loss": round(float(self.head.losses().mean()), 4), "milliseconds": round(self.milliseconds, 2),
            **dataclasses.asdict(facts), "megabytes": round(facts.megabytes, 6), "languages": list(facts.languages),
        }  # fmt: skip


@dataclasses.dataclass(frozen=True)
class EncoderChoice:
    """The encoder to take, and why."""

    candidate: Candidate
    encoder: Encoder
    why: str
    rows: Sequence[Mapping[str, Any]]  # the trials as plain JSON values, the best first
    skipped: Mapping[str, str]  # the reason against each encoder that was not tried

    def finding(self) -> dict[str, Any]:
        """Return the choice as plain JSON values."""
        name = self.candidate.weights.name
        return {"chosen": name, "why": self.why, "rows": list(self.rows), "skipped": dict(self.skipped)}


def choose_encoder(
    given: Candidates, load: Callable[[Weights], Encoder], texts: Sequence[str], label_ids: Sequence[int],
    limits: EncoderLimits, *, seed: int, progress: Progress,
) -> EncoderChoice:  # fmt: skip
    """Encode some labelled texts by each candidate and take the one whose vectors explain the labels best.

    Long texts are read sentence by sentence, as fine-tuning will read them. Raises ConfigError if all are too slow.
    """
    begin, skipped = time.perf_counter(), dict(given.skipped)
    first = duplicate_groups(texts, label_ids).first
    texts, ids = [texts[row] for row in first], np.asarray(label_ids, dtype=np.int64)[first]
    by_sentence = statistics.median(len(sentences(text)) for text in texts) >= MIN_SENTENCES
    trials = _loaded(given.usable, load, texts, limits, skipped, by_sentence=by_sentence)
    seconds = broadcast(60 * limits.minutes - (time.perf_counter() - begin))
    rows = _drawn(trials, texts, ids, seconds=seconds, seed=seed)
    trials = _in_time(trials, _characters(texts, rows), skipped, seconds=seconds)
    labels, ids_of_rows = torch.unique(torch.from_numpy(ids[rows]), return_inverse=True)
    if len(trials) == 1 or len(labels) < 2 or len(rows) == len(labels):
        only = "the only one that may be tried" if len(trials) == 1 else "the first, since no label has a second text"
        return EncoderChoice(trials[0].candidate, trials[0].encoder, f"Encoder: {trials[0].name}, {only}.", (), skipped)
    some, done = [texts[row] for row in rows], list[EncoderTrial]()
    with progress.task("comparing encoders", total=len(trials) * len(some), unit="texts") as task:
        for trial in trials:
            vectors = torch.from_numpy(_vectors(trial.encoder, some, task.advance, by_sentence=by_sentence))
            done.append(_scored(trial, vectors, ids_of_rows, len(labels), seed=seed))
    evidence = [broadcast(trial.evidence) for trial in done]
    ranked = [done[place] for place in sorted(range(len(done)), key=evidence.__getitem__, reverse=True)]
    table = [trial.row() for trial in ranked]
    return EncoderChoice(
        ranked[0].candidate,
        ranked[0].encoder,
        _why(ranked, len(some), given=len(ranked) + len(skipped)),
        table,
        skipped,
    )


def remembered(
    checkpoints: Checkpoints | None, given: Candidates, load: Callable[[Weights], Encoder],
    choose: Callable[[Candidates], EncoderChoice],
) -> EncoderChoice:  # fmt: skip
    """Return the choice of an interrupted stage, which is trained on, or make it and keep it."""
    state = checkpoints.newest() if checkpoints else None
    kept = state[1] if state and isinstance(state[1], dict) else {}
    names = [one.weights.name for one in given.usable]
    place = round(broadcast(float(names.index(kept["chosen"]) if kept.get("chosen") in names else -1)))
    if place >= 0:
        chosen = given.usable[place]
        return EncoderChoice(chosen, load(chosen.weights), kept["why"], kept["rows"], kept["skipped"])
    choice = choose(given)
    if checkpoints is not None and processes().is_main:
        checkpoints.keep(1, lambda: ({}, choice.finding()), last=True)
    return choice


def _loaded(
    usable: Sequence[Candidate], load: Callable[[Weights], Encoder], texts: Sequence[str], limits: EncoderLimits,
    skipped: dict[str, str], *, by_sentence: bool,
) -> list[EncoderTrial]:  # fmt: skip
    """Load the candidates and measure their speed. Those above the limit of milliseconds are skipped."""
    some = list(texts[:: max(1, len(texts) // SPEED_TEXTS)])[:SPEED_TEXTS]
    usual = sum(map(len, texts)) / len(texts)
    found, most = list[EncoderTrial](), limits.max_milliseconds or math.inf
    for candidate in usable:
        encoder = load(candidate.weights)
        _vectors(encoder, some[:2], by_sentence=by_sentence)  # the first call sets up threads and buffers
        begin = time.perf_counter()
        _vectors(encoder, some, by_sentence=by_sentence)
        pace = broadcast((time.perf_counter() - begin) / max(1, sum(map(len, some))))
        trial = EncoderTrial(candidate, encoder, pace, 1e3 * pace * usual)
        if trial.milliseconds <= most:
            found.append(trial)
            continue
        skipped[trial.name] = (
            f"it takes about {trial.milliseconds:.3g} ms a text, and choose.max_milliseconds allows {most:g}. Raise that, or "
            "leave the encoder out."
        )
    if not found:
        raise ConfigError(none_left(skipped, where="bert"))
    return found


def _drawn(
    trials: Sequence[EncoderTrial], texts: Sequence[str], ids: NDArray[np.int64], *, seconds: float, seed: int
) -> NDArray[np.int64]:
    """Return the rows to compare on, drawn evenly by label: the most that all trials can encode in the time."""
    fewest = max(COUNTS[-1], 2 * len(np.unique(ids)))
    pace = sum(trial.pace for trial in trials)
    for count in COUNTS:
        rows = draw_evenly(ids, count=min(len(ids), max(count, fewest)), seed=seed)
        if pace * _characters(texts, rows) <= seconds:
            break
    return rows


def _in_time(
    trials: Sequence[EncoderTrial], characters: int, skipped: dict[str, str], *, seconds: float
) -> list[EncoderTrial]:
    """Skip the slowest trials until the others fit into the time; one stays in any case."""
    kept = list(trials)
    while len(kept) > 1 and characters * sum(trial.pace for trial in kept) > seconds:
        slowest = max(kept, key=lambda trial: trial.pace)
        kept.remove(slowest)
        skipped[slowest.name] = (
            f"trying it would take about {characters * slowest.pace / 60:.2g} minutes, more than choose.minutes leaves. Raise "
            "that."
        )
    return kept


def _characters(texts: Sequence[str], rows: NDArray[np.int64]) -> int:
    return sum(len(texts[row]) for row in rows)


def _vectors(
    encoder: Encoder, texts: Sequence[str], after_batch: Callable[[int], None] | None = None, *, by_sentence: bool
) -> NDArray[np.float32]:
    """Return the sentence vectors (n, D) of texts, read by sentence where the tokenizer can."""
    transformer = encoder.transformer
    before = transformer.rule
    if by_sentence and sentence_start(encoder.tokenizer) is not None:
        transformer.rule = rule_for(before, encoder.tokenizer, by_sentence=True, where="bert")
    try:
        return encoder.encode(list(texts), after_batch=after_batch)
    finally:
        transformer.rule = before


def _scored(trial: EncoderTrial, vectors: Tensor, label_ids: Tensor, label_count: int, *, seed: int) -> EncoderTrial:
    """Return the trial with its evidence, and with a head, whose held-out accuracy people understand."""
    gram, dim = gram_of(vectors), vectors.shape[1]
    with one_thread_if(True):
        return dataclasses.replace(
            trial,
            head=fit_logistic(LabelledVectors.of(vectors, label_ids, label_count)),
            evidence=log_evidence(gram, label_ids, label_count, dim),
            halves=evidence_of_halves(
                gram, label_ids, label_count, dim, generator=torch.Generator().manual_seed(seed % 2**63)
            ),
        )


def _why(ranked: Sequence[EncoderTrial], texts: int, *, given: int) -> str:
    """Tell which encoder is taken, and whether its lead over the second one is beyond the noise."""
    best, second = ranked[:2]
    assert best.halves is not None
    assert second.halves is not None
    lead, error = best.evidence - second.evidence, float((best.halves - second.halves).std())
    low, high = lead - Z * error, lead + Z * error
    noise = "beyond the noise" if low > 0 else "which is within the noise"
    tried = "" if given == len(ranked) else f"the {len(ranked)} that were tried of "
    return (
        f"Encoder: {best.name} was taken of {tried}{given}, since its vectors explain the labels of {texts} texts best: "
        f"log-evidence {best.evidence:.3f} a text, {lead:.3f} [{low:.3f}, {high:.3f}] above {second.name}, {noise}."
    )
