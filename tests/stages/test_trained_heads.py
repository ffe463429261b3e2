"""Whether a head was trained is a fact that is kept, and not a guess from its numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError
from nlptl.evaluation.scores import evaluate_classifier, scored_as_it_stands
from nlptl.inference.file_names import CLASSIFIER
from nlptl.interfaces.text import next_lines
from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head
from nlptl.runs.pipeline import Pipeline
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.domain_adaptation import DomainAdaptation
from nlptl.stages.finetune import FineTune
from nlptl.stages.skipgram import SkipGram

UNKNOWN = TextData(labelled=([f"wort{i} satz{i}" for i in range(8)], ["good", "bad"] * 4))
UPDATES: list[dict[str, Any]] = [
    {"method": "auto"},
    {"method": "full", "epochs": 2},
    {"method": "head", "solver": "iterative", "epochs": 2},
    *({"method": "head", "solver": solver} for solver in ("auto", "logistic", "lda", "ridge")),
]


def fresh(tmp_path: Path, data: TextData) -> TextClassifier:
    path = tmp_path / "v.txt"
    path.write_text("warm 1 0\ncold -1 0\nkind 1 1\nrude -1 1\n")
    encoder = SkipGram(vectors=str(path)).run(data=data)
    return ClassificationHead().run(encoder, data=data)


@pytest.mark.parametrize("update", UPDATES)
def test_a_classifier_of_unknown_words_is_trained_and_warned_of(tmp_path: Path, update: dict[str, Any]) -> None:
    head, context = fresh(tmp_path, UNKNOWN), RunContext(device="cpu")
    made = FineTune.model_validate({"update": update}).run(head, data=UNKNOWN, context=context)
    made.save(tmp_path / "made")
    again = TextClassifier.load(tmp_path / "made")
    assert json.loads((tmp_path / "made" / CLASSIFIER).read_text())["head"]["trained"] is True
    assert len(again.predict(["wort1", "warm"])) == 2
    assert evaluate_classifier(again, UNKNOWN.labelled).rows == 8  # type: ignore[arg-type]
    assert context.record.warnings[0] == (
        "finetune: found no training text with a word that the vectors know, so nothing was learnt; expected vectors of the "
        "texts' language. Give other vectors, or train them on such texts."
    )
    assert head.head.is_fresh, "the given head stays as it is"


def test_names_of_unknown_words_are_warned_of(tmp_path: Path) -> None:
    data = TextData(label_names={"a": "wort", "b": "satz"})
    context = RunContext(device="cpu")
    made = FineTune().run(fresh(tmp_path, data), data=data, context=context)
    assert len(made.predict(["warm"])) == 1
    assert [one for one in context.record.warnings if "no name of a label with a word" in one]


def test_one_known_word_is_no_warning(tmp_path: Path) -> None:
    texts = [*(f"wort{i}" for i in range(7)), "warm"]
    data, context = TextData(labelled=(texts, ["good", "bad"] * 4)), RunContext(device="cpu")
    FineTune().run(fresh(tmp_path, data), data=data, context=context)
    assert context.record.warnings == []


def test_domain_adaptation_trains_a_head(tmp_path: Path) -> None:
    source = ([f"wort{i} satz{i}" for i in range(40)], ["good", "bad"] * 20)
    data = TextData(source=source, unlabelled=[f"fremd{i}" for i in range(40)])
    settings = {"adapt": {"method": "none"}}
    made = DomainAdaptation.model_validate(settings).run(fresh(tmp_path, data), data=data)
    assert made.head.trained
    assert len(made.predict(["wort1"])) == 1


def test_an_untrained_head_answers_nothing(tmp_path: Path) -> None:
    head = fresh(tmp_path, UNKNOWN)
    head.save(tmp_path / "fresh")
    again = TextClassifier.load(tmp_path / "fresh")
    assert "trained" not in json.loads((tmp_path / "fresh" / CLASSIFIER).read_text())["head"], "as folders always were"
    for answer in (again.predict, again.predict_proba, lambda texts: evaluate_classifier(again, UNKNOWN.labelled)):  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="found a head that was never trained"):
            answer(["warm"])
    assert UNKNOWN.labelled is not None
    assert scored_as_it_stands(again, UNKNOWN.labelled).rows == 8, "a run scores what it made"
    np.testing.assert_allclose(again.probabilities(["warm"]), [[0.5, 0.5]])


def test_folders_without_the_flag_are_known_by_their_numbers(tmp_path: Path) -> None:
    data = TextData(labelled=(["warm", "cold", "kind", "rude"], ["good", "bad"] * 2))
    FineTune.model_validate({"update": {"method": "head"}}).run(fresh(tmp_path, data), data=data).save(tmp_path / "old")
    path = tmp_path / "old" / CLASSIFIER
    settings = json.loads(path.read_text())
    del settings["head"]["trained"]
    path.write_text(json.dumps(settings))
    again = TextClassifier.read_files(tmp_path / "old")
    assert not again.head.trained
    assert again.predict(["warm", "cold"]) == ["good", "bad"]
    assert Head.from_settings(settings["head"]).is_fresh


@pytest.mark.parametrize("trains", [True, False])
def test_a_run_proposes_predict_only_where_it_answers(tmp_path: Path, trains: bool) -> None:
    (tmp_path / "v.txt").write_text("warm 1 0\ncold -1 0\n")
    stages: list[Any] = [SkipGram(vectors=str(tmp_path / "v.txt")), ClassificationHead()]
    stages += [FineTune.model_validate({"update": {"method": "head", "solver": "logistic"}})] * trains
    (tmp_path / "t.csv").write_text("text,label\nwarm,good\ncold,bad\nwarm a,good\ncold b,bad\n")
    result = Pipeline(data={"labelled": str(tmp_path / "t.csv")}, stages=stages).run(tmp_path / "out")
    assert any(line.startswith("Next:    nlptl predict") for line in next_lines(result)) == trains
