"""Where it is not clear which column is meant, a person is asked, or the columns are listed."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from nlptl.data.discovery import Question, discover
from nlptl.errors import DataError
from tests.data.discovery.rows import cycled, english, rows
from tests.data.discovery.test_bad_input import table


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def two_labels() -> Path:
    return table(
        "a.csv", ["text", "status", "area"], english(), cycled("open", "closed"), cycled("north", "south", "east")
    )


def test_two_columns_of_labels_are_asked_for() -> None:
    asked = list[Question]()

    def choose(question: Question) -> str:
        asked.append(question)
        return "area"

    found = discover([two_labels()], choose=choose)
    assert found.settings.label_column == "area"
    assert [question.sentence() for question in asked] == [
        "a.csv: 'status', 'area' may each hold the labels. Which column does?"
    ]
    assert asked[0].answers == ("status", "area")
    assert [column.described() for column in asked[0].columns] == [
        "'status': 2 different values, such as 'open', 'closed'",
        "'area': 3 different values, such as 'north', 'south', 'east'",
    ]


def test_without_a_person_the_columns_are_listed() -> None:
    with pytest.raises(DataError) as caught:
        discover([two_labels()])
    assert str(caught.value) == (
        "a.csv: 'status', 'area' may each hold the labels; expected one column that clearly does. Name it with `--label`.\n"
        "  'status': 2 different values, such as 'open', 'closed'\n"
        "  'area': 3 different values, such as 'north', 'south', 'east'"
    )
    assert discover([two_labels()], label="Area").settings.label_column == "area"


def test_two_columns_of_texts_are_asked_for() -> None:
    path = table("a.csv", ["pro", "contra", "label"], english(), english()[::-1], cycled("a", "b"))
    with pytest.raises(DataError) as caught:
        discover([path])
    first, second = english()[0], english()[-1]
    assert str(caught.value).splitlines()[0] == (
        "a.csv: 'pro', 'contra' may each hold the texts; expected one column that clearly does. Name it with `--text`."
    )
    assert first[:30] in str(caught.value)
    assert discover([path], choose=lambda question: question.answers[1]).data.labelled.texts()[0] == second


def test_columns_of_texts_are_joined_where_a_person_says_so() -> None:
    path = table("a.csv", ["pro", "contra", "label"], english(), english()[::-1], cycled("a", "b"))
    found = discover([path], text=["pro", "contra"])
    assert found.settings.text_column == ["pro", "contra"]
    assert found.data.labelled is not None
    assert found.data.labelled.texts()[0] == f"{english()[0]}\n{english()[-1]}"
    assert found.taken_as == ("a.csv: texts in the columns 'pro', 'contra', joined, labels in column 'label'.",)


def test_columns_of_one_name_are_told_by_number() -> None:
    path = table("a.csv", ["text", "label", "label"], english(), cycled("a", "b"), cycled("x", "y", "z"))
    with pytest.raises(DataError) as caught:
        discover([path])
    assert str(caught.value) == (
        "a.csv: '2', '3' may each hold the labels; expected one column that clearly does. Name it with `--label`.\n"
        "  2 ('label'): 2 different values, such as 'a', 'b'\n"
        "  3 ('label'): 3 different values, such as 'x', 'y', 'z'"
    )
    found = discover([path], label=3)
    assert found.settings.label_column == 3
    assert found.data.labelled is not None
    assert set(found.data.labelled.labels()) == {"x", "y", "z"}


def test_numbers_alone_are_asked_for() -> None:
    path = table("a.csv", ["text", "day", "votes"], english(), cycled("2024-01-05"), cycled(0, 3, 1))
    with pytest.raises(DataError) as caught:
        discover([path])
    assert str(caught.value) == (
        "a.csv: 'votes' may hold the labels, although its name does not say so; expected one column that clearly does. "
        "Name it with `--label`.\n  'votes': 3 different numbers, such as '0', '3', '1'"
    )


def test_a_free_text_named_like_labels_is_no_fault() -> None:
    topics = [f"This is about matter {number}" for number in range(40)]
    path = table("a.csv", ["message", "topic", "intent"], english(), topics, cycled("refund", "call"))
    found = discover([path], text="message")
    assert found.settings.label_column == "intent"


def test_a_small_test_need_not_have_all_labels() -> None:
    path = table("a.csv", ["text", "label"], english(), cycled("a", "b"))
    test = table("test.csv", ["text", "label"], [f"Hello. {text}" for text in english()[:2]], ["b", "a"])
    assert discover([path], test=test).settings.test == "test.csv"


def test_a_header_is_missed_in_numbers_too() -> None:
    users = [f"user_{number}" for number in range(41)]
    path = table("a.csv", ["4", "user_x", "A text that stands in the first row"], cycled(0, 4), users[:40], english())
    with pytest.raises(DataError) as caught:
        discover([path])
    assert "  '1': 2 different numbers, such as '4', '0'" in str(caught.value).splitlines()
    found = discover([path], label=1)
    assert found.data.labelled is not None
    assert found.data.labelled.label_counts() == {"4": 21, "0": 20}


def test_what_was_taken_is_told() -> None:
    path = table(
        "a.csv", ["note", "message", "agent", "intent"],
        ["", "called twice, no answer yet"] * 20, english(), cycled("Jane", "Ali"), cycled("refund", "call"),
    )  # fmt: skip
    assert discover([path]).taken_as == (
        "a.csv: texts in column 'message', labels in column 'intent'.",
        "The labels are in column 'intent': its name says so, although 'agent' may be labels too. `--label` names another column.",
    )


def test_piles_tests_and_folders_join() -> None:
    one = table("one.csv", ["text", "label"], english()[:30], ["good"] * 30)
    two = table("two.csv", ["Label", "Text"], ["bad"] * 10, english()[30:])
    pile = table("pile.csv", ["nr", "body"], cycled(*range(40)), [f"{text} Thanks." for text in english()])
    test = table("test.csv", ["body", "class"], [f"Hello. {text}" for text in english()], cycled("good", "bad"))
    Path("mails/new").mkdir(parents=True)
    Path("mails/new/1.txt").write_text("A mail of two lines,\nwhich nobody has read.\n")
    Path("lines.txt").write_text("A line.\nAnother line.\n")
    found = discover([one, two], unlabelled=[pile, Path("mails"), Path("lines.txt")], test=test)
    data = found.data
    assert data.labelled is not None
    assert data.unlabelled is not None
    assert data.test is not None
    assert data.labelled.label_counts() == {"good": 30, "bad": 10}
    assert (len(data.unlabelled), len(data.test)) == (43, 40)
    assert found.taken_as == (
        "one.csv: texts in column 'text', labels in column 'label'.",
        "two.csv: texts in column 'text', labels in column 'label'.",
        "pile.csv: texts in column 'body'.",
        "mails: 1 .txt file, each a text without a label.",
        "lines.txt: a text on each line, without a label.",
        "test.csv: texts in column 'body', labels in column 'class'.",
    )
    places = [(place.file, place.number) for place in found.places("labelled", [29, 30])]
    assert places == [("one.csv", 31), ("two.csv", 2)]
    places = [(place.file, place.number) for place in found.places("unlabelled", [0, 40, 42])]
    assert places == [("pile.csv", 2), ("mails/new/1.txt", None), ("lines.txt", 2)]


def test_a_folder_for_each_label() -> None:
    for label in ("praise", "complaint"):
        Path("tickets", label).mkdir(parents=True)
        for number, text in enumerate(english()):
            Path("tickets", label, f"{number}.txt").write_text(f"{text} {label}")
    Path("tickets/new.txt").write_text("not read yet")
    found = discover([Path("tickets")])
    assert found.settings.model_dump(exclude_defaults=True) == {
        "labelled": "tickets", "empty_label": "unlabelled", "empty_text": "skip",
    }  # fmt: skip
    assert found.taken_as == (
        "tickets: 81 .txt files, each a text; the names of its 2 folders are the labels, 'complaint', 'praise'; 1 in no such "
        "folder waits for a label.",
    )
    assert found.data.unlabelled is not None
    assert found.data.unlabelled.texts() == ["not read yet"]


def test_the_sheet_with_texts_is_taken() -> None:
    book = openpyxl.Workbook()
    book.active.title = "Cover"
    book.active.append(["made by", "Jane"])
    book.active.append(["year", 2024])
    book.create_sheet("Empty")
    sheet = book.create_sheet("Tickets 2024")
    for row in (["text", "label"], *rows(english(), cycled(1, 2.0))):
        sheet.append(row)
    book.save("a.xlsx")
    found = discover([Path("a.xlsx")])
    assert found.taken_as == ("a.xlsx: sheet 'Tickets 2024', texts in column 'text', labels in column 'label'.",)
    assert found.settings.model_dump(exclude_defaults=True)["labelled"] == {"file": "a.xlsx", "sheet": "Tickets 2024"}
    assert found.data.labelled is not None
    assert found.data.labelled.label_counts() == {"1": 20, "2": 20}
    assert found.places("labelled", [39])[0].number == 41
