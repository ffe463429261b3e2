"""Rows that are left out, since they have no text: how many, and where they stand."""

from __future__ import annotations

from pathlib import Path

from nlptl.data import DataSettings
from nlptl.data.load import load_parts
from nlptl.data.row_checks import RowPlace
from nlptl.data.rows_without_text import RowsWithoutText, RowWithoutText, rows_without_text


def found(folder: Path, **given: object) -> RowsWithoutText:
    return rows_without_text(load_parts(DataSettings(**given, empty_text="skip"), seed=0).parts)  # type: ignore[arg-type]


def test_rows_of_tables_are_found_with_labels_first(tmp_path: Path) -> None:
    table, pile, lines = (tmp_path / name for name in ("a.csv", "b.jsonl", "c.txt"))
    table.write_text('text,label\n"one\ntext",x\n,y\nmore,z\n"  ",\n')
    pile.write_text('{"text": null}\n{"text": "a text"}\n')
    lines.write_text("a line\n\nanother line\n")
    assert found(tmp_path, labelled=str(table), unlabelled=[str(pile), str(lines)], empty_label="unlabelled") == (
        RowsWithoutText(
            3,
            (
                RowWithoutText("labelled", RowPlace(str(table), 3), "y"),
                RowWithoutText("labelled", RowPlace(str(table), 5), ""),
                RowWithoutText("unlabelled", RowPlace(str(pile), 1), ""),
            ),
        )
    )


def test_whole_data_have_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\none,x\ntwo,y\n")
    assert found(tmp_path, labelled=str(tmp_path / "a.csv")) == RowsWithoutText(0, ())


def test_files_of_a_folder_are_named(tmp_path: Path) -> None:
    for name, text in (("x/1", "one"), ("x/2", " "), ("y/1", "two")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.txt").write_text(text)
    assert found(tmp_path, labelled=str(tmp_path)).first == (
        RowWithoutText("labelled", RowPlace(str(tmp_path / "x" / "2.txt"), None), "x"),
    )
