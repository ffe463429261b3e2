"""What every stage and every artifact must keep."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from nlptl.config import dump_yaml, parse
from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ArtifactError, DataError
from nlptl.finetuning.methods.union import Full
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.runs.folder import load_artifact
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.domain_adaptation import DomainAdaptation
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from nlptl.stages.stage import ExpectedModel, Stage
from tests.models.tiny import tiny_folder

SKIPGRAM = SkipGram(dim=16, epochs=15, min_count=1, window=10)
CHAIN = (SKIPGRAM, SentenceVectors(), ClassificationHead(hidden=4, activation="sigmoid"), FineTune())
STAGES: dict[str, Any] = {
    "skipgram": SKIPGRAM,
    "skipgram random": SkipGram(dim=16, epochs=0, min_count=1),
    "skipgram subwords": SkipGram(dim=16, epochs=5, min_count=2, subwords={"min": 2, "max": 4, "buckets": 500}),
    "skipgram phrases": SkipGram(dim=16, epochs=5, min_count=1, phrases={"threshold": 1.0, "min_count": 2}),
    "skipgram gensim": SkipGram(dim=16, epochs=5, min_count=1, engine="gensim", deterministic=True),
    "mean": SentenceVectors(pooling="mean"),
    "max": SentenceVectors(pooling="max"),
    "tfidf": SentenceVectors(pooling="tfidf"),
    "sif": SentenceVectors(pooling="sif"),
    "linear": ClassificationHead(),
    "hidden": ClassificationHead(hidden=4, dropout=0.2),
    "head": FineTune(),
    "head balanced": FineTune(label_weights="balanced", l2=0.1),
    "full": FineTune(update=Full(), l2=0.1, folds=2),
    "source only": DomainAdaptation(adapt={"method": "none"}, folds=2, permutations=99),
    "coral": DomainAdaptation(adapt={"method": "coral"}, l2=0.1, folds=2, permutations=99),
    "adapted by choice": DomainAdaptation(l2=0.1, folds=2, permutations=99),
}
FIXED: dict[str, Any] = {"epochs": 2, "l2": 0.1}
QUICK: dict[str, Any] = {"l2": 0.1, "folds": 2, "permutations": 99}
TRANSFORMER_STAGES: dict[str, Any] = {
    "bert scratch": Bert(scratch={"layers": 2, "dim": 16, "heads": 2, "vocabulary_size": 200, "epochs": 1}),
    "cls": SentenceVectors(pooling="cls", layer=2),
    "transformer mean of layers": SentenceVectors(layer="mean", normalize=True),
    "transformer sif": SentenceVectors(pooling="sif"),
    "attention": SentenceVectors(pooling="attention"),
    "transformer head": ClassificationHead(),
    "attention head": FineTune(**FIXED),
    "partial": FineTune(update={"method": "partial", "top_layers": 1, "dropout": 0.2}, **FIXED),
    "full of layers": FineTune(update={"method": "full", "gradual_unfreezing": True}, **FIXED),
    "lora": FineTune(update={"method": "lora"}, label_smoothing=0.1, **FIXED),
    "lora merged": FineTune(update={"method": "lora", "variant": "dora", "merge": True}, **FIXED),
    "continued": DomainAdaptation(adapt={"method": "continue", "steps": 2}, **QUICK),
    "adversarial": DomainAdaptation(adapt={"method": "adversarial", "epochs": 1}, **QUICK),
    "bottlenecks": DomainAdaptation(adapt={"method": "adapters", "epochs": 1, "top_layers": None}, **QUICK),
}
BEFORE = {
    "bert": 0,
    "skipgram": 0,
    "sentence_vectors": 1,
    "classification_head": 2,
    "finetune": 3,
    "domain_adaptation": 3,
}


@pytest.fixture(scope="module")
def artifacts(reviews: TextData) -> list[Any]:
    """Return what each stage of the chain is given; the first is given nothing."""
    made: list[Any] = [None]
    for stage in CHAIN:
        made.append(stage.run(made[-1], data=reviews, context=RunContext(seed=7, device="cpu")))
    return made


def state(artifact: Any) -> dict[str, torch.Tensor]:
    return {} if artifact is None else {name: tensor.clone() for name, tensor in artifact.state_dict().items()}


def outputs(artifact: Any, texts: list[str]) -> np.ndarray:
    return artifact.encode(texts) if isinstance(artifact, Encoder) else artifact.predict_proba(texts)


@pytest.fixture(scope="module")
def transformer_artifacts(reviews: TextData, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Return the same for a chain that begins with a transformer."""
    folder = tiny_folder(tmp_path_factory.mktemp("tiny") / "bert", "bert")
    made: list[Any] = [None]
    for stage in (Bert(weights=str(folder)), SentenceVectors(pooling="attention"), ClassificationHead(hidden=4)):
        made.append(stage.run(made[-1], data=reviews, context=RunContext(seed=7, device="cpu")))
    return made


@pytest.mark.parametrize("name", [*STAGES, *TRANSFORMER_STAGES])
def test_stage(
    name: str,
    artifacts: list[Any],
    transformer_artifacts: list[Any],
    reviews: TextData,
    context: RunContext,
    tmp_path: Path,
) -> None:
    stage = {**STAGES, **TRANSFORMER_STAGES}[name]
    given = (artifacts if name in STAGES else transformer_artifacts)[BEFORE[stage.stage]]
    before = state(given)
    texts = [*reviews.test.texts(), "", "zzzz qqqq"]
    data = (
        dataclasses.replace(reviews)
        if stage.stage not in ("finetune", "domain_adaptation")
        else TextData(unlabelled=reviews.unlabelled, labelled=reviews.labelled, test=reviews.test)
    )
    if stage.stage == "domain_adaptation":
        data = TextData(source=reviews.labelled, unlabelled=reviews.unlabelled, test=reviews.test)
    random_state = torch.get_rng_state()

    first = stage.run(given, data=data, context=context)
    again = stage.run(given, data=data, context=RunContext(seed=7, device="cpu"))

    assert torch.equal(torch.get_rng_state(), random_state), "the caller's random state is left alone"
    assert all(torch.equal(tensor, state(given)[key]) for key, tensor in before.items()), "the given is unchanged"
    np.testing.assert_array_equal(outputs(first, texts), outputs(again, texts), "same seed, same result")
    first.save(tmp_path / "saved")
    np.testing.assert_array_equal(outputs(first, texts), outputs(load_artifact(tmp_path / "saved"), texts))
    assert {"encoder": Encoder, "classifier": TextClassifier}[stage.gives] is type(first)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json", ".safetensors"}


@pytest.mark.parametrize("name", [*STAGES, *TRANSFORMER_STAGES])
def test_settings_survive_yaml_and_are_documented(name: str) -> None:
    import yaml

    stage = {**STAGES, **TRANSFORMER_STAGES}[name]
    text = dump_yaml(stage.model_dump(mode="json"))
    assert parse(type(stage), yaml.safe_load(text), where="here") == stage
    for field, info in type(stage).model_fields.items():
        assert info.description, f"{field} has no docstring"


def test_other_seeds_give_other_vectors(reviews: TextData) -> None:
    one, two = (SKIPGRAM.run(data=reviews, context=RunContext(seed=s)).encode(["good film"]) for s in (1, 2))
    assert not np.allclose(one, two)


def test_the_chain_learns(artifacts: list[Any], reviews: TextData) -> None:
    test = reviews.test
    assert test is not None
    predicted = artifacts[-1].predict(test.texts())
    hits = sum(p == label for p, label in zip(predicted, test.labels(), strict=True))
    assert hits >= 32
    probabilities = artifacts[-1].predict_proba(test.texts())
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


def test_order_and_company_change_no_vector(artifacts: list[Any], reviews: TextData) -> None:
    encoder = artifacts[2]
    texts = reviews.test.texts()
    together = encoder.encode(texts)
    np.testing.assert_allclose(encoder.encode(texts[::-1])[::-1], together, atol=1e-5)
    np.testing.assert_allclose(np.vstack([encoder.encode([text]) for text in texts]), together, atol=1e-5)
    lengths = np.linalg.norm(encoder.encode([*texts, ""], normalize=True), axis=1)
    np.testing.assert_allclose(lengths, [1.0] * len(texts) + [0.0], atol=1e-5)


def test_one_text_is_no_list(artifacts: list[Any]) -> None:
    with pytest.raises(TypeError, match="encode expects a list of texts; put the one text into a list"):
        artifacts[2].encode("a text")


def test_full_moves_only_words_it_has_seen(artifacts: list[Any], reviews: TextData, context: RunContext) -> None:
    given = artifacts[3]
    data = TextData(labelled=reviews.labelled)
    trained = FineTune(update=Full(encoder_learning_rate=0.1, l2_to_start=0.0), l2=0.01, epochs=20).run(
        given, data=data, context=context
    )
    moved = (trained.encoder.token_model.vectors != given.encoder.token_model.vectors).any(dim=1)
    seen = {i for ids in given.encoder.token_ids(reviews.labelled.texts()) for i in ids}
    assert set(torch.nonzero(moved).flatten().tolist()) == seen
    pulled = FineTune(update=Full(encoder_learning_rate=0.1, l2_to_start=10.0), l2=0.01, epochs=20).run(
        given, data=data, context=context
    )

    def distance(one: TextClassifier) -> float:
        return float((one.encoder.token_model.vectors - given.encoder.token_model.vectors).detach().norm())

    assert distance(pulled) < distance(trained) / 2


def test_a_validation_part_stops_early(artifacts: list[Any], reviews: TextData, context: RunContext) -> None:
    FineTune(patience=3).run(artifacts[3], data=reviews, context=context)
    assert context.record.sentences[-1].startswith("16 validation texts chose ")


def test_missing_data_is_told(artifacts: list[Any]) -> None:
    nothing = TextData()
    for stage, given, sentence in (
        (SkipGram(), None, "skipgram: found no texts; skipgram learns from a pile of them. Give data.unlabelled."),
        (
            SentenceVectors(pooling="sif"),
            artifacts[1],
            "sentence_vectors: found no texts for sif pooling; it is fitted on data.unlabelled. "
            "Give some, or use pooling: mean.",
        ),
        (
            ClassificationHead(),
            artifacts[2],
            "classification_head: found no labelled examples; they name the labels. Give data.labelled.",
        ),
        (FineTune(), artifacts[3], "finetune: found no labelled examples; it learns from them. Give data.labelled."),
    ):
        with pytest.raises(DataError) as caught:
            stage.run(given, data=nothing)
        assert str(caught.value) == sentence


def test_other_labels_need_another_head(artifacts: list[Any]) -> None:
    with pytest.raises(DataError) as caught:
        FineTune().run(artifacts[3], data=TextData(labelled=(["a", "b"], ["x", "y"])))
    assert str(caught.value) == (
        "finetune: the head knows the labels negative, positive, the data have x, y; both must be equal. "
        "Attach a fresh classification_head."
    )


def test_labelled_texts_join_the_pile_once() -> None:
    labelled = (["red apple", "green pear"], ["a", "b"])
    counts = {}
    for name, stage, pile in (
        ("joined", SkipGram(min_count=1, epochs=0), ["red plum"]),
        ("left out", SkipGram(min_count=1, epochs=0, include_labelled=False), ["red plum"]),
        ("there already", SkipGram(min_count=1, epochs=0), ["red apple", "green pear", "red plum"]),
        ("alone", SkipGram(min_count=1, epochs=0), None),
    ):
        encoder = stage.run(data=TextData(unlabelled=pile, labelled=labelled))
        counts[name] = dict(zip(encoder.words()[1:], encoder.token_model.counts.tolist()[1:], strict=True))
    assert counts["joined"] == counts["there already"] == {"red": 2, "apple": 1, "green": 1, "pear": 1, "plum": 1}
    assert counts["left out"] == {"plum": 1, "red": 1}
    assert counts["alone"] == {"apple": 1, "green": 1, "pear": 1, "red": 1}


def test_too_few_words_are_told() -> None:
    with pytest.raises(DataError) as caught:
        SkipGram(min_count=2).run(data=TextData(unlabelled=["one word", "one"]))
    assert str(caught.value) == (
        "unlabelled: 1 words occur at least 2 times; skip-gram needs two. Lower skipgram's min_count or add text."
    )


def test_damaged_folders_are_told(artifacts: list[Any], tmp_path: Path) -> None:
    folder = tmp_path / "c"
    artifacts[-1].save(folder)
    for name, sentence in (
        ("head.safetensors", "is no whole safetensors file; the folder is damaged. Run the stage again."),
        ("tokenizer.json", "is missing or damaged; expected a tokenizers file. Run the stage again."),
        ("classifier.json", "cannot be read; the folder is damaged. Run the stage again."),
    ):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ArtifactError) as caught:
            TextClassifier.load(folder)
        assert str(caught.value) == (
            f"{folder / name}: differs from its digest in the manifest; it was changed. Run the stage again."
        )
        with pytest.raises(ArtifactError) as caught:
            TextClassifier.read_files(folder)
        assert str(caught.value) == f"{folder / name}: {sentence}"
        (folder / name).write_bytes(content)
    settings = (folder / "encoder.json").read_text()
    (folder / "encoder.json").write_text(settings.replace("word_vectors", "telepathy"))
    with pytest.raises(ArtifactError) as caught:
        TextClassifier.read_files(folder)
    assert str(caught.value) == (
        f"{folder / 'encoder.json'}: found token_model 'telepathy'; this nlptl reads 'word_vectors' and 'transformer'. "
        "Update nlptl."
    )
    (folder / "encoder.json").write_text(settings)
    classifier = (folder / "classifier.json").read_text()
    (folder / "classifier.json").write_text(classifier.replace('"hidden": 4', '"hidden": 5'))
    with pytest.raises(ArtifactError) as caught:
        TextClassifier.read_files(folder)
    assert str(caught.value) == (
        f"{folder / 'head.safetensors'}: does not fit the head that classifier.json describes; the folder is damaged. "
        "Run the stage again."
    )


def test_copies_do_not_share_weights(artifacts: list[Any]) -> None:
    copied = copy.deepcopy(artifacts[3])
    with torch.no_grad():
        copied.encoder.token_model.vectors.add_(1)
    assert not torch.equal(copied.encoder.token_model.vectors, artifacts[3].encoder.token_model.vectors)


def test_a_new_stage_writes_its_settings_and_run_alone(artifacts: list[Any], reviews: TextData) -> None:
    class Unchanged(Stage):
        stage: Literal["unchanged"] = "unchanged"
        takes, gives, version = "encoder", "encoder", 1

        def run(self, given: Any, *, data: TextData, context: RunContext | None = None) -> Encoder:
            return copy.deepcopy(given)

    stage = Unchanged()
    stage.check(where="stages.1")
    stage.check_model("word_vectors", where="stages.1")
    stage.check_chain(ExpectedModel("word_vectors"), reviews, where="stages.1")
    stage.check_data(reviews, where="stages.1")
    assert stage.model_dump(mode="json") == {"stage": "unchanged"}
    assert (stage.needs, stage.is_random, stage.runs_on_all_processes) == (frozenset(), False, False)
    assert (stage.external_digests(), stage.input_paths()) == ({}, {})
    assert stage.expected_model(ExpectedModel("transformer", hidden=3)) == ExpectedModel("transformer", hidden=3)
    assert stage.reads(TextData(unlabelled=["a text"])) == {"unlabelled"}, "whatever is there may shape the result"
    np.testing.assert_array_equal(
        stage.run(artifacts[1], data=reviews).encode(["good film"]), artifacts[1].encode(["good film"])
    )
    with pytest.raises(TypeError, match="abstract"):
        Stage(stage="nothing")  # type: ignore[abstract]
