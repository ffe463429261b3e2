"""Study of behaviour: a run's classifier on edited texts, and on slices of its judged texts.

Shapes: N judged texts, n edited ones, K labels.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import last_stage, read_manifest
from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.evaluation.intervals import Estimate, estimate, paired_difference, wilson
from nlptl.evaluation.scores import load_classifier
from nlptl.evaluation.slices import MIN_SLICE, slice_scores
from nlptl.models.classifier import TextClassifier
from nlptl.runs.behaviour.edits import Edit, edits_by
from nlptl.runs.behaviour.outcome import VERSION, BehaviourResult, EditResult, Flip, LabelFlips, SliceResult
from nlptl.runs.behaviour.parts import parts_of
from nlptl.runs.behaviour.sentences import sentences_of
from nlptl.runs.reading.judged import Judged, judged_on
from nlptl.runs.reading.texts import RunTexts, TestTexts, read_texts

MAX_TEXTS = 2_000  # that slices divide, drawn from a larger test
MAX_FLIPS = 20  # texts that are kept of each edit


def behaviour(
    run: Path, context: RunContext | None = None, *, texts: int = 300, columns: Sequence[str] = ()
) -> BehaviourResult:
    """Try edits on up to `texts` judged texts of a run, and score slices of up to 2,000; write and return what comes out.

    The texts are the largest test of the run, or the labelled examples where there is none, which the classifier has learnt.
    `columns` name columns of the test's file by whose values the texts are divided too. The draw and the edits follow the
    context's seed. Raises ConfigError for a column that is not there, and where the run has no texts that can be read again.
    """
    context = context or RunContext()
    folder = last_stage(run)
    classifier = load_classifier(folder, context)
    classifier.check_trained()
    found, learnt = _texts_of(read_texts(run, progress=context.progress), classifier, run)
    drawn = _drawn(found, MAX_TEXTS, context.seed)
    with context.progress.task("predicting the texts", total=len(drawn.table), unit="texts") as task:
        judged = judged_on(classifier, drawn, command="", after_batch=task.advance)
    if judged is None:
        raise ConfigError(
            f"{run}: the texts of {found.name} have labels that the classifier does not know. Run the pipeline again."
        )
    right = [one == label for one, label in zip(judged.predicted, judged.labels, strict=True)]
    parts = parts_of(run, drawn.table, judged.labels, columns)
    edits = _edits(classifier, judged, right, count=texts, context=context)
    slices = tuple(
        SliceResult(
            **{field.name: getattr(one, field.name) for field in dataclasses.fields(one)},
            differs=one.differs, misjudges_itself=one.misjudges_itself,
        )
        for one in slice_scores(parts, right=right, confidences=judged.confidences)
    )  # fmt: skip
    result = BehaviourResult(
        version=VERSION,
        identity=read_manifest(folder).identity,
        test=found.table.digest,
        on=f"{found.name}: {len(drawn.table):,} texts",
        learnt=learnt,
        texts=len(drawn.table),
        edited_texts=min(texts, len(drawn.table)),
        seed=context.seed,
        edits=edits,
        slices=slices,
        sentences=sentences_of(edits, slices, learnt=learnt),
    )
    result.write(run)
    return result


def _texts_of(texts: RunTexts, classifier: TextClassifier, run: Path) -> tuple[TestTexts, bool]:
    """Return the largest test whose labels are known, or the labelled examples, and whether the classifier learnt them."""
    known = set(classifier.labels)
    for test in sorted(texts.tests, key=lambda one: -len(one.table)):
        if {label for labels in test.table.label_sets() for label in labels} <= known:
            return test, False
    if texts.labelled is not None:
        return TestTexts(f"the examples of {Path(texts.labelled.name).name}", texts.labelled, None, is_own=True), True
    told = f" {texts.remarks[0]}" if texts.remarks else ""
    raise ConfigError(
        f"{run}: has no labelled texts that can be read again; expected a test or labelled examples.{told} Put the files back, or "
        "run a pipeline that has some."
    )


def _drawn(test: TestTexts, count: int, seed: int) -> TestTexts:
    if len(test.table) <= count:
        return test
    rows = np.sort(np.random.default_rng(seed).permutation(len(test.table))[:count])
    return dataclasses.replace(test, table=test.table.select(rows))


def _edits(
    classifier: TextClassifier, judged: Judged, right: Sequence[bool], *, count: int, context: RunContext
) -> tuple[EditResult, ...]:
    """Return what each edit does to `count` texts, drawn at random."""
    rows = np.random.default_rng(context.seed).permutation(len(judged.texts))[:count].tolist()
    edits = edits_by(classifier.encoder.word_cutter)
    generators = [np.random.default_rng([context.seed, number]) for number in range(len(edits))]
    edited = [
        {row: new for row in rows if (new := edit.change(judged.texts[row], generator)) not in ("", judged.texts[row])}
        for edit, generator in zip(edits, generators, strict=True)
    ]
    total = sum(map(len, edited))
    with context.progress.task("predicting the edited texts", total=total, unit="texts") as task:
        return tuple(
            _edit_result(edit, new, judged, right, classifier.probabilities([*new.values()], after_batch=task.advance), classifier)
            for edit, new in zip(edits, edited, strict=True)
        )  # fmt: skip


def _edit_result(
    edit: Edit, new: dict[int, str], judged: Judged, right: Sequence[bool], probabilities: NDArray[np.float64],
    classifier: TextClassifier,
) -> EditResult:  # fmt: skip
    rows = [*new]
    after = dataclasses.replace(
        judged,
        texts=tuple(new.values()),
        labels=tuple(judged.labels[row] for row in rows),
        probabilities=probabilities,
        places=tuple(judged.places[row] for row in rows),
        sets=None if judged.sets is None else _sets(classifier, probabilities),
    )
    flipped = [place for place, row in enumerate(rows) if after.predicted[place] != judged.predicted[row]]
    before_hits = np.array([float(right[row]) for row in rows])
    after_hits = np.array([float(one == label) for one, label in zip(after.predicted, after.labels, strict=True)])
    compared = bool(rows) and not edit.may_change_label
    return EditResult(
        name=edit.name,
        what=edit.what,
        may_change_label=edit.may_change_label,
        english=edit.english,
        texts=len(rows),
        flipped=_share(len(flipped), len(rows)) if rows else None,
        right_before=float(before_hits.mean()) if rows else None,
        right_after=float(after_hits.mean()) if compared else None,
        difference=_difference(before_hits, after_hits) if compared else None,
        labels=_by_label([judged.predicted[row] for row in rows], set(flipped)),
        flips=_flips(rows, flipped, judged, after),
    )


def _share(count: int, of: int) -> Estimate:
    found = wilson(count, of)
    return Estimate(found.value, found.low, found.high)


def _sets(classifier: TextClassifier, probabilities: NDArray[np.float64]) -> tuple[str, ...]:
    from nlptl.runs.reading.judged import joined

    return tuple(joined(labels) for labels in classifier.labels_of(probabilities))


def _difference(before: NDArray[np.float64], after: NDArray[np.float64]) -> Estimate:
    return estimate(paired_difference(before[None], after[None]).difference, texts=len(before))


def _by_label(predicted: Sequence[str], flipped: set[int]) -> tuple[LabelFlips, ...]:
    """Return the share of flips of each predicted label with at least 10 texts."""
    counts = Counter(predicted)
    changed = Counter(predicted[place] for place in flipped)
    return tuple(
        LabelFlips(label=label, texts=count, flipped=_share(changed[label], count))
        for label, count in counts.most_common()
        if count >= MIN_SLICE
    )


def _flips(rows: Sequence[int], flipped: Sequence[int], judged: Judged, after: Judged) -> tuple[Flip, ...]:
    """Return up to 20 flips, those of which both predictions were surest first."""
    sure = {place: float(min(judged.confidences[rows[place]], after.confidences[place])) for place in flipped}
    chosen = sorted(flipped, key=lambda place: -sure[place])[:MAX_FLIPS]
    return tuple(
        Flip(
            place=after.places[place],
            text=judged.texts[rows[place]],
            edited=after.texts[place],
            label=after.labels[place],
            before=judged.predicted[rows[place]],
            after=after.predicted[place],
            probability=float(judged.confidences[rows[place]]),
            probability_after=float(after.confidences[place]),
        )
        for place in chosen
    )
