"""Fine-tuning the layers of a transformer: what moves, what stays, what is saved, and that shortcuts change nothing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ArtifactError, ConfigError
from nlptl.finetuning.gradient import frozen_layers as frozen_layers_module
from nlptl.finetuning.gradient.fitting import MAX_LBFGS_PASSES, Settings, Targets, train_fit
from nlptl.finetuning.gradient.frozen_layers import FrozenLayers
from nlptl.finetuning.gradient.layer_tuner import LayerTuner, Rates, dropouts
from nlptl.finetuning.gradient.lora_adapters import LoraAdapters, merged
from nlptl.finetuning.gradient.weight_change import forward_flops, weight_change
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.heads import Head
from nlptl.models.packing import Batch
from nlptl.models.pretrained import quiet
from nlptl.models.transformer import Transformer
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from tests.models.tiny import LAYERS, tiny_encoder

ARCHITECTURES = ("bert", "roberta", "distilbert", "electra", "mpnet", "modernbert")
LORA = LoraAdapters(4, 8.0, 0.0, ("query", "value", "dense"), "lora", merge=False)
FIXED: dict[str, Any] = {"epochs": 3, "l2": 0.1, "batch_size": 8}


@pytest.fixture(scope="module")
def labelled(reviews: TextData) -> TextData:
    return TextData(unlabelled=reviews.unlabelled, labelled=reviews.labelled, test=reviews.test)


def classifier(data: TextData, model_type: str = "bert", **changes: Any) -> TextClassifier:
    return ClassificationHead().run(tiny_encoder(model_type, **changes), data=data, context=RunContext(device="cpu"))


def made(data: TextData, given: TextClassifier, **changes: Any) -> LayerTuner:
    assert data.labelled is not None
    settings = {"rates": Rates(0.01, 0.01), "top_layers": None, **changes}
    update = LayerTuner(given, data.labelled.texts(), **settings)
    update.start_from(lambda _: fitted(given))
    return update


def fitted(given: TextClassifier) -> Head:
    head = copy.deepcopy(given.head)
    with torch.no_grad():
        head.layers[-1].weight.copy_(
            torch.randn(head.layers[-1].weight.shape, generator=torch.Generator().manual_seed(3))
        )
    return head


def examples(data: TextData) -> Targets:
    assert data.labelled is not None
    labels = torch.tensor(data.label_set.ids(data.labelled.labels()))
    return Targets(labels, len(labels), torch.ones(2))


def gradients(update: LayerTuner, data: TextData) -> list[torch.Tensor]:
    fit = update.start(torch.arange(24))
    fit.module.train()
    torch.manual_seed(0)
    examples(data).loss(fit, torch.tensor([3, 1, 20, 7]), 0.0).backward()
    parameters = [parameter for group in fit.groups() for parameter in group.parameters]
    assert all(parameter.grad is not None for parameter in parameters)
    return [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]


def whole_gradients(update: LayerTuner, data: TextData) -> list[torch.Tensor]:
    """Return the same gradients through all layers in one pass, without any trunk."""
    fit, rows = update.start(torch.arange(24)), torch.tensor([3, 1, 20, 7])
    fit.module.train()
    labels = examples(data).labels[rows]
    torch.nn.functional.cross_entropy(fit.head(fit.encoder(update.texts.batch(rows))), labels).backward()
    parameters = [parameter for group in fit.groups() for parameter in group.parameters]
    return [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]


@pytest.mark.parametrize("layer", ["last", "mean", 2])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_cached_frozen_layers_change_no_gradient(
    model_type: str, layer: Any, labelled: TextData, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = classifier(labelled, model_type, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
                       attention_dropout=0.0, dropout=0.0)  # fmt: skip
    token_model = given.encoder.token_model
    assert isinstance(token_model, Transformer)
    token_model.layer = token_model.depth if layer == "last" else layer
    update = made(labelled, given, top_layers=1)
    assert update.frozen_layers is not None
    assert update.frozen_layers.place == "memory"
    cached = gradients(update, labelled)
    uncached = copy.copy(update)
    in_file = copy.copy(update)
    monkeypatch.setattr(frozen_layers_module, "MAX_MEMORY_BYTES", 0)
    in_file.frozen_layers = FrozenLayers(update._start, update.texts, update.frozen)
    monkeypatch.setattr(frozen_layers_module, "MAX_DISK_BYTES", 0)
    uncached.frozen_layers = FrozenLayers(update._start, update.texts, update.frozen)
    assert (in_file.frozen_layers.place, uncached.frozen_layers.place) == ("file", "nowhere")
    for other in (uncached, in_file):
        for one, two in zip(cached, gradients(other, labelled), strict=True):
            torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-4)
    for one, two in zip(cached, whole_gradients(update, labelled), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-3)
    fit = update.start(torch.arange(24))
    plain = update._start  # no trunk at all: embeddings and all layers in one pass
    rows = torch.tensor([3, 1, 20, 7])
    batch = update.texts.batch(rows)
    with torch.no_grad():
        expected = fit.head(given.encoder.pooled(plain(batch), batch))
        torch.testing.assert_close(fit.logits(rows), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model_type", ["bert", "electra", "modernbert"])
def test_full_equals_plain_adamw_on_all_weights(model_type: str, labelled: TextData) -> None:
    """The table of seen tokens alone, packed batches and schedules of ours end where a plain torch loop ends."""
    given = classifier(labelled, model_type)
    rates = Rates(0.003, 0.001, layer_decay=1.0, warmup=0.0, cooldown=0.0, dropout=0.0)
    update = made(labelled, given, rates=rates)
    found, rows = examples(labelled), torch.arange(24)
    settings = Settings(l2=0.1, epochs=2, batch_size=24, folds=2, patience=1, seed=5)
    fit = update.start(rows)
    train_fit(fit, found, rows, settings, 0.1, 2, lambda *_: False)
    ours = update.finish(fit)

    encoder, head = copy.deepcopy(given.encoder), fitted(given)
    for name in dropouts(encoder):
        module = encoder.get_submodule(name)
        setattr(module, "p" if isinstance(module, torch.nn.Dropout) else "attention_dropout", 0.0)
    groups = [{"params": head.parameters(), "lr": 0.003}, {"params": encoder.parameters(), "lr": 0.001}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
    batch = update.texts.batch(rows)
    for _ in range(2):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(head(encoder(batch)), found.labels)
        loss = loss + 0.1 * 0.5 * head.layers[-1].weight.pow(2).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*head.parameters(), *encoder.parameters()], 1.0)
        optimiser.step()
    assert labelled.test is not None
    texts = labelled.test.texts()
    expected = TextClassifier(encoder, head, given.labels).eval().predict_proba(texts)
    np.testing.assert_allclose(ours.predict_proba(texts), expected, atol=2e-4)
    assert (
        np.abs(expected - TextClassifier(given.encoder, fitted(given), given.labels).predict_proba(texts)).max() > 0.01
    )


@pytest.mark.parametrize("variant", ["lora", "rslora", "dora"])
def test_adapters_are_saved_as_peft_does_and_read_back_by_peft_alone(
    variant: str, labelled: TextData, tmp_path: Path
) -> None:
    update = {"method": "lora", "rank": 4, "variant": variant, "encoder_learning_rate": 1e-4, "dropout": 0}
    given = SentenceVectors(pooling="attention").run(tiny_encoder("bert"), data=labelled)
    given = ClassificationHead().run(given, data=labelled)
    trained = FineTune(update={**update, **FIXED}).run(given, data=labelled, context=RunContext(device="cpu"))
    trained.save(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved" / "adapter").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    assert labelled.test is not None
    texts = labelled.test.texts()
    again = TextClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(again.predict_proba(texts), trained.predict_proba(texts))
    assert again.encoder.pooling.query is not None
    assert float(again.encoder.pooling.query.detach().abs().sum()) > 0, "poolers are saved with the adapters"

    base = transformers.AutoModel.from_pretrained(tmp_path / "saved", add_pooling_layer=False)
    with quiet():
        model = peft.PeftModel.from_pretrained(base, str(tmp_path / "saved" / "adapter")).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    batch = tokenizer(texts[:3], return_tensors="pt", padding=True)
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state[0][batch["attention_mask"][0] > 0]
        (ids,) = trained.encoder.token_ids(texts[:1])
        ours = trained.encoder.token_model(Batch(torch.tensor(ids), torch.tensor([len(ids)])))
    torch.testing.assert_close(ours, hidden, atol=1e-5, rtol=1e-4)
    plain = merged(trained.encoder)
    np.testing.assert_allclose(plain.encode(texts), trained.encoder.encode(texts), atol=1e-5)
    moved = weight_change(given.encoder, plain)
    assert moved["embeddings"] == 0
    assert all(moved[f"layer {number}"] > 0 for number in range(1, LAYERS + 1))


def test_merge_writes_a_plain_encoder(labelled: TextData, tmp_path: Path) -> None:
    given, context = classifier(labelled), RunContext(device="cpu")
    lora = {"method": "lora", "encoder_learning_rate": 0.01}
    apart = FineTune(update={**lora, **FIXED}).run(given, data=labelled, context=context)
    merged_one = FineTune(update={**lora, "merge": True, **FIXED}).run(given, data=labelled, context=context)
    merged_one.save(tmp_path / "saved")
    assert not (tmp_path / "saved" / "adapter").exists()
    assert labelled.test is not None
    texts = labelled.test.texts()
    np.testing.assert_allclose(merged_one.predict_proba(texts), apart.predict_proba(texts), atol=1e-5)
    # A second fine-tuning goes on from what the first has learnt, its adapters merged.
    after = FineTune(update={"method": "head", **FIXED}).run(apart, data=labelled, context=context)
    np.testing.assert_allclose(after.encoder.encode(texts), apart.encoder.encode(texts), atol=1e-6)
    again = FineTune(update={"method": "partial", **FIXED}).run(apart, data=labelled, context=context)
    assert merged(again.encoder) is again.encoder, "the new encoder has no adapters"


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_lora_finds_its_targets_in_every_architecture(model_type: str, labelled: TextData) -> None:
    for targets in ("linear", "attention"):
        stage = FineTune(update={"method": "lora", "targets": targets, "top_layers": 1, "epochs": 1, "l2": 0.1})
        context = RunContext(device="cpu")
        stage.run(classifier(labelled, model_type), data=labelled, context=context)
        moved = context.record.report["weight_change"]
        assert [name for name, share in moved.items() if share] == [f"layer {LAYERS}"]


def test_what_does_not_learn_does_not_move(labelled: TextData) -> None:
    given = classifier(labelled)
    for update, moving in (
        ({"method": "partial", "top_layers": 1}, ["layer 3"]),
        ({"method": "partial", "top_layers": 2}, ["layer 2", "layer 3"]),
        ({"method": "partial", "top_layers": 3}, ["layer 1", "layer 2", "layer 3"]),
        ({"method": "full"}, ["embeddings", "layer 1", "layer 2", "layer 3"]),
    ):
        context = RunContext(device="cpu")
        slowly = {**update, "encoder_learning_rate": 1e-6, "dropout": 0.2}
        trained = FineTune(update={**slowly, **FIXED}).run(given, data=labelled, context=context)
        moved = context.record.report["weight_change"]
        assert [name for name, share in moved.items() if share] == moving
        assert moved == weight_change(given.encoder, trained.encoder)
        assert dropouts(trained) == dropouts(given)
        assert all(parameter.requires_grad for parameter in trained.parameters())


@pytest.mark.parametrize("method", ["partial", "lora", "contrastive"])
def test_more_layers_than_the_encoder_has_are_refused(method: str, labelled: TextData) -> None:
    with pytest.raises(ConfigError) as caught:
        FineTune(update={"method": method, "top_layers": 4}).run(classifier(labelled), data=labelled)
    assert str(caught.value) == (
        "finetune.update.top_layers: found 4; expected at most 3, since the encoder has 3 layers. Lower it."
    )


def test_lower_layers_learn_more_slowly_and_later(labelled: TextData) -> None:
    rates = Rates(0.01, 1e-3, layer_decay=0.5, gradual=True)
    fit = made(labelled, classifier(labelled), rates=rates).start(torch.arange(24))
    groups = fit.groups()
    assert [group.learning_rate for group in groups] == pytest.approx([0.01, 1e-3, 5e-4, 2.5e-4, 1.25e-4])
    assert [group.begin for group in groups] == [0, 0, 1, 2, 3]
    settings = Settings(l2=0.1, epochs=1, batch_size=3, folds=2, patience=1, seed=5)
    before = [parameter.detach().clone() for parameter in groups[4].parameters]
    moved_at: list[int] = []

    def look(epoch: int, _: float) -> bool:
        if any(not torch.equal(one, two) for one, two in zip(before, groups[4].parameters, strict=True)):
            moved_at.append(epoch)
        return False

    train_fit(fit, examples(labelled), torch.arange(24), settings, 0.1, 8, look)
    assert moved_at[0] == 4, "the embeddings wake after three epochs"


def test_a_pull_to_the_start_holds_weights_back(labelled: TextData) -> None:
    given = classifier(labelled)
    far = []
    for pull in (0.0, 100.0):
        context = RunContext(device="cpu")
        update = {"method": "partial", "top_layers": 1, "l2_to_start": pull}
        FineTune(update={**update, **FIXED}).run(given, data=labelled, context=context)
        far.append(context.record.report["weight_change"]["layer 3"])
    assert far[1] < 0.8 * far[0]


def test_attention_pooling_learns_with_the_head_alone(labelled: TextData) -> None:
    encoder = SentenceVectors(pooling="attention").run(tiny_encoder("bert"), data=labelled)
    given = ClassificationHead().run(encoder, data=labelled)
    trained = FineTune(update={"method": "head", "learning_rate": 0.05, **FIXED}).run(
        given, data=labelled, context=RunContext(device="cpu")
    )
    assert trained.encoder.pooling.query is not None
    assert float(trained.encoder.pooling.query.detach().abs().max()) > 0
    assert not any(weight_change(given.encoder, trained.encoder).values())


def test_a_collapsed_training_starts_again_and_then_gives_way(labelled: TextData) -> None:
    """A rate of 1 tears every weight apart: the fitted head over the pretrained encoder is what remains."""
    given, context = classifier(labelled), RunContext(device="cpu")
    update = {"method": "full", "encoder_learning_rate": 1e30}
    trained = FineTune(update={**update, "learning_rate": 1e30, **FIXED}).run(given, data=labelled, context=context)
    again = "The training collapsed (one label for every example, or a loss that is no number): {}."
    assert [told for told in context.record.sentences if "collapsed" in told] == [
        *[again.format("it starts again with another seed")] * 3,
        again.format("the fitted head is kept as it was"),
    ]
    to_its_end = {**FIXED, "epochs": MAX_LBFGS_PASSES}
    head = FineTune(update={"method": "head", **to_its_end}).run(given, data=labelled, context=RunContext(device="cpu"))
    assert labelled.test is not None
    texts = labelled.test.texts()
    np.testing.assert_array_equal(trained.predict_proba(texts), head.predict_proba(texts))


@pytest.mark.parametrize("pooling", ["mean", "max", "cls", "sif", "tfidf", "attention"])
@pytest.mark.parametrize("top_layers", [2, None])
def test_every_update_starts_where_the_given_classifier_is(
    pooling: Any, top_layers: int | None, labelled: TextData
) -> None:
    """Poolings that weigh tokens once took the weights of other tokens where the embeddings move."""
    encoder = SentenceVectors(pooling=pooling).run(tiny_encoder("bert"), data=labelled)
    given = ClassificationHead().run(encoder, data=labelled)
    fit = made(labelled, given, top_layers=top_layers).start(torch.arange(24))
    fit.module.eval()
    assert labelled.labelled is not None
    vectors = torch.from_numpy(given.encoder.encode(labelled.labelled.texts()))
    with torch.no_grad():
        torch.testing.assert_close(fit.logits(torch.arange(24)), fitted(given)(vectors), atol=1e-4, rtol=1e-4)


def test_a_training_that_explodes_before_validation_gives_way(reviews: TextData) -> None:
    given, context = classifier(reviews), RunContext(device="cpu")
    update = {"method": "full", "encoder_learning_rate": 1e30}
    trained = FineTune(update={**update, "learning_rate": 1e30, **FIXED}).run(given, data=reviews, context=context)
    told = "The training collapsed (a validation loss that is no number): the fitted head is kept as it was."
    assert told in context.record.sentences
    assert np.isfinite(trained.predict_proba(["the film is good"])).all()


def test_an_encoder_without_layers_has_none_to_move(labelled: TextData) -> None:
    encoder = SentenceVectors(layer=0).run(tiny_encoder("bert"), data=labelled)
    given = ClassificationHead().run(encoder, data=labelled)
    for method in ("lora", "partial"):
        with pytest.raises(ConfigError) as caught:
            FineTune(update={"method": method, **FIXED}).run(given, data=labelled)
        assert str(caught.value) == (
            "finetune.update: found an encoder whose output is that of its embeddings (layer 0), with no layer to move; "
            "expected one. Use update head or full, or a higher layer in sentence_vectors."
        )


def test_a_classifier_in_training_mode_gives_the_same(labelled: TextData) -> None:
    """Trunk and predictions drop nothing, and draw nothing from the caller's generator."""
    given = ClassificationHead(hidden=4, dropout=0.5).run(tiny_encoder("bert"), data=labelled)
    stage = FineTune(update={"method": "partial", "top_layers": 1, **FIXED})
    expected = stage.run(given, data=labelled, context=RunContext(device="cpu")).predict_proba(["the film is good"])
    given.train()
    state = torch.get_rng_state()
    found = (
        stage.run(given, data=labelled, context=RunContext(device="cpu")).train().predict_proba(["the film is good"])
    )
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(found, expected)


def test_frozen_layers_without_room_on_the_disk_runs_again_each_time(labelled: TextData, monkeypatch: Any) -> None:
    def refuses(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("os.posix_fallocate", refuses)
    update = made(labelled, classifier(labelled), top_layers=1)
    monkeypatch.setattr(frozen_layers_module, "MAX_MEMORY_BYTES", 0)
    frozen_layers = FrozenLayers(update._start, update.texts, 2)
    assert frozen_layers.place == "nowhere"
    assert update.frozen_layers is not None
    torch.testing.assert_close(frozen_layers.of(torch.tensor([1, 0])), update.frozen_layers.of(torch.tensor([1, 0])))


def test_no_dev_set_is_needed(labelled: TextData, reviews: TextData) -> None:
    given = classifier(labelled)
    context = RunContext(device="cpu")
    FineTune(update={"method": "partial", "top_layers": 1, "folds": 2}).run(given, data=labelled, context=context)
    choice = context.record.report["choice"]
    assert context.record.sentences[-1].startswith(
        f"Stratified 2-fold cross-validation on the 24 labelled examples chose {choice['epochs']} epochs"
    )
    context = RunContext(device="cpu")
    FineTune(update={"method": "partial", "top_layers": 1, "patience": 2}).run(given, data=reviews, context=context)
    assert "16 validation texts chose" in context.record.sentences[-1]


def test_a_save_that_loses_something_is_refused(labelled: TextData, tmp_path: Path, monkeypatch: Any) -> None:
    """The field's most reported loss: adapters saved without their heads."""
    stage = FineTune(update={"method": "lora", "encoder_learning_rate": 0.01, **FIXED})
    trained = stage.run(classifier(labelled), data=labelled)
    read = TextClassifier.read_files.__func__

    def forgetful(cls: Any, folder: Path) -> TextClassifier:
        found: TextClassifier = read(cls, folder)
        torch.nn.init.zeros_(found.head.layers[-1].weight)
        return found

    monkeypatch.setattr(TextClassifier, "read_files", classmethod(forgetful))
    with pytest.raises(ArtifactError, match=r"reads back with other probabilities \(by 0\.\d+\)") as caught:
        trained.save(tmp_path / "saved")
    assert str(caught.value).endswith(
        "than it was saved with; expected the same ones, so nothing was published. This is a fault of nlptl: "
        "please report it."
    )
    assert not list(tmp_path.iterdir())


def test_work_is_counted(labelled: TextData) -> None:
    given, context = classifier(labelled), RunContext(device="cpu")
    FineTune(update={"method": "full", **FIXED}).run(given, data=labelled, context=context)
    assert labelled.labelled is not None
    token_model = given.encoder.token_model
    assert isinstance(token_model, Transformer)
    lengths = torch.tensor([len(ids) for ids in given.encoder.token_ids(labelled.labelled.texts())])
    assert context.record.report["work"]["tokens"] == 3 * int(lengths.sum())
    once = forward_flops(token_model, lengths, 0, LAYERS)
    by_hand = sum(2 * n * (4 * 32 * 32 + 2 * 32 * 48) * LAYERS + 4 * n * n * 32 * LAYERS for n in lengths.tolist())
    assert once == pytest.approx(by_hand)
    assert context.record.report["work"]["flops"] == pytest.approx(
        11 * once
    )  # 3 epochs x 3; the loss is still high, so that both start and end are looked at for a collapse


def test_an_unknown_target_is_told(labelled: TextData) -> None:
    with pytest.raises(ConfigError) as caught:
        FineTune(update={"method": "lora", "targets": ["query", "qury"]}).run(classifier(labelled), data=labelled)
    assert str(caught.value) == (
        "finetune.update.targets: found 'qury'; expected linear, attention, or some of query, key, value, dense, the "
        "linear maps of this encoder. Choose among them."
    )


def test_a_layer_that_is_not_there_is_told(labelled: TextData) -> None:
    for layer in (4, -5):
        with pytest.raises(ConfigError) as caught:
            SentenceVectors(layer=layer).run(tiny_encoder("bert"), data=labelled)
        assert str(caught.value) == (
            f"layer: found {layer}; expected 'mean' or a number from -4 to 3, since this encoder has 3 layers. "
            "Choose one of them."
        )


def test_stage_two_pools_any_layer(labelled: TextData, tmp_path: Path) -> None:
    given = tiny_encoder("bert")
    texts = ["the film is good", "a dull story"]
    for layer in (0, 1, -1, "mean"):
        encoder = SentenceVectors(pooling="max", layer=layer, normalize=True).run(given, data=labelled)
        expected = SentenceVectors(pooling="max").run(given, data=labelled).encode(texts, layer=layer, normalize=True)
        np.testing.assert_allclose(encoder.encode(texts), expected, atol=1e-6)
        encoder.save(tmp_path / str(layer))
        np.testing.assert_array_equal(Encoder.load(tmp_path / str(layer)).encode(texts), encoder.encode(texts))
    for pooling in ("tfidf", "sif", "cls"):
        encoder = SentenceVectors(pooling=pooling).run(given, data=labelled)
        encoder.save(tmp_path / pooling)
        np.testing.assert_array_equal(Encoder.load(tmp_path / pooling).encode(texts), encoder.encode(texts))


def test_the_head_learns_from_the_trunk(labelled: TextData) -> None:
    given = classifier(labelled)
    assert labelled.labelled is not None
    vectors = made(labelled, given, top_layers=1).sentence_vectors()
    assert vectors is not None
    np.testing.assert_allclose(vectors.numpy(), given.encoder.encode(labelled.labelled.texts()), atol=1e-6)
    assert made(labelled, given).sentence_vectors() is None, "everything moves, there is no trunk"
