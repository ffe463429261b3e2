"""The study of a run's behaviour: edits, slices, what is written and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from nlptl.artifact import last_stage, read_manifest
from nlptl.config import load_json
from nlptl.errors import ArtifactError
from nlptl.inference.segmenter import SegmenterSettings, WordCutter, segmenter_available
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.runs.behaviour import behaviour as module
from nlptl.runs.behaviour.behaviour import behaviour
from nlptl.runs.behaviour.edits import Edit, edits_by
from nlptl.runs.behaviour.outcome import BehaviourResult
from nlptl.runs.pipeline import Pipeline
from tests.reported import tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("behaviour")
    made = tiny_run(folder)
    with (folder / "test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (folder / "test.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label", "region"])
        writer.writeheader()
        writer.writerows({**row, "region": "north" if place % 2 else "south"} for place, row in enumerate(rows))
    Pipeline.from_yaml(folder / "tiny.yaml").run(made)
    return made


def test_flips_are_what_the_classifier_says_of_the_edited_texts(run: Path) -> None:
    result = behaviour(run, columns=["region"])
    classifier = TextClassifier.load(run)
    assert (result.texts, result.learnt, result.on) == (24, False, "test.csv: 24 texts")
    assert result.identity == read_manifest(last_stage(run)).identity
    for edit in result.edits:
        assert (edit.flipped is None) == (edit.texts == 0)
        for flip in edit.flips:
            assert classifier.predict([flip.text, flip.edited]) == [flip.before, flip.after]
            assert flip.before != flip.after
    typos = result.edits[0]
    assert typos.texts == 24
    assert typos.difference is not None
    assert typos.right_after is not None
    assert typos.difference.value == pytest.approx(typos.right_after - (typos.right_before or 0))
    assert {one.by for one in result.slices} >= {"label", "column region"}
    assert {one.value for one in result.slices if one.by == "column region"} == {"north", "south"}


@pytest.mark.skipif(not segmenter_available(), reason="needs SudachiPy")
def test_texts_are_edited_as_the_classifier_cuts_them(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def spy(cutter: WordCutter | None) -> tuple[Edit, ...]:
        asked.append(cutter)
        return edits_by(cutter)

    monkeypatch.setattr(module, "edits_by", spy)
    behaviour(run, texts=2)
    cutter = SegmenterSettings().installed()
    monkeypatch.setattr(Encoder, "word_cutter", property(lambda _: cutter))
    behaviour(run, texts=2)
    assert asked == [None, cutter]


def test_the_result_is_read_again_and_follows_its_seed(run: Path) -> None:
    first = behaviour(run, texts=10)
    assert BehaviourResult.read(run) == first
    assert behaviour(run, texts=10) == first
    assert first.edited_texts == 10


def test_another_version_is_none_and_a_changed_file_is_told(run: Path) -> None:
    behaviour(run, texts=2)
    path = run / "behaviour.json"
    text = path.read_text()
    path.write_text(text.replace('"learnt": false', '"learnt": true'))
    with pytest.raises(ArtifactError):
        BehaviourResult.read(run)
    path.write_text('{"version": 0}')
    assert BehaviourResult.read(run) is None
    path.unlink()
    assert BehaviourResult.read(run) is None


def test_the_file_belongs_to_the_run(run: Path) -> None:
    behaviour(run, texts=2)
    Pipeline.from_yaml(run.parent / "tiny.yaml").run(run)
    assert load_json(run / "behaviour.json", most=1 << 20)["texts"] == 24
