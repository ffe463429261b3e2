"""What every stage and every artifact must keep."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest
import torch
import yaml

from nlptl.config import Config, dump_yaml, parse
from nlptl.context import MAX_SEED, RunContext
from nlptl.data import TextData
from nlptl.errors import ArtifactError, ConfigError, DataError
from nlptl.finetuning.methods.head import HeadOnly
from nlptl.finetuning.methods.layers import Full
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.origin import OWN
from nlptl.runs.folder import load_artifact
from nlptl.runs.pipeline import Pipeline
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.distil import Distil
from nlptl.stages.domain_adaptation import DomainAdaptation
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from nlptl.stages.stage import ExpectedModel, Stage
from tests.conftest import small_reviews
from tests.models.tiny import tiny_folder

SKIPGRAM = SkipGram(dim=16, epochs=15, min_count=1, window=10)
CHAIN = (SKIPGRAM, SentenceVectors(), ClassificationHead(hidden=4, activation="sigmoid"), FineTune())
STAGES: dict[str, Any] = {
    "skipgram": SKIPGRAM,
    "skipgram random": SkipGram(dim=16, epochs=0, min_count=1),
    "skipgram subwords": SkipGram(dim=16, epochs=5, min_count=2, subwords={"min": 2, "max": 4, "buckets": 500}),
    "skipgram phrases": SkipGram(dim=16, epochs=5, min_count=1, phrases={"threshold": 1.0, "min_count": 2}),
    "skipgram cut": SkipGram(dim=16, epochs=5, min_count=1, text={"segmenter": "sudachi", "stop_words": True}),
    "skipgram gensim": SkipGram(dim=16, epochs=5, min_count=1, engine="gensim", deterministic=True),
    "skipgram ppmi": SkipGram(dim=16, min_count=1, engine="ppmi", smoothing=0.1),
    "mean": SentenceVectors(pooling="mean"),
    "max": SentenceVectors(pooling="max"),
    "tfidf": SentenceVectors(pooling="tfidf"),
    "sif": SentenceVectors(pooling="sif"),
    "n-grams beside words": SentenceVectors(views=[{"view": "ngrams", "dim": 5}]),
    "linear": ClassificationHead(),
    "hidden": ClassificationHead(hidden=4, dropout=0.2),
    "head": FineTune(),
    "head balanced": FineTune(update={"method": "head", "label_weights": "balanced", "l2": 0.1}),
    "full": FineTune(update=Full(l2=0.1, folds=2)),
    "distil": Distil(student={"kind": "skipgram", "dim": 16, "epochs": 5, "min_count": 1}, temperature=2.0),
    "distil compact": Distil(
        student={
            "kind": "skipgram",
            "dim": 8,
            "epochs": 5,
            "min_count": 2,
            "subwords": {"min": 2, "max": 4, "buckets": 500},
            "compact": True,
        },
        hard_share=0.2,
    ),
    "distil n-grams": Distil(student={"kind": "ngrams", "characters": [3, 4]}, texts=50),
    "source only": DomainAdaptation(adapt={"method": "none"}, folds=2),
    "coral": DomainAdaptation(adapt={"method": "coral"}, l2=0.1, folds=2),
    "adapted by choice": DomainAdaptation(l2=0.1, folds=2),
}
FIXED: dict[str, Any] = {"epochs": 2, "l2": 0.1}
QUICK: dict[str, Any] = {"l2": 0.1, "folds": 2}
VIEWS: list[Any] = [
    {"view": "word_vectors", "dim": 8, "epochs": 5, "min_count": 1},
    {"view": "ngrams", "dim": 5, "words": [1, 2], "characters": [3, 4]},
]
TINY = "tiny"  # stands for the folder of tiny weights, which is not there yet
TRANSFORMER_STAGES: dict[str, Any] = {
    "bert": Bert(weights=TINY, max_length=32),
    "bert scratch": Bert(scratch={"layers": 2, "dim": 16, "heads": 2, "vocabulary_size": 200, "epochs": 1}),
    "bert continued by mlm": Bert(
        weights=TINY, **{"continue": {"objective": "mlm", "steps": 2, "head_warmup_steps": 2}}
    ),
    "bert continued by simcse": Bert(weights=TINY, **{"continue": {"objective": "simcse", "steps": 2}}),
    "bert continued by tsdae": Bert(weights=TINY, **{"continue": {"objective": "tsdae", "steps": 2}}),
    "bert continued by auto": Bert(weights=TINY, extend_vocabulary=3, **{"continue": {"steps": 2}}),
    "cls": SentenceVectors(pooling="cls", layer=2),
    "transformer mean of layers": SentenceVectors(layer="mean", normalize=True),
    "transformer sif": SentenceVectors(pooling="sif"),
    "attention": SentenceVectors(pooling="attention"),
    "views": SentenceVectors(views=VIEWS),
    "transformer head": ClassificationHead(),
    "attention head": FineTune(update={"method": "head", **FIXED}),
    "partial": FineTune(update={"method": "partial", "top_layers": 1, "dropout": 0.2, **FIXED}),
    "full of layers": FineTune(update={"method": "full", "gradual_unfreezing": True, **FIXED}),
    "lora": FineTune(update={"method": "lora", "label_smoothing": 0.1, **FIXED}),
    "lora merged": FineTune(update={"method": "lora", "variant": "dora", "merge": True, **FIXED}),
    "rslora on top": FineTune(update={"method": "lora", "variant": "rslora", "top_layers": 1, "rank": 2, **FIXED}),
    "continued": DomainAdaptation(adapt={"method": "continue", "steps": 2}, **QUICK),
    "continued by simcse": DomainAdaptation(
        adapt={"method": "continue", "objective": "simcse", "steps": 2, "batch_size": 8}, **QUICK
    ),
    "adversarial": DomainAdaptation(adapt={"method": "adversarial", "epochs": 1}, **QUICK),
    "bottlenecks": DomainAdaptation(adapt={"method": "adapters", "epochs": 1, "top_layers": None}, **QUICK),
    "choice of layers": DomainAdaptation(
        adapt={"method": "auto", "candidates": [{"method": "coral"}, {"method": "adversarial", "epochs": 1}]}, **QUICK
    ),
}
SOLVERS: dict[str, Any] = {
    f"head {solver}": FineTune(update={"method": "head", "solver": solver})
    for solver in ("logistic", "ridge", "lda", "auto")
}
SELF_TRAINING: dict[str, Any] = {
    "method": "self_training",
    "rounds": 2,
    "directions": 5,
    "views": [VIEWS[1]],
    "gate": "always",
}
LINEAR_STAGES: dict[str, Any] = {
    **SOLVERS,
    "head iterative": FineTune(update={"method": "head", "solver": "iterative", **FIXED}, priors="uniform"),
    "auto over words": FineTune(update={"method": "auto"}),
    "words over word vectors": FineTune(update={"method": "words"}),
    "self-training over words": FineTune(update=SELF_TRAINING),
}
CONTRASTIVE: dict[str, Any] = {"method": "contrastive", "steps": 4, "top_layers": 1, "batch_size": 8}
LINEAR_TRANSFORMER_STAGES: dict[str, Any] = {
    **{f"transformer {name}": stage for name, stage in SOLVERS.items()},
    "words over layers": FineTune(update={"method": "words"}),
    "contrastive": FineTune(update=CONTRASTIVE),
    "contrastive adapters": FineTune(update={**CONTRASTIVE, "rank": 2}, priors={"negative": 0.3, "positive": 0.7}),
    "contrastive on all": FineTune(
        update={
            **CONTRASTIVE,
            "label_names": "always",
            "augment": [{"kind": "word_dropout"}],
            "pseudo_labels": {"steps": 4, "gate": "always"},
        }
    ),
    "contrastive pile on trial": FineTune(update={**CONTRASTIVE, "pseudo_labels": {"steps": 4}}),
    "self-training": FineTune(update={**SELF_TRAINING, "teacher": "head"}),
    "auto": FineTune(update={"method": "auto", "minutes": 1000}),
    "auto by sentence": FineTune(update={"method": "auto", "pseudo_labels": "never", "by_sentence": "always"}),
}
# Methods over views. The rest of a method is the same as without them, so that the cheapest settings of each do.
VIEWS_STAGES: dict[str, Any] = {
    "views head": FineTune(update={"method": "head", **FIXED}),
    "views solver": FineTune(update={"method": "head", "solver": "logistic"}),
    "views partial": FineTune(update={"method": "partial", "top_layers": 1, **FIXED}),
    "views full": FineTune(update={"method": "full", **FIXED}),
    "views lora": FineTune(update={"method": "lora", **FIXED}),
    "views contrastive": FineTune(update={**CONTRASTIVE, "pseudo_labels": {"steps": 4, "gate": "always"}}),
    "views auto": FineTune(update={"method": "auto", "minutes": 1000, "pseudo_labels": "never"}),
    "views self-training": FineTune(update={**SELF_TRAINING, "teacher": "contrastive"}),
    "views coral": DomainAdaptation(adapt={"method": "coral"}, **QUICK),
    "views continued": DomainAdaptation(
        adapt={"method": "continue", "objective": "simcse", "steps": 2, "batch_size": 8}, **QUICK
    ),
    "views adversarial": DomainAdaptation(adapt={"method": "adversarial", "epochs": 1}, **QUICK),
    "views bottlenecks": DomainAdaptation(adapt={"method": "adapters", "epochs": 1, "top_layers": None}, **QUICK),
}
NGRAMS = NgramVectors(dim=12)
NGRAM_STAGES: dict[str, Any] = {
    "n-grams": NGRAMS,
    "head over n-grams": FineTune(update={"method": "head", **FIXED}),
    "solver over n-grams": FineTune(update={"method": "head", "solver": "logistic"}),
    "full over n-grams": FineTune(update=Full(l2=0.1, epochs=2, folds=2)),
    "auto over n-grams": FineTune(update={"method": "auto"}),
    "self-training over n-grams": FineTune(update=SELF_TRAINING),
    "words": FineTune(update={"method": "words"}, priors="uniform"),
    "coral over n-grams": DomainAdaptation(adapt={"method": "coral"}, **QUICK),
}
TABLE: dict[str, dict[str, Any]] = {
    "words": STAGES,
    "layers": TRANSFORMER_STAGES,
    "words, linear head": LINEAR_STAGES,
    "layers, linear head": LINEAR_TRANSFORMER_STAGES,
    "views": VIEWS_STAGES,
    "n-grams": NGRAM_STAGES,
    "views over words": {"views full of words": FineTune(update=Full(l2=0.1, epochs=2, folds=2))},
}
ROWS = [(chain, name) for chain, stages in TABLE.items() for name in stages]
SUFFIXES = {
    "encoder": {".json", ".safetensors", ".txt"},
    "classifier": {".json", ".safetensors", ".txt", ".md"},  # the model card
}
SEED = MAX_SEED - 1  # the largest, since libraries take fewer seeds than a run does
BEFORE = {
    "bert": 0,
    "skipgram": 0,
    "ngrams": 0,
    "sentence_vectors": 1,
    "classification_head": 2,
    "finetune": 3,
    "domain_adaptation": 3,
    "distil": 4,
}


@pytest.fixture(scope="module")
def artifacts(reviews: TextData) -> list[Any]:
    """Return what each stage of the chain is given; the first is given nothing."""
    made: list[Any] = [None]
    for stage in CHAIN:
        made.append(stage.run(made[-1], data=reviews, context=RunContext(seed=7, device="cpu")))
    return made


def state(artifact: Any) -> dict[str, Any]:
    """Return what training could change in an artifact: weights, and whether they learn and drop."""
    if artifact is None:
        return {}
    tensors = {name: tensor.tolist() for name, tensor in artifact.state_dict().items()}
    learning = {name: parameter.requires_grad for name, parameter in artifact.named_parameters()}
    return {"tensors": tensors, "learning": learning, "dropping": [one.training for one in artifact.modules()]}


def origin(artifact: Any) -> Any:
    return getattr(artifact, "encoder", artifact).token_model.origin


def outputs(artifact: Any, texts: list[str]) -> np.ndarray:
    return artifact.encode(texts) if isinstance(artifact, Encoder) else artifact.probabilities(texts)


@pytest.fixture(scope="module")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_folder(tmp_path_factory.mktemp("tiny") / "bert", "bert", num_hidden_layers=2))


@pytest.fixture(scope="module")
def chains(artifacts: list[Any], tiny_weights: str, reviews: TextData) -> dict[str, list[Any]]:
    """Return what each stage is given, for each part of the table."""

    def made(stage: Any, given: Any) -> Any:
        return stage.run(given, data=reviews, context=RunContext(seed=7, device="cpu"))

    layers = made(Bert(weights=tiny_weights), None)
    attention = made(SentenceVectors(pooling="attention"), layers)
    linear = ClassificationHead()
    views = made(SentenceVectors(views=VIEWS), layers)
    ngrams = made(NGRAMS, None)
    words = made(SentenceVectors(views=VIEWS[1:]), artifacts[1])
    return {
        "words": artifacts,
        "layers": [None, layers, attention, made(ClassificationHead(hidden=4), attention)],
        "words, linear head": [*artifacts[:3], made(linear, artifacts[2])],
        "layers, linear head": [None, layers, layers, made(linear, layers)],
        "views": [None, layers, views, made(linear, views)],
        "n-grams": [None, ngrams, ngrams, made(linear, ngrams)],
        "views over words": [None, artifacts[1], words, made(linear, words)],
    }


def data_for(stage: Any, reviews: TextData) -> TextData:
    """Return the data that a stage of the table learns from."""
    if stage.stage == "domain_adaptation":
        return TextData(source=reviews.labelled, unlabelled=reviews.unlabelled, test=reviews.test)
    if stage.stage == "finetune":
        # Few where the pile is trained on several times; self-training leaves out fewer than 200.
        pile = small_reviews(200 if stage.update.method == "self_training" else 20, start=100)[0]
        return TextData(unlabelled=pile, labelled=reviews.labelled, test=reviews.test)
    return reviews


@pytest.mark.parametrize(("chain", "name"), ROWS, ids=[name for _, name in ROWS])
def test_stage(
    chain: str,
    name: str,
    chains: dict[str, list[Any]],
    tiny_weights: str,
    reviews: TextData,
    tmp_path: Path,
) -> None:
    stage = TABLE[chain][name]
    if getattr(stage, "weights", None) == TINY:
        stage = stage.model_copy(update={"weights": tiny_weights})
    given = chains[chain][BEFORE[stage.stage]]
    assert reviews.test is not None
    texts = [*reviews.test.texts(), "", "zzzz qqqq"]
    before, said = state(given), None if given is None else outputs(given, texts)
    data = data_for(stage, reviews)
    random_state = torch.get_rng_state()

    first = stage.run(given, data=data, context=RunContext(seed=SEED, device="cpu"))
    again = stage.run(given, data=data, context=RunContext(seed=SEED, device="cpu"))

    assert torch.equal(torch.get_rng_state(), random_state), "the caller's random state is left alone"
    assert state(given) == before, "the given is unchanged"
    if given is not None:
        np.testing.assert_array_equal(outputs(given, texts), said, "the given is unchanged")
    np.testing.assert_array_equal(outputs(first, texts), outputs(again, texts), "same seed, same result")
    first.save(tmp_path / "saved")
    np.testing.assert_array_equal(outputs(first, texts), outputs(load_artifact(tmp_path / "saved"), texts))
    assert {"encoder": Encoder, "classifier": TextClassifier}[stage.gives] is type(first)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == SUFFIXES[stage.gives]
    assert origin(first) is not None, "where the weights come from is told"
    assert given is None or origin(first) in (origin(given), OWN), "and does not change while they are used"
    assert origin(load_artifact(tmp_path / "saved")) == origin(first)


def blocks(settings: Any) -> Iterator[Config]:
    """Yield each block of settings in a stage: its own, and those of its members of unions."""
    if isinstance(settings, Config):
        yield settings
        settings = [getattr(settings, field) for field in type(settings).model_fields]
    if isinstance(settings, list | tuple):
        for value in settings:
            yield from blocks(value)


@pytest.mark.parametrize(("chain", "name"), ROWS, ids=[name for _, name in ROWS])
def test_settings_survive_yaml_and_are_documented(chain: str, name: str) -> None:
    stage = TABLE[chain][name]
    text = dump_yaml(stage.model_dump(mode="json"))
    assert parse(type(stage), yaml.safe_load(text), where="here") == stage
    for block in blocks(stage):
        for field, info in type(block).model_fields.items():
            assert info.description, f"{type(block).__name__}.{field} has no docstring"


def choices(annotation: Any, field: str) -> set[str]:
    """Return the values of `field` in the members of a tagged union."""
    members = [one for one in get_args(annotation) if one is not type(None)]
    return {value for member in members for value in get_args(member.model_fields[field].annotation)}


def test_every_stage_and_method_has_a_row() -> None:
    """A new stage or method needs a row in this file."""
    stages = [stage for part in TABLE.values() for stage in part.values()]
    fine_tuned = [stage.update for stage in stages if isinstance(stage, FineTune)]
    adapted = [stage.adapt for stage in stages if isinstance(stage, DomainAdaptation)]
    continued = [stage.continue_ for stage in stages if isinstance(stage, Bert) and stage.continue_]
    (chain,) = get_args(Pipeline.model_fields["stages"].annotation)
    assert {stage.stage for stage in stages} == choices(get_args(chain)[0], "stage")
    assert {one.method for one in fine_tuned} == choices(FineTune.model_fields["update"].annotation, "method")
    assert {one.method for one in adapted} == choices(DomainAdaptation.model_fields["adapt"].annotation, "method")
    solvers = {one.solver for one in fine_tuned if one.method == "head"}
    assert solvers == set(get_args(HeadOnly.model_fields["solver"].annotation))
    assert {one.objective for one in continued} == {"auto", "mlm", "simcse", "tsdae"}


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
    with pytest.raises(DataError) as caught:
        artifacts[2].encode("a text")
    assert str(caught.value) == "texts: 'a text' (str) is not a list of texts. Put the texts in a list."


def test_full_moves_only_words_it_has_seen(artifacts: list[Any], reviews: TextData, context: RunContext) -> None:
    given = artifacts[3]
    data = TextData(labelled=reviews.labelled)
    trained = FineTune(update=Full(encoder_learning_rate=0.1, l2_to_start=0.0, l2=0.01, epochs=20)).run(
        given, data=data, context=context
    )
    moved = (trained.encoder.token_model.vectors != given.encoder.token_model.vectors).any(dim=1)
    seen = {i for ids in given.encoder.token_ids(reviews.labelled.texts()) for i in ids}
    assert set(torch.nonzero(moved).flatten().tolist()) == seen
    pulled = FineTune(update=Full(encoder_learning_rate=0.1, l2_to_start=10.0, l2=0.01, epochs=20)).run(
        given, data=data, context=context
    )

    def distance(one: TextClassifier) -> float:
        return float((one.encoder.token_model.vectors - given.encoder.token_model.vectors).detach().norm())

    assert distance(pulled) < distance(trained) / 2


def test_a_validation_part_stops_early(artifacts: list[Any], reviews: TextData, context: RunContext) -> None:
    FineTune(update={"method": "head", "patience": 3}).run(artifacts[3], data=reviews, context=context)
    assert context.record.sentences[-1].startswith("16 validation texts chose ")


def test_missing_data_is_told(artifacts: list[Any]) -> None:
    nothing = TextData()
    for stage, given, sentence in (
        (SkipGram(), None, "skipgram: found no texts to learn from; expected a pile of them. Give data.unlabelled."),
        (
            SentenceVectors(pooling="sif"),
            artifacts[1],
            "sentence_vectors: found no texts for sif pooling; it is fitted on data.unlabelled. "
            "Give some, or use mean pooling.",
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
        "skipgram: unlabelled: found 1 word that occurs at least 2 times; skip-gram needs two. Lower min_count, or add text."
    )
    with pytest.raises(DataError) as caught:
        SkipGram(min_count=1, engine="ppmi").run(data=TextData(unlabelled=["one", "one"]))
    assert str(caught.value) == "skipgram: unlabelled: found 1 word; ppmi needs two. Add text."


def test_damaged_folders_are_told(artifacts: list[Any], tmp_path: Path) -> None:
    folder = tmp_path / "c"
    artifacts[-1].save(folder)
    for name, sentence in (
        ("head.safetensors", "is no whole safetensors file; the folder is damaged. Run the stage again."),
        ("tokenizer.json", "is missing or damaged; expected a tokenizers file. Run the stage again."),
        (
            "classifier.json",
            "cannot be read (Expecting ',' delimiter: line 8 column 16 (char 94)); expected settings "
            "as a JSON object. The folder is damaged or of another version. Run the stage again.",
        ),
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
        f"{folder / 'encoder.json'}: token_model is 'telepathy', but must be one of word_vectors, transformer, exported. The "
        "folder is damaged or of another version. Run the stage again."
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


def test_an_untrained_head_does_not_predict(artifacts: list[Any]) -> None:
    head = ClassificationHead().run(artifacts[1], data=TextData(labelled=(["a", "b"], ["good", "bad"])))
    with pytest.raises(ConfigError) as caught:
        head.predict(["a text"])
    assert str(caught.value) == (
        "classifier: found a head that was never trained, whose answers say nothing of a text; expected a trained one. Run the "
        "stage finetune, and use its result."
    )
