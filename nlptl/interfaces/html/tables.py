"""Whole tables of a report as CSV: every judged text, every label, every count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.disk.drafts import write_text_atomically
from nlptl.evaluation.intervals import Estimate
from nlptl.interfaces.prediction_lines import OutputForm, csv_cell

if TYPE_CHECKING:
    from nlptl.runs.report.facts import RunReport

NAMES = ("predictions.csv", "labels.csv", "confusion.csv", "reliability.csv", "map.csv", "losses.csv", "stages.csv")
FORM = OutputForm(bom=True, guard_formulas=True)  # for spreadsheets, which would compute a text that begins with =
MAX_COLUMNS = 30  # labels up to which predictions have a column for each

Row = Sequence[object]


def write_tables(report: RunReport, folder: Path) -> list[Path]:
    """Write the tables that have rows into `folder`, and remove those of an earlier report that have none."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (header, rows) in _tables(report).items():
        path, lines = folder / name, [_line(row) for row in rows]
        if lines:
            content = "\ufeff" + _line(header) + "".join(lines)
            write_text_atomically(path, content.encode("utf-8", "backslashreplace").decode("utf-8"))
            written.append(path)
        else:
            path.unlink(missing_ok=True)
    return written


def _tables(report: RunReport) -> dict[str, tuple[Row, Iterable[Row]]]:
    scores = ("value", "low", "high")
    return {
        "predictions.csv": _predictions(report),
        "labels.csv": (
            ("label", *(f"precision_{one}" for one in scores), *(f"recall_{one}" for one in scores), "f1", "texts"),
            [
                (one.label, *_ends(one.precision), *_ends(one.recall), one.f1, one.support)
                for one in report.per_label
            ],
        ),
        "confusion.csv": (("label", "predicted", "texts"), _confusion(report)),
        "reliability.csv": (
            ("from", "to", "texts", "mean_probability", *(f"right_{one}" for one in scores)),
            [(one.low, one.high, one.texts, one.confidence, *_ends(one.right)) for one in report.reliability],
        ),
        "map.csv": (
            ("x", "y", "place", "text", "label", "predicted"),
            [(one.x, one.y, one.place, one.text, one.label, one.predicted) for one in (report.map.points if report.map else ())],
        ),
        "losses.csv": (
            ("stage", "training", "epoch", "loss"),
            [(one.stage, one.name, *pair) for one in report.curves for pair in zip(one.epochs, one.losses, strict=True)],
        ),
        "stages.csv": (
            ("stage", "seconds", "trainable_parameters", "total_parameters", "device"),
            [(one.folder, one.seconds, one.trainable_parameters, one.total_parameters, one.device) for one in report.stages],
        ),
    }  # fmt: skip


def _predictions(report: RunReport) -> tuple[Row, Iterable[Row]]:
    judged = report.judged
    if judged is None:
        return (), ()
    each = judged.names if len(judged.names) <= MAX_COLUMNS else ()
    header = ("place", "text", "label", "predicted", "right", "probability", *(f"p_{label}" for label in each))
    predicted, confidences = judged.predicted, judged.confidences.tolist()
    rows = (
        (
            judged.places[row], judged.texts[row], judged.labels[row], predicted[row],
            predicted[row] == judged.labels[row], round(confidences[row], 6),
            *(round(float(one), 6) for one in judged.probabilities[row, : len(each)]),
        )
        for row in range(len(judged.texts))
    )  # fmt: skip
    return header, rows


def _confusion(report: RunReport) -> Iterable[Row]:
    if report.evaluation is None:
        return []
    labels = [one.label for one in report.evaluation.per_label]
    return [
        (labels[true], labels[said], count)
        for true, row in enumerate(report.evaluation.confusion)
        for said, count in enumerate(row)
        if count
    ]


def _ends(found: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if found is None else (found.value, found.low, found.high)


def _line(cells: Row) -> str:
    return ",".join(csv_cell(cell, FORM) for cell in cells) + "\n"
