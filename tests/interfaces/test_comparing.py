"""The command `compare`: what it prints, in each form, and what it refuses."""

from __future__ import annotations

import csv
import io
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.evaluation.arm_scores import ArmScores
from nlptl.interfaces.comparison_tables import as_csv, command, markdown, summary_lines
from nlptl.interfaces.terminal import columns
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.studies.comparison.arm_costs import ArmCost
from nlptl.runs.studies.comparison.comparison import ArmFacts, ComparisonResult
from nlptl.runs.studies.comparison.judged_comparison import judged_result
from nlptl.runs.studies.comparison.regimes import TITLES
from tests.interfaces.commands import Shell

QUICK = ("--set", "stages.0.epochs=1", "--set", "stages.3.update={method: head, solver: ridge}", "--device", "cpu")
COST = ArmCost(seconds=3725.0, trainable_parameters=22_713_216, memory=12345.6, disk=1234.5, latency=123.4)


def result(names: list[str], *, left_out: dict[str, str] | None = None, texts: int = 2_000) -> ComparisonResult:
    """Return a result of arms that differ, each dear."""
    truth = np.arange(texts) % 4
    right = np.random.default_rng(0).random((len(names), 1, texts)) < np.linspace(0.3, 0.9, len(names))[:, None, None]
    scores = ArmScores(truth, np.where(right, truth, (truth + 1) % 4), np.arange(texts), 4)
    facts = tuple(
        ArmFacts(name=name, cost=COST, pipeline="p.yaml", assignments=("stages.2.update={method: lora}",))
        for name in names
    )
    return judged_result(
        tuple(names), scores, test="test.csv", judged="Judged on 2,000 texts of test.csv, each arm trained under 5 seeds.",
        facts=facts, left_out=left_out or {}, belongs_to={},
    )  # fmt: skip


@pytest.mark.parametrize("wide", [False, True])
def test_all_regimes_fit_the_screen(wide: bool) -> None:
    names = ["the pipeline as written", *TITLES.values()]
    reasons = {f"left out {number}": "it takes about 12:34, and 1:23 of 10 minutes are left" for number in range(4)}
    if wide:
        names = [f"pipelines/of/a/deep/folder/with-a-long-name-{number}.yaml" for number in range(9)]
    lines = summary_lines(result(names, left_out=reasons), more=["Next:    nlptl compare p.yaml --format markdown"])
    assert len(lines) <= 25
    assert max(map(columns, lines)) <= 100
    assert lines[-1] == "Next:    nlptl compare p.yaml --format markdown"
    assert any("1:02:05  22.7M" in line for line in lines)
    assert any(line.startswith("Left out: left out 0, left out 1") for line in lines)


def test_small_sizes_and_times_are_no_nothing() -> None:
    found = result(["one", "two"])
    small = COST.model_copy(update={"disk": 0.003412, "latency": 0.0021})
    facts = tuple(one.model_copy(update={"cost": small}) for one in found.facts)
    ends = [line.split()[-2:] for line in summary_lines(found.model_copy(update={"facts": facts}))]
    assert ends.count(["0.003", "0.002"]) == 2


def test_names_that_a_terminal_would_obey_are_escaped() -> None:
    lines = summary_lines(result(["\x1b[31mred.yaml", "b|\u202e.yaml"]))
    assert "\x1b" not in "\n".join(lines)
    assert any(line.startswith("\\x1b[31mred.yaml") for line in lines)


def test_tables_of_one_change_rows() -> None:
    found = result(["a|b", "c"])
    rows = markdown(found).splitlines()
    assert rows[0] == "Judged on 2,000 texts of test.csv, each arm trained under 5 seeds. Brackets are 95 % intervals."
    assert rows[2] == (
        "| arm | accuracy, % | macro-F1, % | points over a\\|b | time of a training | parameters trained | memory at the peak, MB "
        "| disk, MB | a text alone, ms | command |"
    )
    assert rows[-1] == found.sentence
    assert rows[4].startswith("| a\\|b | ")
    assert rows[4].endswith("| `` nlptl run p.yaml --set 'stages.2.update={method: lora}' `` |")
    assert [len(row.replace("a\\|b", "").split("|")) for row in rows[2:6]] == [12] * 4
    table = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert [row["arm"] for row in table] == ["a|b", "c"]
    apart = found.results[0].differences[0].difference
    assert table[0]["difference"] == table[0]["difference_low"] == table[0]["difference_high"] == ""
    for end, value in {"": apart.value, "_low": apart.low, "_high": apart.high}.items():
        assert float(table[1][f"difference{end}"]) == pytest.approx(value, abs=1e-6)
    assert f"| {100 * apart.value:+.1f} [" in rows[5]
    assert float(table[0]["accuracy"]) == pytest.approx(found.results[0].accuracies[0].value, abs=1e-6)
    assert float(table[0]["latency_ms"]) == 123.4
    assert shlex.split(table[0]["command"]) == ["nlptl", "run", "p.yaml", "--set", "stages.2.update={method: lora}"]
    assert command(ArmFacts(name="most frequent label")) == ""


def test_a_pipeline_is_compared_and_its_rows_run(
    shell: Shell, review_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(review_files)
    given = ("compare", "small.yaml", "--regimes", "most_frequent,word_vectors,lora", "--seeds", "1", *QUICK)
    code, out, err = shell(*given)
    assert code == 0, err
    lines = out.splitlines()
    told = " ".join(lines)
    assert told.startswith(f"Judged on 20 texts of {review_files}/test.csv, each arm trained under 1 seed. Per cent")
    assert "Left out: LoRA (the pipeline has no pretrained encoder; give one, such as --weights minilm)." in told
    assert lines[-1] == (
        "Next:    nlptl compare small.yaml --regimes most_frequent,word_vectors,lora --seeds 1 --device cpu --set "
        "stages.0.epochs=1 --set 'stages.3.update={method: head, solver: ridge}' --format markdown"
    )
    assert Path("runs/small-compare/comparison.json").is_file()
    code, out, err = shell(*given, "--format", "csv")
    assert "comparison: kept, nothing that its 3 trials depend on has changed." in err
    rows = {row["arm"]: row["command"] for row in csv.DictReader(io.StringIO(out))}
    assert set(rows) == {"the pipeline as written", "most frequent label", "word vectors"}
    typed = shlex.split(rows["word vectors"])
    assert typed[:3] == ["nlptl", "run", "small.yaml"]
    made = Pipeline.from_yaml("small.yaml", assignments=[one for one in typed[3:] if one != "--set"])
    update: Any = made.stages[-1]
    assert update.update.solver == "auto"


def test_the_command_of_an_arm_leaves_the_comparison_of_the_file_out(
    shell: Shell, review_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(review_files)
    path = Path("small.yaml")
    path.write_text(path.read_text() + "compare: {arms: {a: {}, b: {stages.1.pooling: mean}}, tests: {t: test.csv}}\n")
    code, out, err = shell(
        "compare", path, "--regimes", "most_frequent,words", "--seeds", "1", *QUICK, "--format", "csv"
    )
    assert code == 0, err
    commands = {row["arm"]: row["command"] for row in csv.DictReader(io.StringIO(out))}
    for arm in ("the pipeline as written", "words (tf-idf, logistic)"):
        typed = [one for one in shlex.split(commands[arm])[3:] if one != "--set"]
        assert Pipeline.from_yaml(path, assignments=typed).compare is None


def test_the_arms_of_a_file_are_compared_and_their_commands_make_them(
    shell: Shell, review_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(review_files)
    folder = Path("pipelines")
    folder.mkdir()
    more = "compare: {seeds: 2, arms: {sif: {}, mean: {stages.1.pooling: mean}, labels alone: {data.unlabelled: ../more.txt, "
    more += "stages.3.update: {solver: ridge, method: head}}}}\n"
    Path("more.txt").write_text("a quiet film\nan old story\n")
    (folder / "small.yaml").write_text(Path("small.yaml").read_text() + more)
    given = ("compare", "pipelines/small.yaml", "--arms", *QUICK)
    code, out, err = shell(*given)
    assert code == 0, err
    assert " ".join(out.split()).startswith(
        f"Judged on 20 texts of {review_files}/test.csv, each arm trained under 2 seeds."
    )
    assert out.splitlines()[-1].startswith("Next:    nlptl compare pipelines/small.yaml --arms --device cpu --set ")
    code, out, err = shell(*given, "--format", "csv")
    assert "comparison: kept, nothing that its 6 trials depend on has changed." in err
    commands = {row["arm"]: shlex.split(row["command"]) for row in csv.DictReader(io.StringIO(out))}
    assert list(commands) == ["sif", "mean", "labels alone"]
    assert commands["mean"][-2:] == ["--set", "stages.1.pooling=mean"]
    assert commands["labels alone"][-1] == "stages.3.update={solver: ridge, method: head}"
    for arm, typed in commands.items():
        assert typed[:3] == ["nlptl", "run", "pipelines/small.yaml"]
        made = Pipeline.from_yaml(typed[2], assignments=[one for one in typed[3:] if one != "--set"])
        assert made.compare is None
        pooling: Any = made.stages[1]
        assert pooling.pooling == ("mean" if arm == "mean" else "sif")
        assert Path(str(made.data.unlabelled)).name == ("more.txt" if arm == "labels alone" else "pile.txt")
        assert made.check()[0].unlabelled is not None


def test_arms_are_not_redrawn(shell: Shell, review_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(review_files)
    path = Path("small.yaml")
    path.write_text(
        path.read_text() + "compare: {seeds: 2, arms: {a: {}, b: {stages.1.pooling: mean}}, redraw: test.csv}\n"
    )
    code, _, err = shell("compare", "small.yaml", "--arms", *QUICK)
    assert code == 2
    assert " ".join(err.split()) == (
        "small.yaml: compare.redraw: found it beside --arms, which trains every seed on the same examples; expected none. Add "
        "--set compare.redraw=null, or run the pipeline, whose own comparison redraws."
    )
    code, out, err = shell("compare", "small.yaml", "--arms", *QUICK, "--set", "compare.redraw=null")
    assert code == 0, err
    assert "each arm trained under 2 seeds." in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["small.yaml", "--arms"],
            "small.yaml: has no `compare:` block, but --arms compares its arms. Write one, or leave --arms out.",
        ),
        (
            ["small.yaml", "--arms", "--regimes", "lora"],
            "--regimes: found it beside --arms, whose chains stand in the file; expected no such option here. Leave it out.",
        ),
        (
            ["small.yaml", "copy.yaml", "--arms"],
            "--arms: found it beside several pipelines, which are compared as they are written; expected no such option here. "
            "Leave it out.",
        ),
        (
            ["small.yaml", "--regimes", "frozn"],
            f"--regimes: found 'frozn'; expected names among {', '.join(TITLES)}. Did you mean 'frozen'? Correct it.",
        ),
        (["small.yaml", "small.yaml"], "small.yaml: stands twice in the command; expected each once. Remove one."),
        (
            ["small.yaml", "folder"],
            "small.yaml: is no folder, but folder is one; expected pipeline files, or folders of runs. Give one kind.",
        ),
        (
            ["folder"],
            "folder: found one run; expected two or more runs, or a pipeline file. Give another run beside it.",
        ),
        (
            ["folder", "other", "--regimes", "lora"],
            "--regimes: found it beside runs, which are trained already; expected no such option here. Leave it out.",
        ),
        (
            ["small.yaml", "--test", "test.csv"],
            "--test: found it beside pipelines, which name their test under data.test; expected no such option here. Leave it "
            "out.",
        ),
        (
            ["small.yaml", "--minutes", "0"],
            "--minutes: found 0; expected a number above 0, at most 100,000. Give the minutes that it may take.",
        ),
        (
            ["small.yaml", "--seeds", "1001"],
            "--seeds: found 1001; expected a whole number from 1 to 1,000. Give fewer seeds.",
        ),
        (
            ["small.yaml", "copy.yaml", "--weights", "minilm"],
            "--weights: found it beside several pipelines, which are compared as they are written; expected no such option "
            "here. Leave it out.",
        ),
    ],
)
def test_what_is_refused(
    shell: Shell, review_files: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(review_files)
    for name in ("folder", "other"):
        Path(name).mkdir()
    Path("copy.yaml").write_text(Path("small.yaml").read_text())
    code, out, err = shell("compare", *arguments)
    assert (code, out) == (2, "")
    assert err.strip() == told
