"""Columns of texts and labels are found in tables as people have them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nlptl.data import load_data
from nlptl.data.discovery import discover
from nlptl.data.discovery.column_names import name_hint
from tests.data.discovery.rows import Row, cycled, english, german, japanese, rows

DATES = [f"{1 + i % 28:02d}.03.2024" for i in range(40)]
IDS = [f"T-{1000 + 7 * i}" for i in range(40)]
SPARSE = cycled("billing", "", "", "delivery", "")


@dataclass(frozen=True)
class Layout:
    """An export, and what its columns are."""

    header: Sequence[str] | None
    rows: Sequence[Row]
    text: str | int | list[str | int]
    label: str | int
    name: str = "export.csv"
    written: dict[str, Any] = field(default_factory=dict)  # how the csv module writes it
    encoding: str = "utf-8"
    source: dict[str, Any] = field(default_factory=dict)  # settings of the file besides its path


def csv_bytes(layout: Layout) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, **layout.written)
    writer.writerows([*([] if layout.header is None else [layout.header]), *layout.rows])
    return file.getvalue().encode(layout.encoding)


def json_lines(layout: Layout) -> bytes:
    assert layout.header is not None
    records = [{k: v for k, v in zip(layout.header, row, strict=True) if v != ""} for row in layout.rows]
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def excel_bytes(layout: Layout) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    assert book.active is not None
    for row in [*([] if layout.header is None else [layout.header]), *layout.rows]:
        book.active.append([None if value == "" else value for value in row])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


LAYOUTS = {
    "plain": Layout(["text", "label"], rows(english(), cycled("bad", "good")), "text", "label"),
    "label first, other names": Layout(
        ["category", "utterance"], rows(cycled("a", "b", "c"), english()), "utterance", "category"
    ),
    "support export": Layout(
        ["Ticket ID", "Created", "Agent", "Priority", "Description", "Category"],
        rows(IDS, DATES, cycled("Jane Doe", "Ali Kaya", "Jo Lu"), cycled("low", "high"), english(), SPARSE),
        "Description", "Category",
    ),
    "German Excel": Layout(
        ["Nr", "Datum", "Beschreibung", "Kategorie", "Bearbeiter"],
        rows(range(1, 41), DATES, german(), cycled("Lieferung", "Rechnung", ""), cycled("Müller", "Schmidt")),
        "Beschreibung", "Kategorie", written={"delimiter": ";"}, encoding="cp1252",
        source={"delimiter": ";", "encoding": "cp1252"},
    ),
    "German Excel with a mark": Layout(
        ["Anfrage", "Thema"], rows(german(), cycled("Lieferung", "Rechnung")), "Anfrage", "Thema",
        written={"delimiter": ";"}, encoding="utf-8-sig", source={"delimiter": ";"},
    ),
    "decimal commas among semicolons": Layout(
        ["Betrag", "Fehlerbeschreibung", "Fehlerklasse"],
        rows([f"{i},50" for i in range(40)], [text.replace(",", "") for text in german()], cycled("A", "B", "C")),
        "Fehlerbeschreibung", "Fehlerklasse", written={"delimiter": ";"}, source={"delimiter": ";"},
    ),
    "Japanese": Layout(
        ["番号", "本文", "カテゴリ"], rows(range(40), japanese(), cycled("配送", "故障", "返金")), "本文", "カテゴリ"
    ),
    "Japanese Excel": Layout(
        ["日付", "問い合わせ内容", "分類", "担当者"],
        rows(DATES, japanese(), cycled("配送", "", "返金", ""), cycled("佐藤", "鈴木")),
        "問い合わせ内容", "分類", name="export.xlsx",
    ),
    "Japanese CSV of Excel": Layout(
        ["番号", "コメント", "感情"], rows(range(40), japanese(), cycled("喜び", "怒り")), "コメント", "感情",
        encoding="cp932", source={"encoding": "cp932"},
    ),
    "no header, label first": Layout(
        None, rows(cycled("bad", "good"), english()), 2, 1, source={"header": False}
    ),
    "no header, text first, tabs": Layout(
        None, rows(english(), cycled(0, 1)), 1, 2, name="export.tsv", written={"delimiter": "\t"}, source={"header": False}
    ),
    "no header, ids and dates": Layout(
        None, rows(IDS, DATES, japanese(), cycled("配送", "故障")), 3, 4, source={"header": False}
    ),
    "no header, Excel": Layout(
        None, rows(german(), cycled("Lob", "Tadel")), 1, 2, name="export.xlsx", source={"header": False}
    ),
    "no header, a name among the data": Layout(
        None, rows(cycled("neg", "pos"), IDS, [f"user_{i}" for i in range(40)], english()), 4, 1, source={"header": False}
    ),
    "stars": Layout(
        ["review_id", "stars", "votes", "review_text"],
        rows(range(500, 540), cycled(1, 2, 3, 4, 5), cycled(0, 3, 1, 0, 12, 5, 9, 2), english()), "review_text", "stars",
    ),
    "title and body": Layout(
        ["subject", "body", "topic"],
        rows([text[:24] for text in english()], [f"{text} {text} {text}" for text in english()], cycled("x", "y")),
        "body", "topic",
    ),
    "comment beside the text": Layout(
        ["message", "internal notes", "intent"],
        rows(english(), ["", "", "", "called the customer twice, no answer"] * 10, cycled("refund", "call", "other")),
        "message", "intent",
    ),
    "a sentence as label": Layout(
        ["customer_message", "class"],
        rows(english(), cycled("Question about a bill", "Complaint about a delivery")), "customer_message", "class",
    ),
    "number and name of a label": Layout(
        ["text", "label", "label_text"], rows(english(), cycled(0, 1), cycled("negative", "positive")), "text", "label_text"
    ),
    "index of a frame": Layout(
        ["", "tweet", "class"], rows(range(40), english(), cycled("hate", "none")), "tweet", "class"
    ),
    "true and false": Layout(
        ["is_spam", "sms"], rows(cycled("True", "False"), english()), "sms", "is_spam"
    ),
    "JSON lines": Layout(
        ["id", "sentence", "sentiment"], rows(IDS, english(), cycled("pos", "", "neg")), "sentence", "sentiment",
        name="export.jsonl",
    ),
    "quoted line ends and bars": Layout(
        ["body", "tag"], rows([text.replace(" and", "\nand") for text in english()], cycled("a", "b")), "body", "tag",
        written={"delimiter": "|"}, source={"delimiter": "|"},
    ),
    "short questions": Layout(
        ["query", "intent"], rows([f"how {i} works?" for i in range(40)], cycled("a", "b")), "query", "intent"
    ),
    "links": Layout(
        ["url", "headline", "section"],
        rows([f"https://news.example/{i}" for i in range(40)], english(), cycled("sports", "politics")), "headline", "section",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_columns_are_found(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    layout = LAYOUTS[name]
    write = {".jsonl": json_lines, ".xlsx": excel_bytes}.get(Path(layout.name).suffix, csv_bytes)
    Path(layout.name).write_bytes(write(layout))
    found = discover([Path(layout.name)])
    settings = found.settings
    assert (settings.text_column, settings.label_column) == (layout.text, layout.label)
    expected = {"file": layout.name, **layout.source} if layout.source else layout.name
    assert settings.model_dump(exclude_defaults=True)["labelled"] == expected
    columns = layout.header or [*range(1, 1 + len(layout.rows[0]))]
    label = columns.index(layout.label)
    text = columns.index(layout.text)
    assert found.data.labelled is not None
    has_label = [row for row in layout.rows if row[label] != ""]
    assert found.data.labelled.texts() == [row[text] for row in has_label]
    assert found.data.labelled.labels() == [str(row[label]) for row in has_label]
    rest = [row[text] for row in layout.rows if row[label] == ""]
    assert ([] if found.data.unlabelled is None else found.data.unlabelled.texts()) == rest
    again, _ = load_data(settings, seed=0)
    assert again.labelled is not None
    assert again.labelled.digest == found.data.labelled.digest


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("label", "label"), ("ticket_category", "label"), ("TicketCategory", "label"), ("Fehlerkategorie", "label"),
        ("Kategorie-Nr", "other"), ("label_id", "other"), ("カテゴリー名", "label"), ("Stars", "perhaps label"),
        ("Review text", "text"), ("Problembeschreibung", "text"), ("お問い合わせ内容", "text"), ("Betreff", "title"),
        ("created at", "other"), ("Foo", ""), ("", ""), ("a text of many words and not a name", ""),
    ],
)  # fmt: skip
def test_names_say_what_a_column_holds(name: str, hint: str) -> None:
    assert name_hint(name) == hint


def test_a_first_row_whose_words_are_names_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    first = ("How is my name written on the order number ?", "delivery")
    lines = [first, *zip(english(), cycled("delivery", "bill"), strict=True)]
    path.write_text("".join(f'"{text}",{label}\n' for text, label in lines))
    assert (found := discover([path]).data.labelled) is not None
    assert found.texts()[0] == first[0]
