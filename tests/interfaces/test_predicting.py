"""The command `predict`: what is kept, what stands where a text is missing, and files that are never half written."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pandas as pd
import pytest

from tests.interfaces.commands import Shell, on_a_terminal

TABLE = "id;text;label\n1;good film;old\n2;;old\n3;bad film;old\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text(TABLE)
    (tmp_path / "whole.csv").write_text("id,text\n1,good film\n2,bad film\n")
    rows = [{"text": "good film", "id": 1}, {"text": None, "more": [True]}, {"text": "bad film"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    frame = pd.DataFrame({"id": [1, 2], "text": ["good film", "bad film"], "part": [0.5, None]})
    frame.to_parquet(tmp_path / "in.parquet")
    (tmp_path / "in.txt").write_text("good film\nbad film\n")
    return tmp_path


def rows_of(out: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(out, newline="")))


def test_a_missing_text_is_refused_before_anything_is_written(
    files: Path, small_classifier: Path, shell: Shell
) -> None:
    out_file = files / "out.csv"
    for more in ((), ("--out", out_file), ("--keep",)):
        code, out, err = shell("predict", small_classifier, "--file", files / "in.csv", "-q", *more)
        assert (code, out) == (2, "")
        assert err == (
            f"{files / 'in.csv'}:3: the text is empty. Remove the row, fill in the text, or add --empty-text skip to leave "
            "out all such rows, or --empty-text empty to give them an empty label.\n"
        )
    assert not out_file.exists()


def test_a_missing_text_is_skipped_or_has_an_empty_label(files: Path, small_classifier: Path, shell: Shell) -> None:
    command = ("predict", small_classifier, "--file", files / "in.csv", "--keep", "--empty-text")
    code, out, err = shell(*command, "skip")
    assert code == 0
    assert [row[:3] for row in rows_of(out)] == [
        ["id", "text", "label"],
        ["1", "good film", "old"],
        ["3", "bad film", "old"],
    ]
    assert rows_of(out)[0][3:] == ["predicted_label"]
    assert "1 row without a text was left out; first: " in " ".join(err.split())
    assert "the predictions stand in predicted_label." in " ".join(err.split())
    code, out, err = shell(*command, "empty", "--proba", "-q")
    assert (code, err) == (0, "")
    assert rows_of(out)[2] == ["2", "", "old", "", "", ""]
    assert len(rows_of(out)) == 4


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("whole.csv", [["id", "text"], ["1", "good film"], ["2", "bad film"]]),
        ("in.parquet", [["id", "text", "part"], ["1", "good film", "0.5"], ["2", "bad film", ""]]),
        ("in.txt", [["text"], ["good film"], ["bad film"]]),
        ("in.jsonl", [["text", "id", "more"], ["good film", "1", ""], ["", "", "[true]"], ["bad film", "", ""]]),
    ],
)
def test_all_columns_are_kept_from_every_format(
    files: Path, small_classifier: Path, shell: Shell, name: str, kept: list[list[str]]
) -> None:
    code, out, _ = shell("predict", small_classifier, "--file", files / name, "--keep", "--empty-text", "empty")
    assert code == 0
    assert [row[:-1] for row in rows_of(out)] == kept
    assert rows_of(out)[0][-1] == "label"


def test_named_columns_stand_behind_the_text(files: Path, small_classifier: Path, shell: Shell) -> None:
    command = ("predict", small_classifier, "--file", files / "whole.csv", "-q", "--keep-column")
    code, out, _ = shell(*command, "id")
    assert [row[:2] for row in rows_of(out)] == [["text", "id"], ["good film", "1"], ["bad film", "2"]]
    code, out, err = shell(*command, "idd")
    assert (code, out) == (2, "")
    assert err == (
        f"--keep-column: {files / 'whole.csv'} has no column 'idd'; its columns are 'id', 'text'. Did you mean 'id'? "
        "Correct it.\n"
    )


def test_json_lines_keep_the_values(files: Path, small_classifier: Path, shell: Shell) -> None:
    command = ("predict", small_classifier, "--file", files / "in.jsonl", "--keep", "--empty-text", "empty")
    code, out, _ = shell(*command, "--output", "jsonl", "-q")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert found[1] == {"text": None, "id": None, "more": [True], "label": None}
    assert [row["label"] for row in found[::2]] == ["positive", "negative"]


def test_the_file_is_written_whole_and_replaced_only_by_force(
    files: Path, small_classifier: Path, shell: Shell
) -> None:
    out_file = files / "out.csv"
    command = ("predict", small_classifier, "--file", files / "in.txt", "--out", out_file)
    code, out, err = shell(*command, "--bom", "--delimiter", "tab")
    assert (code, out, err) == (0, "", f"{out_file}: written.\n")
    assert out_file.read_bytes() == b"\xef\xbb\xbftext\tlabel\ngood film\tpositive\nbad film\tnegative\n"
    code, _, err = shell(*command)
    assert (code, err) == (
        2, f"--out: {out_file} exists; nothing was overwritten. Name another file, or add --force to replace it.\n"
    )  # fmt: skip
    assert shell(*command, "--force", "-q") == (0, "", "")
    assert out_file.read_text() == "text,label\ngood film,positive\nbad film,negative\n"
    code, _, err = shell(
        "predict", small_classifier, "--file", files / "whole.csv", "--out", files / "whole.csv", "--force"
    )
    assert (code, err) == (
        2, f"--out: {files / 'whole.csv'} is the file that --file reads; expected another one. Name another file.\n"
    )  # fmt: skip
    assert [path.name for path in files.iterdir() if "draft" in path.name] == []


def test_the_name_of_the_file_says_its_form(files: Path, small_classifier: Path, shell: Shell) -> None:
    command = ("predict", small_classifier, "--file", files / "in.txt", "-q", "--out")
    assert shell(*command, files / "o.jsonl.gz")[0] == 0
    with gzip.open(files / "o.jsonl.gz", "rt") as file:
        assert [json.loads(line)["label"] for line in file] == ["positive", "negative"]
    assert shell(*command, files / "o.tsv")[0] == 0
    assert (files / "o.tsv").read_text().startswith("text\tlabel\n")
    code, _, err = shell(*command, files / "o.xlsx")
    assert (code, err) == (
        2,
        "--out: found the ending '.xlsx'; expected .csv, .tsv or .jsonl, each with or without .gz, or .parquet. Choose one, "
        "or name the form with --output.\n",
    )
    code, _, err = shell(*command, files / "nowhere" / "o.csv")
    assert (code, err) == (
        2,
        f"--out: {files / 'nowhere'} is no folder; expected one to write o.csv in. Make it first.\n",
    )
    told = "--out: /dev/null is a device, a pipe or a broken link; expected a file. Name a file.\n"
    assert shell(*command, "/dev/null", "--force") == (2, "", told)
    code, _, err = shell(*command, files)
    assert (code, err) == (2, f"--out: {files} is a folder; expected a file to write. Name a file in it.\n")


NO_FILE = "says how a file is read, but there is no --file. Give --file, or drop it."
NO_SEPARATOR = "expected one character that is no quote and no line end, or tab. Choose another one."


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--keep", "x"), f"--keep: {NO_FILE}"),
        (("--encoding", "cp1252", "x"), f"--encoding: {NO_FILE}"),
        (
            ("--bom", "--output", "jsonl", "x"),
            "--bom: belongs to CSV, but the output is JSON lines. Drop it, or add --output csv.",
        ),
        (("--delimiter", "ab", "x"), f"--delimiter: found 'ab'; {NO_SEPARATOR}"),
        (("--delimiter", '"', "x"), f"--delimiter: found '\"'; {NO_SEPARATOR}"),
    ],
)
def test_options_that_do_not_go_together(
    small_classifier: Path, shell: Shell, options: tuple[str, ...], told: str
) -> None:
    code, out, err = shell("predict", small_classifier, *options)
    assert (code, out, err) == (2, "", told + "\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ("--encoding", "latin-9999"),
            "--encoding is 'latin-9999', which is no encoding of text. Write it as in --encoding cp1252.",
        ),
        (("--input-delimiter", "abc"), "--input-delimiter is 'abc', but must be one character, such as ';', or `tab`."),
        (
            ("--text-column", "txt"),
            "{file}:1: there is no column 'txt' with the texts; the columns are 'id', 'text'. Did you mean 'text'? Name the "
            "column with --text-column.",
        ),
        (
            ("--max-text-length", "8"),
            "{file}:2: the text has more than 8 characters. Cut it into several texts, or set --max-text-length to more "
            "characters. If a quote is not closed, close it.",
        ),
    ],
)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_faults_of_the_data_are_told_by_options(
    files: Path, small_classifier: Path, shell: Shell, command: str, options: tuple[str, ...], told: str
) -> None:
    path = files / "whole.csv"
    if command == "evaluate":
        path.write_text("id,text,label\n1,good film,positive\n")
        told = told.replace("'id', 'text'.", "'id', 'text', 'label'.")
    source = ("--file" if command == "predict" else "--test", path)
    code, out, err = shell(command, small_classifier, *source, *options)
    assert (code, out) == (2, "")
    assert err == told.format(file=path) + "\n"


def test_tables_are_read_as_in_a_pipeline(files: Path, small_classifier: Path, shell: Shell) -> None:
    (files / "plain.csv").write_bytes('1;schön good\n2;bad "film\n'.encode("cp1252"))
    command = ("predict", small_classifier, "--file", files / "plain.csv", "-q", "--no-header", "--text-column", "2")
    code, out, _ = shell(*command, "--input-delimiter", ";", "--quoting", "none", "--encoding", "cp1252", "--keep")
    assert code == 0
    assert rows_of(out) == [["1", "2", "label"], ["1", "schön good", "positive"], ["2", 'bad "film', "negative"]]
    code, out, _ = shell(
        "predict", small_classifier, "--file", files / "whole.csv", "--text-column", "id", "--text-column", "text", "-q"
    )
    assert rows_of(out)[1][0] == "1\ngood film"


def test_an_empty_line_of_stdin_loses_nothing(small_classifier: Path, shell: Shell) -> None:
    code, out, err = shell("predict", small_classifier, stdin="good film\n\nbad film\n \n")
    assert (code, rows_of(out)) == (
        2,
        [["text", "label"], ["good film", "positive"], ["", ""], ["bad film", "negative"], [" ", ""]],
    )
    assert err == (
        "stdin:2: the line is empty and 1 more; its label was left empty, all other lines have theirs. Remove the line, or add "
        "--empty-text skip or --empty-text empty.\n"
    )
    code, out, err = shell("predict", small_classifier, "--empty-text", "skip", stdin="good film\n\nbad film\n")
    assert (code, len(rows_of(out))) == (0, 3)
    assert err == "1 row without a text was left out; first: stdin:2.\n"
    assert shell("predict", small_classifier, stdin="")[:2] == (0, "text,label\n")


def test_a_column_of_the_file_with_the_name_of_a_probability(files: Path, small_classifier: Path, shell: Shell) -> None:
    (files / "p.csv").write_text("text,p_positive\ngood film,yes\n")
    _, out, err = shell("predict", small_classifier, "--file", files / "p.csv", "--keep", "--proba")
    assert rows_of(out)[0] == ["text", "p_positive", "label", "p_negative", "predicted_p_positive"]
    assert err == "The file has columns of these names; the predictions stand in predicted_p_positive.\n"


def test_results_on_a_terminal_need_no_progress(small_classifier: Path) -> None:
    code, shown = on_a_terminal("predict", small_classifier, "good film")
    assert (code, shown) == (0, "text,label\ngood film,positive\n")


def test_an_empty_delimiter_is_refused(small_classifier: Path, shell: Shell) -> None:
    told = f"--delimiter: found ''; {NO_SEPARATOR}\n"
    assert shell("predict", small_classifier, "--delimiter", "", "x") == (2, "", told)


@pytest.mark.parametrize("name", ["whole.csv", "in.txt", "in.jsonl"])
def test_a_text_that_is_the_name_of_a_file(
    files: Path, small_classifier: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(files)
    code, out, err = shell("predict", small_classifier, name)
    assert (code, rows_of(out)[1][0]) == (0, name)
    assert err == f"{name} is a file; its rows are read with --file.\n"
    assert shell("predict", small_classifier, name, "-q")[2] == ""
    assert shell("predict", small_classifier, "nowhere.csv")[2] == ""


@pytest.mark.parametrize("command", ["predict", "evaluate"])
@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("whole.csv", ("--sheet", "Tab"), "has no sheet, since it is a .csv file. Remove --sheet."),
        ("in.txt", ("--text-column", "a"), "has no columns, since it is a .txt file. Remove --text-column."),
        ("in.jsonl", ("--no-header",), "has no header, since it is a .jsonl file. Remove --no-header."),
        ("in.parquet", ("--encoding", "cp1252"), "has no encoding, since it is a .parquet file. Remove --encoding."),
        (
            "in.jsonl",
            ("--input-delimiter", ";"),
            "has no delimiter, since it is a .jsonl file. Remove --input-delimiter.",
        ),
    ],
)
def test_options_that_a_file_cannot_have(
    files: Path, small_classifier: Path, shell: Shell, command: str, name: str, options: tuple[str, ...], told: str
) -> None:
    source = "--file" if command == "predict" else "--test"
    code, out, err = shell(command, small_classifier, source, files / name, *options)
    assert (code, out, " ".join(err.split())) == (2, "", f"{source}: {files / name} {told}")


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_remarks_and_remedies_name_options(files: Path, small_classifier: Path, shell: Shell, command: str) -> None:
    path = files / "c.csv"
    path.write_bytes("text;label\nsch\xf6n good film;positive\nbad film;negative\n".encode("cp1252"))
    source = ("--file" if command == "predict" else "--test", path)
    code, _, err = shell(command, small_classifier, *source)
    assert code == 0
    assert "is read as Windows-1252, since line 2 is not UTF-8. Set --encoding to read it otherwise." in " ".join(
        err.split()
    )
    _, _, err = shell(command, small_classifier, *source, "--input-delimiter", ",")
    assert err == (
        f"{path}:1: there is no column 'text' with the texts; the columns are 'text;label'. The header is separated by a "
        'semicolon. Remove --input-delimiter, or set --input-delimiter ";".\n'
    )
    _, _, err = shell(command, small_classifier, *source, "--no-header", "--text-column", "5")
    assert err == (f"{path}:1: there is no column 5 with the texts; the table has 2 columns. Correct --text-column.\n")
    _, _, err = shell(command, small_classifier, *source, "--encoding", "utf8")
    assert err == (
        f"{path}:2: byte 0xf6 at offset 14 is not UTF-8. Remove --encoding, set it to the file's encoding, or correct this "
        "line.\n"
    )


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_joined_texts_take_no_name_of_a_kept_column(
    tmp_path: Path, small_classifier: Path, shell: Shell, name: str
) -> None:
    record = {"title": "good film", "body": "bad end", "text": "own", "joined_text": "too"}
    content = ",".join(record) + "\n" + ",".join(record.values()) if name == "t.csv" else json.dumps(record)
    (tmp_path / name).write_text(content + "\n")
    command = ("predict", small_classifier, "--file", tmp_path / name, "-q", "--text-column", "title")
    both = (*command, "--text-column", "body", "--keep-column", "text")
    _, out, _ = shell(*both)
    assert [row[:2] for row in rows_of(out)] == [["joined_text", "text"], ["good film\nbad end", "own"]]
    _, out, _ = shell(*both, "--keep-column", "joined_text")
    assert rows_of(out)[0][:3] == ["joined_joined_text", "text", "joined_text"]
    assert rows_of(out)[1][1:3] == ["own", "too"]
    _, out, _ = shell(*command, "--keep-column", "text", "--keep-column", "title")
    assert [row[:2] for row in rows_of(out)] == [["title", "text"], ["good film", "own"]]
