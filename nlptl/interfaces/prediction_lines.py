"""Predictions as CSV or JSON lines that every reader reads.

CSV follows RFC 4180 but for the line end: a cell with a separator, a quote, any line end or an outer blank stands in quotes.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from nlptl.inference.abstention.abstention import PredictionSet
    from nlptl.inference.predictor import Predictor
    from nlptl.interfaces.abstaining import Abstaining
    from nlptl.interfaces.prediction_input import InputRows

FORMULA = "=+-@\t\r\n＝＋－＠"  # first characters at which a spreadsheet may compute; the wide ones are read alike
LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # all at which str.splitlines ends a line
Form = Literal["csv", "jsonl", "parquet"]
Label = str | tuple[str, ...] | None  # of a text; None without one
Json = str | int | float | bool | None | Sequence["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class OutputForm:
    """How predictions are written."""

    form: Form = "csv"
    proba: bool = False  # adds the probability of each label
    delimiter: str = ","
    bom: bool = False  # Excel takes CSV for UTF-8 if a byte order mark begins it
    guard_formulas: bool = False  # an apostrophe before text that a spreadsheet would compute
    separator: str = "|"  # between several labels of a text
    sets: bool = False  # adds the prediction set, and whether the text is unknown


class Answer(NamedTuple):
    """What is predicted of a text; nothing of a row without one."""

    label: Label = None
    shares: Sequence[float] = ()  # (K,)
    found: PredictionSet | None = None


@dataclass(frozen=True)
class OutputColumns:
    """Names of the columns: those of the input, and those that predictions add."""

    kept: tuple[str, ...]
    label: str
    keys: tuple[str, ...]  # of JSON lines: the names in `kept`, the second of two equal ones with a number
    probabilities: str  # of JSON lines
    each: tuple[str, ...]  # the column of each label's probability in CSV
    of_sets: tuple[str, ...] = ("set", "unknown", "novelty")

    @classmethod
    def of(cls, kept: Sequence[str], labels: Sequence[str]) -> OutputColumns:
        """Name what is added: `label`, or `predicted_label` where the input has such a column, and so on."""
        keys: list[str] = []
        for name in kept:
            others = (f"{name}_{number}" for number in itertools.count(2))
            keys.append(name if name not in keys else next(one for one in others if one not in {*keys, *kept}))
        taken = {*kept, *keys}

        def free(name: str) -> str:
            while name in taken:
                name = f"predicted_{name}"
            taken.add(name)
            return name

        return cls(
            tuple(kept),
            free("label"),
            tuple(keys),
            free("probabilities"),
            tuple(free(f"p_{label}") for label in labels),
            tuple(map(free, cls.of_sets)),
        )

    def added(self, form: OutputForm) -> list[str]:
        """Return the names of the columns that are added."""
        more = ([self.probabilities] if form.form == "jsonl" else [*self.each]) if form.proba else []
        return [self.label, *(self.of_sets if form.sets else []), *more]


def prediction_blocks(
    classifier: Predictor, batches: Iterable[InputRows], *, columns: OutputColumns, form: OutputForm,
    after_batch: Callable[[int], None], abstaining: Abstaining | None = None,
) -> Iterator[str]:  # fmt: skip
    """Yield whole lines for each batch: a header first, in CSV, then the prediction of each text, or its set if `abstaining`.

    A row without a text has an empty label and no probabilities. Several labels of a text stand in one cell of CSV, with
    the `separator` of the form between them, and in JSON as a list.
    """
    yield from answered_blocks(
        classifier.labels, batches, answers=partial(abstaining.answers if abstaining else _answers, classifier),
        columns=columns, form=form, after_batch=after_batch,
    )  # fmt: skip


def answered_blocks(
    labels: Sequence[str], batches: Iterable[InputRows], *, answers: Callable[[Sequence[str]], Sequence[Answer]],
    columns: OutputColumns, form: OutputForm, after_batch: Callable[[int], None] = lambda _: None,
) -> Iterator[str]:  # fmt: skip
    """Yield what `prediction_blocks` does, with the answer to each text from `answers`, which may ask another process."""
    write = partial(_csv_row, form=form) if form.form == "csv" else partial(_json_row, columns=columns, form=form)
    head = csv_head(columns, form) if form.form == "csv" else ""
    for rows in batches:
        found = zip(rows.kept, _of_rows(rows, answers), strict=True)
        yield head + "".join(write(kept, one, labels) for kept, one in found)
        head = ""
        after_batch(len(rows.texts))
    if head:
        yield head


def csv_head(columns: OutputColumns, form: OutputForm) -> str:
    """Return the header of CSV, with the byte order mark before it where one is wanted."""
    return ("\ufeff" if form.bom else "") + _csv_line([*columns.kept, *columns.added(form)], form)


def answers(classifier: Predictor, rows: InputRows, abstaining: Abstaining | None) -> list[Answer]:
    """Return what is predicted of each row, an empty answer where there is no text."""
    return _of_rows(rows, partial(abstaining.answers if abstaining else _answers, classifier))


def _of_rows(rows: InputRows, answers: Callable[[Sequence[str]], Sequence[Answer]]) -> list[Answer]:
    texts = [*filter(None, rows.texts)]
    found = iter(answers(texts) if texts else [])
    return [Answer() if text is None else next(found) for text in rows.texts]


def _answers(classifier: Predictor, texts: Sequence[str]) -> list[Answer]:
    shares = classifier.probabilities(texts)
    return [*map(Answer, classifier.labels_of(shares), shares.tolist())]


def csv_cell(value: object, form: OutputForm) -> str:
    """Return a value as a cell of CSV, in quotes where it needs them."""
    text = plain(value)
    if form.guard_formulas and isinstance(value, str) and text.lstrip(" ")[:1] in FORMULA and text.strip(" "):
        text = "'" + text
    if text.isprintable():  # so that it has no line end, and no outer blank but a space
        needs_quotes = form.delimiter in text or '"' in text or text[:1] == " " or text[-1:] == " "
    else:
        needs_quotes = text != text.strip() or any(one in text for one in (form.delimiter, '"', *LINE_ENDS))
    return '"' + text.replace('"', '""') + '"' if needs_quotes else text


def _csv_row(kept: Sequence[object], answer: Answer, labels: Sequence[str], *, form: OutputForm) -> str:
    found = answer.label
    label = form.separator.join(found) if isinstance(found, tuple) else found or ""
    cells = [*kept, label]
    if form.sets:
        labels_of_set, *others = _of_set(answer.found)
        cells += [form.separator.join(labels_of_set or ()), *others]
    if form.proba:
        cells += [round(share, 6) for share in answer.shares] or [""] * len(labels)
    return _csv_line(cells, form)


def _of_set(found: PredictionSet | None) -> tuple[list[str] | None, bool | None, float | None]:
    """Return the cells of a prediction set: its labels, whether the text is unknown, its novelty."""
    if found is None:
        return None, None, None
    return [*found.labels], found.unknown, None if found.novelty is None else round(found.novelty, 3)


def _csv_line(cells: Sequence[object], form: OutputForm) -> str:
    return form.delimiter.join([csv_cell(cell, form) for cell in cells]) + "\n"


def _json_row(
    kept: Sequence[object], answer: Answer, labels: Sequence[str], *, columns: OutputColumns, form: OutputForm
) -> str:
    found = dict(zip(columns.keys, kept, strict=True))
    label, shares = answer.label, answer.shares
    found[columns.label] = [*label] if isinstance(label, tuple) else label
    if form.sets:
        found |= dict(zip(columns.of_sets, _of_set(answer.found), strict=True))
    if form.proba:
        each = {label: round(share, 6) for label, share in zip(labels, shares, strict=True)} if shares else None
        found[columns.probabilities] = each
    return json.dumps(without_nan(found), ensure_ascii=False, default=str, allow_nan=False) + "\n"


def plain(value: object) -> str:
    """Return a value as text: nothing for None and NaN, JSON for a list or a block."""
    if isinstance(value, str):
        return value
    if value is None or value != value:
        return ""
    if isinstance(value, bool | int | float | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def without_nan(value: object) -> object:
    """Return plain values with null for what JSON cannot say."""
    if isinstance(value, dict):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and value - value != 0 else value
