"""The command that measures on a GPU: time limits, going on after a failure, what is named as left out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # transformers' and PEFT's own about each other
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

WRITES = """
import json, sys
with open(sys.argv[1], "w") as file:
    json.dump({"rows": [], "notes": ["gensim is not installed: its rows are left out."]}, file)
"""
FAILS = "print('what went wrong'); raise SystemExit(3)"
HANGS = """
import subprocess, sys, time
code = "import sys, time\\nwhile True: open(sys.argv[1], 'a').write('x'); time.sleep(0.02)"
subprocess.Popen([sys.executable, "-c", code, sys.argv[1]])
time.sleep(60)
"""


@pytest.fixture
def parts(bench: Any, tmp_path: Path) -> dict[str, Any]:
    """Return three parts: one that writes a result, one that fails, one that starts a process and never ends."""
    made = {}
    for name, code, target in (("writes", WRITES, "writes.json"), ("fails", FAILS, "-"), ("hangs", HANGS, "alive")):
        script = tmp_path / f"{name}.py"
        script.write_text(code, encoding="utf-8")
        limit = 1.5 if name == "hangs" else 30
        made[name] = bench("gpu").Part(name, (str(script), str(tmp_path / target)), limit, name)
    return made


def run_all(bench: Any, parts: list[Any], folder: Path) -> list[Any]:
    outcomes: list[Any] = bench("gpu").run_all(parts, folder, bench("gpu").environment(dry_run=True))
    return outcomes


def test_a_part_that_fails_or_hangs_does_not_stop_the_others(
    bench: Any, parts: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = run_all(bench, [parts["fails"], parts["hangs"], parts["writes"]], tmp_path)
    assert [outcome.told for outcome in outcomes] == ["failed (exit code 3)", "out of time (1.5 s)", "done"]
    assert [outcome.result for outcome in outcomes] == [None, None, tmp_path / "writes.json"]
    assert 1.5 <= outcomes[1].seconds < 15
    assert "    what went wrong\n" in capsys.readouterr().out
    report = bench("gpu").report(outcomes, Path("results"))
    assert report.splitlines()[1:3] == [
        "part    seconds  outcome               result",
        f"fails   {outcomes[0].seconds:>7.1f}  failed (exit code 3)  none",
    ]
    assert "writes: gensim is not installed: its rows are left out." in report
    assert max(map(len, report.splitlines())) < 100


def test_what_a_part_has_started_ends_with_it(bench: Any, parts: dict[str, Any], tmp_path: Path) -> None:
    run_all(bench, [parts["hangs"]], tmp_path)
    written = (tmp_path / "alive").stat().st_size
    assert written > 0
    time.sleep(0.3)
    assert (tmp_path / "alive").stat().st_size == written


def test_an_earlier_result_is_not_taken_for_this_ones(bench: Any, parts: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "fails.json").write_text("{}", encoding="utf-8")
    (tmp_path / "fails.py").write_text("", encoding="utf-8")
    (outcome,) = run_all(bench, [parts["fails"]], tmp_path)
    assert (outcome.told, outcome.result) == ("failed (no result)", None)


@pytest.mark.parametrize(("names", "code"), [(("writes",), 0), (("fails", "writes"), 1)])
def test_the_command_says_whether_all_parts_are_good(
    bench: Any,
    parts: dict[str, Any],
    tmp_path: Path,
    names: tuple[str, ...],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench("gpu"), "parts_of", lambda *_, **__: [parts[name] for name in names])
    assert bench("gpu").main([str(tmp_path), "--dry-run"]) == code


@pytest.mark.parametrize("is_made", [True, False])
def test_the_parts_fit_into_ten_minutes_and_their_scripts_take_the_arguments(
    bench: Any, tmp_path: Path, is_made: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Taken(Exception):
        """Raised by what comes next after the arguments."""

    def stop(*_: Any, **__: Any) -> None:
        raise Taken

    monkeypatch.setattr(bench("arms"), "device_of", stop)
    monkeypatch.setattr(bench("arms"), "begin", stop)
    monkeypatch.setattr(bench("gpu_tests"), "gpu_name", stop)
    measured = bench("gpu").parts_of(tmp_path, tmp_path / "data", dry_run=False, is_made=is_made)
    tried = bench("gpu").parts_of(tmp_path, tmp_path / "data", dry_run=True, is_made=True)
    assert [part.name for part in measured] == [part.name for part in tried]
    assert sum(part.limit for part in measured) <= 570
    for part in [*measured, *tried]:
        script, *arguments = part.command
        with pytest.raises(Taken):
            bench(script.removesuffix(".py")).main(arguments)


def test_refusals(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="torch sees no CUDA device here"):
        bench("gpu").main([str(tmp_path)])
    for arguments in ([str(root / "benchmarks" / "results"), "--dry-run"], [str(tmp_path), "--dry-run", "--data", "."]):
        with pytest.raises(SystemExit) as caught:
            bench("gpu").main(arguments)
        assert caught.value.code == 2


def test_one_gpu_is_used_and_this_checkout(bench: Any, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    for given, expected in ((None, "0"), ("2,3", "2")):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if given is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        found = bench("gpu").environment(dry_run=False)
        assert found["CUDA_VISIBLE_DEVICES"] == expected
        assert found["PYTHONPATH"] == f"{root}:elsewhere"
        assert "TRITON_INTERPRET" not in found
    assert bench("gpu").environment(dry_run=True)["TRITON_INTERPRET"] == "1"


@pytest.fixture
def made(bench: Any, tmp_path: Path) -> Path:
    bench("made_texts").write_texts(tmp_path / "texts", bench("made_texts").TINY)
    return tmp_path / "texts"


@pytest.fixture
def hide(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what hides packages from the benchmarks alone: other libraries remember for good what they did not find."""
    arms = bench("arms")
    missing = arms.missing

    def hidden(*packages: str) -> None:
        monkeypatch.setattr(
            arms, "missing", lambda names: [name for name in names if name in packages or missing([name])]
        )

    return hidden


def test_what_is_not_installed_is_missing(bench: Any) -> None:
    assert bench("arms").missing(["torch", "a_package_of_nobody", "json"]) == ["a_package_of_nobody"]


def test_finetune_names_the_peers_that_are_missing(
    bench: Any, made: Path, tmp_path: Path, hide: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    hide("accelerate")
    arguments = [str(made), "--tiny", "--device", "cpu", "--sets", "emotion", "--updates", "full", "lora"]
    more = ["--repeats", "1", "--out", str(tmp_path), "--parts", "speed", "scores"]
    speed, scores = bench("finetune").main([*arguments, *more])
    for path in (speed, scores):
        result = json.loads(path.read_text())
        assert path.parent == tmp_path
        assert {row["arm"] for row in result["rows"]} == {"nlptl"}
        assert {row["update"] for row in result["rows"]} == {"full", "lora"}
        assert result["bars"] == []
        assert result["notes"] == [
            "accelerate: not installed, so full of Trainer is left out.",
            "accelerate: not installed, so lora of Trainer is left out.",
        ]
    assert result["notes"][0] in capsys.readouterr().out


def test_compiling_comes_last_and_may_be_left_out(bench: Any, made: Path, hide: Callable[..., None]) -> None:
    finetune = bench("finetune")
    options = type("Options", (), {"folder": made, "tiny": True, "updates": ["full", "lora"], "precision": "bfloat16"})
    jobs = finetune.speed_jobs(options, "cuda", "weights", "emotion")
    assert list(jobs)[-1] == ("full", "Trainer, compiled")
    assert [job.compiled for job in jobs.values()] == [False] * 4 + [True]
    hide("triton", "peft")
    assert list(finetune.speed_jobs(options, "cuda", "weights", "emotion")) == [("full", "nlptl"), ("full", "Trainer")]
    assert finetune.left_out(["full", "lora"], "cuda") == [
        "triton: not installed, so full of Trainer, compiled is left out.",
        "peft: not installed, so lora of nlptl is left out.",
        "peft: not installed, so lora of Trainer is left out.",
    ]


def test_encode_names_the_peer_that_is_missing(
    bench: Any, made: Path, tmp_path: Path, hide: Callable[..., None]
) -> None:
    hide("sentence_transformers")
    arguments = [str(made), "--tiny", "--device", "cpu", "--repeats", "1", "--out", str(tmp_path)]
    result = json.loads(bench("encode").main([*arguments, "--precisions", "float32", "bfloat16"]).read_text())
    assert result["notes"] == ["sentence-transformers is not installed: transformers alone, padded, stands in for it."]
    cosines = {bar["name"].split(":")[0]: bar["value"] for bar in result["bars"] if "cosine" in bar["name"]}
    assert cosines.keys() == {f"{name}, {kind}" for name in ("emotion", "imdb") for kind in ("float32", "bfloat16")}
    assert min(cosines.values()) > 0.999
    assert {bar["at_least"] for bar in result["bars"] if "tokens/s" in bar["name"]} == {1.5}


@pytest.mark.parametrize(
    ("hidden", "quality", "notes"),
    [
        ((), True, []),
        (("gensim",), False, ["gensim is not installed: its rows are left out."]),
        (
            ("gensim",), True,
            ["gensim is not installed: its rows are left out.",
             "nlptl's CPU engine stands in for gensim in the comparison of quality."],
        ),
        (
            ("gensim", "numba"), True,
            ["gensim is not installed: its rows are left out.",
             "numba is not installed: nlptl's CPU engine is left out of the comparison of quality."],
        ),
    ],
)  # fmt: skip
def test_word2vec_names_the_peers_that_are_missing(
    bench: Any, hidden: tuple[str, ...], quality: bool, notes: list[str], hide: Callable[..., None]
) -> None:
    hide(*hidden)
    assert bench("word2vec_gpu").left_out(quality=quality) == notes


def test_the_tests_of_a_gpu_are_a_result(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = tmp_path / "cases.py"
    case.write_text(
        "import pytest\ndef test_good(): pass\ndef test_bad(): assert False\ndef test_left(): pytest.skip('here')\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(bench("gpu_tests"), "CASES", (str(case),))
    monkeypatch.setattr(bench("gpu_tests"), "KERNELS", {})
    assert bench("gpu_tests").main(["--out", str(tmp_path)]) == 1
    result = json.loads((tmp_path / "gpu-tests.json").read_text())
    told = {row["test"].rsplit(".", 1)[-1]: row["outcome"] for row in result["rows"]}
    assert told == {"test_good": "passed", "test_bad": "failed", "test_left": "skipped"}
    assert [bar["value"] for bar in result["bars"]] == [1, 1]
    case.write_text("import something_that_is_not_there\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"cases\.py: pytest ended with code 2"):
        bench("gpu_tests").main(["--out", str(tmp_path)])


def test_made_words_are_as_many_as_asked_for(bench: Any) -> None:
    made_texts = bench("made_texts")
    known = made_texts.known_words()
    assert len(known) > 500
    words = made_texts.vocabulary(known, 2 * len(known))
    assert len(set(words)) == 2 * len(known)
    assert words[: len(known)] == known
    assert all(word.isalpha() for word in words)


def test_made_texts_tell_their_labels(made: Path) -> None:
    rows = [json.loads(line) for line in (made / "imdb" / "train.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows[:2]] == ["negative", "positive"]
    assert all(row["label"] in row["text"].split() for row in rows)
    assert 100 < sum(len(row["text"].split()) for row in rows) / len(rows) < 400
