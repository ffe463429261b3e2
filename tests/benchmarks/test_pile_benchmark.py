"""The pile benchmark: its piles, its parts with arms that guess, its bars and its arm with a tiny random model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import small_reviews

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # transformers' own
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
ACCURACY = {"tfidf": 0.25, "lr": 0.25, "auto": 0.5, "auto+pile": 0.75, "auto+skewed": 0.5, "auto+open": 1.0}


@pytest.fixture
def sets_folder(tmp_path: Path) -> str:
    """Return a folder with three sets, one of them without an official test."""
    for data_set, parts in (
        ("imdb", ("train", "test", "unlabelled")),
        ("tweeteval/emotion", ("train", "test")),
        ("tweeteval/sentiment", ("train_pool", "test")),
        ("amazon_mdsd", ("books",)),
    ):
        (tmp_path / data_set).mkdir(parents=True)
        for part, start in zip(parts, (0, 59, 600), strict=False):
            rows = [
                {"text": text, **({} if part == "unlabelled" else {"label": label})}
                for text, label in zip(*small_reviews(60, start=start), strict=True)
            ]
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / data_set / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    return str(tmp_path)


def guessing(arm: str, asked: list[tuple[str, str, int]]) -> Any:
    """Stand in for an arm: right on the first share of the test; leaves the pile on the first split of books."""

    def make(**settings: Any) -> Any:
        def run(task: Any) -> dict[str, Any]:
            truth = [task.names.index(label) for label in task.test.labels()]
            left = (arm, task.data_set, task.seed) == ("auto+pile", "books", 0)
            right = round(ACCURACY["auto" if left else arm] * len(truth))
            if task.data_set != "warm-up":
                asked.append((arm, task.data_set, 0 if task.pile is None else len(task.pile)))
            return {
                "predicted": [label if number < right else 1 - label for number, label in enumerate(truth)],
                "seconds": 4.0 if task.pile else 1.0, "encoding_seconds": 2.5 if task.pile else 0.5,
                "update": settings.get("update"), "report": {"pile": {"used": "nothing" if left else "student"}},
            }  # fmt: skip

        return run

    return make


@pytest.fixture
def asked() -> list[tuple[str, str, int]]:
    return []


@pytest.fixture
def pile(bench: Any, asked: list[tuple[str, str, int]], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the benchmark with arms that guess."""
    monkeypatch.setattr(bench("fewshot_scores"), "RESAMPLES", 50)
    for arm in ACCURACY:
        monkeypatch.setitem(bench("fewshot_runs").MAKERS, arm, guessing(arm, asked))
    return bench("pile")


def common(sets_folder: str, *more: str) -> list[str]:
    return [sets_folder, "--tiny", "--device", "cpu", "--sets", "imdb", "sentiment", "books", "--splits", "2", *more]


def test_the_parts_are_kept_and_published_with_their_bars(
    pile: Any, bench: Any, sets_folder: str, asked: list[tuple[str, str, int]]
) -> None:
    assert (
        pile.main(
            common(sets_folder, "--parts", "baselines", "imdb", "sets", "skew", "seconds", "gate", "--minutes", "7")
        )
        is None
    )
    assert {size for arm, data_set, size in asked if (arm, data_set) == ("auto+pile", "imdb")} == {
        59 - 16, 60, 59 + 60 - 16,
    }  # fmt: skip
    assert {size for arm, _, size in asked if arm in ("auto", "lr")} == {0}
    assert [data_set for arm, data_set, _ in asked if arm == "auto+open"] == ["books"]
    result = json.loads(pile.main(common(sets_folder, "--publish")).read_text())
    updates = {row["arm"]: row["update"] for row in result["rows"] if row["arm"].startswith("auto")}
    assert updates["auto+pile"] == updates["auto"] == {"method": "auto", "minutes": 7.0}
    assert updates["auto+open"] == {"method": "self_training", "gate": "always"}
    bars = {bar["name"]: bar for bar in result["bars"]}
    gain = bars["imdb, 20 labels, 2 splits: auto+pile less auto, points"]
    assert (gain["value"], gain["at_least"]) == (25.0, 6.0)
    assert bars["imdb, 20 labels, 2 splits: auto+pile, accuracy in points"]["at_least"] == 80.0
    assert bars["imdb, 20 labels, 2 splits: collapses of auto+pile"]["value"] == 0
    mean = bars["8 shots, mean of 3 sets: auto+pile less auto, points"]
    assert (mean["value"], mean["at_least"], mean["stretch"]) == (
        pytest.approx((25 + 27.78 + 12.5) / 3, abs=0.01),
        3.0,
        5.0,
    )
    assert bars["8 shots, worst of 3 sets: upper end of auto+pile less auto, points"]["at_least"] == -1.0
    assert bars["8 shots, mean of 2 sets: auto+skewed less auto, points"]["value"] == 0.0
    taken = bars["auto+pile: runs in which the pile is taken and costs more than 2 points, share"]
    assert (taken["value"], taken["range"]) == (0.0, "0 of 8 runs, 7 take it")
    left = bars["auto+pile: runs in which the pile is left and would bring more than 2 points, share"]
    assert (left["value"], left["range"]) == (1.0, "1 of 1 runs that leave it")
    seconds = bars["75,000 reviews: seconds that the pile adds, encoding apart"]
    assert (seconds["value"], seconds["at_most"], seconds["stretch"]) == (1.0, 300.0, 120.0)
    assert seconds["range"] == "encoding 2.0 s more, 1.0 s without the pile"
    table = bench("tables").pile()
    assert "| books (accuracy) | 8 | 25.0 [" in table
    assert ". Piles hold at most 3,000 posts or 1,000 reviews of imdb" in table
    assert "| at least 6.0: met |" in bench("tables").pile_bars()


def test_setfits_published_runs_are_compared_on_the_same_tests(pile: Any, bench: Any, sets_folder: str) -> None:
    pile.main(common(sets_folder, "--parts", "sets"))
    peer = {"set": "imdb", "shots": 8, "seed": 0, "arm": "setfit", "timing": False, "test": 12, "seconds": 9.0,
            "predicted": "00" * 12, "disturbed": False}  # fmt: skip
    peers = [peer, {**peer, "set": "sentiment", "test": 500}, {**peer, "seed": 7}, {**peer, "shots": 64}]
    folder = bench("results").RESULTS
    folder.mkdir()
    (folder / "fewshot.json").write_text(json.dumps({"rows": peers}), encoding="utf-8")
    result = json.loads(pile.main(common(sets_folder, "--publish")).read_text())
    assert {row["arm"] for row in result["rows"]} == {"auto", "auto+pile"}
    assert result["notes"][1:] == ["Not measured: the parts skew, gate, seconds."]
    (mean,) = [bar for bar in result["bars"] if "auto+pile less setfit" in bar["name"]]
    assert mean["name"] == "8 shots, mean of 1 sets: auto+pile less setfit, points"
    assert (mean["splits"], mean["at_least"], mean["stretch"]) == ([1, 1], 7.0, 9.0)


def test_runs_without_a_pile_serve_both_benchmarks(
    pile: Any, bench: Any, sets_folder: str, asked: list[tuple[str, str, int]]
) -> None:
    few = [
        sets_folder,
        "--tiny",
        "--device",
        "cpu",
        "--sets",
        "imdb",
        "--splits",
        "1",
        "--shots",
        "8",
        "--arms",
        "auto",
    ]
    bench("fewshot").main(few)
    pile.main([*few[:5], "imdb", "--splits", "1", "--parts", "sets"])
    assert [(arm, data_set) for arm, data_set, _ in asked] == [("auto", "imdb"), ("auto+pile", "imdb")]
    (bench("arms").SCRATCH / "fewshot-tiny.jsonl").unlink()
    bench("fewshot").main(few)
    assert len(asked) == 2  # and the other way round
    kept = bench("arms").SCRATCH / "fewshot-tiny.jsonl"
    kept.write_text(kept.read_text().replace('"score": 0.5', '"date": "2020-01-01", "score": 0.1'))
    assert [row["score"] for row in json.loads(bench("fewshot").main([*few, "--publish"]).read_text())["rows"]] == [0.5]
    pile.main([*few[:5], "imdb", "--splits", "1", "--parts", "sets", "--dev", "--update", "{}"])
    assert [arm for arm, _, _ in asked[2:]] == ["auto", "auto+pile"]  # of other settings, so none is taken up


def test_a_set_without_an_official_test_gets_one(bench: Any, sets_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = bench("fewshot_sets")
    first, again = (sets.material(Path(sets_folder), "books", dev=False, tiny=True) for _ in range(2))
    assert (len(first.test), len(first.train), first.dropped) == (12, 48, 0)
    assert first == again
    assert not {*first.test.texts()} & {*first.train.texts()}
    held_out = sets.material(Path(sets_folder), "books", dev=True, tiny=True)
    assert {*held_out.test.texts()} < {*first.train.texts()}


def test_a_skewed_pile_has_nine_tenths_of_one_label(bench: Any) -> None:
    skewed, texts = bench("pile_sets").skewed, bench("texts")
    rows = texts.Rows("rows", *small_reviews(200))
    for frequent in ("negative", "positive"):
        found = skewed(rows, frequent, most=80, seed=0)
        assert np.mean(np.array(found.labels()) == frequent) == pytest.approx(0.9, abs=0.005)
        assert len(found) == pytest.approx(80, abs=1)


def test_piles_hold_no_labels_and_no_shots(bench: Any, sets_folder: str) -> None:
    sets, piles, runs = bench("fewshot_sets"), bench("pile_sets"), bench("fewshot_runs")
    made = sets.material(Path(sets_folder), "imdb", dev=False, tiny=True)
    labelled = sets.shots_of(made.train, 8, 0)
    kinds = [("auto+pile", 8, False), ("auto+pile", 10, False), ("auto+skewed", 8, False), ("auto+pile", 8, True)]
    for arm, shots, timing in kinds:
        pile = piles.pile_for(runs.Key("imdb", shots, 0, arm, timing), made, labelled)
        assert not pile.labels()
        assert not {*pile.texts()} & {*labelled.texts(), *made.test.texts()}
    assert piles.pile_for(runs.Key("imdb", 8, 0, "auto"), made, labelled) is None


def test_the_time_of_encoding_is_measured_apart(bench: Any, sets_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench("fewshot_runs"), "OURS_AUTO", {"method": "head"})
    few = [sets_folder, "--tiny", "--device", "cpu", "--sets", "imdb", "--splits", "1"]
    bench("pile").main([*few, "--parts", "seconds"])
    (first, second) = json.loads(bench("pile").main([*few, "--publish"]).read_text())["rows"]
    assert {first["arm"], second["arm"]} == {"auto", "auto+pile"}
    assert 0 < first["encoding_seconds"] < first["seconds"]
    assert len(bytes.fromhex(first["confidence"])) == first["test"] == 12


def test_collapses(bench: Any) -> None:
    is_collapsed = bench("pile_bars").is_collapsed
    truth = np.arange(40) % 2
    assert is_collapsed(truth, np.zeros(40, int))
    assert is_collapsed(truth, np.arange(40) // 20)
    assert not is_collapsed(truth, np.where(np.arange(40) < 8, 1 - truth, truth))


def test_an_unfinished_pile_is_refused(pile: Any, sets_folder: str) -> None:
    with pytest.raises(SystemExit, match="pile: found no kept runs to publish; expected some"):
        pile.main(common(sets_folder, "--publish"))
