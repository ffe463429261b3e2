"""Reference of a watch: what is known of the texts of before, and of the classifier's answers to them.

Shapes: n held-out texts, K labels, D dimension.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import is_run, last_stage, read_manifest
from nlptl.data import FileSource, TextTable, stream_texts
from nlptl.data.labelled_parts import spelt_as
from nlptl.data.samples import sample
from nlptl.errors import NlptlError
from nlptl.evaluation.unlabelled_accuracy import HeldOut
from nlptl.runs.folder import load_artifact, stage_folders
from nlptl.runs.reading.texts import read_data

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.data import DataSettings, Source, TextData
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

MAX_TEXTS = 1_000  # labelled texts and texts of a test, of each, that stand for those of before
MAX_PILE = 20_000  # texts of the pile whose words are known
MIN_TEST = 100  # texts of a test, from which its answers alone stand for those of before
OTHER_WEIGHTS = ("head.", "abstention.", "view_")  # beginnings of the names of weights that are not the encoder's own

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Answers:
    """The classifier's answers to texts that it did not learn from, whose labels are known."""

    held_out: HeldOut
    labels: tuple[str, ...]  # predicted for the n texts
    how: str  # such as "200 texts of the run's test"

    @classmethod
    def of(cls, probabilities: Floats, label_ids: NDArray[np.int64], names: Sequence[str], *, how: str) -> Answers:
        """Score probabilities (n, K) by the numbers (n,) of the right labels."""
        predicted = probabilities.argmax(axis=1)
        right = (predicted == label_ids).astype(np.float64)
        return cls(HeldOut(probabilities.max(axis=1), right), tuple(names[place] for place in predicted.tolist()), how)

    def joined_to(self, other: Answers) -> Answers:
        """Return both together."""
        mine, theirs = self.held_out, other.held_out
        both = HeldOut(
            np.concatenate([mine.confidences, theirs.confidences]), np.concatenate([mine.right, theirs.right])
        )
        return Answers(both, self.labels + other.labels, f"{self.how} and {other.how}")


@dataclasses.dataclass(frozen=True)
class Reference:
    """What could be found of the texts of before."""

    texts: tuple[str, ...] = ()  # labelled ones, and those of validation and test; empty where they are gone
    pile: tuple[str, ...] = ()
    answers: Answers | None = None
    remarks: tuple[str, ...] = ()  # what cannot be told, and why


def reference_of(run: Path, classifier: TextClassifier, context: RunContext) -> Reference:
    """Return what the run of a classifier, or the folder of one alone, tells of the texts of before.

    Texts are read again by the run's settings. Where they are gone, the classifier's own held-out logits remain.
    """
    pipeline, data, told = None, None, list[str]()
    try:
        if is_run(run):
            pipeline, data = read_data(run, progress=context.progress)
        else:
            told.append(_gone(None))
    except (NlptlError, OSError) as error:
        told.append(_gone(error))
    answers = _answers(classifier, data, context)
    if answers is None:
        told.append(_unanswered(classifier))
    if pipeline is None or data is None:
        return Reference(answers=answers, remarks=tuple(told))
    parts = [table for table in (data.labelled, data.validation, data.test) if table is not None]
    texts = dict.fromkeys(text for table in parts for text in sample(table, MAX_TEXTS))
    return Reference(tuple(texts), _pile(pipeline.data), answers, tuple(told))


def encoder_of_inputs(run: Path, classifier: TextClassifier) -> Encoder | None:
    """Return the encoder whose vectors compare inputs: one that has not learnt the labels, whose texts lie apart from new ones.

    It is the classifier's own where only its head has learnt, else that of the stage before. None where that is gone.
    """
    if not is_run(run):
        return None
    stages = stage_folders(run)
    last = last_stage(run)
    if len(stages) < 2:
        return classifier.encoder
    before = stages[stages.index(last) - 1] if last in stages else stages[-2]
    if _encoder_weights(last) == _encoder_weights(before):
        return classifier.encoder
    from nlptl.models.encoder import Encoder

    found = load_artifact(before)
    return found if isinstance(found, Encoder) else found.encoder


def answers_to(
    classifier: TextClassifier, table: TextTable, *, how: str, after_batch: Callable[[int], None] | None = None
) -> Answers | None:
    """Return the answers to a test; None where it has labels that the classifier does not know, or texts it has learnt."""
    labels = spelt_as(table, classifier.labels).labels()
    texts = table.texts()
    if not texts or not set(labels) <= set(classifier.labels):
        return None
    if classifier.learnt is not None and classifier.learnt.count(texts):
        return None
    probabilities = classifier.probabilities(texts, after_batch=after_batch)
    return Answers.of(probabilities, classifier.label_ids(labels).numpy(), classifier.labels, how=how)


def _encoder_weights(folder: Path) -> dict[str, str]:
    """Return the digests of an encoder's own weights, without the views that may be joined to it."""
    files = read_manifest(folder).files.items()
    return {
        name: digest for name, digest in files if name.endswith(".safetensors") and not name.startswith(OTHER_WEIGHTS)
    }


def _answers(classifier: TextClassifier, data: TextData | None, context: RunContext) -> Answers | None:
    """Return the answers to the run's test; where it is small or missing, with those to held-out examples."""
    if classifier.multi_label:
        return None
    tested = None
    if data is not None and data.test is not None and not data.test.has_label_sets:
        rows = np.sort(np.random.default_rng(context.seed).permutation(len(data.test))[:MAX_TEXTS])
        with context.progress.task("predicting the run's test", total=len(rows), unit="texts") as task:
            how = f"{len(rows):,} texts of the run's test"
            tested = answers_to(classifier, data.test.select(rows), how=how, after_batch=task.advance)
    if tested is not None and len(tested.labels) >= MIN_TEST:
        return tested
    left_out = left_out_answers(classifier)
    if tested is None or left_out is None:
        return tested or left_out
    return tested.joined_to(left_out)


def left_out_answers(classifier: TextClassifier) -> Answers | None:
    """Return the answers to the labelled examples by fits without them, which the classifier carries."""
    abstention = classifier.abstention
    if abstention is None or not abstention.fits(classifier.head.last_weight):
        return None
    held = abstention.held_out
    nearly = ", by a head that stands in for it" if held.is_approximate else ""
    how = f"{len(held.label_ids):,} held-out examples{nearly}"
    return Answers.of(held.probabilities, held.label_ids, classifier.labels, how=how)


def _pile(settings: DataSettings) -> tuple[str, ...]:
    """Return the first texts of the pile, from files alone; what cannot be read is left out."""
    value = settings.unlabelled
    sources: list[Source] = [] if value is None else [*value] if isinstance(value, list) else [value]
    files = [source for source in sources if isinstance(source, str | Path | FileSource)]
    found: list[str] = []
    for source in files:
        most = len(found) + MAX_PILE // len(files)
        try:
            for texts in stream_texts(source, settings=settings):
                found += texts[: most - len(found)]
                if len(found) >= most:
                    break
        except (NlptlError, OSError):
            continue
    return tuple(found)


def _gone(error: BaseException | None) -> str:
    reason = f" {str(error).splitlines()[0]}" if error is not None and str(error) else ""
    return (
        f"The texts of before cannot be read again, so that their words and languages cannot be compared.{reason} What "
        "the classifier carries itself is used."
    )


def _unanswered(classifier: TextClassifier) -> str:
    if classifier.multi_label:
        return "The accuracy is not estimated where a text may have several labels. Label some texts to know it."
    return (
        "The accuracy is not estimated, for no held-out answers of the classifier are at hand. Run the pipeline again with a "
        "test, or with two labelled texts at least of every label."
    )
