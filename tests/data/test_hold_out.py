"""`hold_out`: a share of each label's texts becomes the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptl import Pipeline
from nlptl.data import DataReport, DataSettings, TextData, load_data
from nlptl.data.hold_out import hold_out
from nlptl.data.load import load_parts
from nlptl.data.table import TextTable
from nlptl.errors import ConfigError, DataError


def table(rows: dict[str, int], copies: int = 1) -> TextTable:
    pairs = [(f"{label} text {i}", label) for label, count in rows.items() for i in range(count)] * copies
    return TextTable.from_lists([text for text, _ in pairs], [label for _, label in pairs], name="rows.csv")


def test_each_label_gives_its_share_and_copies_stay_together() -> None:
    left, test = hold_out(table({"good": 20, "bad": 10, "rare": 1}, copies=3), 0.2, where="data.hold_out")
    assert test.label_counts() == {"good": 12, "bad": 6}
    assert left.label_counts() == {"good": 48, "bad": 24, "rare": 3}
    assert not set(left.texts()) & set(test.texts())


def test_a_label_keeps_one_text() -> None:
    left, test = hold_out(table({"good": 2, "bad": 3}), 0.5, where="data.hold_out")
    assert left.label_counts() == {"good": 1, "bad": 1}
    assert test.label_counts() == {"good": 1, "bad": 2}


def test_texts_hardly_change_sides_when_rows_are_added() -> None:
    before = set(hold_out(table({"good": 100, "bad": 100}), 0.2, where="")[1].texts())
    after = set(hold_out(table({"good": 130, "bad": 110}), 0.2, where="")[1].texts())
    assert len(before) == 40
    assert len(before & after) >= 34


def test_the_order_of_the_rows_does_not_matter() -> None:
    given = table({"good": 30, "bad": 30})
    backwards = given.select(list(range(len(given)))[::-1])
    one, other = (hold_out(rows, 0.3, where="")[1].texts() for rows in (given, backwards))
    assert set(one) == set(other)


def test_a_text_with_two_labels_stands_on_one_side() -> None:
    texts = [f"text {i}" for i in range(40)]
    rows = TextTable.from_lists(texts * 2, ["good"] * 40 + ["good", "bad"] * 20, name="rows.csv")
    left, test = hold_out(rows, 0.25, where="data.hold_out")
    assert not set(left.texts()) & set(test.texts())


def test_rows_with_several_labels_count_for_the_rarest() -> None:
    sets = [*([["food"]] * 20), *([["food", "praise"]] * 10), *([["food", "rare"]] * 2), *([list[str]()] * 10)]
    texts = [f"text {i}" for i in range(len(sets))]
    given = TextData(labelled=(texts, sets)).labelled
    assert given is not None
    left, test = hold_out(given, 0.2, where="data.hold_out")
    assert (len(left), len(test)) == (34, 8)
    assert test.label_counts() == {"food": 6, "praise": 2}
    assert left.label_counts() == {"food": 26, "praise": 8, "rare": 2}


def test_too_few_texts_are_told() -> None:
    with pytest.raises(DataError) as caught:
        hold_out(table({"good": 3, "bad": 3}), 0.1, where="data.hold_out")
    assert str(caught.value) == (
        "data.hold_out: 10% of each label's texts in rows.csv are less than one text. Label more rows, raise `hold_out`, or "
        "remove it."
    )


def test_a_label_that_would_be_lost_is_told() -> None:
    texts = [f"text {i}" for i in range(10)]
    held = hold_out(TextTable.from_lists(texts, ["good"] * 5 + ["bad"] * 5, name=""), 0.2, where="")[1].texts()[0]
    rows = TextTable.from_lists([*texts, held], ["good"] * 5 + ["bad"] * 5 + ["odd"], name="rows.csv")
    with pytest.raises(DataError) as caught:
        hold_out(rows, 0.2, where="data.hold_out")
    assert str(caught.value) == (
        "data.hold_out: all texts of label 'odd' in rows.csv would be held out, since they also have other labels. Keep the "
        "right label of each text, or remove `hold_out`."
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"labelled": "a.csv", "test": "b.csv", "hold_out": 0.2},
            "`hold_out: 0.2` makes a test, but `test:` gives one already. Remove one of them.",
        ),
        ({"hold_out": 0.2}, "`hold_out: 0.2` needs labelled examples to hold out. Add `labelled:`."),
        ({"labelled": "a.csv", "hold_out": 0.6}, "DataSettings.hold_out is 0.6, but must be at most 0.5."),
        ({"labelled": "a.csv", "hold_out": 0}, "DataSettings.hold_out is 0, but must be greater than 0."),
    ],
)
def test_settings_that_do_not_fit(given: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DataSettings(**given)
    assert told in str(caught.value)


def reviews(folder: Path, pile: str = "") -> Path:
    rows = "".join(f'"{label}, text {i}",{label}\n' for i in range(20) for label in ("good", "bad"))
    path = folder / "reviews.csv"
    path.write_text(f"text,label\n{rows}{pile}")
    return path


def loaded(path: Path) -> tuple[TextData, DataReport]:
    return load_data(DataSettings(labelled=str(path), hold_out=0.25, empty_label="unlabelled"), seed=0)


def test_held_out_texts_leave_the_pile(tmp_path: Path) -> None:
    found = loaded(reviews(tmp_path))[0].test
    assert found is not None
    data, report = loaded(reviews(tmp_path, f'"{found.texts()[0]}",\nanother text,\n'))
    assert data.test is not None
    assert data.unlabelled is not None
    assert data.test.texts() == found.texts()
    assert data.unlabelled.texts() == ["another text"]
    assert (
        report.sentences()[-1] == "test: 10 rows of labelled are held out, 25% of each label's texts, with all copies."
    )
    assert [(leak.part, leak.also_in, leak.rows) for leak in report.leaks] == [("unlabelled", "test", 1)]


def test_rows_are_counted_as_a_spreadsheet_does(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('sep=;\ntext;label\n"one\n\ntwo";a\n\nthree;b\n"four\n";a\nfive;b\n')
    found = load_parts(DataSettings(labelled=str(path)), seed=0)
    assert [place.number for place in found.places("labelled", [3, 0, 1, 2])] == [6, 2, 4, 5]
    assert found.parts["labelled"].places([0, 1]) == [f"{path}:3", f"{path}:7"]


def test_rows_know_their_lines(tmp_path: Path) -> None:
    path = reviews(tmp_path, '"a text\nof two lines",\nlast,\n')
    found = load_parts(DataSettings(labelled=str(path), hold_out=0.25, empty_label="unlabelled"), seed=0)
    lines = path.read_text().splitlines()
    for part in ("labelled", "test"):
        rows = getattr(found.data, part)
        places = found.places(part, range(len(rows)))
        assert [lines[place.number - 1] for place in places if place.number] == [
            f'"{text}",{label}' for text, label in zip(rows.texts(), rows.labels(), strict=True)
        ]
        assert {place.file for place in places} == {str(path)}
    assert [place.number for place in found.places("unlabelled", [1, 0])] == [43, 42]


def test_a_run_scores_on_the_held_out_rows_and_is_kept(tmp_path: Path) -> None:
    reviews(tmp_path)
    (tmp_path / "pipeline.yaml").write_text(
        "data: {labelled: reviews.csv, hold_out: 0.25}\n"
        "stages:\n"
        "  - {stage: skipgram, dim: 8, min_count: 1, engine: ppmi}\n"
        "  - {stage: classification_head}\n"
        "  - {stage: finetune, update: {method: head, epochs: 1, l2: 0.1}}\n"
    )
    first = Pipeline.from_yaml(tmp_path / "pipeline.yaml").run(tmp_path / "run")
    assert first.scores is not None
    assert first.scores.evaluation.rows == 10
    again = Pipeline.from_yaml(tmp_path / "pipeline.yaml").run(tmp_path / "run")
    assert all(stage.kept for stage in again.stages)
    assert again.scores == first.scores


def test_a_row_with_several_labels_counts_for_the_rarest() -> None:
    sets = [("often", "rare") if row % 10 == 0 else ("often",) if row % 2 else () for row in range(200)]
    rows = TextTable.from_lists([f"text {row}" for row in range(200)], sets, name="rows.csv")
    left, test = hold_out(rows, 0.2, where="data.hold_out")
    assert (len(left), len(test)) == (160, 40)
    assert test.label_counts() == {"often": 24, "rare": 4}
    assert test.label_sets().count(()) == 16
