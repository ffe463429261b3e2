"""The command line: results on stdout, everything else on stderr, exit codes 0, 1 and 2."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nlptl.errors import StorageError
from nlptl.interfaces.terminal import WIDTH
from tests.interfaces.commands import Shell


@pytest.fixture
def trained(review_files: Path, shell: Shell) -> Path:
    code, _, _ = shell("run", review_files / "small.yaml", "--out", review_files / "out", "--quiet", "--device", "cpu")
    assert code == 0
    return review_files / "out"


def test_run_tells_progress_on_stderr_and_results_on_stdout(review_files: Path, shell: Shell) -> None:
    arguments = ("run", review_files / "small.yaml", "--out", review_files / "out", "--set", "stages.0.dim=8")
    code, out, err = shell(*arguments)
    assert code == 0
    assert "\nTest: accuracy " in out
    assert err.startswith("Stages: skipgram, sentence_vectors, classification_head, finetune.\n1-skipgram: done in ")
    assert f'Next:    nlptl predict {review_files / "out"} "A text of your own."\n' in err
    assert "done" not in out
    code, out, err = shell(*arguments)
    assert "4-finetune: kept, nothing it depends on has changed." in err
    code, out, err = shell(*arguments, "--quiet")
    assert (code, err) == (0, "")


def test_check_trains_nothing(review_files: Path, shell: Shell) -> None:
    code, out, err = shell("check", review_files / "small.yaml")
    assert (code, err) == (0, "")
    assert " ".join(out.split()).endswith(f"{review_files / 'small.yaml'}: fits. 4 stages would run.")
    assert not (review_files / "out").exists()


def test_a_users_fault_is_one_sentence_and_code_2(review_files: Path, shell: Shell) -> None:
    code, out, err = shell("check", review_files / "small.yaml", "--set", "stages.0.epoch=3")
    assert (code, out) == (2, "")
    assert err.startswith(f"{review_files / 'small.yaml'}: stages.0.epoch is not a setting. Did you mean 'epochs'?")
    code, _, err = shell("check", "nowhere.yaml")
    assert (code, err) == (2, "nowhere.yaml: there is no such file. Give the path of a YAML file.\n")
    code, _, err = shell("run", review_files / "small.yaml", "--device", "gpu")
    assert code == 2
    assert "gpu" in err


def test_a_refusing_disk_is_code_1(review_files: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StorageError("out: cannot be written (No space left on device); nothing was left half-written.")

    monkeypatch.setattr("nlptl.runs.pipeline.Pipeline.run", refuse)
    code, out, err = shell("run", review_files / "small.yaml")
    assert (code, out) == (1, "")
    assert err.splitlines()[1:] == ["out: cannot be written (No space left on device); nothing was left half-written."]


def test_an_interrupt_is_code_1(review_files: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nlptl.runs.pipeline.Pipeline.run", interrupt)
    code, _, err = shell("run", review_files / "small.yaml", "--quiet")
    assert (code, err) == (1, "Interrupted. Finished stages are kept; run the same command to go on.\n")


def test_predict_from_argument_file_and_stdin(trained: Path, review_files: Path, shell: Shell) -> None:
    code, out, err = shell("predict", trained, "a good, lovely film")
    assert (code, err) == (0, "")
    assert out == 'text,label\n"a good, lovely film",positive\n'
    code, out, _ = shell(
        "predict", trained, "--output", "jsonl", "--proba", stdin="a good, lovely film\nan awful, boring plot\n"
    )
    found = [json.loads(line) for line in out.splitlines()]
    assert [row["label"] for row in found] == ["positive", "negative"]
    assert sum(found[0]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    code, out, _ = shell("predict", trained, "--file", review_files / "test.csv", "--proba")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 20
    assert set(rows[0]) == {"text", "label", "p_negative", "p_positive"}


def test_predict_refuses_what_it_cannot_read(trained: Path, review_files: Path, shell: Shell) -> None:
    code, _, err = shell("predict", trained, "x", "--file", review_files / "test.csv")
    assert (code, err) == (2, "predict: found a text and --file; expected one of them. Drop one.\n")
    code, _, err = shell("predict", review_files / "nowhere", "x")
    assert (code, err) == (
        2,
        f"{review_files / 'nowhere'}: no such folder; expected one that nlptl published. Check the path.\n",
    )
    code, _, err = shell("predict", trained / "1-skipgram", "x")
    assert (code, err) == (
        2,
        f"{trained / '1-skipgram'}: holds an artifact of kind encoder; expected classifier. Give another folder.\n",
    )


def test_more_that_cannot_be_predicted(
    trained: Path, review_files: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("", "\udcff"):
        code, _, err = shell("predict", trained, text)
        assert code == 2
        assert err.startswith("predict: found '")
        assert err.endswith("'; expected a text in UTF-8 that is not empty. Give another one.\n")
    (review_files / "half.jsonl").write_text('{"text": "good \\ud800"}\n')
    code, _, err = shell("predict", trained, "--file", review_files / "half.jsonl")
    assert code == 2
    assert "half of a UTF-16 surrogate pair. Remove it, or write the whole character." in err
    code, _, err = shell("evaluate", trained, "--test", review_files / "test.csv", "--save", review_files)
    assert (code, err) == (2, f"--save: {review_files} is a folder; expected a file to write. Name a file in it.\n")
    long = "x" * 5000 + ".csv"
    code, _, err = shell("predict", trained, "--file", long)
    assert code == 2
    assert err.endswith("cannot be opened (File name too long). Check the path.\n")
    command = f"{sys.executable} -m nlptl predict {trained} 'good film' > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "output: cannot be written (No space left on device). Free space or write elsewhere.\n",
    )
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m nlptl predict {trained} <&-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        2,
        "predict: found no text, no --file and a closed stdin; expected one of them. Give one.\n",
    )


def test_evaluate(trained: Path, review_files: Path, shell: Shell) -> None:
    code, out, err = shell("evaluate", trained, "--test", review_files / "test.csv", "--save", review_files / "e.json")
    assert (code, err) == (0, "")
    assert out.startswith("accuracy ")
    assert json.loads((review_files / "e.json").read_text())["rows"] == 20
    code, out, _ = shell("evaluate", trained, "--test", review_files / "train.csv")
    told = "12 of 12 texts were learnt from: these scores are too high. Score on texts that the classifier has"
    assert (code, out.splitlines()[0]) == (0, told)
    (review_files / "other.csv").write_text("text,label\nfine,splendid\n")
    code, _, err = shell("evaluate", trained, "--test", review_files / "other.csv")
    assert (code, err) == (
        2,
        (
            f"{review_files / 'other.csv'}:2: the classifier has no label 'splendid' (1 row); its labels are 'negative', "
            "'positive'. Correct or remove the row, or train with the label.\n"
        ),
    )
    (review_files / "other.csv").write_text("review,stars\ngood film,positive\n")
    code, out, _ = shell(
        "evaluate", trained, "--test", review_files / "other.csv", "--text-column", "review", "--label-column", "stars"
    )
    assert (code, out.split()[0]) == (0, "accuracy")


def test_neighbours_and_show(trained: Path, shell: Shell) -> None:
    code, out, _ = shell("neighbours", trained, "GOOD", "--count", "3")
    assert code == 0
    assert len(out.splitlines()) == 3
    assert all(-1 <= float(line.split("\t")[1]) <= 1 for line in out.splitlines())
    code, _, err = shell("neighbours", trained, "goood")
    assert code == 2
    assert err.startswith("goood: found no vector for this word; expected one of the ")
    assert err.endswith(" Did you mean 'good'?\n")
    code, out, _ = shell("show", trained)
    assert code == 0
    assert "4-finetune" in out
    assert "Test: accuracy " in out
    assert len(out.splitlines()) < 12
    code, everything, _ = shell("show", trained, "--all")
    assert code == 0
    for detail in (
        "Settings: dim=16, ",
        "Learnt from unlabelled",
        "Nearest neighbours",
        "Made with nlptl ",
        "macro-F1 ",
    ):
        assert detail in everything
        assert detail not in out
    assert max(len(line) for line in everything.splitlines() if " " in line.strip()) <= WIDTH


def test_vectors_export(trained: Path, shell: Shell, tmp_path: Path) -> None:
    out_file = tmp_path / "vectors.bin"
    code, out, err = shell("vectors", "export", trained, "--format", "word2vec-binary", "--out", out_file)
    assert (code, err) == (0, "")
    assert out.startswith(f"{out_file}: ")
    assert len(out.splitlines()) == 2
    code, _, err = shell("vectors", "export", trained, "--format", "glove", "--out", out_file)
    assert (code, err) == (
        2,
        f"--out: {out_file} exists; nothing was overwritten. Name another file, or add --force to replace it.\n",
    )
    code, *_ = shell("vectors", "export", trained / "4-finetune", "--format", "glove", "--out", out_file, "--force")
    assert code == 0
    code, _, err = shell("vectors", "export", trained, "--format", "glov", "--out", tmp_path / "v")
    assert code == 2
    assert err.endswith("Did you mean 'glove'?\n")


def test_a_reader_that_goes_away_is_no_traceback(trained: Path) -> None:
    command = f"yes 'good film' | head -20000 | {sys.executable} -m nlptl predict {trained} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stdout == "text,label\n"
    assert "Traceback" not in done.stderr


def test_importing_a_stage_is_cheap() -> None:
    script = (
        "import sys; from nlptl.stages.skipgram import SkipGram; import nlptl; nlptl.Pipeline\n"
        "heavy = {'torch', 'torch.distributed', 'transformers', 'fastapi', 'starlette', 'flask', 'uvicorn', 'gensim'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys\nsys.argv = ['nlptl', '--help']\nfrom nlptl.interfaces.cli import main\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'pydantic', 'datasets', 'pandas', 'rich.console'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "100"}
    )
    for command in ("run", "check", "predict", "evaluate", "neighbours", "show"):
        assert f"  {command} " in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_paths_that_lack_something(
    review_files: Path, trained: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    (review_files / "empty").mkdir()
    monkeypatch.chdir(review_files / "empty")
    Path("reviews.yaml").write_text("seed: 1\n")
    for given in ("reviews", "reviews.yml", "review.yaml"):
        for command in ("run", "check"):
            told = f"{given}: there is no such file. Did you mean 'reviews.yaml'? Give the path of a YAML file.\n"
            assert shell(command, given) == (2, "", told)
    told = f"RUN: {trained.parent} is no run, but holds some. Give a run in it, such as {trained}.\n"
    assert shell("predict", trained.parent, "a text") == (2, "", told)
    assert shell("show", trained.parent) == (2, "", told)
