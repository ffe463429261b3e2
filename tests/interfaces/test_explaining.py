"""The command `explain`: words in signs and colours, JSON lines, the run's own examples, and what it refuses."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest

from nlptl.interfaces.explanation_lines import explanation_lines
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
        "labels": ("a", "b"), "label": "a", "probability": 0.9, "probabilities": (0.9, 0.1), "logits": (total, 0.0),
        "base": (0.0, 0.0), "contributions": tuple(words), "sentences": (), "how": "exact", "completeness_error": 0.0, **more,
    }  # fmt: skip
    found = Explanation(text, **given)  # type: ignore[arg-type]
    return ["".join(part.shown(False) for part in line).rstrip() for line in explanation_lines(found)]


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
    near = (Neighbour("\x1b[2Jevil \u202e" + "x" * 300, "映" * 60, 0.5),)
    sentence = (Contribution(0, 9, "映画は" * 90, (0.4, 0.0)),)
    text = "映画はとても良いです。" * 20 + " \x1b[31m\u202e " + "z" * 500
    lines = told(
        text, [0.5] * len(text.split()), labels=("l" * 200, "映" * 200), label="l" * 200, nearest=near, sentences=sentence,
        remarks=("A remark that is long. " * 9,), how="occlusion", completeness_error=2.0,
    )  # fmt: skip
    assert max(map(columns, lines)) <= 100
    assert not any(character in "".join(lines) for character in "\x1b\u202e")
    assert any("\\x1b[31m\\u202e" in line for line in lines)
