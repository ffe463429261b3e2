"""The few-label benchmark: its splits, scores and bars, and its arms end to end with a tiny random model."""

from __future__ import annotations

import importlib.util
import json
import math
from itertools import combinations_with_replacement
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.conftest import small_reviews

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # transformers' own
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def sets_folder(tmp_path: Path) -> str:
    """Return a folder with two sets, of whose training rows one stands in the test."""
    for data_set in ("tweeteval/emotion", "imdb"):
        (tmp_path / data_set).mkdir(parents=True)
        for part, count, start in (("train", 60, 0), ("test", 30, 59), ("unlabelled", 50, 600)):
            rows = [
                {"text": text, **({} if part == "unlabelled" else {"label": label})}
                for text, label in zip(*small_reviews(count, start=start), strict=True)
            ]
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / data_set / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    return str(tmp_path)


def guessing(accuracy: float, seconds: float) -> Any:
    """Stand in for an arm: right on the first share of the test."""

    def make(**_: Any) -> Any:
        def run(task: Any) -> dict[str, Any]:
            truth = [task.names.index(label) for label in task.test.labels()]
            right = round(accuracy * len(truth))
            limited = 5 if task.setfit_minutes == 1 else None
            return {
                "predicted": [label if number < right else 1 - label for number, label in enumerate(truth)],
                "confidence": bytes([round(255 * accuracy)] * len(truth)).hex(), "seconds": seconds,
                "limited_to_steps": limited, "default_steps": 9,
            }  # fmt: skip

        return run

    return make


@pytest.fixture
def fewshot(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the benchmark with arms that guess."""
    module, makers = bench("fewshot"), bench("fewshot_runs").MAKERS
    monkeypatch.setattr(bench("fewshot_scores"), "RESAMPLES", 50)
    speeds = {
        "lr": (0.5, 0.1),
        "lr-cv": (0.5, 0.2),
        "tfidf": (0.25, 0.3),
        "setfit": (0.5, 10.0),
        "trainer": (0.25, 5.0),
        "auto": (0.75, 1.0),
    }
    for arm, (accuracy, seconds) in speeds.items():
        monkeypatch.setitem(makers, arm, guessing(accuracy, seconds))
    return module


def common(sets_folder: str, *more: str) -> list[str]:
    return [sets_folder, "--tiny", "--device", "cpu", "--sets", "emotion", "imdb", *more]


def test_runs_are_kept_and_published_with_their_bars(fewshot: Any, bench: Any, sets_folder: str) -> None:
    few = common(sets_folder, "--shots", "8", "--splits", "2", "--setfit-splits", "1")
    assert fewshot.main([*few, "--disturbed", "--setfit-minutes", "1"]) is None
    fewshot.main(common(sets_folder, "--shots", "8", "--timing"))
    result = json.loads(fewshot.main([*few, "--publish"]).read_text())
    assert len(result["rows"]) == 2 * (1 + 2 * 5) + 2 * 2
    assert all(set(bytes.fromhex(row["predicted"])) <= {0, 1} for row in result["rows"])
    assert all(len(bytes.fromhex(row["predicted"])) == row["test"] for row in result["rows"])
    assert {row["dropped"] for row in result["rows"]} == {1}
    bars = {bar["name"]: bar for bar in result["bars"]}
    mean = bars["8 shots, mean of 2 sets: auto less setfit, points"]
    assert (mean["at_least"], mean["stretch"], mean["splits"]) == (5.5, 7.0, [1, 1])
    assert mean["value"] > 20
    assert bars["8 shots, worst of 2 sets: upper end of auto less setfit, points"]["at_least"] == -1.0
    worst = bars["8 shots, worst of 2 sets: upper end of auto less the better of lr and tfidf, points"]
    assert worst["at_least"] == 0.0
    assert " 25.0 [" in worst["range"]  # less lr, which is better here than tf-idf
    errors = bars["8 shots, mean of 2 sets: calibration error of auto less lr-cv, points"]
    assert (errors["value"], errors["at_most"]) == (pytest.approx(0.0, abs=0.3), 0.0)
    assert bars["8 shots, 2 sets: summed training time of auto over setfit's"]["value"] == 0.1
    table = bench("tables").fewshot()
    assert "| imdb (accuracy) | 8 | 25.0 [" in table
    assert "| 0.3* / 0.1* / 10 / 5.0* / 1.0 |" in table
    assert "Splits: words 2, logistic regression 2, SetFit 1, Trainer 2, nlptl auto 2." in table
    assert "imdb with 8 shots to 1 minutes (5 of 9 steps, 1 of 1 splits)" in table
    promises = bench("tables").fewshot_bars()
    assert "| at most 0.12: met |" in promises
    assert "], 1 split |" in promises
    assert "imdb with 8 shots to 1 minutes" in promises


def test_published_runs_are_taken_up_again(
    fewshot: Any, bench: Any, sets_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = common(sets_folder, "--shots", "8", "--splits", "1", "--arms", "lr", "auto")
    fewshot.main(few)
    fewshot.main(common(sets_folder, "--shots", "8", "--arms", "auto", "--timing"))
    published = json.loads(fewshot.main([*few, "--publish"]).read_text())
    arms, results = bench("arms"), bench("results")
    (arms.SCRATCH / "fewshot-tiny.jsonl").unlink()
    (arms.SCRATCH / "fewshot.json").rename(arms.SCRATCH / "fewshot-tiny.json")
    monkeypatch.setattr(results, "RESULTS", arms.SCRATCH)
    again = json.loads(fewshot.main([*few, "--resume", "--publish"]).read_text())
    assert (again["rows"], again["bars"]) == (published["rows"], published["bars"])
    (arms.SCRATCH / "fewshot-tiny.jsonl").unlink()
    monkeypatch.setattr(results, "machine", lambda: {"cpu": "another"})
    elsewhere = json.loads(fewshot.main([*few, "--resume", "--publish"]).read_text())
    assert elsewhere["rows"] == published["rows"]
    is_enough, options = bench("fewshot_runs").is_enough, SimpleNamespace(setfit_minutes=30.0)
    assert {row["timing"]: is_enough(row, options) for row in published["rows"]} == {False: True, True: False}


def test_training_times_are_compared_on_one_processor_alone(bench: Any) -> None:
    time_bar = bench("fewshot_bars").time_bar
    runs = [
        {"set": name, "shots": 8, "arm": arm, "seconds": seconds, "cpu": cpu}
        for name, arm, seconds, cpu in (
            ("cr", "setfit", 10.0, "old"), ("cr", "auto", 1.0, "old"),
            ("trec", "setfit", 10.0, "old"), ("trec", "auto", 5.0, "new"), ("imdb", "auto", 5.0, "new"),
        )
    ]  # fmt: skip
    (bar,) = time_bar(runs, 8)
    assert (bar["name"].split(":")[0], bar["value"]) == ("8 shots, 1 sets", 0.1)
    assert not time_bar(runs[2:], 8)
    times = {"shots": 8, "arm": "auto", "cpu": "old", "date": "2020-01-01", "timing": True}
    told = bench("fewshot_runs").earlier([times, {**times, "timing": False, "date": "2020-01-02"}], "auto")
    assert told == ["The training times are those of 2020-01-01, on old."]


def test_a_result_tells_which_runs_of_auto_are_older(
    fewshot: Any, bench: Any, sets_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = common(sets_folder, "--splits", "1", "--arms", "auto", "lr")
    fewshot.main([*few, "--shots", "4", "8"])
    arms, results = bench("arms"), bench("results")
    published = json.loads(fewshot.main([*few, "--publish"]).read_text())
    (arms.SCRATCH / "fewshot-tiny.jsonl").unlink()
    monkeypatch.setattr(results, "RESULTS", arms.SCRATCH)
    (arms.SCRATCH / "fewshot-tiny.json").write_text(json.dumps({**published, "date": "2020-01-01", "rows": [
        {key: found for key, found in row.items() if key != "date"} for row in published["rows"]
    ]}))  # fmt: skip
    fewshot.main([*few, "--shots", "8", "--resume", "--forget", "auto@8"])
    result = json.loads(fewshot.main([*few, "--publish"]).read_text())
    dates = {(row["arm"], row["shots"]): row["date"] for row in result["rows"]}
    assert dates["auto", 4] == dates["lr", 4] == dates["lr", 8] == "2020-01-01" < dates["auto", 8]
    told = "2 of 2 runs of auto with 4 labels a class are those of 2020-01-01; the code has changed since."
    assert result["notes"] == [told]
    assert told in bench("tables").fewshot()


def test_published_runs_of_other_versions_are_refused(
    fewshot: Any, bench: Any, sets_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = common(sets_folder, "--shots", "8", "--splits", "1", "--arms", "lr")
    with pytest.raises(SystemExit, match=r"found no published runs .*Leave out --resume"):
        fewshot.main([*few, "--resume"])
    fewshot.main(few)
    results = bench("results")
    path = fewshot.main([*few, "--publish"])
    path.rename(path.with_name("fewshot-tiny.json"))
    monkeypatch.setattr(results, "RESULTS", path.parent)
    monkeypatch.setattr(results, "versions", lambda _: {"python": "4.0"})
    with pytest.raises(SystemExit, match=r"found published runs of python 3\S+ \(here 4.0\); expected the versions"):
        fewshot.main([*few, "--resume"])


def test_an_interrupted_run_goes_on(
    fewshot: Any, bench: Any, sets_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    makers, asked = bench("fewshot_runs").MAKERS, []

    def stops(**_: Any) -> Any:
        def run(task: Any) -> dict[str, Any]:
            if task.data_set != "warm-up":
                raise KeyboardInterrupt
            return {}

        return run

    def watched(**settings: Any) -> Any:
        run = guessing(0.5, 1.0)(**settings)
        return lambda task: asked.append(task.data_set) or run(task)

    few = common(sets_folder, "--shots", "8", "--splits", "1", "--arms", "lr", "trainer")
    monkeypatch.setitem(makers, "lr", watched)
    kept = makers["trainer"]
    monkeypatch.setitem(makers, "trainer", stops)
    with pytest.raises(KeyboardInterrupt):
        fewshot.main(few)
    monkeypatch.setitem(makers, "trainer", kept)
    fewshot.main(few)
    assert asked == ["warm-up", "emotion", "warm-up", "imdb"]
    fewshot.main([*few, "--forget", "lr"])
    assert asked[4:] == ["warm-up", "emotion", "imdb"]


def test_a_run_that_was_cut_short_does_only_where_it_would_be_again(bench: Any) -> None:
    half, full = {"limited_to_steps": 5, "setfit_minutes": 4.0}, {"limited_to_steps": None}
    is_enough, options = bench("fewshot_runs").is_enough, SimpleNamespace(setfit_minutes=30.0)
    assert not is_enough(None, options)
    assert not is_enough(half, options)
    assert is_enough(full, options)
    assert is_enough(half, SimpleNamespace(setfit_minutes=4.0))


def test_dev_scores_on_training_rows_and_publishes_nothing(
    fewshot: Any, bench: Any, sets_folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    few = common(
        sets_folder, "--shots", "8", "--splits", "1", "--arms", "auto", "--dev", "--update", '{"method": "head"}'
    )
    assert fewshot.main(few) is None
    assert '8 shots, emotion: auto {"method": "head"} 0.7' in capsys.readouterr().out
    made = bench("fewshot_sets").material(Path(sets_folder), "emotion", dev=True, tiny=True)
    assert made.test.name == "tweeteval/emotion/train"
    assert not set(made.test.texts()) & set(made.train.texts())
    assert len(made.test) + len(made.train) == 59


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--update", "{}"], "--update is for --dev; what is published under the name auto is auto."),
        (["--dev", "--publish"], "--publish: what --dev scored is on training rows and is not published."),
        (["--parts", "encoders"], "--parts encoders: found no --encoders; expected folders of weights"),
        (["--splits", "21"], "--splits 21: expected 1 to 20, of which the seeds are fixed."),
    ],
)
def test_refuses_what_would_mislead(
    fewshot: Any, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        fewshot.main(["DIR", *arguments])
    assert sentence in capsys.readouterr().err


def test_says_how_to_install_setfit(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = bench("fewshot_runs")
    monkeypatch.setattr(runs.importlib.util, "find_spec", lambda _: None)
    options = SimpleNamespace(tiny=False, setfit_minutes=30.0)
    kept = SimpleNamespace(find=lambda *_: None)
    with pytest.raises(SystemExit, match=r"arm setfit needs setfit.* Run pip install setfit==1\.2\.0 sentence-tr"):
        runs.measure([runs.Key("cr", 8, 0, "setfit")], kept, None, options, {}, lambda *_: None)


def test_publish_needs_runs(fewshot: Any, sets_folder: str) -> None:
    with pytest.raises(SystemExit, match="fewshot: found no kept runs to publish; expected some"):
        fewshot.main(common(sets_folder, "--publish"))


def test_shots_are_those_of_the_package(bench: Any) -> None:
    from nlptl.data import TextTable
    from nlptl.data.shots import draw_shots

    texts, labels = small_reviews(31)
    rows = bench("texts").Rows("rows", texts, labels)
    shots_of = bench("fewshot_sets").shots_of
    table = TextTable.from_lists(texts, labels, name="rows")
    assert shots_of(rows, 4, 7).texts() == list(draw_shots(table, 4, 7).texts())
    assert set(shots_of(rows, 4, 7).texts()) < set(shots_of(rows, 8, 7).texts())
    assert len(shots_of(rows, 16, 7)) == 15 + 16  # the rarer label gives all


def test_metrics_are_scikit_learns(bench: Any) -> None:
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    sets, score = bench("fewshot_sets"), bench("fewshot_scores").score
    names = ("against", "favor", "none")
    truth, guessed = np.arange(90) % 3, np.random.default_rng(0).integers(0, 3, 90)
    assert score(truth, guessed, sets.ACCURACY, names) == pytest.approx(accuracy_score(truth, guessed))
    assert score(truth, guessed, sets.MACRO_F1, names) == pytest.approx(f1_score(truth, guessed, average="macro"))
    assert score(truth, guessed, sets.MACRO_RECALL, names) == pytest.approx(
        recall_score(truth, guessed, average="macro")
    )
    assert score(truth, guessed, sets.FAVOR_AGAINST, names) == pytest.approx(
        f1_score(truth, guessed, average="macro", labels=[0, 1])
    )


def test_draws_are_paired_and_those_of_the_package(bench: Any) -> None:
    from nlptl.evaluation.intervals import hierarchical_mean

    sets, bars = bench("fewshot_sets"), bench("fewshot_scores")
    truth, guessed = np.arange(80) % 2, np.random.default_rng(1).integers(0, 2, (4, 80))
    draws = bars.draws_of(truth, guessed, sets.ACCURACY, ("a", "b"), seed=0)
    theirs, found = hierarchical_mean((guessed == truth).astype(float), seed=0), bars.interval(draws)
    assert found.value == pytest.approx(theirs.value)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.02)
    again = bars.draws_of(truth, guessed, sets.ACCURACY, ("a", "b"), seed=0)
    assert not (draws - again).any()


def test_the_mean_over_sets_has_equal_weights_and_the_luck_of_the_sets(bench: Any) -> None:
    bars = bench("fewshot_scores")
    sure = [np.full(101, value) for value in (0.0, 1.0, 5.0)]
    found = bars.mean_over_sets(sure)
    assert found.value == pytest.approx(2.0)
    assert found.low < 1 < 3 < found.high
    assert bars.mean_over_sets(sure[:1]).high == 0.0


def test_the_calibration_error_is_the_packages(bench: Any) -> None:
    from nlptl.evaluation.scores import evaluate_predictions

    generator = np.random.default_rng(3)
    probabilities = np.round(generator.dirichlet([1, 1, 1], 200) * 255) / 255
    probabilities[:, 0] += 1 - probabilities.sum(axis=1)
    probabilities = np.abs(probabilities)
    truth = generator.integers(0, 3, 200)
    row = bench("fewshot_task").guesses(probabilities, np.arange(3))
    calibration = bench("fewshot_calibration")
    gaps = calibration.gap_by_bin(truth == row["predicted"], calibration.confidence_of(row))
    found = evaluate_predictions(
        labels=[*map(str, truth)], predicted=[*map(str, row["predicted"])], probabilities=probabilities, names=["0", "1", "2"],
    ).expected_calibration_error  # fmt: skip
    assert found is not None
    assert np.abs(gaps.sum(axis=0)).sum() / 200 == pytest.approx(found.value, abs=1e-9)


def test_steps_of_setfits_default(bench: Any) -> None:
    labels = [*"aaabbbbbccde"]
    pairs = [first == second for first, second in combinations_with_replacement(labels, 2)]
    wanted = math.ceil(2 * max(sum(pairs), len(pairs) - sum(pairs)) / 16)
    assert bench("fewshot_arms").default_steps(labels) == wanted


def needs(*packages: str) -> None:
    for name in packages:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


@pytest.mark.parametrize("arm", ["lr", "lr-cv", "tfidf", "trainer", "auto"])
def test_each_arm_learns(bench: Any, arm: str, sets_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needs(*(["sentence_transformers"] if arm.startswith("lr") else []))
    fewshot = bench("fewshot")
    monkeypatch.setattr(bench("fewshot_arms"), "TRAINER_EPOCHS", 3)
    monkeypatch.setattr(bench("fewshot_runs"), "OURS_AUTO", {"method": "head"})
    few = [sets_folder, "--tiny", "--device", "cpu", "--sets", "imdb", "--shots", "4", "--splits", "1", "--arms", arm]
    fewshot.main(few)
    (row,) = json.loads(fewshot.main([*few, "--publish"]).read_text())["rows"]
    assert row["seconds"] > 0
    assert row["labelled"] == 8
    assert row.get("steps") == (3 if arm == "trainer" else None)
    assert len(bytes.fromhex(row.get("confidence", ""))) == (0 if arm == "trainer" else row["test"])


def test_auto_chooses_among_encoders_which_the_row_names(
    bench: Any, sets_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewshot, folder = bench("fewshot"), tmp_path / "other-weights"
    monkeypatch.setattr(bench("fewshot_runs"), "OURS_AUTO", {"method": "head"})
    few = [sets_folder, "--tiny", "--device", "cpu", "--sets", "imdb", "--parts", "encoders", "--splits", "1"]
    bench("texts").weights_folder(None, small_reviews(40)[0], scratch=tmp_path, tiny=True)
    (tmp_path / "random-weights").rename(folder)
    fewshot.main([*few, "--encoders", str(folder)])
    rows = json.loads(fewshot.main([*few, "--publish"]).read_text())["rows"]
    assert [row["arm"] for row in rows] == ["auto", "auto+encoders"]
    report = rows[1]["report"]
    assert {row["encoder"] for row in report["encoder_choice"]["rows"]} == {"minilm", "other-weights"}
    assert str(tmp_path) not in json.dumps(rows)


@pytest.mark.filterwarnings("ignore::UserWarning")  # pinned memory without a GPU: SetFit's own
def test_setfit_runs_to_its_default_or_to_its_limit(bench: Any, sets_folder: str) -> None:
    needs("sentence_transformers", "setfit")
    fewshot, found = bench("fewshot"), []
    few = [sets_folder, "--tiny", "--device", "cpu", "--sets", "imdb", "--shots", "4", "--splits", "1"]
    for minutes in ("30", "0.0001"):
        fewshot.main([*few, "--arms", "setfit", "--setfit-minutes", minutes, "--forget", "setfit"])
        (row,) = json.loads(fewshot.main([*few, "--publish"]).read_text())["rows"]
        found.append((row["default_steps"], row["limited_to_steps"], row["steps"]))
    assert found == [(3, None, 3), (3, 1, 1)]
