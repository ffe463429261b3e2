"""Regimes of one pipeline and whole pipelines on the same texts: which are made, how they are judged, and what is kept."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from nlptl.context import RunContext
from nlptl.errors import ArtifactError, ConfigError, DataError
from nlptl.progress import SilentProgress
from nlptl.results import read_result_lines
from nlptl.runs.chain import Chain
from nlptl.runs.judging import splits
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.studies.comparison import trials
from nlptl.runs.studies.comparison.arm_costs import ArmCost, median_latency
from nlptl.runs.studies.comparison.comparison import ComparisonResult, read_comparison
from nlptl.runs.studies.comparison.comparison_rows import ComparisonRow
from nlptl.runs.studies.comparison.regime_comparison import (
    NamedChain,
    compare_chains,
    compare_regimes,
    with_largest_test,
)
from nlptl.runs.studies.comparison.regimes import AS_WRITTEN, TITLES, checked_regimes, flow_style, regimes_of
from nlptl.runs.studies.comparison.trials import TrialTime
from nlptl.stages.finetune import FineTune
from nlptl.stages.skipgram import SkipGram
from tests.conftest import small_reviews
from tests.forked import FORKED
from tests.models.tiny import tiny_folder

QUICK = ("most_frequent", "word_vectors")
FINETUNE = "{stage: finetune, update: {method: head, solver: ridge}}"
QUICK_HEAD = "stages.3.update={method: head, solver: ridge}"


def named(path: Path, *assignments: str) -> NamedChain:
    pipeline = Pipeline.from_yaml(path, assignments=assignments)
    chain = Chain(seed=pipeline.seed, data=pipeline.data, stages=pipeline.stages)
    data, _ = chain.check()
    return NamedChain(path.name, chain, with_largest_test(data, chain, pipeline.compare, where=path.name))


def compared(folder: Path, *assignments: str, out: str = "out", **settings: Any) -> ComparisonResult:
    settings = {"regimes": QUICK, "seeds": 2, **settings}
    chain = named(folder / "small.yaml", "stages.0.epochs=2", QUICK_HEAD, *assignments)
    return compare_regimes(chain, folder / out, RunContext(device="cpu"), paths_from=folder, **settings)


def without_costs(result: ComparisonResult) -> ComparisonResult:
    """Return what does not differ from run to run."""
    facts = tuple(one.model_copy(update={"cost": None}) for one in result.facts)
    return result.model_copy(update={"facts": facts, "sentence": ""})


def test_regimes_are_judged_on_the_test(review_files: Path) -> None:
    found = compared(review_files)
    assert found.arms == (AS_WRITTEN, *(TITLES[key] for key in QUICK))
    assert found.judged == f"Judged on 20 texts of {review_files / 'test.csv'}, each arm trained under 2 seeds."
    [result] = found.results
    assert (result.texts, result.seeds, len(result.pairs)) == (20, 2, 3)
    assert result.accuracies[1].value == 0.5
    assert [fact.assignments for fact in found.facts[:2]] == [(), None]
    for fact in found.facts[2:]:
        assert fact.cost is not None
        assert fact.cost.trainable_parameters > 0
        for value in (fact.cost.seconds, fact.cost.memory, fact.cost.disk, fact.cost.latency):
            assert value is not None
            assert value > 0
    assert read_comparison(review_files / "out") == found
    assert set(found.belongs_to) >= {"labelled", "unlabelled", "judged", "nlptl"}
    again = compared(review_files)
    assert again == found  # costs included: nothing was trained again


def test_the_command_of_a_regime_makes_its_arm(review_files: Path) -> None:
    found = compared(review_files, regimes=("words", "word_vectors"), seeds=1)
    for fact, keys in zip(found.facts[1:], (["ngrams"], ["skipgram", "sentence_vectors"]), strict=True):
        assert fact.assignments is not None
        made = Pipeline.from_yaml(review_files / "small.yaml", assignments=fact.assignments)
        assert [stage.stage for stage in made.stages] == [*keys, "classification_head", "finetune"]


def test_settings_in_one_line_are_read_back() -> None:
    given = {"method": "lora", "l2": 0.01, "a list": [None, True, "no", "1e5", "a: b", "~", "0x1", "e5"]}
    assert flow_style(given) == (
        '{method: lora, l2: 0.01, "a list": [null, true, "no", "1e5", "a: b", "~", "0x1", e5]}'
    )
    assert yaml.safe_load(flow_style(given)) == given


def test_without_a_test_all_labelled_rows_are_held_out_in_turn(review_files: Path) -> None:
    rows = (review_files / "train.csv").read_text()
    (review_files / "train.csv").write_text(rows + rows.split("\n", 1)[1])  # each text twice
    learnt: list[set[str]] = []
    original = FineTune.run

    def watched(self: Any, given: Any = None, *, data: Any = None, context: Any = None) -> Any:
        learnt.append(set(data.labelled.texts()) | set(data.unlabelled.texts()))
        return original(self, given, data=data, context=context)

    texts = rows.split("\n", 1)[1].replace('"', "").splitlines()
    (review_files / "pile.txt").write_text("\n".join(one.rpartition(",")[0] for one in texts) + "\na b\nc d\n")
    with mock.patch.object(FineTune, "run", watched), mock.patch.object(splits, "REPEATS", 2):
        found = compared(review_files, "data.test=null", regimes=("most_frequent",))
    assert found.judged == "Judged on 12 labelled texts by cross-validation (4 folds, 2 times, copies together)."
    assert found.results[0].texts == 12
    assert "12 texts are too few for an interval" in found.sentence
    assert {len(one) for one in learnt} == {9 + 2}  # no held-out text, not in the pile either


def test_what_arms_share_runs_once_and_costs_each(review_files: Path) -> None:
    weights = tiny_folder(review_files / "bert", "bert")
    first = f"stages=[{{stage: bert, weights: {weights}}}, {{stage: classification_head}}, {FINETUNE}]"
    runs: list[str] = []
    original = type(named(review_files / "small.yaml", first).chain.stages[0]).run

    def counted(self: Any, given: Any = None, *, data: Any = None, context: Any = None) -> Any:
        runs.append(self.stage)
        return original(self, given, data=data, context=context)

    with mock.patch("nlptl.stages.bert.Bert.run", counted):
        found = compared(review_files, first, regimes=("names", "frozen"))
    assert runs == ["bert"]
    assert found.arms == ("label names alone", "frozen encoder")
    assert found.facts[1].is_own
    assert found.facts[0].assignments is not None
    assert found.facts[0].assignments[:2] == (
        "data.labelled=null", "data.label_names={negative: negative, positive: positive}",
    )  # fmt: skip


def test_all_regimes_of_an_encoder(review_files: Path) -> None:
    """Every regime is an arm or is left out with a reason; the chain's own update keeps its settings."""
    weights = tiny_folder(review_files / "bert", "bert")
    first = (
        f"stages=[{{stage: bert, weights: {weights}}}, {{stage: classification_head}}, "
        "{stage: finetune, update: {method: lora, rank: 2, epochs: 1}}]"
    )
    given = named(review_files / "small.yaml", first)
    found = regimes_of(given.chain, given.data, names=tuple(TITLES), minutes=10.0, folder=review_files)
    assert [regime.key for regime in found.found] == list(TITLES)
    assert not found.left_out
    by_key = {regime.key: regime for regime in found.found}
    assert by_key["lora"].assignments == ()
    assert by_key["continued"].assignments == (
        "stages.0.continue={objective: auto}", "stages.2.update={method: head, solver: auto}",
    )  # fmt: skip
    assert by_key["full"].assignments == ("stages.2.update={method: full}",)
    assert by_key["auto"].assignments == ("stages.2.update={method: auto, minutes: 1.0}",)
    for regime in found.found:
        for assignments in [regime.assignments] if regime.assignments else []:
            Pipeline.from_yaml(review_files / "small.yaml", assignments=[first, *assignments])


def test_a_larger_test_of_the_compare_block_judges(review_files: Path) -> None:
    path = review_files / "small.yaml"
    texts, labels = small_reviews(30, start=0)  # the first 12 are those that are learnt
    rows = "".join(f'"{text}",{label}\n' for text, label in zip(texts, labels, strict=True))
    (review_files / "large.csv").write_text("text,label\n" + rows)
    (review_files / "train.csv").write_text(
        (review_files / "train.csv").read_text() + "a film,negative\nthe film,positive\n"
    )
    path.write_text(path.read_text() + "compare: {arms: {a: {}, b: {stages.0.epochs: 0}}, tests: {large: large.csv}}\n")
    found = named(path)
    assert found.data.test is not None
    assert len(found.data.test) == 30
    assert found.data.labelled is not None
    assert len(found.data.labelled) == 2


def test_an_arm_that_fails_is_left_out(review_files: Path) -> None:
    """A training that ends in NaN, or in an error, does not end the others."""
    original = FineTune.run

    def broken(self: Any, given: Any = None, *, data: Any = None, context: Any = None) -> Any:
        found = original(self, given, data=data, context=context)
        if self.update.method == "head" and self.update.solver == "auto":
            found.head.last_linear.weight.data.fill_(float("nan"))
        if self.update.method == "words":
            raise DataError("finetune: nothing was learnt.")
        return found

    with mock.patch.object(FineTune, "run", broken):
        found = compared(review_files, regimes=(*QUICK, "words"), seeds=1)
    assert found.arms == (AS_WRITTEN, "most frequent label")
    told = {one.name: one.reason for one in found.left_out}
    assert told == {
        "word vectors": f"it failed: word vectors: its classifier gives 20 of 20 texts of {review_files / 'test.csv'} "
        "probabilities that are no numbers (NaN), so it cannot be compared. Train it again with a lower learning rate, or "
        "leave it out.",
        "words (tf-idf, logistic)": "it failed: finetune: nothing was learnt.",
    }


def test_arms_that_do_not_fit_the_time_are_left_out(review_files: Path) -> None:
    with pytest.raises(DataError) as caught:
        compared(review_files, minutes=1e-6, out="slow")
    assert str(caught.value) == (
        "comparison: only most frequent label could be trained; expected two arms or more. the pipeline as written: no time "
        "is left of 1e-06 minutes. word vectors: no time is left of 1e-06 minutes."
    )


def test_repeats_that_do_not_fit_are_not_begun(review_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every arm has the same seeds, and the next call goes on with those that are missing."""
    left = property(lambda self: 0.0 if all(map(self.knows, (AS_WRITTEN, "word vectors"))) else 1e9)
    monkeypatch.setattr(TrialTime, "left", left)
    found = compared(review_files, minutes=1.0)
    assert found.results[0].seeds == 1
    assert "each arm trained under 1 seed; one more repeat takes about 0." in found.judged
    assert found.judged.endswith(" s, which does not fit into 1 minute.")
    monkeypatch.undo()
    said: list[str] = []
    monkeypatch.setattr(SilentProgress, "say", lambda _, text: said.append(text))
    with mock.patch.object(FineTune, "run", side_effect=AssertionError):  # a form of it trains nothing
        assert compared(review_files, as_kept=True) == found
    assert said == ["comparison: printed as it is kept; the same command without --format trains what is missing."]
    other = compared(review_files, "stages.0.epochs=1", as_kept=True, out="out")  # of other settings: trained
    assert other.results[0].seeds == 2
    again = compared(review_files)
    assert again.results[0].seeds == 2
    assert len(read_result_lines(review_files / "out" / "comparison.jsonl", ComparisonRow)[0]) == 6 + 2 * 2


def test_rows_that_a_call_does_not_ask_for_stay(review_files: Path) -> None:
    """Fewer regimes, fewer seeds and a call that ends in an error lose no training."""
    whole = compared(review_files, regimes=(*QUICK, "words"))
    path = review_files / "out" / "comparison.jsonl"
    rows = sorted(path.read_text().splitlines())
    compared(review_files, seeds=1)
    compared(review_files, "stages.0.epochs=1", regimes=("most_frequent",), seeds=1)
    with pytest.raises(DataError, match="only the pipeline as written could be trained"):
        compared(review_files, regimes=("lora",))
    assert set(path.read_text().splitlines()) > set(rows)
    with mock.patch.object(FineTune, "run", side_effect=AssertionError):
        assert compared(review_files, regimes=(*QUICK, "words")) == whole


def test_one_text_is_timed_over_many_where_that_is_quick() -> None:
    calls = list[str]()

    class Timed:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def probabilities(self, texts: list[str]) -> None:
            calls.extend(texts)
            time.sleep(self.seconds)

    quick: Any = Timed(0.0005)
    assert 0.5 <= median_latency(quick, ["a", "b"]) < 50
    assert 16 < len(calls) <= 1 + 300
    assert abs(calls.count("a") - calls.count("b")) <= 2
    calls.clear()
    slow: Any = Timed(0.01)
    assert median_latency(slow, ["a"] * 20) >= 10
    assert len(calls) == 1 + 15


def test_times_are_guessed_by_the_arms_that_were_trained() -> None:
    limit = TrialTime(10.0, texts_read={"frozen": 10.0, "LoRA": 2_500.0, "words": 0.0})
    assert [limit.expected(arm) for arm in ("frozen", "LoRA", "words")] == [0.0, 0.0, 0.0]
    limit.note("words", ArmCost(seconds=9.0, latency=0.1))  # which says nothing of an encoder
    assert limit.expected("LoRA") == 0.0
    for seconds in (2.0, 4.0):  # most of it to load the weights
        limit.note("frozen", ArmCost(seconds=seconds, latency=40.0))
    assert limit.expected("frozen") == pytest.approx(3.0)
    assert limit.expected("LoRA") == pytest.approx(2_500 * 0.02)
    limit.note("LoRA", ArmCost(seconds=25.0))
    assert limit.expected("LoRA") == 25.0


Kill = Callable[[Path], None]


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_within_an_arm(folder: Path) -> None:
    """End the process while an arm of the second seed is trained."""
    original, calls = FineTune.run, [0]

    def dying(self: Any, given: Any = None, *, data: Any = None, context: Any = None) -> Any:
        calls[0] += 1
        return _kill() if calls[0] == 3 else original(self, given, data=data, context=context)

    with mock.patch.object(FineTune, "run", dying):
        compared(folder)


def kill_while_a_row_is_written(folder: Path) -> None:
    """End the process when half of the third row is on the disk."""
    original, calls = trials.append_lines, [0]

    def dying(path: Path, lines: str) -> None:
        calls[0] += 1
        if calls[0] < 3:
            original(path, lines)
            return
        with path.open("a", encoding="utf-8") as file:
            file.write(lines[: len(lines) // 2])
        _kill()

    with mock.patch.object(trials, "append_lines", dying):
        compared(folder)


@pytest.mark.parametrize("kill", [kill_within_an_arm, kill_while_a_row_is_written], ids=lambda kill: kill.__name__)
def test_a_killed_comparison_goes_on(review_files: Path, kill: Kill) -> None:
    whole = compared(review_files, out="whole")
    child = FORKED.Process(target=kill, args=(review_files,))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    path = review_files / "out" / "comparison.jsonl"
    kept, torn = read_result_lines(path, ComparisonRow)
    assert 1 <= len(kept) <= 4  # of 6
    assert torn == (kill is kill_while_a_row_is_written)
    assert not (review_files / "out" / "comparison.json").exists()
    assert without_costs(compared(review_files)) == without_costs(whole)
    rows, torn = read_result_lines(path, ComparisonRow)
    assert rows[: len(kept)] == kept  # with their costs
    assert (len(rows), torn) == (6, 0)


def kill_between_tests(folder: Path) -> None:
    """End the process between the two tests of a trial of a pipeline's own comparison."""
    original, calls = trials.append_lines, [0]

    def dying(path: Path, lines: str) -> None:
        original(path, lines)
        calls[0] += 1
        if calls[0] == 3:
            _kill()

    with mock.patch.object(trials, "append_lines", dying):
        Pipeline.from_yaml(folder / "two.yaml").run(folder / "run", context=RunContext(device="cpu"))


def test_a_comparison_killed_between_two_tests_goes_on(review_files: Path) -> None:
    arms = "compare: {seeds: 2, arms: {a: {}, b: {stages.0.epochs: 0}}, tests: {one: test.csv, two: other.csv}}\n"
    (review_files / "other.csv").write_text("".join((review_files / "test.csv").read_text().splitlines(True)[:9]))
    small = (review_files / "small.yaml").read_text().replace("epochs: 20", "epochs: 2")
    (review_files / "two.yaml").write_text(small + arms)
    child = FORKED.Process(target=kill_between_tests, args=(review_files,))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    kept, _ = read_result_lines(review_files / "run" / "comparison.jsonl", ComparisonRow)
    assert [(row.arm, row.test) for row in kept] == [("a", "one"), ("a", "two"), ("b", "one")]
    trained: list[int] = []
    original = SkipGram.run

    def counted(self: Any, given: Any = None, *, data: Any = None, context: Any = None) -> Any:
        trained.append(context.seed)
        return original(self, given, data=data, context=context)

    with mock.patch.object(SkipGram, "run", counted):
        found = Pipeline.from_yaml(review_files / "two.yaml").run(
            review_files / "run", context=RunContext(device="cpu")
        )
    assert found.comparison is not None
    assert trained == [3, 4, 4]  # b of the first seed for its other test, then both of the next
    assert read_result_lines(review_files / "run" / "comparison.jsonl", ComparisonRow)[0][:3] == kept


def test_whole_pipelines_on_the_same_test(review_files: Path) -> None:
    other = review_files / "other.yaml"
    other.write_text((review_files / "small.yaml").read_text().replace("epochs: 20", "epochs: 0"))
    given = [named(review_files / "small.yaml", "stages.0.epochs=2"), named(other)]
    found = compare_chains(given, review_files / "out", RunContext(device="cpu"), seeds=2)
    assert found.arms == ("small.yaml", "other.yaml")
    assert found.results[0].pairs[0].first == "small.yaml"
    assert [fact.pipeline for fact in found.facts] == ["small.yaml", "other.yaml"]


def refused(review_files: Path, *assignments: str) -> str:
    given = [named(review_files / "small.yaml"), named(review_files / "small.yaml", *assignments)]
    given[1] = dataclasses.replace(given[1], name="other.yaml")
    with pytest.raises((ConfigError, DataError)) as caught:
        compare_chains(given, review_files / "out", RunContext(device="cpu"))
    return str(caught.value)


def test_pipelines_that_cannot_be_compared(review_files: Path) -> None:
    rows = (review_files / "train.csv").read_text()
    (review_files / "more.csv").write_text(rows + "quite another text,maybe\nand one more,maybe\n")
    more, fewer = review_files / "more.csv", review_files / "fewer.csv"
    assert refused(review_files, f"data.labelled={more}") == (
        "other.yaml: its labels are 'maybe', 'negative', 'positive', but those of small.yaml are 'negative', "
        "'positive'; a comparison needs the same. Give pipelines with the same labels."
    )
    fewer.write_text("".join((review_files / "test.csv").read_text().splitlines(True)[:9]))
    assert refused(review_files, f"data.test={fewer}") == (
        f"data.test: small.yaml has 20 rows of {review_files / 'test.csv'}, but other.yaml has 8 rows of {fewer}; a "
        "comparison needs the same test. Set data.test to the same file."
    )
    assert refused(review_files, "data.test=null") == (
        f"data.test: small.yaml has 20 rows of {review_files / 'test.csv'}, but other.yaml has none; a comparison needs the "
        "same test. Set data.test to the same file."
    )


def test_data_that_cannot_be_compared(review_files: Path) -> None:
    (review_files / "sets.csv").write_text("text,label\na film,one|two\nb film,one\nc film,two\nd film,one\n")
    with pytest.raises(ConfigError) as caught:
        compared(
            review_files,
            "stages.3.update={method: head}",
            f"data.labelled={review_files / 'sets.csv'}",
            "data.test=null",
            "data.labels={separator: '|'}",
        )
    assert str(caught.value) == (
        "small.yaml: the labelled rows have lists of labels, but a comparison counts texts that get their one label. Compare "
        "the micro-F1 of runs instead: nlptl show RUN."
    )
    with pytest.raises(ConfigError) as caught:
        checked_regimes(["frozen", "lorra"])
    assert str(caught.value) == (
        f"--regimes: found 'lorra'; expected names among {', '.join(TITLES)}. Did you mean 'lora'? Correct it."
    )
    (review_files / "leaky.csv").write_text((review_files / "test.csv").read_text())
    with pytest.raises(DataError) as other:
        compared(review_files, f"data.labelled={review_files / 'leaky.csv'}", "data.drop_leaks=false")
    assert str(other.value) == (
        "small.yaml: 20 rows of data.labelled also stand in the test, so scores would be too high. Remove "
        "`drop_leaks: false`, or the rows."
    )


def test_folders_that_hold_something_else(review_files: Path) -> None:
    out = review_files / "out"
    out.mkdir()
    (out / "comparison.json").write_text(json.dumps({"arms": ["a", "b"], "sentence": "", "results": []}))
    with pytest.raises(ArtifactError) as caught:
        compared(review_files)
    assert str(caught.value) == (
        f"{out / 'comparison.json'}: was written by another version of nlptl, so its rows cannot be used. Remove {out}, or "
        "choose another folder with --out."
    )
    (out / "pipeline.yaml").write_text("stages: []\n")
    with pytest.raises(ArtifactError) as caught:
        compared(review_files)
    assert str(caught.value) == (
        f"{out}: holds a run, whose own comparison would be lost; expected a folder for this one. Name another with --out."
    )


def test_a_chain_that_ends_otherwise_is_refused(review_files: Path) -> None:
    chain = named(review_files / "small.yaml")
    shorter = Chain(seed=3, data=chain.chain.data, stages=chain.chain.stages[:-1])
    with pytest.raises(ConfigError) as caught:
        compare_regimes(NamedChain("a.yaml", shorter, chain.data), review_files / "out", RunContext(device="cpu"))
    assert str(caught.value) == (
        "a.yaml: the chain ends with classification_head, but a comparison trains chains that end with finetune. Compare by "
        "`nlptl run` and a `compare:` block instead."
    )


def test_remarks_are_told_once(review_files: Path) -> None:
    said: list[str] = []

    class Listening(SilentProgress):
        def say(self, text: str) -> None:
            said.append(text)

    chain = named(review_files / "small.yaml", "stages.0.epochs=1")
    for _ in range(2):
        compare_regimes(
            chain,
            review_files / "out",
            RunContext(device="cpu", progress=Listening()),
            regimes=("most_frequent",),
            seeds=2,
        )
    assert said == ["comparison: kept, nothing that its 4 trials depend on has changed."]
