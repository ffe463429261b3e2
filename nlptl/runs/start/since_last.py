"""What new labels brought since the last call: the old classifier and the new one on texts that neither has learnt."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import digest_of
from nlptl.data.columns import names_shown
from nlptl.errors import ArtifactError
from nlptl.evaluation.intervals import Estimate
from nlptl.runs.folder import RUN, START, load_artifact, stage_folders
from nlptl.runs.judging.fit_rows import DIGITS, FitRow
from nlptl.runs.judging.fits import Fits
from nlptl.runs.judging.scored import Scored, paired_texts, points
from nlptl.runs.start.files import HELD_OUT
from nlptl.versions import current_run

if TYPE_CHECKING:
    from nlptl.data import TextTable
    from nlptl.models.classifier import TextClassifier

BEFORE = -1  # split of the row that holds what the earlier classifier says; its seconds count the new labels
MAX_LOST = 4  # labels that a sentence names

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Earlier:
    """Answers of the classifier of an earlier call to judged texts that it has not learnt."""

    new_labels: int  # labelled texts that it has neither learnt nor been judged on
    probabilities: (
        Floats  # (J, K) in the order of the labels; NaN for a text that it has learnt, 0 for a label that it lacks
    )
    lost: tuple[str, ...] = ()  # labels that it knows and the data no longer have

    @classmethod
    def of(cls, folder: Path, fits: Fits, *, held_out: TextTable | None) -> Earlier | None:
        """Ask the classifier that an earlier call has left, before anything replaces it, or read what it has said.

        None where there is none, and where no label is new. `held_out` is the part of the labelled rows that is the test.
        """
        if not (folder / START).is_file():
            return None
        if (kept := fits.rows.known(_identity(fits), BEFORE)) is not None:
            fits.rows.use(kept)
            return cls(int(kept.seconds), _answers(kept, len(fits.labels)))
        old = _classifier(folder)
        if old is None or old.learnt is None:
            return None
        labelled, texts = fits.data.labelled, fits.judging.table.texts()
        assert labelled is not None
        lost = tuple(label for label in old.labels if label not in fits.labels)
        given = {*labelled.texts(), *(() if held_out is None else held_out.texts())} - _judged_before(folder)
        new_labels = sum(not old.learnt.count([text]) for text in given)
        if lost or not new_labels:
            return cls(new_labels, np.zeros((0, len(fits.labels))), lost) if lost else None
        rows = [row for row in fits.judging.rows.tolist() if not old.learnt.count([texts[row]])]
        found = np.full((len(texts), len(fits.labels)), np.nan)
        if rows:
            found[rows] = _by_label(old, [texts[row] for row in rows], fits.labels)
        fits.rows.add(_row(found, identity=_identity(fits), new_labels=new_labels))
        return cls(new_labels, found)

    def since_last(self, chosen: Scored) -> str:
        """Return what the new labels brought, in two sentences."""
        if self.lost:
            return f"The last call also knew {names_shown(self.lost, MAX_LOST)}, so what new labels brought cannot be compared."
        labels = chosen.judging.table.labels()
        position = {label: place for place, label in enumerate(chosen.labels)}
        true = np.array([position.get(label, -1) for label in labels])
        before = np.where(np.isnan(self.probabilities).any(axis=1), np.nan, self.probabilities.argmax(axis=1) == true)
        return _told(self.new_labels, before, chosen)


def _classifier(folder: Path) -> TextClassifier | None:
    from nlptl.models.classifier import TextClassifier

    try:
        found = load_artifact(stage_folders(current_run(folder / RUN))[-1])
    except (ArtifactError, OSError):
        return None
    return found if isinstance(found, TextClassifier) else None


def _identity(fits: Fits) -> str:
    """Return a digest of the texts and labels that the answers belong to."""
    assert fits.data.labelled is not None
    return digest_of([fits.data.labelled.digest, fits.judging.table.digest, fits.labels])


def _row(answers: Floats, *, identity: str, new_labels: int) -> FitRow:
    """Return the answers as a row of the fits' file, so that a killed call has them when it goes on."""
    lists = [[] if math.isnan(sum(one)) else one for one in answers.round(DIGITS).tolist()]
    return FitRow(candidate="before", split=BEFORE, identity=identity, seconds=new_labels, probabilities=lists)


def _answers(row: FitRow, label_count: int) -> Floats:
    found = np.array([one or [math.nan] * label_count for one in row.probabilities])
    return found.reshape(len(row.probabilities), label_count)


def _judged_before(folder: Path) -> set[str]:
    """Return the texts that an earlier call has judged; none where its file is gone or damaged."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        lines = (folder / HELD_OUT).read_text(encoding="utf-8").splitlines()
        return {json.loads(line)["text"] for line in lines[1:]}
    return set()


def _by_label(old: TextClassifier, texts: Sequence[str], labels: Sequence[str]) -> Floats:
    """Return the probabilities of an old classifier, whose labels may be others, in the order of `labels`."""
    own = old.probabilities(texts)
    found = np.zeros((len(texts), len(labels)))
    for place, label in enumerate(labels):
        if label in old.labels:
            found[:, place] = own[:, old.labels.index(label)]
    return found


def _told(new_labels: int, before: Floats, chosen: Scored) -> str:
    count = f"{new_labels:,} labelled text{'s are' if new_labels != 1 else ' is'} new since the last call."
    now = chosen.hits
    found = paired_texts(before, now, chosen.judging, repeats=chosen.repeats)
    if found is None:
        return f"{count} What they brought is not known: no judged text is unknown to both classifiers."
    known = ~np.isnan(before) & ~np.isnan(now)
    texts = len(np.unique(chosen.judging.groups.owner[known]))
    scores = f"{100 * before[known].mean():.0f} % right before, {100 * now[known].mean():.0f} % now"
    return f"{count} On {texts:,} texts that neither classifier has learnt: {scores}, {points(found)}{_way(found)}."


def _way(found: Estimate) -> str:
    if found.low is not None and found.high is not None and found.low <= 0 <= found.high:
        return ", which is not shown to be a change"
    return ""
