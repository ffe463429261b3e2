"""Faults of settings as sentences: what a newcomer writes first, and a sweep of values over every setting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nlptl.config import parse
from nlptl.errors import ConfigError
from nlptl.inference.spelling import Spelling
from nlptl.pretraining.word2vec.skip_gram_settings import Phrases, SkipGramSettings
from nlptl.runs.pipeline import Pipeline

DATA = {"unlabelled": "pile.txt", "labelled": "train.csv", "source": "source.csv"}
HEAD = {"stage": "classification_head"}
CHAINS: tuple[list[dict[str, Any]], ...] = (
    [
        {"stage": "skipgram", "subwords": {"min": 3}, "phrases": {"threshold": 3.0}, "text": {"preset": "plain"}},
        {"stage": "sentence_vectors", "layer": "last"},
        HEAD,
        {"stage": "finetune", "update": {"method": "head"}},
    ],
    [
        {"stage": "bert", "continue": {"objective": "mlm"}},
        HEAD,
        {
            "stage": "finetune",
            "priors": {"a": 0.5, "b": 0.5},
            "update": {
                "method": "contrastive",
                "pseudo_labels": {"texts": 20},
                "templates": ["{}"],
                "augment": [{"kind": "typos"}, {"kind": "eda", "edits": ["swap"]}],
            },
        },
    ],
    [
        {"stage": "bert", "scratch": {"layers": 1}},
        HEAD,
        {"stage": "domain_adaptation", "adapt": {"method": "auto", "candidates": [{"method": "coral"}]}},
        {"stage": "finetune", "update": {"method": "lora", "targets": "linear"}},
    ],
)
VALUES = ("foo", "auto", 3, -1, 1.5, True, None, [], {}, ["x"], [3], [None], {"x": 1}, {1: 2}, [{"kind": "typo"}])
INNARDS = re.compile(
    r"valid |\(\)|\[key\]|literal\[|dict\[|list\[|tuple\[|constrained|function-|NoneType|[Ii]nput|should"
)


def faults(raw: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(Pipeline, raw, where="p.yaml")
    return caught.value.faults


def finetune(**settings: Any) -> dict[str, Any]:
    return {"data": DATA, "stages": [{"stage": "bert"}, HEAD, {"stage": "finetune", **settings}]}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"update": "auto"}, "update is 'auto', but must be a block such as {method: auto}."),
        (
            {"update": "contrastiv"},
            "update is 'contrastiv', but must be a block such as {method: head}. Did you mean {method: contrastive}?",
        ),
        ({"update": 3}, "update is 3, but must be a block such as {method: head}."),
        (
            {"update": {"method": "contrastive", "augment": ["word_dropout"]}},
            "update.augment.0 is 'word_dropout', but must be a block such as {kind: word_dropout}.",
        ),
        (
            {"update": {"method": "contrastive", "augment": {"kind": "typos"}}},
            "update.augment is {'kind': 'typos'}, but must be a list such as [{kind: typos}].",
        ),
        (
            {"update": {"method": "contrastive", "augment": "typo"}},
            "update.augment is 'typo', but must be a list such as [{kind: typos}].",
        ),
        (
            {"update": {"method": "contrastive", "augment": True}},
            "update.augment is True, but must be a list such as [{kind: word_dropout}].",
        ),
        (
            {"update": {"method": "contrastive", "augment": [{"kind": "eda", "edits": "swap"}]}},
            "update.augment.0.edits is 'swap', but must be a list such as [swap].",
        ),
        (
            {"update": {"method": "contrastive", "augment": [{"kind": "eda", "edits": ["swop"]}]}},
            "update.augment.0.edits.0 is 'swop', but must be one of replace, insert, swap, delete. Did you mean 'swap'?",
        ),
        (
            {"update": {"method": "contrastive", "augment": [{"kind": "eda", "edits": []}]}},
            "update.augment.0.edits is [], but must have at least 1 item.",
        ),
        (
            {"update": {"method": "contrastive", "templates": "This is {}."}},
            "update.templates is 'This is {}.', but must be a list such as ['This is {}.'].",
        ),
        (
            {"update": {"method": "auto", "pseudo_labels": True}},
            "update.pseudo_labels is True, but must be one of auto, never.",
        ),
        (
            {"update": {"method": "lora", "targets": "liner"}},
            "update.targets is 'liner', but must be one of linear, attention, or a list such as [a, b]. "
            "Did you mean 'linear'?",
        ),
        (
            {"update": {"method": "lora", "targets": [3]}},
            "update.targets.0 is 3, but must be a text; put it in quotes.",
        ),
        ({"update": {"method": "lora", "targets": []}}, "update.targets is [], but must have at least 1 item."),
        (
            {"priors": "unifrom"},
            "priors is 'unifrom', but must be one of observed, uniform, or a block such as {name: value}. "
            "Did you mean 'uniform'?",
        ),
        ({"priors": {"a": 1.5}}, "priors.a is 1.5, but must be less than 1."),
        ({"priors": {"a": "half"}}, "priors.a is 'half', but must be a number."),
        (
            {"method": "LoRA"},
            "method is not a setting here. It stands inside `update:`. Write update: {method: lora}.",
        ),
        (
            {"top_layers": 2},
            "top_layers is not a setting here. It stands inside `update:`. Write update: {method: partial, top_layers: 2}.",
        ),
        (
            {"augment": [{"kind": "typos"}]},
            "augment is not a setting here. It stands inside `update:`. Write update: {method: contrastive, augment: ...}.",
        ),
        (
            {"update": {"method": "LoRA"}},
            "update.method is 'LoRA', but must be one of head, partial, full, lora, contrastive, self_training, words, auto. "
            "Did you mean 'lora'?",
        ),
        ({"update": {"method": "head", "folds": "many"}}, "update.folds is 'many', but must be a whole number."),
    ],
)
def test_what_is_written_in_the_wrong_shape_is_one_sentence(settings: dict[str, Any], sentence: str) -> None:
    assert faults(finetune(**settings)) == (f"p.yaml: stages.2.{sentence}",)


def test_layers_are_numbers_or_words() -> None:
    chain = [{"stage": "bert"}, {"stage": "sentence_vectors", "layer": "lst"}]
    assert faults({"stages": chain}) == (
        "p.yaml: stages.1.layer is 'lst', but must be a whole number, or one of mean, last. Did you mean 'last'?",
    )


def test_stages_and_blocks_of_names() -> None:
    assert faults({"stages": ["skipgarm"]}) == (
        "p.yaml: stages.0 is 'skipgarm', but must be a block such as {stage: skipgram}. Did you mean {stage: skipgram}?",
    )
    assert faults({"stages": "skipgram"}) == (
        "p.yaml: stages is 'skipgram', but must be a list such as [{stage: skipgram}].",
    )
    assert faults({"stages": {"bert": {"weights": "minilm"}, "finetune": None}}) == (
        "p.yaml: stages is {'bert': {'weights': 'minilm'}, 'finetune': None}, but must be a list such as "
        "[{stage: bert, weights: minilm}, {stage: finetune}].",
    )
    assert faults({"stages": {"weights": "minilm"}}) == (
        "p.yaml: stages is {'weights': 'minilm'}, but must be a list such as [{stage: skipgram}].",
    )
    assert faults({"stages": [{"bert": {"weights": "minilm"}}]}) == (
        "p.yaml: stages.0 is {'bert': {'weights': 'minilm'}}, but must be a block with `stage: ...`. "
        "Write {stage: bert, weights: minilm}.",
    )
    assert faults({"stages": [{"weights": "minilm"}]}) == (
        "p.yaml: stages.0 is {'weights': 'minilm'}, but must be a block with `stage: ...`. Add that line.",
    )
    compare = {"arms": {"one": {}, 2: {}}, "tests": "test.csv"}
    assert faults({**finetune(), "compare": compare}) == (
        "p.yaml: compare.arms.2: the name 2 must be a text. Put it in quotes.",
        "p.yaml: compare.tests is 'test.csv', but must be a block such as {name: value}.",
    )


def places(raw: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key, value in raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ():
        yield from places(value, (*path, key))


def put(raw: Any, path: tuple[Any, ...], value: object) -> Any:
    if not path:
        return value
    changed = raw.copy()
    changed[path[0]] = put(raw[path[0]], path[1:], value)
    return changed


@pytest.mark.parametrize("chain", CHAINS, ids=["skipgram", "contrastive", "scratch"])
def test_no_value_anywhere_shows_the_innards_of_the_validation(chain: list[dict[str, Any]]) -> None:
    raw = parse(Pipeline, {"data": DATA, "stages": chain}, where="p.yaml").model_dump(mode="json", by_alias=True)
    told = 0
    for path in places(raw):
        for value in VALUES:
            try:
                parse(Pipeline, put(raw, path, value), where="p.yaml")
            except ConfigError as error:
                for fault in error.faults:
                    told += 1
                    assert not INNARDS.search(fault), fault
                    assert fault.startswith("p.yaml: "), fault
                    assert fault.endswith((".", "?")), fault
    assert told > 300


def test_a_fault_of_the_chain_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "data: {labelled: train.csv}\nstages: [{stage: skipgram, vectors: v.txt}, {stage: classification_head}, {stage: "
        "finetune, update: {method: lora}}]\n"
    )
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_yaml(path)
    assert caught.value.faults[0].startswith(f"{path}: stages.2.update.method: found lora over word vectors or n-grams")


def test_a_setting_of_an_earlier_version_is_told_with_its_new_place() -> None:
    told = "moved into the block update, to the methods that learn by gradient (head with solver iterative, partial, full, lora)"
    assert faults(finetune(epochs=3, prior="uniform", precision="tf32")) == (
        f"p.yaml: stages.2.epochs {told}. Write update: {{method: ..., epochs: ...}}.",
        "p.yaml: stages.2.prior is not a setting. Did you mean 'priors'? Known here: stage, update, priors, thresholds.",
        "p.yaml: stages.2.precision moved into the block update. Write update: {method: ..., precision: ...}.",
    )
    assert faults(finetune(update={"method": "contrastive", "pile": "auto"})) == (
        "p.yaml: stages.2.update.pile is called pseudo_labels now. Rename it.",
    )
    bert = {"stage": "bert", "epochs": 3}
    assert faults({"data": DATA, "stages": [bert, HEAD]})[0] == (
        "p.yaml: stages.0.epochs is not a setting here. It stands inside `scratch:` or `continue:`. "
        "Write scratch: {epochs: 3} or continue: {objective: auto, epochs: 3}."
    )


def test_a_setting_of_a_block_around_is_shown_there() -> None:
    def of_words(**settings: Any) -> tuple[str, ...]:
        return faults({"data": DATA, "stages": [{"stage": "skipgram", **settings}, HEAD]})

    beside = "is not a setting here. It stands beside `text:`, not inside it. Move it there."
    assert of_words(text={"phrases": True}) == (f"p.yaml: stages.0.text.phrases {beside}",)
    assert of_words(text={"subwords": True, "epochs": 3}) == (
        f"p.yaml: stages.0.text.subwords {beside}",
        f"p.yaml: stages.0.text.epochs {beside}",
    )
    assert of_words(text={"segmenter": {"name": "sudachi", "lowercase": True}}) == (
        "p.yaml: stages.0.text.segmenter.lowercase is not a setting here. It stands beside `segmenter:`, not inside it. Move it "
        "there.",
    )
    with pytest.raises(ConfigError) as caught:
        SkipGramSettings(text={"phrases": True})
    assert caught.value.faults == (
        "SkipGramSettings.text.phrases is not a setting here. It stands beside `text=`, not inside it. Move it there.",
    )


def test_true_takes_the_default_subwords_and_phrases() -> None:
    found = SkipGramSettings.model_validate({"subwords": True, "phrases": True})
    assert found == SkipGramSettings(subwords=Spelling(), phrases=Phrases())
    assert SkipGramSettings.model_validate({"subwords": False}).subwords is None
