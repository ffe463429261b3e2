"""Watch over a classifier: estimate its accuracy on new texts without labels, and say what has changed.

Shapes: m new texts, k of them with a known label, K labels.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import is_run, last_stage, read_manifest
from nlptl.context import RunContext
from nlptl.data import TextTable
from nlptl.data.labelled_parts import spelt_as
from nlptl.disk.spreadsheets import write_csv
from nlptl.errors import ConfigError, DataError
from nlptl.evaluation.intervals import Estimate, wilson
from nlptl.evaluation.scores import load_classifier
from nlptl.evaluation.unlabelled_accuracy import (
    AccuracyEstimate,
    HeldOut,
    corrected_by_labels,
    estimated_accuracy,
    texts_to_settle,
    thresholded_confidence,
)
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.runs.monitoring.changes import Changes, changes_of, inputs_by_look, inputs_by_vectors
from nlptl.runs.monitoring.outcome import MIN_TEXTS, TO_LABEL, InputResult, MonitorResult
from nlptl.runs.monitoring.reference import Reference, encoder_of_inputs, reference_of
from nlptl.runs.reading.judged import joined
from nlptl.versions import current_run

MAX_TEXTS = 2_000  # new texts that are looked at
MAX_COMPARED = 1_000  # texts of each side whose vectors are compared; the time grows with their square
MIN_LABELLED = 20  # new texts with a label, from which these correct the estimate
MARGIN = 0.05  # within which labelled texts are to tell the accuracy; a larger drop needs fewer
MAX_TO_LABEL = 300

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class NewTexts:
    """Texts that came after the training."""

    file: str
    texts: tuple[str, ...]
    labels: Mapping[int, str] = dataclasses.field(default_factory=dict)  # those that are known, by place in `texts`

    def drawn(self, most: int, seed: int) -> NewTexts:
        """Return at most so many of the texts, drawn at random."""
        if len(self.texts) <= most:
            return self
        rows = np.sort(np.random.default_rng(seed).permutation(len(self.texts))[:most]).tolist()
        labels = {place: self.labels[row] for place, row in enumerate(rows) if row in self.labels}
        return NewTexts(self.file, tuple(self.texts[row] for row in rows), labels)


def monitor(
    run: Path, new: NewTexts, context: RunContext | None = None, *, labelled: TextTable | None = None, out: Path | None = None,
    texts: int = MAX_TEXTS,
) -> MonitorResult:  # fmt: skip
    """Compare new texts with those of a run's version in use, or of a classifier's folder; write and return what comes out.

    `labelled` holds those of the texts whose labels are known. monitor.json, a line of monitor.jsonl and texts to label go into
    `out`, by default the run. Of more than `texts`, as many are drawn by the context's seed. Raises ConfigError where a folder
    that is no run has no `out`, and for labels that the classifier does not know; DataError without texts.
    """
    context = context or RunContext()
    if out is None and not is_run(run):
        raise ConfigError(
            f"--out: {run} is no run, and what it holds must not change; expected a folder for what the watch finds. Name one."
        )
    if not new.texts:
        raise DataError(f"{new.file}: found no text; expected some to watch. Give another file.")
    used = current_run(run) if is_run(run) else run
    classifier = load_classifier(used, context)
    classifier.check_trained()
    if labelled is not None and not classifier.multi_label:
        new = dataclasses.replace(new, labels=_known_labels(classifier, new, labelled))
    reference = reference_of(used, classifier, context)
    seen = new.drawn(texts, context.seed)
    result = watched(
        classifier, reference, seen, encoder=encoder_of_inputs(used, classifier), of=len(new.texts), context=context,
        identity=read_manifest(last_stage(used) if is_run(used) else used).identity,
    )  # fmt: skip
    folder = out or run
    folder.mkdir(parents=True, exist_ok=True)
    result = _with_texts_to_label(folder, result, new, classifier, seed=context.seed)
    result.write(folder)
    return result


def watched(
    classifier: TextClassifier, reference: Reference, new: NewTexts, *, encoder: Encoder | None, identity: str, of: int,
    context: RunContext,
) -> MonitorResult:  # fmt: skip
    """Compare new texts with a reference; `encoder` is that of `encoder_of_inputs`, `of` the texts that these are drawn from."""
    with context.progress.task("reading the new texts", total=len(new.texts), unit="texts") as task:
        vectors = classifier.encoder.encode(new.texts, after_batch=task.advance)
    probabilities = classifier.probabilities_of(vectors)
    if encoder is not None and reference.texts:
        inputs = _inputs(encoder, reference, new, vectors if encoder is classifier.encoder else None, context)
    else:
        known = None if classifier.abstention is None else classifier.abstention.known
        inputs = inputs_by_look(known, new.texts, vectors.astype(np.float64))
    labels = [str(label) for label in classifier.labels_of(probabilities)]
    changes = changes_of(reference, new.texts, labels, classifier.encoder, inputs, seed=context.seed)
    return _result(classifier, reference, new, probabilities, changes, identity=identity, of=of, seed=context.seed)


def _inputs(
    encoder: Encoder, reference: Reference, new: NewTexts, vectors: NDArray[np.float32] | None, context: RunContext
) -> InputResult | None:
    """Compare up to MAX_COMPARED texts of each side by their vectors; those of the new texts may be known."""
    rows, before = (_drawn(len(texts), context.seed) for texts in (new.texts, reference.texts))
    with context.progress.task("reading the texts of before", total=len(before), unit="texts") as task:
        earlier = encoder.encode([reference.texts[row] for row in before], after_batch=task.advance)
    own = encoder.encode([new.texts[row] for row in rows]) if vectors is None else vectors[rows]
    width = encoder.own_dim or encoder.dim
    one, other = (found[:, :width].astype(np.float64) for found in (earlier, own))
    return inputs_by_vectors(one, other, seed=context.seed)


def _drawn(count: int, seed: int) -> list[int]:
    """Return the places of at most MAX_COMPARED of so many texts, ascending."""
    rows: list[int] = np.sort(np.random.default_rng([seed, 2]).permutation(count)[:MAX_COMPARED]).tolist()
    return rows


def _result(
    classifier: TextClassifier, reference: Reference, new: NewTexts, probabilities: Floats, changes: Changes, *, identity: str,
    of: int, seed: int,
) -> MonitorResult:  # fmt: skip
    confidences = probabilities.max(axis=1)
    held_out = None if reference.answers is None else reference.answers.held_out
    labelled = _labelled(classifier, new, probabilities)
    found, thresholded = None, None
    if held_out is not None and len(new.texts) >= MIN_TEXTS:
        found = _estimated(held_out, confidences, labelled, changes.inputs, seed=seed)
        thresholded = _plain(thresholded_confidence(held_out, confidences, seed=seed))
    result = MonitorResult(
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        identity=identity,
        file=new.file,
        texts=of,
        looked_at=len(new.texts),
        seed=seed,
        how="" if reference.answers is None else reference.answers.how,
        held_out=None if held_out is None else _counted(held_out),
        accuracy=None if found is None else _plain(found.accuracy),
        accuracy_then=None if found is None else found.before,
        change=None if found is None else _plain(found.change),
        sampled_change=None if found is None else _plain(found.sampled_change),
        thresholded=thresholded,
        labelled=None if labelled is None else _counted(labelled),
        labelled_texts=len(new.labels),
        confidence_then=None if held_out is None else float(held_out.confidences.mean()),
        confidence_now=float(confidences.mean()),
        inputs=changes.inputs,
        label_mix=changes.label_mix,
        languages=changes.languages,
        unseen=changes.unseen,
        cut=changes.cut,
        new_words=changes.new_words,
        cut_words=changes.cut_words,
        causes=changes.causes,
        alarm=False,
        to_label=0,
        to_label_file=None,
        remarks=reference.remarks,
    )
    return result.model_copy(update={"alarm": result.fell and bool(result.causes)})


def _estimated(
    held_out: HeldOut, confidences: Floats, labelled: HeldOut | None, inputs: InputResult | None, *, seed: int
) -> AccuracyEstimate:
    if labelled is not None and len(labelled.right) >= MIN_LABELLED:
        return corrected_by_labels(held_out, confidences, labelled, seed=seed)
    auc = None if inputs is None or inputs.auc is None else inputs.auc.value
    return estimated_accuracy(held_out, confidences, auc=auc, seed=seed)


def _labelled(classifier: TextClassifier, new: NewTexts, probabilities: Floats) -> HeldOut | None:
    """Return the answers to the new texts whose labels are known; None where there are none."""
    if not new.labels or classifier.multi_label:
        return None
    rows = sorted(new.labels)
    known = classifier.label_ids([new.labels[row] for row in rows]).numpy()
    right = probabilities[rows].argmax(axis=1) == known
    return HeldOut(probabilities[rows].max(axis=1), right.astype(np.float64))


def _counted(answers: HeldOut) -> Estimate:
    return _plain(wilson(float(answers.right.sum()), len(answers.right)))


def _with_texts_to_label(
    folder: Path, result: MonitorResult, new: NewTexts, classifier: TextClassifier, *, seed: int
) -> MonitorResult:
    """Write the texts whose labels would settle the question, where there is one, and return the result with their number."""
    is_quiet = not result.causes and not result.alarm and result.accuracy is not None
    if is_quiet or result.has_few_texts:
        return result
    accuracy = 0.8 if result.accuracy is None else result.accuracy.value
    margin = MARGIN if result.change is None else max(MARGIN, -result.change.value)
    count = min(MAX_TO_LABEL, texts_to_settle(accuracy, margin=margin))
    waiting = [row for row in range(len(new.texts)) if row not in new.labels]
    rows = np.random.default_rng([seed, 1]).permutation(waiting)[:count].tolist() if waiting else []
    if not rows:
        return result
    texts = [new.texts[row] for row in rows]
    probabilities = classifier.probabilities(texts)
    found = classifier.labels_of(probabilities)
    predicted = [joined(labels) if classifier.multi_label else labels for labels in found]
    shares = probabilities.max(axis=1).tolist()
    path = _free(folder / TO_LABEL)
    write_csv(
        path, ["text", "label", "predicted", "probability"],
        [[text, "", label, f"{share:.3f}"] for text, label, share in zip(texts, predicted, shares, strict=True)],
    )  # fmt: skip
    return result.model_copy(update={"to_label": len(rows), "to_label_file": path.name})


def _free(path: Path) -> Path:
    """Return a path that may be written: the file itself, unless somebody has put labels into it."""
    number, found = 1, path
    while found.is_file() and _has_labels(found):
        number += 1
        found = path.with_stem(f"{path.stem}-{number}")
    return found


def _has_labels(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return any((row.get("label") or "").strip() for row in csv.DictReader(file))


def _plain(found: Estimate) -> Estimate:
    return Estimate(found.value, found.low, found.high, found.level)


def _known_labels(classifier: TextClassifier, new: NewTexts, labelled: TextTable) -> dict[int, str]:
    """Return the labels that are known of new texts, by place. Raises ConfigError for one that the classifier does not know."""
    table = spelt_as(labelled, classifier.labels)
    known = dict(zip(table.texts(), table.labels(), strict=True))
    if unknown := sorted({*table.labels()} - {*classifier.labels}):
        raise ConfigError(
            f"{new.file}: found the label {unknown[0]!r}; the classifier knows {', '.join(classifier.labels)}. Correct it, or drop "
            "--label-column."
        )
    return {place: known[text] for place, text in enumerate(new.texts) if text in known}
