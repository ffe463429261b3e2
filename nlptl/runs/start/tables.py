"""Tables of rows that a start writes: what to label next, whose label may be wrong, and what was predicted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.data import TextData
from nlptl.data.row_checks import RowPlace
from nlptl.disk.spreadsheets import write_csv
from nlptl.evaluation.label_errors import Suspect, most_told, suspects
from nlptl.evaluation.next_labels import MAX_POOL, proposals
from nlptl.runs.judging.fits import SharedEncoder
from nlptl.runs.judging.left_out import LabelledRows, left_out
from nlptl.runs.judging.scored import Scored
from nlptl.runs.start.files import HELD_OUT, NEXT_LABELS, SUSPECTS, write_held_out
from nlptl.runs.start.preparation import SEED, Prepared

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier

Floats = NDArray[np.float64]


def write_next_labels(folder: Path, prepared: Prepared, shared: SharedEncoder, classifier: TextClassifier) -> int:
    """Write which rows to label next, as `proposals` says, and return how many."""
    header = ["file", "row", "why", "predicted", "probability", "text"]
    pile = prepared.data.unlabelled
    if pile is None:
        write_csv(folder / NEXT_LABELS, header, [])
        return 0
    rows = np.sort(np.random.default_rng(SEED).permutation(len(pile))[:MAX_POOL])
    texts = pile.select(rows).texts()
    first = list(dict(zip(reversed(texts), reversed(range(len(texts))), strict=True)).values())
    rows, texts = rows[np.sort(first)], [texts[place] for place in np.sort(first)]
    probabilities = classifier.probabilities(texts)
    labelled = shared.examples.frozen_vectors(shared.given.encoder).numpy()
    found = proposals(shared.given.encoder.encode(texts), labelled, probabilities, seed=SEED)
    places = prepared.loaded.places("unlabelled", [int(rows[one.row]) for one in found])
    lines = []
    for one, place in zip(found, places, strict=True):
        best = int(probabilities[one.row].argmax())
        share = f"{probabilities[one.row, best]:.3f}"
        lines.append([place.file, _number(place), one.why, classifier.labels[best], share, texts[one.row]])
    write_csv(folder / NEXT_LABELS, header, lines)
    return len(lines)


def write_suspects(folder: Path, prepared: Prepared, shared: SharedEncoder, chosen: Scored) -> int:
    """Write which labels the held-out predictions contradict most, and return how many.

    Judged rows have the predictions of the chosen candidate. Those that the test leaves are judged as `left_out` says.
    """
    data = prepared.data
    assert data.labelled is not None
    parts = {"labelled": (data.labelled, chosen.probabilities_or_nan())}
    if data.test is not None:
        parts = {
            "labelled": (data.labelled, _left_out(data, shared)),
            "test": (data.test, chosen.probabilities_or_nan()),
        }
    found: list[tuple[str, Suspect]] = []
    for part, (table, probabilities) in parts.items():
        found += [(part, one) for one in suspects(probabilities, data.label_set.ids(table.labels()))]
    found.sort(key=lambda pair: pair[1].own)
    found = found[: most_told(sum(len(table) for table, _ in parts.values()))]
    lines = []
    texts = {part: table.texts() for part, (table, _) in parts.items()}
    places = {part: iter(prepared.loaded.places(part, [one.row for of, one in found if of == part])) for part in parts}
    for part, one in found:
        place, label = next(places[part]), parts[part][0].labels()[one.row]
        lines.append(
            [place.file, _number(place), label, f"{one.own:.3f}", chosen.labels[one.predicted], f"{one.other:.3f}",
             texts[part][one.row]]
        )  # fmt: skip
    header = ["file", "row", "label", "probability", "predicted", "probability of it", "text"]
    write_csv(folder / SUSPECTS, header, lines)
    return len(lines)


def write_predictions(folder: Path, prepared: Prepared, chosen: Scored) -> None:
    """Write what the chosen candidate predicted for each judged row."""
    part = "labelled" if prepared.data.test is None else "test"
    write_held_out(folder / HELD_OUT, chosen, prepared.loaded.places(part, chosen.judged.tolist()))


def _number(place: RowPlace) -> object:
    return "" if place.number is None else place.number


def _left_out(data: TextData, shared: SharedEncoder) -> Floats:
    """Return the probabilities (n, K) of each labelled row by judges that have not learnt its text; NaN where none could."""
    assert data.labelled is not None
    ids = np.array(data.label_set.ids(data.labelled.labels()), dtype=np.int64)
    rows = LabelledRows(data.labelled.texts(), ids, len(data.label_set))
    vectors = shared.examples.frozen_vectors(shared.given.encoder).numpy()
    return left_out(rows, vectors, encoded=np.arange(len(ids)), seed=SEED).probabilities
