"""What a terminal is given: nothing to obey, lines of at most 100 columns, wide characters counted as two."""

from __future__ import annotations

import io
import json
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlptl.interfaces.terminal import (
    WIDTH,
    ForgivingStream,
    OutputError,
    columns,
    escaped,
    escaped_in_json,
    filled,
    print_exactly,
    wrapped,
)  # fmt: skip
from nlptl.interfaces.text import table
from tests.interfaces.commands import Shell, on_a_terminal, with_streams

HOSTILE = "\x1b[31m|\x07|\x9b1m|\r|\u202e|\u2066|\u2028|\x7f|\x00|\udce9|\ufeff"


def test_what_a_terminal_obeys_is_escaped() -> None:
    assert escaped(HOSTILE) == (r"\x1b[31m|\x07|\x9b1m|\r|\u202e|\u2066|\u2028|\x7f|\x00|\udce9|\ufeff")
    assert escaped("a\nb\tc") == r"a\nb\tc"
    for harmless in ("plain", "Grüße, 語, नमस्ते", "\U0001f469\u200d\U0001f52c", "❤\ufe0f", r"C:\new"):
        assert escaped(harmless) == harmless


@given(st.text())
def test_json_reads_back_what_was_escaped(text: str) -> None:
    shown = escaped_in_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(shown) == text
    assert not {unicodedata.category(one) for one in shown.replace("\u200c", "").replace("\u200d", "")} & {
        "Cc",
        "Cs",
        "Zl",
        "Zp",
    }
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(one) for one in escaped(text)}


def test_columns_are_counted_as_they_look() -> None:
    assert [columns(text) for text in ("abc", "語学", "e\u0301", "ｱ", "Ａ", "한국")] == [3, 4, 1, 1, 2, 4]


@given(st.text(st.sampled_from("ab 語、\u0301"), max_size=400))
def test_no_line_is_wider_than_a_hundred_columns(text: str) -> None:
    lines = [*filled(text, WIDTH)]
    assert all(columns(line) <= WIDTH or not any(columns(one) == 2 for one in line) for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_japanese_sentence_is_broken_between_its_characters() -> None:
    lines = wrapped("  " + "日本語の長い文章です。" * 30).splitlines()
    assert max(map(columns, lines)) <= WIDTH
    assert min(map(columns, lines[:-1])) > WIDTH / 2
    assert all(line.startswith("  ") for line in lines)


def test_a_label_of_thousands_of_characters_is_shortened() -> None:
    assert wrapped(f"{'x' * 5000}: precision 1.0") == f"{'x' * 60}… (5,000 characters): precision 1.0".replace(
        "(5,000 characters): precision", "(5,001 characters) precision"
    )
    assert wrapped(f"/data/{'x' * 150}.csv: no file") == f"/data/{'x' * 150}.csv:\nno file"


def test_a_table_of_wide_names_is_aligned() -> None:
    rows = [["良い", "1"], ["とても悪い" * 20, "2"], ["\x1b[2J", "3"]]
    lines = [*table(["label", "count"], rows)]
    assert max(map(columns, lines)) <= WIDTH
    assert lines[2] == "良い" + " " * (columns(lines[1].split("  ")[0]) - 4) + "  1"
    assert {columns(line) for line in lines if line.endswith(("1", "2", "3"))} == {columns(lines[2])}
    assert r"\x1b[2J" in lines[-1]


class Refusing(io.StringIO):
    """Stream on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_stderr_stops_nothing_and_a_full_stdout_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = ForgivingStream(Refusing())
    assert stream.write("a remark") == 8
    stream.flush()
    assert not stream.isatty()
    monkeypatch.setattr(sys, "stdout", Refusing())
    with pytest.raises(OutputError, match="No space left on device"):
        print_exactly(["x\n"])


def test_texts_and_labels_on_a_terminal_are_escaped_and_exact_in_a_pipe(nasty_classifier: Path, shell: Shell) -> None:
    code, shown = on_a_terminal(
        "predict", nasty_classifier, "good \x1b[31m|\x07|\x9b1m|\r|\u202e|\u2066|\u2028|\x7f", "--proba"
    )
    assert (code, shown[:10]) == (0, "text,label"), shown
    assert not {unicodedata.category(one) for one in shown} & {"Cs", "Cf", "Zl", "Zp"}
    assert {one for one in shown if unicodedata.category(one) == "Cc"} == {"\n"}
    assert r"p_\u001b[31mred\u0007" in shown
    code, out, _ = shell("predict", nasty_classifier, "good \x1b[31m", "--proba")
    assert "p_\x1b[31mred\x07" in out
    assert "good \x1b[31m" in out


def test_messages_and_figures_are_escaped_wherever_they_go(
    nasty_classifier: Path, tmp_path: Path, shell: Shell
) -> None:
    (tmp_path / "t.csv").write_text(
        "text,label\ngood film,\x1b[31mred\x07\nbad film,=cmd()\u202e\x9b\n", encoding="utf-8"
    )
    code, out, err = shell("evaluate", nasty_classifier, "--test", tmp_path / "t.csv")
    assert code == 0
    assert r"\x1b[31mred\x07: precision" in out
    (tmp_path / "other.csv").write_text("text,label\ngood film,gr\x1b]0;een\n")
    code, more, err = shell("evaluate", nasty_classifier, "--test", tmp_path / "other.csv")
    assert code == 2
    code, even_more, path_error = shell("predict", tmp_path / "no\x1b[31m\u202ewhere", "x")
    assert r"no\x1b[31m\u202ewhere: no such folder" in path_error
    for text in (out, err, more, even_more, path_error):
        assert not set(text) & set("\x1b\x07\x9b\r\u202e")


@pytest.mark.parametrize("closed", ["stdout", "stderr", "both"])
def test_closed_streams(small_classifier: Path, tmp_path: Path, closed: str) -> None:
    streams = {name: "closed" if closed in (name, "both") else name for name in ("stdout", "stderr")}
    code, out, err = with_streams(tmp_path, "predict", small_classifier, "good film", **streams)
    if closed == "stderr":
        assert (code, out.splitlines()[0]) == (0, "text,label")
    else:
        assert (code, out) == (1, "")
        assert err == ("output: cannot be written (it is closed). Write elsewhere.\n" if closed == "stdout" else "")
    code, out, err = with_streams(tmp_path, "predict", tmp_path / "nowhere", "good film", **streams)
    assert code == 2
