"""The benchmarks stay alive: every arm end to end with a tiny random model, every table from what that writes."""

from __future__ import annotations

import gzip
import importlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import small_reviews
from tests.models.tiny import tiny_folder

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # transformers' and PEFT's own about each other
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Compute tiny tensors on one thread: two that wait for each other on a busy machine take ten times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    for data_set in ("tweeteval/emotion", "imdb"):
        (tmp_path / data_set).mkdir(parents=True)
        for part, count, start in (("train", 60, 0), ("test", 30, 400), ("unlabelled", 50, 600)):
            labelled = part != "unlabelled"
            rows = [
                {"text": text, "label": label} if labelled else {"text": text}
                for text, label in zip(*small_reviews(count, start=start), strict=True)
            ]
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / data_set / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    return str(tmp_path)


def test_encode_measures_equal_vectors(bench: Any, folder: str) -> None:
    arguments = [folder, "--tiny", "--device", "cpu", "--repeats", "1", "--peer", "transformers"]
    result = json.loads(bench("encode").main(arguments).read_text())
    assert {(row["set"], row["arm"]) for row in result["rows"]} == {
        (name, arm) for name in ("emotion", "imdb") for arm in ("nlptl", "transformers")
    }
    cosines = [bar["value"] for bar in result["bars"] if "cosine" in bar["name"]]
    assert len(cosines) == 2
    assert min(cosines) > 0.9999
    assert "| emotion | float32 |" in bench("tables").encode()


def test_finetune_speed_goes_on_after_an_interruption(bench: Any, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    finetune = bench("finetune")
    arguments = [folder, "--tiny", "--device", "cpu", "--repeats", "1", "--sets", "emotion", "--parts", "speed"]
    made = dict(finetune.MAKERS)

    def stops(*, job: Any) -> Any:
        if job.update == "lora":
            raise KeyboardInterrupt
        return made["Trainer"](job=job)

    monkeypatch.setitem(finetune.MAKERS, "Trainer", stops)
    with pytest.raises(KeyboardInterrupt):
        finetune.main(arguments)
    monkeypatch.setitem(finetune.MAKERS, "Trainer", made["Trainer"])
    kept: list[str] = []

    def watched(*, job: Any) -> Any:
        kept.append(job.update)
        return made["nlptl"](job=job)

    monkeypatch.setitem(finetune.MAKERS, "nlptl", watched)
    result = json.loads(finetune.main(arguments)[0].read_text())
    assert kept == ["partial", "head"]
    assert len(result["rows"]) == 8
    assert [bar["at_least"] for bar in result["bars"] if "at_least" in bar] == [1.5, 4.0, 20.0]
    assert all(row["scaled"] == (row["arm"] == "Trainer") for row in result["rows"])
    assert "| emotion | head |" in bench("tables").finetune_speed()


def test_finetune_scores_compares_the_arms(bench: Any, folder: str) -> None:
    finetune = bench("finetune")
    result = json.loads(finetune.main([folder, "--tiny", "--device", "cpu", "--parts", "scores"])[0].read_text())
    assert len(result["rows"]) == 4
    assert [bar["name"].split(": ")[1] for bar in result["bars"]] == [
        "upper end of macro-F1 difference",
        "wall of Trainer over ours",
    ] * 2
    assert "| lora |" in bench("tables").finetune_scores()


def test_macro_f1_draws_begin_with_the_mean_of_the_seeds(bench: Any) -> None:
    import numpy as np
    from sklearn.metrics import f1_score

    finetune = bench("finetune")
    truth, predicted = np.arange(60) % 3, np.random.default_rng(1).integers(0, 3, (2, 60))
    draws = finetune.macro_f1_draws(truth, predicted, resamples=50)
    assert draws[0] == pytest.approx(np.mean([f1_score(truth, one, average="macro") for one in predicted]))
    assert len(draws) == 51
    assert draws[1:].std() > 0.01


def test_imdb_continue_pairs_its_splits(bench: Any, folder: str) -> None:
    result = json.loads(bench("imdb_continue").main([folder, "--tiny", "--device", "cpu"]).read_text())
    assert [row["arm"] for row in result["rows"]] == ["continuation", *2 * ["as it came"], *2 * ["continued"]]
    assert "at_least" not in result["bars"][0]
    assert result["bars"][0]["range"] in bench("tables").imdb_continue()


@pytest.fixture
def domains_folder(tmp_path: Path) -> str:
    """Write four toy domains, one row of each twice."""
    (tmp_path / "amazon_mdsd").mkdir()
    for number, name in enumerate(("books", "dvd", "electronics", "kitchen")):
        texts, labels = small_reviews(44, start=100 * number)
        rows = [{"text": text.replace("film", name), "label": label} for text, label in zip(texts, labels, strict=True)]
        lines = "".join(json.dumps(row) + "\n" for row in [*rows, rows[0]])
        with gzip.open(tmp_path / "amazon_mdsd" / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write(lines)
    return str(tmp_path)


@pytest.mark.parametrize("more", [[], ["--layers"]])
def test_adapt_domain_pairs_its_arms(
    bench: Any, domains_folder: str, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = bench("adapt_domain")
    monkeypatch.setattr(module, "DOMAINS", ("books", "dvd"))  # two pairs instead of twelve
    result = json.loads(module.main([domains_folder, "--tiny", "--device", "cpu", *more]).read_text())
    assert len(result["rows"]) == 2 * (3 * 2 + 4 * len(more))
    assert {row["arm"] for row in result["rows"]} >= {"none", "coral", "auto"}
    mean, worse, coral, *rest = result["bars"]
    assert (mean["at_least"], worse["at_most"]) == (0, 0)
    assert [bar["name"] for bar in rest[:2]] == ["books to dvd", "dvd to books"]
    assert len(rest) == 2 + 3 * len(more)
    assert coral["range"] in bench("tables").adapt_domain()
    assert ("adversarial" in bench("tables").adapt_domain()) == bool(more)
    assert not list(bench("arms").SCRATCH.glob("*.jsonl"))


def test_adapt_domain_parts_its_rows(bench: Any, domains_folder: str) -> None:
    module = bench("adapt_domain")
    found = module.read_domains(Path(domains_folder), module.TINY)
    tested = {text for domain in found.values() for text in domain.test.texts()}
    assert len(tested) == 40
    for domain in found.values():
        assert domain.copies == 1
        assert len(domain.train) == 34
        assert not tested & set(domain.train.texts())


def test_an_arm_has_a_process_of_its_own(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "benchmark_of_sums.py").write_text(
        "def doubling(*, start):\n    return lambda number: {'sum': start + 2 * number} if number else {}['nothing']\n",
        encoding="utf-8",
    )
    arms = bench("arms")
    sys.path.insert(0, str(tmp_path))  # which `bench` has asked to be put back
    arm = arms.OwnProcess(importlib.import_module("benchmark_of_sums").doubling, {"start": 1})
    row = arm.run(3)
    assert row["sum"] == 7
    assert row["peak_memory_mib"] > 1
    assert row["load_seconds"] >= 0
    with pytest.raises(SystemExit, match=r"doubling: failed\n(.|\n)*KeyError: 'nothing'"):
        arm.run(0)
    arm.close()


def test_runs_of_other_settings_are_put_aside(bench: Any, tmp_path: Path) -> None:
    arms = bench("arms")
    arms.Kept("some", {"texts": 1}).add({"sum": 3}, "a", 1)
    assert arms.Kept("some", {"texts": 2}).find("a", 1) is None
    assert '"sum": 3' in (tmp_path / "scratch" / "some.earlier").read_text()
    kept = arms.Kept("some", {"texts": 2})
    for key in ("a", "b"):
        kept.add({"sum": 4}, key, 1)
    kept.forget(lambda key: key[0] == "a")
    assert arms.Kept("some", {"texts": 2}).rows() == [{"sum": 4}]


SIMILAR = ["film plot 8", "film story 7", "plot ending 6", "music voice 5", "scene story 3", "voice unheard 2"]


@pytest.fixture
def words_folder(folder: str) -> str:
    """Add what the word-vector benchmark reads: toy posts, a toy Wikipedia, toy questions."""
    from tests.conftest import THINGS

    generator = random.Random(1)
    things = sorted({word for thing in THINGS for word in thing.split()})
    base = Path(folder)
    for name in ("tweeteval/sentiment", "cr", "enwiki2015", "wordsim"):
        (base / name).mkdir(parents=True)
    for part in ("train", "test"):
        text = (base / "tweeteval" / "emotion" / f"{part}.jsonl").read_text(encoding="utf-8")
        (base / "cr" / f"{part}.jsonl").write_text(text, encoding="utf-8")
        (base / "tweeteval" / "sentiment" / f"{part}_pool.jsonl").write_text(text, encoding="utf-8")
    line = " ".join(
        generator.choices([*things, *["film", "plot", "story", "ending", "music", "voice", "scene"]], k=9_500)
    )
    with gzip.open(base / "enwiki2015" / "text8style.txt.gz", "wt") as file:
        file.write(line)
    pairs = "".join("\t".join(pair.split()) + "\n" for pair in SIMILAR)
    for name in ("EN-MEN-TR-3k.txt", "wordsim353.tsv", "simlex999.txt", "EN-RW-STANFORD.txt"):
        (base / "wordsim" / name).write_text("# words\n" + pairs, encoding="utf-8")
    questions = ": things\nfilm plot music voice\nscene story voice ending\n"
    (base / "wordsim" / "questions-words.txt").write_text(questions, encoding="utf-8")
    return folder


def untrained(corpus: Any, task: Any) -> Any:
    """Stand in for the engine, whose kernels take seconds to compile."""
    import numpy as np

    from nlptl.pretraining.word2vec.engines import Buckets, TrainedVectors, initial_vectors

    grams = 0 if task.spelling is None else task.spelling.buckets
    buckets = Buckets(np.arange(grams, dtype=np.int32), initial_vectors(grams, task)) if grams else None
    kept, vectors = len(corpus.ids) * task.epochs, initial_vectors(len(corpus.counts), task)
    return TrainedVectors(vectors, kept_words=kept, buckets=buckets, train_seconds=0.01)


@pytest.fixture
def word2vec(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        monkeypatch.setenv(name, "")
    module = bench("word2vec")
    monkeypatch.setattr(bench("word2vec_arms"), "train", untrained)
    return module


def test_word2vec_judges_the_runs_that_it_timed(
    bench: Any, word2vec: Any, words_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    train = bench("word2vec_arms").train
    monkeypatch.setattr(bench("word2vec_arms"), "train", lambda corpus, task: made.append(task) or train(corpus, task))
    paths = word2vec.main([words_folder, "--tiny", "--parts", "speed"])
    trained = len(made)
    paths += word2vec.main([words_folder, "--tiny", "--parts", "quality", "short"])
    assert trained == 2 * 4  # two widths, two seeds, each after a training to warm up
    assert len(made) == trained + 2 * 2  # only the short texts
    speed, quality, short = (json.loads(path.read_text()) for path in paths)
    assert [bar["at_least"] for bar in speed["bars"]] == [5.0] * 4
    assert [bar["at_least"] for bar in short["bars"]] == [5.0] * 2
    assert {row["part"] for row in speed["rows"]} == {"calibration", "speed"}
    assert len({row["vocabulary"] for row in speed["rows"] if row["texts"] == "enwiki-all"}) == 1
    assert len({row["vocabulary"] for row in short["rows"] if row["texts"] == "short-2000"}) == 1
    margins = {bar["name"].split(":")[0]: bar.get("at_most") for bar in quality["bars"]}
    assert margins == {
        "MEN": 0.02, "WS-353": None, "SimLex-999": None, "RareWords": None, "analogies": 1.0, "cr": 0.5, "emotion": 0.5,
    }  # fmt: skip
    assert "5 of 6 pairs" in bench("tables").word2vec_quality()
    assert "2 questions" in bench("tables").word2vec_quality()
    assert "| enwiki2015 | 8 | 2 |" in bench("tables").word2vec()
    assert not list(bench("arms").SCRATCH.glob("*.jsonl"))


def test_word2vec_growth_and_deterministic(bench: Any, word2vec: Any, words_folder: str) -> None:
    growth, deterministic = word2vec.main([words_folder, "--tiny", "--parts", "growth", "deterministic"])
    assert len(json.loads(growth.read_text())["bars"]) == 7
    assert "words of the corpus |" in bench("tables").word2vec_growth()
    assert json.loads(deterministic.read_text())["bars"][0] == {
        "name": "different vectors in two deterministic runs",
        "value": 1,
        "at_most": 1,
    }
    assert "different vectors" in bench("tables").word2vec_deterministic()


def test_word2vec_subwords_give_unseen_words_vectors(bench: Any, word2vec: Any, words_folder: str) -> None:
    (path,) = word2vec.main([words_folder, "--tiny", "--parts", "subwords"])
    bars = {bar["name"].split(": ")[0]: bar for bar in json.loads(path.read_text())["bars"]}
    assert (bars["RareWords"]["pairs"], bars["RareWords, unseen words too"]["pairs"]) == (5, 6)
    assert bars["n-grams"].get("at_least") is None
    assert "6 of 6 pairs" in bench("tables").word2vec_subwords()


def test_word2vec_with_the_engine_itself(bench: Any, words_folder: str) -> None:
    (path,) = bench("word2vec").main([words_folder, "--tiny", "--parts", "deterministic"])
    assert json.loads(path.read_text())["bars"][0]["value"] == 1


def test_pairs_of_texts(bench: Any) -> None:
    import numpy as np

    def counted(length: int) -> float:
        return sum(sum(0 < abs(i - j) <= b for i in range(length) for j in range(length)) for b in range(1, 6)) / 5

    assert bench("word2vec_arms").pairs_of(np.array([1.0, 2.0, 4.0, 6.0, 9.0])) == pytest.approx(
        sum(map(counted, (1, 2, 4, 6, 9)))
    )


def test_differences_have_an_interval_over_seeds(bench: Any) -> None:
    quality = bench("word2vec_quality")
    low, high = quality.difference([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((-1.7406, 1.7406), abs=1e-3)  # t(.95; 4) · √(2 / 3)
    assert "at_most" not in quality.comparison("MEN", [0.7], [0.7])


def test_sentences(bench: Any) -> None:
    texts = bench("word2vec_texts")
    assert texts.sentences_of('Good. "Very good!" she said.<br /><br />It ends at 5 p.m. today') == [
        "Good.", '"Very good!" she said.', "It ends at 5 p.m. today",
    ]  # fmt: skip


def test_long_texts_are_read_both_ways(bench: Any, folder: str) -> None:
    result = json.loads(bench("long_texts").main([folder, "--tiny", "--device", "cpu"]).read_text())
    assert [(row["set"], row["way"]) for row in result["rows"]] == [("imdb", "whole"), ("imdb", "by sentence")]
    assert [bar["name"] for bar in result["bars"]] == ["imdb, 2 labels each: by sentence less whole, points"]
    assert "| imdb | 1 | 2 |" in bench("tables").long_texts()


@pytest.fixture
def predictions(bench: Any, monkeypatch: pytest.MonkeyPatch, review_files: Path) -> Any:
    """Return the script over one small pipeline, the folder and the environment put back afterwards."""
    script = bench("predictions")
    (review_files / "pipelines").mkdir()
    (review_files / "small.yaml").rename(review_files / "pipelines" / "small.yaml")
    monkeypatch.setattr(script, "ROOT", review_files)
    monkeypatch.chdir(review_files)
    for name in (*script.THREADS, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "1")
    return script


def test_predictions_are_the_same_twice_and_a_changed_label_is_told(
    predictions: Any, review_files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (str(review_files / f"{name}.json") for name in ("first", "second"))
    for out in (first, second):
        predictions.main([out])
    found = json.loads(Path(second).read_text(encoding="utf-8"))
    assert found["small"]["labels"] == ["negative", "positive"]
    assert [sum(row) for row in found["small"]["probabilities"]] == pytest.approx([1] * 20, abs=2e-6)
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        predictions.main(["--compare", first, second])
    assert caught.value.code == 0
    assert capsys.readouterr().out == "small: largest difference 0.000000, 0 of 20 labels differ\n"
    surest = max(map(max, found["small"]["probabilities"]))
    row = next(row for row in found["small"]["probabilities"] if surest in row)
    row.reverse()
    Path(second).write_text(json.dumps({**found, "other": found["small"]}), encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        predictions.main(["--compare", first, second])
    assert caught.value.code == 1
    assert capsys.readouterr().out == (
        f"other: only in the second file\nsmall: largest difference {2 * surest - 1:.6f}, 1 of 20 labels differ\n"
    )


def test_predictions_compare_nothing_and_let_auto_take_its_time(bench: Any, root: Path) -> None:
    script, path = bench("predictions"), root / "pipelines" / "tweets-fewshot.yaml"
    assert script.assignments(path) == ["compare=null", f"stages.2.update.minutes={script.MINUTES}"]
    texts = script.test_texts({"data": {"test": str(root / "data/reviews/test.csv")}, "compare": {"tests": {
        "more": str(root / "data/reviews/held_out.csv"), "same": str(root / "data/reviews/test.csv")}}}, folder=root)  # fmt: skip
    assert len(set(texts)) == len(texts) == 202


def test_encoder_choice_measures_its_regret(bench: Any, folder: str, tmp_path: Path) -> None:
    for number, name in enumerate(("one", "other")):
        tiny_folder(tmp_path / "encoders" / name, "bert", seed=number)
    result = json.loads(bench("encoder_choice").main([folder, str(tmp_path / "encoders"), "--tiny"]).read_text())
    runs = [row for row in result["rows"] if "accuracy" in row]
    assert [(row["set"], row["encoder"]) for row in runs] == [
        (name, encoder) for name in ("emotion", "imdb") for encoder in ("one", "other")
    ]
    ways = {row["way"]: row["regret"] for row in result["rows"] if "way" in row}
    assert {"LogME", "logistic loss", "H-score", "always one", "always other"} <= set(ways)
    assert min(ways.values()) >= 0
    assert result["bars"][0]["value"] == ways["LogME"]


def test_many_labels_sets_auto_beside_the_others(bench: Any, folder: str) -> None:
    arguments = [folder, "--tiny", "--device", "cpu", "--sets", "imdb", "--arms", "tfidf", "auto"]
    result = json.loads(bench("many_labels").main(arguments).read_text())
    assert [(row["labels"], row["arm"]) for row in result["rows"]] == [(40, "tfidf"), (40, "auto")]
    assert all(set(row["right"]) <= {"0", "1"} and len(row["right"]) == 12 for row in result["rows"])
    assert {bar["name"] for bar in result["bars"]} == {
        "imdb, 40 labels: minutes of auto",
        "imdb, 40 labels: auto less tfidf, points of accuracy, upper end",
    }
