"""The JSON schema of the pipeline file: what the program takes it takes, and a misspelt name it refuses."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from docs.reference import Block, blocks_below
from nlptl.config import load_yaml, parse
from nlptl.errors import ConfigError
from nlptl.interfaces.pipeline_schema import pipeline_schema
from nlptl.runs.pipeline import Pipeline
from tests.stages.test_conformance import TABLE

SCHEMA = pipeline_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
ROOT = Path(__file__).parents[2]
BLOCKS: list[type[BaseModel]] = [block.model for block in blocks_below(Block(Pipeline, "pipeline", 2), set())]
REQUIRED: dict[str, Any] = {
    "stages": [{"stage": "bert"}], "file": "a.csv", "hub": "owner/name", "split": "train", "forward": "a", "backward": "b",
    "weights": "w", "arms": {"a": {}, "b": {}}, "tests": {"t": "t.csv"},
}  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, 2, 7, -1, 10**6, 10**12, 0.5, 1.5, 1e-12, 1e40, "", "auto", "x", "mean", "tab", "utf-8", [], [1],
    ["a"], ["a", "b"], [1, 2], {}, {"a": 0.5}, {"a": "b"}, {"method": "head"}, {"file": "a.csv"}, {"objective": "mlm"},
    "A", "written", "small",  # of a segmenter
)  # fmt: skip
BIG = """
seed: 3
data:
  unlabelled: [pile.txt, {file: more.csv, text: [title, 2], delimiter: ;, quoting: none, encoding: cp1252, header: false}]
  source: {hub: owner/name, split: train, text: text, label: 2, revision: main}
  labelled: {file: labelled.xlsx, sheet: 1, label: topic}
  validation: validation.csv
  test: {file: test.jsonl}
  label_names: {0: not hateful, one: hateful}
  shots: 8
  empty_label: unlabelled
stages:
  - stage: bert
    weights: [minilm, ./other]
    choose: {minutes: 2, offline: true}
    continue: {steps: 100}
    extend_vocabulary: 10
  - stage: sentence_vectors
    layer: -1
    views:
      - {view: word_vectors, dim: 50, epochs: auto}
      - {view: ngrams, words: [1, 2], characters: null}
  - {stage: classification_head, dropout: 0.1}
  - stage: finetune
    update:
      method: contrastive
      top_layers: auto
      augment: [{kind: eda, edits: [swap]}, {kind: masked_lm, weights: minilm}]
      pseudo_labels: {texts: 600, gate: always}
    priors: {0: 0.5, one: 0.5}
compare:
  seeds: 3
  arms:
    as it is: {}
    words:
      data.unlabelled: null
      stages:
        - {stage: skipgram, phrases: true, subwords: {min: 3}, text: {lowercase: false}, epochs: auto}
        - {stage: sentence_vectors}
        - {stage: classification_head}
        - {stage: finetune, update: {method: lora, epochs: 3, top_layers: null}}
    other: {stages.3.update.steps: 20, "stages.2": {stage: classification_head}, data.labelled.label: 1}
  tests: {one: test.csv}
  redraw: pool.csv
"""
FREE_NAMES = (("data", "label_names"), ("stages", 3, "priors"), ("compare", "arms"), ("compare", "tests"))


def as_json(value: Any) -> Any:
    """Return what an editor sees of a YAML file: names are texts."""
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list | tuple) else value


def faults(value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}"[:300] for error in VALIDATOR.iter_errors(as_json(value))]


def is_accepted(value: Any) -> bool:
    try:
        parse(Pipeline, value, where="file")
    except ConfigError:
        return False
    return True


def names_in(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every name of a setting, without names that a person gives."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(key, str) and isinstance(value, dict) and path not in FREE_NAMES:
            yield (*path, key)
        yield from names_in(item, *path, key)


def with_name_changed(value: Any, path: tuple[str | int, ...]) -> Any:
    changed = inner = copy.deepcopy(value)
    for key in path[:-1]:
        inner = inner[key]
    inner[f"{path[-1]}x"] = inner.pop(path[-1])
    return changed


def test_the_schema_follows_its_draft() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("file", sorted((ROOT / "pipelines").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_pipeline_of_the_repository_is_valid(file: Path) -> None:
    assert faults(load_yaml(file)) == []


def test_a_big_file_is_valid_and_a_misspelt_name_anywhere_is_not() -> None:
    big = yaml.safe_load(BIG)
    assert faults(big) == []
    assert is_accepted({**big, "data": {**big["data"], "empty_label": "skip"}})
    paths = list(names_in(big))
    assert len(paths) > 80
    for path in paths:
        changed = with_name_changed(big, path)
        assert faults(changed), path
        if path[:2] != ("compare", "arms"):  # which the program reads later, with the data
            assert not is_accepted(changed), path


def test_every_stage_and_method_of_the_conformance_tables_is_valid() -> None:
    stages = [stage for table in TABLE.values() for stage in table.values()]
    assert len(stages) > 60
    for stage in stages:
        assert faults({"stages": [stage.model_dump(mode="json")]}) == []


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.__name__)
def test_what_the_program_takes_the_schema_takes(block: type[BaseModel]) -> None:
    validator = VALIDATOR
    if block is not Pipeline:
        validator = VALIDATOR.evolve(schema={"$ref": f"#/$defs/{block.__name__}", "$defs": SCHEMA["$defs"]})
    fields = block.model_fields
    tags = {name: info.default for name, info in fields.items() if get_args(info.annotation) == (info.default,)}
    needed = tags | {name: REQUIRED[name] for name, info in fields.items() if info.is_required()}
    accepted = 0
    for name, info in fields.items():
        for value in VALUES:
            if type(value) is int and bool in (info.annotation, *get_args(info.annotation)):
                continue  # a truth value is written true or false, although 1 is taken too
            given = {**needed, info.alias or name: value}
            try:
                block.model_validate(given)
            except ConfigError:
                continue
            accepted += 1
            assert validator.is_valid(given), (name, value)
    assert accepted >= (len(fields) - len(tags)) / 2


@pytest.mark.parametrize(
    "data",
    [
        *({part: empty} for part in ("unlabelled", "labelled", "test") for empty in ("", " ", {"file": ""})),
        {"labelled": ["a.csv", ""]},
        *({"test": {"hub": name, "split": "train"}} for name in ("x", "/x", "x/", "a/b/c/d", "a//b")),
        *({"labelled": "a.csv", "delimiter": sign} for sign in ("ab", "", "tabs", '"', "\n")),
        *({"labelled": {"file": "a.csv", "delimiter": sign}} for sign in ("ab", "")),
        {"label_names": {}}, {"label_names": {"a": ""}}, {"label_names": {"a": " "}}, {"label_names": {"": "a"}},
    ],
)  # fmt: skip
def test_what_a_pattern_tells_the_schema_refuses_as_the_program_does(data: dict[str, Any]) -> None:
    given = {"data": data, "stages": [{"stage": "ngrams"}]}
    assert (is_accepted(given), faults(given) == []) == (False, False)


def test_the_schema_takes_every_separator_and_refuses_an_empty_list_of_weights() -> None:
    for sign in (";", "|", "\t", ".", "¦", " ", "tab", r"\t", "comma", "space", None):
        given = {"data": {"labelled": "a.csv", "delimiter": sign}, "stages": [{"stage": "ngrams"}]}
        assert (is_accepted(given), faults(given)) == (True, []), sign
    empty = {"stages": [{"stage": "bert", "weights": []}]}
    assert (is_accepted(empty), faults(empty) == []) == (False, False)


def test_every_setting_is_described_in_one_line_and_every_block_refuses_others() -> None:
    blocks = [one for one in SCHEMA["$defs"].values() if "properties" in one]
    assert len(blocks) == len(BLOCKS) - 1
    for block in [SCHEMA, *blocks]:
        assert block["additionalProperties"] is False
        assert block["description"]
        for name, setting in block["properties"].items():
            assert setting["description"], name
            assert "\n" not in setting["description"]


def test_the_members_of_a_union_are_told_apart_by_a_required_tag() -> None:
    for one in SCHEMA["properties"]["stages"]["items"]["oneOf"]:
        member = SCHEMA["$defs"][one["$ref"].removeprefix("#/$defs/")]
        assert member["required"] == ["stage"]
        assert member["properties"]["stage"]["const"] == member["title"]
    assert faults({"stages": [{"stage": "finetune", "update": {"rank": 8}}]})
    assert not faults({"stages": [{"stage": "bert", "continue": {"steps": 5}}]})
