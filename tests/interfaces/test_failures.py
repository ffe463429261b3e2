"""What a failed command says: one sentence with the remedy, no jargon and no traceback, and the exit code."""

from __future__ import annotations

import errno
import json
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest

from nlptl import __main__
from nlptl.errors import ConfigError, DataError, ProcessError, StorageError
from nlptl.interfaces.failures import exit_code, failure_lines
from nlptl.interfaces.terminal import OutputError
from nlptl.models.encoder import Encoder
from tests.interfaces.commands import Shell

MORE = " `nlptl {} --help` tells more."
EXPECTED = "expected a pipeline file, which is YAML with data: and stages:."


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("frobnicate", "nlptl: found the command 'frobnicate', which does not exist. `nlptl --help` tells more."),
        (
            "chekc",
            "nlptl: found the command 'chekc', which does not exist. Did you mean 'check'? `nlptl --help` tells more.",
        ),
        ("run", "nlptl run: PIPELINE is missing. Give it." + MORE.format("run")),
        (
            "run x.yaml --devcie cpu",
            "nlptl run: found the option --devcie, which does not exist. Did you mean --device?" + MORE.format("run"),
        ),
        (
            "run x.yaml --device gpu",
            "nlptl run: --device: found 'gpu'; expected auto, cpu or cuda. Correct it." + MORE.format("run"),
        ),
        (
            "neighbours x good --count 0",
            "nlptl neighbours: --count: found '0'; expected a number of at least 1. Correct it."
            + MORE.format("neighbours"),
        ),
        (
            "neighbours x good --count many",
            "nlptl neighbours: --count: found 'many'; expected a whole number. Correct it." + MORE.format("neighbours"),
        ),
        (
            "run x.yaml --price-per-hour much",
            "nlptl run: --price-per-hour: found 'much'; expected a number. Correct it." + MORE.format("run"),
        ),
        (
            "predict runs/x two words",
            'nlptl predict: found more arguments than expected (words). Put a value that holds blanks in "quotes".'
            + MORE.format("predict"),
        ),
        (
            "predict runs/x --file",
            "nlptl: --file needs a value. Write it behind the option. `nlptl --help` tells more.",
        ),
        (
            "predict runs/x -good",
            "nlptl predict: found the option -g, which does not exist. Put -- before a value that begins with a dash."
            + MORE.format("predict"),
        ),
        ("predict runs/x --proba=3", "nlptl: --proba takes no value. Drop it. `nlptl --help` tells more."),
    ],
)
def test_a_wrong_command_line_is_one_sentence(shell: Shell, command: str, told: str) -> None:
    assert shell(*command.split()) == (2, "", told + "\n")


def test_the_version_is_told(shell: Shell) -> None:
    from nlptl import __version__

    assert shell("--version") == (0, f"nlptl {__version__}\n", "")


def test_the_home_folder_is_meant_where_the_shell_leaves_its_sign(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").touch()
    for command in (("run", "x.yaml", "--out=~/file"), ("predict", "~/file", "text"), ("check", "~/no.yaml")):
        code, _, err = shell(*command)
        assert code == 2
        assert str(tmp_path) in err
        assert "~" not in err


def test_json_of_any_length_is_told_unread(shell: Shell, tmp_path: Path) -> None:
    big = tmp_path / "big.json"
    with big.open("wb") as file:
        file.write(b'{"a": 1}')
        file.truncate(2**40)
    assert shell("run", big)[::2] == (
        2,
        f"{big}: the file has more than 524,288 bytes. Settings are shorter; give another file.\n",
    )
    code, _, err = shell("evaluate", tmp_path, "--test", "x.csv", "--save", big)
    assert (code, err) == (
        2,
        f"--save: {big} exists, and evaluate did not write it; nothing was overwritten. Name another file, or add --force to "
        "replace it.\n",
    )


@pytest.mark.parametrize(
    ("option", "command"),
    [
        ("PIPELINE", ("check", "{}")),
        ("PIPELINE", ("run", "{}")),
        ("--out", ("run", "x.yaml", "--out", "{}")),
        ("RUN", ("predict", "{}", "text")),
        ("--file", ("predict", "x", "--file", "{}")),
        ("--out", ("predict", "x", "text", "--out", "{}")),
        ("RUN", ("evaluate", "{}", "--test", "x.csv")),
        ("--test", ("evaluate", "x", "--test", "{}")),
        ("--save", ("evaluate", "x", "--test", "x.csv", "--save", "{}")),
        ("RUN", ("neighbours", "{}", "word")),
        ("RUN", ("vectors", "export", "{}", "--format", "glove", "--out", "x")),
        ("--out", ("vectors", "export", "x", "--format", "glove", "--out", "{}")),
        ("RUN", ("show", "{}")),
    ],
)
def test_a_path_that_no_library_opens_is_refused(shell: Shell, option: str, command: tuple[str, ...]) -> None:
    def given(name: str) -> list[str]:
        return [part.format(name) for part in command]

    code, _, err = shell(*given("a\0b"))  # some versions of typer refuse it first
    assert code == 2
    assert f"{option}: found 'a\\x00b'; expected a path without the character NUL. Correct it." in err
    latin = f"{option}: found b'caf\\xe9', whose name is not UTF-8; expected UTF-8. Rename it.\n"
    assert shell(*given("caf\udce9")) == (2, "", latin)
    code, _, err = shell(*given("caf\ud800"))
    assert code == 2
    assert f"{option}: found 'caf\\ud800'" in err
    assert "UTF-8" in err


def test_a_word_that_is_no_text_is_refused(shell: Shell) -> None:
    told = "WORD: found 'caf\\udce9'; expected a word in UTF-8. Give another one.\n"
    assert shell("neighbours", "x", "caf\udce9") == (2, "", told)


def test_run_says_what_to_do_with_what_is_no_pipeline(tmp_path: Path, shell: Shell, small_classifier: Path) -> None:
    for name, part in (
        ("t.csv", "labelled"),
        ("t.xlsx", "labelled"),
        ("t.parquet", "labelled"),
        ("t.txt", "unlabelled"),
    ):
        path = tmp_path / name
        path.write_bytes(b"text,label\n")
        told = (
            f"{path}: found a table of data; {EXPECTED} Write one with `data: {{{part}: {path}}}`, as in "
            "pipelines/quickstart.yaml, and give that.\n"
        )
        for command in ("run", "check"):
            assert shell(command, path) == (2, "", told)
    for name, content, found in (
        ("t.py", "print(1)", "a .py file"), ("t.json", "{}", "JSON without stages:"), ("t.json", "{", "JSON without stages:"),
    ):  # fmt: skip
        path = tmp_path / name
        path.write_text(content)
        assert shell("run", path) == (2, "", f"{path}: found {found}; {EXPECTED} Give one.\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert shell("run", empty) == (2, "", f"{empty}: found a folder; {EXPECTED} Give a file.\n")
    (empty / "a.yaml").write_text("")
    assert shell("run", empty) == (
        2,
        "",
        f"{empty}: found a folder; {EXPECTED} Give the file, such as {empty / 'a.yaml'}.\n",
    )
    (empty / "pipeline.yaml").write_text("")
    told = f"To run it again, give {empty / 'pipeline.yaml'} and `--out {empty}`."
    assert shell("run", empty) == (2, "", f"{empty}: found the folder of a run; {EXPECTED} {told}\n")


def test_a_file_where_a_folder_belongs_is_told_as_such(review_files: Path, shell: Shell) -> None:
    readme = review_files / "README.md"
    readme.write_text("mine")
    told = f"--out: {readme} is a file; expected a folder for the run. Name another one with --out.\n"
    assert shell("run", review_files / "small.yaml", "--out", readme) == (2, "", told)
    assert shell("run", review_files / "small.yaml", "--out", readme / "run") == (2, "", told)
    told = f"RUN: {readme} is a file; expected the folder of a run or of one of its stages. Give a folder.\n"
    for command in (("predict", readme, "x"), ("show", readme), ("neighbours", readme, "x")):
        assert shell(*command) == (2, "", told)
    assert readme.read_text() == "mine"


def test_a_start_that_is_not_finished_is_told_as_such(tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "judged.jsonl").write_text("")
    told = (
        f"RUN: {tmp_path} holds a start that is not finished; expected a finished one. Type the same `nlptl start` again: it goes "
        "on where it stopped.\n"
    )
    for command in (("predict", tmp_path, "x"), ("show", tmp_path), ("report", tmp_path)):
        assert shell(*command) == (2, "", told)


def test_scores_replace_scores_and_nothing_else(small_classifier: Path, tmp_path: Path, shell: Shell) -> None:
    test = tmp_path / "test.csv"
    test.write_text("text,label\ngood film,positive\n,positive\nbad film,negative\n")
    command = ("evaluate", small_classifier, "--test", test, "--empty-text", "skip", "-q", "--save")
    for _ in range(2):
        code, out, err = shell(*command, tmp_path / "scores.json")
        assert (code, err) == (0, "")
        assert out.startswith("accuracy 1.000 ")
    (tmp_path / "package.json").write_text('{"rows": 3}')
    (tmp_path / "other.csv").write_bytes(test.read_bytes())
    for path in (tmp_path / "other.csv", tmp_path / "package.json"):
        content = path.read_bytes()
        told = (
            f"--save: {path} exists, and evaluate did not write it; nothing was overwritten. Name another file, or add "
            "--force to replace it.\n"
        )
        assert shell(*command, path) == (2, "", told)
        assert path.read_bytes() == content
    assert shell(*command, tmp_path / "package.json", "--force")[0] == 0
    code, _, err = shell("evaluate", small_classifier, "--test", test, "--empty-text", "skip")
    assert (code, err) == (0, "1 row without a text was left out.\n")


def test_rows_without_a_text_are_refused_skipped_or_wrong(small_classifier: Path, tmp_path: Path, shell: Shell) -> None:
    test, saved = tmp_path / "test.csv", tmp_path / "scores.json"
    test.write_text("text,label\ngood film,positive\n,positive\nbad film,negative\nbad plot,\n")
    command = ("evaluate", small_classifier, "--test", test, "--empty-label", "skip")
    code, out, err = shell(*command)
    assert (code, out) == (2, "")
    assert err == (
        f"{test}:3: the text is empty. Remove the row, fill in the text, or add --empty-text skip to leave out all such rows, "
        "or --empty-text empty to count them as wrong.\n"
    )
    code, out, err = shell(*command, "--empty-text", "skip")
    assert (code, err) == (0, "1 row without a text was left out.\n1 row without a label was left out.\n")
    assert out.startswith("accuracy 1.000 ")
    assert " on 2 texts" in out.splitlines()[0]
    code, out, err = shell(*command, "--empty-text", "empty", "--save", saved)
    assert (code, err) == (0, "1 row without a label was left out.\n")
    assert out.splitlines()[-1].startswith("accuracy 0.667 ")
    assert out.splitlines()[-1].endswith(" on all 3 rows; 1 without a text count as wrong")
    assert json.loads(saved.read_text())["rows_without_text"] == 1
    assert shell(*command, "--empty-text", "empty", "--save", saved)[0] == 0  # its own file
    code, _, err = shell("evaluate", small_classifier, "--test", test, "--empty-text", "skip")
    assert (code, err) == (
        2, f"{test}:5: the label is empty. Remove the row, fill in the label, or add --empty-label skip to leave out all such "
        "rows.\n"
    )  # fmt: skip


def test_quiet_means_only_results(review_files: Path, shell: Shell) -> None:
    train = review_files / "train.csv"
    train.write_text(train.read_text() + '"The film is good and the story was good, number 1",positive\n' * 2)
    command = ("run", review_files / "small.yaml", "--out", review_files / "out", "--device", "cpu")
    _, out, err = shell(*command)
    assert len(out.splitlines()) > 1
    assert err
    code, out, err = shell(*command, "-q")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == ["Test:"]
    encoder = Encoder.load(review_files / "out")  # of the last stage
    assert (
        encoder.encode(["good"]).tolist() == Encoder.load(review_files / "out" / "4-finetune").encode(["good"]).tolist()
    )


@pytest.mark.parametrize("command", ["check", "predict", "evaluate", "neighbours", "show", "vectors"])
def test_an_interrupt_is_one_sentence(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nlptl.runs.pipeline.Pipeline.from_yaml", interrupt)
    monkeypatch.setattr("nlptl.evaluation.scores.load_classifier", interrupt)
    monkeypatch.setattr("nlptl.runs.folder.stage_folders", interrupt)
    monkeypatch.setattr("nlptl.interfaces.text.stage_folders", interrupt)
    arguments = {
        "check": ("x.yaml",), "predict": ("x", "text"), "evaluate": ("x", "--test", "x.csv"), "neighbours": ("x", "word"),
        "show": ("x",), "vectors": ("export", "x", "--format", "glove", "--out", tmp_path / "v"),
    }  # fmt: skip
    told = "Interrupted. Every file is as it was or complete; run the same command again.\n"
    assert shell(command, *arguments[command]) == (1, "", told)


def test_each_kind_of_failure_has_its_sentence_and_code() -> None:
    told = [
        (PermissionError(errno.EACCES, "Permission denied", "/data/x.csv"), 1,
         ["/data/x.csv: this user has no permission here (Permission denied). Change the permissions, or choose another path."]),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), 1,
         ["/data/x: cannot be written (No space left on device). Free space or write elsewhere."]),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/data/x"), 1,
         ["/data/x: cannot be used (File name too long). Check the path."]),
        (OSError(errno.ENOSPC, "No space left on device"), 1,
         ["output: cannot be written (No space left on device). Free space or write elsewhere."]),
        (OSError(errno.EMFILE, "Too many open files"), 1,
         ["system: found a refusal (Too many open files); expected none. Free what the machine lacks, and try again."]),
        (OutputError("it is closed", broken=False), 1, ["output: cannot be written (it is closed). Write elsewhere."]),
        (OutputError("Broken pipe", broken=True), 1, []),
        (MemoryError(), 1,
         ["memory: there is not enough of it on this machine. Give less data, or close other programs."]),
        (ConfigError(["one", "two"]), 2, ["one", "two"]),
        (DataError("one"), 2, ["one"]),
        (StorageError("full"), 1, ["full"]),
        (ProcessError("gone"), 1, ["gone"]),
    ]  # fmt: skip
    for error, code, lines in told:
        assert (exit_code(error), failure_lines(error)) == (code, lines)


def test_a_fault_of_nlptl_keeps_its_traceback(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a fault of nlptl")

    monkeypatch.setattr("nlptl.runs.pipeline.Pipeline.from_yaml", fail)
    monkeypatch.setattr(sys, "argv", ["nlptl", "check", "x.yaml"])
    from nlptl.interfaces import cli

    with pytest.raises(AssertionError, match="a fault of nlptl"):
        cli.main()


def test_an_interrupt_while_the_command_line_loads_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting(MetaPathFinder):
        def find_spec(self, fullname: str, path: object, target: object = None) -> None:
            if fullname == "nlptl.interfaces.cli":
                raise KeyboardInterrupt

    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "nlptl.interfaces.cli", raising=False)
    with pytest.raises(SystemExit) as caught:
        __main__.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "Interrupted. Nothing was done; run the same command again.\n"
