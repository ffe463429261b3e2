"""The command `explain`: words in signs and colours, JSON lines, the run's own examples, and what it refuses."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from nlptl.interfaces.explanation_lines import explanation_lines, json_line
from nlptl.interfaces.terminal import Coloured, columns, tell_coloured
from nlptl.models.explaining.explanation import Contribution, Explanation, Neighbour
from nlptl.runs.pipeline import Pipeline
from tests.interfaces.commands import Shell

TEXT = "The film is good and the story was dull"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run over word vectors, with its data beside it."""
    folder = tmp_path_factory.mktemp("explained")
    rows = ["good film,positive", "a warm story,positive", "bad film,negative", "a dull story,negative"]
    (folder / "train.csv").write_text("text,label\n" + "\n".join(rows * 2) + "\n")
    (folder / "p.yaml").write_text(
        "data: {labelled: train.csv}\nstages:\n- {stage: skipgram, dim: 8, min_count: 1, epochs: 5}\n"
        "- {stage: classification_head}\n- {stage: finetune, update: {method: head, epochs: 60, l2: 0.001}}\n"
    )
    Pipeline.from_yaml(folder / "p.yaml").run(folder / "run")
    return folder / "run"


def test_a_text_is_told_in_signs(run: Path, shell: Shell) -> None:
    code, out, err = shell("explain", run, "A good film, but a dull story.")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert re.fullmatch(r"(positive|negative) 0\.\d\d   next: (positive|negative) 0\.\d\d", lines[0])
    assert "good" in lines[1]
    assert re.search(r"\[[+-]{1,2}\w+[,.]?\]", lines[1])
    assert "against it" in lines[2]
    assert any(re.match(r"  nearest: -?0\.\d\d (positive|negative)  \S", line) for line in lines)
    assert lines[-1].startswith("  Exact: ")
    assert "\x1b" not in out
    assert max(map(columns, lines)) < 100


def test_a_label_may_be_asked_for(run: Path, shell: Shell) -> None:
    outs = [json.loads(shell("explain", run, TEXT, "--label", name, "--json")[1]) for name in ("negative", "positive")]
    for name, found in zip(("negative", "positive"), outs, strict=True):
        place = found["labels"].index(name)
        assert (found["label"], found["probability"]) == (name, found["probabilities"][place])
        sums = [base + sum(word["logits"][k] for word in found["words"]) for k, base in enumerate(found["base"])]
        assert sums == pytest.approx(found["logits"], abs=1e-4)
        assert [TEXT[word["start"] : word["end"]] for word in found["words"]] == TEXT.split()
        assert len(found["nearest"]) == 3
    assert outs[0]["towards"] == pytest.approx([-number for number in outs[1]["towards"]], abs=1e-5)
    code, out, err = shell("explain", run, TEXT, "--label", "postive")
    assert (code, out) == (2, "")
    assert err == (
        "--label: found 'postive'; the labels are 'negative', 'positive'. Did you mean 'positive'? Correct it.\n"
    )


def test_files_and_stdin_are_read_as_predict_does(run: Path, shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id;body\n1;good film\n2;\n3;dull story\n")
    command = ("explain", run, "--file", path, "--text-column", "body", "--json", "--neighbours", "0")
    code, out, err = shell(*command, "--quiet")
    assert (code, out) == (2, "")
    assert err == (
        f"{path}:3: the text is empty. Remove the row, fill in the text, or add --empty-text skip to leave out all such rows.\n"
    )
    code, out, err = shell(*command, "--empty-text", "skip")
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["good film", "dull story"]
    assert f"1 row without a text was left out; first: {path}:3." in " ".join(err.split())
    code, out, err = shell("explain", run, "--neighbours", "0", "-q", stdin="good film\n\ndull story\n")
    assert (code, err) == (0, "")
    assert [line[:2] for line in out.splitlines() if line[:1].isdigit()] == ["1.", "2."]
    code, out, err = shell("explain", run, TEXT, "--file", path)
    assert err == "explain: found a text and --file; expected one of them. Drop one.\n"


def test_a_run_whose_examples_are_gone_is_explained_without(small_classifier: Path, shell: Shell) -> None:
    code, out, err = shell("explain", small_classifier, TEXT)
    assert code == 0
    assert "nearest" not in out
    assert " ".join(err.split()).startswith("No labelled examples are shown, since they cannot be read again. ")
    assert shell("explain", small_classifier, TEXT, "--quiet")[2] == ""


def test_a_stage_without_its_run_is_explained_without_examples(run: Path, shell: Shell, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(run / "3-finetune", alone)
    code, out, err = shell("explain", alone, "good")
    assert (code, "nearest" in out) == (0, False)
    assert " ".join(err.split()) == (
        "No labelled examples are shown, since they cannot be read again. "
        f"{alone}: stands without its run, which names them. Give the folder of the run."
    )
    assert "nearest" in shell("explain", run / "3-finetune", "good")[1]


class Terminal(io.StringIO):
    """Stream that says that a person reads it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_shows_colours_unless_told_otherwise(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    line, shown = (
        [Coloured("[++good]", "green"), Coloured(" "), Coloured("[-bad\x1b]", "red"), Coloured(" so  ")],
        list[str](),
    )
    for _ in range(2):
        monkeypatch.setattr(sys, "stdout", stream := Terminal())
        tell_coloured([line])
        shown.append(stream.getvalue())
        monkeypatch.setenv(name, value)
    assert shown == ["\x1b[1;32m[++good]\x1b[0m \x1b[1;31m[-bad\\x1b]\x1b[0m so\n", "[++good] [-bad\\x1b] so\n"]


def told(text: str, weights: list[float], **more: object) -> list[str]:
    """Return the lines of an explanation of two labels whose words, at blanks, have these weights."""
    words, end = list[Contribution](), 0
    for word, weight in zip(text.split(), weights, strict=True):
        start = text.index(word, end)
        end = start + len(word)
        words.append(Contribution(start, end, word, (weight, 0.0)))
    total = sum(weights)
    given = {
        "labels": ("a", "b"), "given": ("a",), "label": "a", "probability": 0.9, "probabilities": (0.9, 0.1),
        "logits": (total, 0.0), "base": (0.0, 0.0), "contributions": tuple(words), "sentences": (), "how": "exact",
        "completeness_error": 0.0, **more,
    }  # fmt: skip
    found = Explanation(text, **given)  # type: ignore[arg-type]
    return lines_of(found)


def lines_of(found: Explanation, label: str | None = None) -> list[str]:
    return ["".join(part.shown(False) for part in line).rstrip() for line in explanation_lines(found, label)]


def test_signs_and_bars_say_how_strong_a_word_is() -> None:
    assert told("so good not bad .", [0.0, 2.0, -1.0, -0.1, 0.003]) == [
        "a 0.90   next: b 0.10",
        "  so [++good] [-not] bad .",
        "  for a                                            against it",
        "  +2.00 ██████████ good                            -1.00 █████      not",
        "                                                   -0.10 █          bad",
        "  Exact: +0.00 without a word and +0.90 by the words make +0.90 for a.",
    ]
    assert told("x y", [0.0, 0.0])[1:] == [
        "  x y",
        "  No word weighs 0.005 or more.",
        "  Exact: +0.00 without a word and +0.00 by the words make +0.00 for a.",
    ]


def test_equal_words_that_speak_alike_are_summed() -> None:
    assert told("so good so so " + "bad " * 1000, [0.001, 0.5, -0.2, 0.001, *[-0.0004] * 1000])[-4:] == [
        "  for a                                            against it",
        "  +0.50 ██████████ good                            -0.40 ████████   bad ×1,000",
        "                                                   -0.20 ████       so",
        "  Exact: +0.00 without a word and -0.10 by the words make -0.10 for a.",
    ]
    long = told("x" * 200 + " " + "x" * 200, [0.004, 0.004])[-2]
    assert "+0.01 ██████████ xxxxxx" in long
    assert long.endswith("xx… ×2")


def test_the_error_is_that_of_the_sum_that_is_shown() -> None:
    lines = told(
        "good bad", [1.0, -2.5], base=(0.5, -0.6), logits=(0.25, -0.25), how="occlusion", completeness_error=1.25
    )
    assert " ".join(map(str.strip, lines[-2:])) == (
        "By deleting words: +1.10 without a word and -1.50 by the words, where the text has +0.50 for a (error: 0.90)."
    )
    lines = told("good bad", [1.0, -2.5], how="occlusion", logits=(0.0, 0.0), completeness_error=1.5)
    assert " ".join(map(str.strip, lines[-3:])).endswith(
        "+0.00 for a (error: 1.50). Words that say the same, or need one another, make this error; read their order, not their sum."
    )


def of_several(
    given: tuple[str, ...], label: str, *, probabilities: tuple[float, ...] = (0.8, 0.3, 0.6)
) -> Explanation:
    """Return an explanation of a text that may have several of three labels."""
    words = (Contribution(0, 4, "good", (2.0, -1.0, 0.5)), Contribution(5, 8, "bad", (-1.0, 0.5, 0.25)))
    near = (Neighbour("a", ("x", "z"), 0.5, 1), Neighbour("b", (), 0.25, 2))
    return Explanation(
        "good bad", ("x", "y", "z"), given, label, 0.5, probabilities, (1.0, -0.5, 0.75), (0.0, 0.0, 0.0), words, (), "exact",
        0.0, nearest=near, thresholds=(0.5, 0.75, 0.55),
    )  # fmt: skip


def test_the_labels_of_a_text_are_told_and_explained() -> None:
    x = [
        "x 0.800: given from 0.500 on",
        "  [++good] [-bad]",
        "  for x                                            against it",
        "  +2.00 ██████████ good                            -1.00 █████      bad",
    ]
    y = [
        "  [--good] [+bad]",
        "  for y                                            against it",
        "  +0.50 █████      bad                             -1.00 ██████████ good",
    ]
    near = ["  nearest: 0.50 x, z  a", "           0.25 (no label)  b"]
    made = {
        "x": "  Exact: +0.00 without a word and +1.00 by the words make +1.00 for x.",
        "y": "  Exact: +0.00 without a word and -0.50 by the words make -0.50 for y.",
        "z": "  Exact: +0.00 without a word and +0.75 by the words make +0.75 for z.",
    }
    lines = lines_of(of_several(("x", "z"), "z"))
    assert lines[:2] == ["labels given: x, z", "z 0.600: given from 0.550 on"]
    assert lines[6:] == [*x, *near, made["z"], made["x"]]
    not_given = "y 0.300: not given; it would be from 0.750 on"
    assert lines_of(of_several((), "y")) == ["labels given: none", not_given, *y, *near, made["y"]]
    assert lines_of(of_several(("x", "z"), "z"), "y") == ["labels given: x, z", not_given, *y, *near, made["y"]]
    found = json.loads(json_line(of_several((), "y")))
    assert (found["given"], found["label"], found["thresholds"]) == ([], "y", [0.5, 0.75, 0.55])
    assert [one["label"] for one in found["nearest"]] == [["x", "z"], []]


def test_of_many_labels_some_are_explained() -> None:
    names = tuple("abcdefg")
    found = Explanation(
        "good", names, names, "c", 0.9, (0.9,) * 7, (1.0,) * 7, (0.0,) * 7, (Contribution(0, 4, "good", (1.0,) * 7),), (),
        "exact", 0.0, thresholds=(0.5,) * 7,
    )  # fmt: skip
    lines = lines_of(found)
    assert lines[0] == "labels given: a, b, c, d and 3 more"
    assert [line[0] for line in lines[1:] if "given from" in line] == ["c", "a", "b"]
    assert lines[-1] == "  3 of 7 labels are explained; --label NAME explains another."
    assert len(lines) < 25


def test_a_long_text_shows_the_lines_with_its_strongest_words() -> None:
    count = 400
    lines = told(
        " ".join(f"word{number}" for number in range(count)),
        [1.0 if number == 200 else 0.01 for number in range(count)],
    )
    assert len(lines) < 25
    assert any("[++word200]" in line for line in lines)
    assert lines.count("  …") >= 2


def test_hostile_and_wide_texts_stay_in_their_columns() -> None:
    near = (Neighbour("\x1b[2Jevil \u202e" + "x" * 300, ("映" * 60,), 0.5),)
    sentence = (Contribution(0, 9, "映画は" * 90, (0.4, 0.0)),)
    text = "映画はとても良いです。" * 20 + " \x1b[31m\u202e " + "z" * 500
    lines = told(
        text, [0.5] * len(text.split()), labels=("l" * 200, "映" * 200), label="l" * 200, nearest=near, sentences=sentence,
        remarks=("A remark that is long. " * 9,), how="occlusion", completeness_error=2.0,
    )  # fmt: skip
    assert max(map(columns, lines)) <= 100
    assert not any(character in "".join(lines) for character in "\x1b\u202e")
    assert any("\\x1b[31m\\u202e" in line for line in lines)
