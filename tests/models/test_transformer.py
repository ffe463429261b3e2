"""The packed encoder equals transformers' own padded, eager forward, in every architecture and for every layer."""

from __future__ import annotations

import copy
import functools
import json
import random
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.errors import ArtifactError, ConfigError
from nlptl.finetuning.gradient.lora_adapters import LoraAdapters, add_adapters
from nlptl.inference.tokenizing import TokenRule
from nlptl.models import attention, transformer
from nlptl.models.buffered import run_layer
from nlptl.models.encoder import Encoder
from nlptl.models.packing import Batch, LayerChoice, pack
from nlptl.models.pretrained import load_model
from nlptl.models.side_by_side import side_by_side
from nlptl.models.transformer import Transformer
from tests.models.tiny import (
    DIM,
    LAYERS,
    MODEL_TYPES,
    POSITIONS,
    TEXTS,
    tiny_encoder,
    tiny_model,
    tiny_tokenizer,
    tiny_transformer,
)

LENGTHS = (7, 3, 20, 1, 12, 12, POSITIONS)  # the longest reach beyond the local window of ModernBERT
LAYER_CHOICES: tuple[LayerChoice, ...] = (LAYERS, 2, 0, "mean")


@functools.cache
def texts_of_ids(model_type: str) -> list[list[int]]:
    """Return ids of texts of the LENGTHS, none of them padding, which RoBERTa counts no position for."""
    generator = random.Random(3)
    return [[generator.randrange(5, len(tiny_tokenizer(model_type))) for _ in range(length)] for length in LENGTHS]


@functools.cache
def token_model(model_type: str) -> Transformer:
    """Return an encoder that no test changes."""
    return tiny_transformer(model_type)


def padded(ids: list[list[int]], model_type: str) -> dict[str, torch.Tensor]:
    """Return what transformers wants: input_ids and attention_mask (B, T)."""
    fill, longest = tiny_tokenizer(model_type).pad_token_id, max(map(len, ids))
    return {
        "input_ids": torch.tensor([text + [fill] * (longest - len(text)) for text in ids]),
        "attention_mask": torch.tensor([[1] * len(text) + [0] * (longest - len(text)) for text in ids]),
    }


def theirs(model: Any, model_type: str, layer: LayerChoice = LAYERS) -> torch.Tensor:
    """Return transformers' token vectors (N, D), padded and eager, of one layer or the mean over all."""
    inputs = padded(texts_of_ids(model_type), model_type)
    states = model(**inputs, output_hidden_states=True).hidden_states
    found = torch.stack(states[1:]).mean(0) if layer == "mean" else states[layer]
    result: torch.Tensor = found[inputs["attention_mask"].bool()]
    return result


SHARED = "encoder.relative_attention_bias.weight"  # of MPNet: all layers learn it, those below a cut too


def batch_of(model_type: str) -> Batch:
    return pack(texts_of_ids(model_type))


def weight_of(vectors: torch.Tensor) -> torch.Tensor:
    """Return random weights for a scalar loss, always the same."""
    return torch.randn(vectors.shape, generator=torch.Generator().manual_seed(9)).to(vectors.dtype)


def gradients(model: torch.nn.Module, vectors: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the gradient of every parameter for a random weighing of the token vectors, scaled to sane numbers."""
    model.zero_grad()
    (vectors * weight_of(vectors)).sum().div(vectors.numel() ** 0.5).backward()
    return {name: p.grad.detach().clone() for name, p in model.named_parameters() if p.grad is not None}


@functools.cache
def oracle(model_type: str, dtype: torch.dtype) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return transformers' token vectors (N, D) and gradients."""
    model = tiny_model(model_type).to(dtype)
    vectors = theirs(model, model_type)
    return vectors.detach(), gradients(model, vectors)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_token_vectors_and_gradients_are_transformers_own(model_type: str) -> None:
    ours = tiny_transformer(model_type)
    vectors = ours(batch_of(model_type))
    found, (expected, right) = gradients(ours.model, vectors), oracle(model_type, torch.float32)
    torch.testing.assert_close(vectors, expected, atol=2e-5, rtol=1e-4)
    assert sorted(found) == sorted(right)
    assert sum(bool(gradient.any()) for gradient in right.values()) > len(right) - 4  # all but those of key biases
    for name, gradient in right.items():
        torch.testing.assert_close(found[name], gradient, atol=5e-5, rtol=1e-3, msg=lambda told, n=name: f"{n}: {told}")


@pytest.mark.parametrize("model_type", [kind for kind in MODEL_TYPES if kind != "mpnet"])  # which has no buffers
@pytest.mark.parametrize("layer", [LAYERS, 2, "mean"])
def test_layers_in_buffers_give_the_same_bits(model_type: str, layer: LayerChoice) -> None:
    ours = tiny_transformer(model_type)
    ours.layer = layer
    expected = ours(batch_of(model_type)).detach()
    calls = []
    with (
        mock.patch.object(transformer, "run_layer", lambda *given: calls.append(given) or run_layer(*given)),
        torch.no_grad(),
    ):
        found = ours(batch_of(model_type))
        torch.testing.assert_close(ours(batch_of(model_type)), expected, atol=0, rtol=0)  # and once more
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
    assert bool(calls) == (model_type != "modernbert")  # whose layers normalise before each part


@pytest.mark.parametrize(
    "change", ["hook", "adapter", "no bias", "autocast", "training", "gradients", "other activation"]
)
def test_layers_that_are_not_plain_stay_with_transformers(change: str) -> None:
    ours = tiny_transformer("bert", hidden_act="gelu_new" if change == "other activation" else "gelu")
    layer = ours.layers[1]
    seen: list[int] = []
    if change == "hook":
        layer.output.dense.register_forward_hook(lambda *_: seen.append(1))
    elif change == "adapter":
        add_adapters(ours, LoraAdapters(2, 2, 0.0, ("query",), "lora", merge=False), [1], seed=0)
        torch.nn.init.ones_(ours.layers[1].attention.self.query.lora_B["default"].weight)
    elif change == "no bias":
        layer.output.dense.bias = None
    ours.train(change == "training")
    with (
        mock.patch.object(transformer, "run_layer", wraps=run_layer) as own,
        torch.set_grad_enabled(change == "gradients"),
        torch.autocast("cpu", torch.bfloat16, enabled=change == "autocast"),
    ):
        found = ours(batch_of("bert"))
    assert own.called == (change == "other activation")  # which is computed, if not in place
    assert bool(seen) == (change == "hook")
    if change not in ("training", "autocast"):
        torch.testing.assert_close(found, ours(batch_of("bert")), atol=0, rtol=0)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_in_bfloat16_they_are_as_near_to_float32_as_transformers_own(model_type: str) -> None:
    ours = tiny_transformer(model_type).bfloat16()
    vectors = ours(batch_of(model_type))
    (exact, _), (expected, right) = oracle(model_type, torch.float32), oracle(model_type, torch.bfloat16)
    assert vectors.dtype == torch.bfloat16
    error, allowed = ((found.float() - exact).norm() / exact.norm() for found in (vectors, expected))
    assert error < 1.5 * allowed + 1e-3
    assert error < 0.05
    found = gradients(ours.model, vectors)
    mine, other = (torch.cat([part[name].float().flatten() for name in right]) for part in (found, right))
    assert torch.nn.functional.cosine_similarity(mine, other, dim=0) > 0.99


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_autocast_to_bfloat16_stays_near(model_type: str) -> None:
    ours, batch = token_model(model_type), batch_of(model_type)
    with torch.no_grad():
        exact = ours(batch)
        with torch.autocast("cpu", torch.bfloat16):
            vectors = ours(batch).float()
    assert 0 < (vectors - exact).norm() / exact.norm() < 0.05


@pytest.mark.parametrize("layer", LAYER_CHOICES)
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_each_layer_is_transformers_own(model_type: str, layer: LayerChoice) -> None:
    with torch.no_grad():
        vectors = token_model(model_type)(batch_of(model_type), layer=layer)
        expected = theirs(tiny_model(model_type), model_type, layer)
    torch.testing.assert_close(vectors, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("layer", LAYER_CHOICES)
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_lower_and_upper_layers_make_the_whole_wherever_they_are_cut(model_type: str, layer: LayerChoice) -> None:
    model, batch = tiny_transformer(model_type), batch_of(model_type)
    model.layer = layer
    whole = model(batch)
    found = gradients(model.model, whole) if layer != 0 else {}
    for cut in range(model.used_depth + 1):
        with torch.no_grad():
            frozen_layers = model.lower(batch, cut)
        assert frozen_layers.shape == (len(batch.input_ids), model.frozen_width)
        vectors = model.upper(frozen_layers, batch, cut)
        torch.testing.assert_close(vectors, whole, atol=1e-5, rtol=1e-5)
        if cut == model.used_depth:
            assert not vectors.requires_grad or model.final_norm is not None
            continue
        above = gradients(model.model, vectors)
        assert above
        assert any(name.startswith(f"{model.architecture.layers}.{cut}.") for name in above)
        above.pop(SHARED, None)
        for name, gradient in above.items():
            torch.testing.assert_close(gradient, found[name], atol=1e-5, rtol=1e-4)


def test_the_trunk_is_twice_as_wide_where_the_mean_must_be_carried() -> None:
    model = tiny_transformer("bert")
    assert (model.frozen_width, model.used_depth) == (DIM, LAYERS)
    model.layer = 2
    assert (model.frozen_width, model.used_depth) == (DIM, 2)
    model.layer = "mean"
    assert (model.frozen_width, model.used_depth) == (2 * DIM, LAYERS)


@settings(max_examples=12, deadline=None)
@given(
    model_type=st.sampled_from(MODEL_TYPES),
    lengths=st.lists(st.integers(1, 24), min_size=1, max_size=8),
    chance=st.randoms(use_true_random=False),
)
def test_neighbours_and_their_order_change_no_text(model_type: str, lengths: list[int], chance: random.Random) -> None:
    model = token_model(model_type)
    ids = [[chance.randrange(5, len(tiny_tokenizer(model_type))) for _ in range(length)] for length in lengths]
    orders = [list(range(len(ids))), sorted(range(len(ids)), key=lengths.__getitem__)]
    orders.append(chance.sample(orders[0], len(ids)))
    with torch.inference_mode():
        alone = [model(pack([text])) for text in ids]
        for order in orders:
            together = model(pack([ids[row] for row in order])).split([lengths[row] for row in order])
            for row, vectors in zip(order, together, strict=True):
                torch.testing.assert_close(vectors, alone[row], atol=1e-5, rtol=1e-4)


@settings(max_examples=8, deadline=None)
@given(texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=9), budget=st.integers(1, 60), sorts=st.booleans())
def test_batch_size_and_sorting_change_no_sentence_vector(texts: list[str], budget: int, sorts: bool) -> None:
    encoder = tiny_encoder("roberta")
    encoder.token_model.sorts = sorts
    with mock.patch.object(transformer, "CPU_TOKEN_BUDGET", budget):
        alone = np.concatenate([encoder.encode([text]) for text in texts])
        np.testing.assert_allclose(encoder.encode(texts), alone, atol=1e-5)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_texts_without_tokens(model_type: str) -> None:
    model = tiny_transformer(model_type)
    for layer in ("mean", LAYERS):
        model.layer = layer
        assert model(pack([])).shape == model(pack([[], []])).shape == (0, DIM)
        with_an_empty_one, without = model(pack([[5, 6], [], [7]])), model(pack([[5, 6], [7]]))
        torch.testing.assert_close(with_an_empty_one, without, atol=1e-5, rtol=1e-4)
    assert all(bool(gradient.isfinite().all()) for gradient in gradients(model.model, with_an_empty_one).values())


def test_no_attention_weights_are_dropped() -> None:
    model = tiny_transformer("bert", attention_probs_dropout_prob=0.4, hidden_dropout_prob=0.0)
    batch = batch_of("bert")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        still = model(batch)
        first, second = model.train()(batch), model(batch)
        again = model.eval()(batch)
    assert torch.allclose(first, second, atol=1e-3)
    assert torch.equal(still, again)


@pytest.mark.parametrize("model_type", ["bert", "modernbert"])
def test_encode_in_bfloat16_leaves_the_encoder_as_it_is(model_type: str) -> None:
    encoder = tiny_encoder(model_type)
    exact, halved = encoder.encode(TEXTS), encoder.encode(TEXTS, precision="bfloat16")
    assert halved.dtype == np.float32
    assert not np.array_equal(exact, halved)
    np.testing.assert_allclose(halved, exact, atol=0.05 * abs(exact).max())
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    np.testing.assert_array_equal(
        encoder.encode(TEXTS, precision="bfloat16", layer=1, normalize=True),
        encoder.encode(TEXTS, precision="bfloat16", layer=1, normalize=True),
    )
    np.testing.assert_array_equal(encoder.encode(TEXTS), exact)


def test_a_bfloat16_copy_turns_by_exact_frequencies() -> None:
    """Rounded rotary frequencies would turn tokens that are far apart by other angles."""
    encoder, seen = tiny_encoder("modernbert"), []
    forward = transformer.Transformer.forward

    def watched(self: Transformer, batch: Batch, **options: Any) -> torch.Tensor:
        seen.append({name: buffer.dtype for name, buffer in self.named_buffers() if "inv_freq" in name})
        return forward(self, batch, **options)

    with mock.patch.object(transformer.Transformer, "forward", watched):
        encoder.encode(TEXTS, precision="bfloat16")
    assert set(seen[0].values()) == {torch.float32}


@pytest.mark.parametrize("apart", [True, False])
def test_batches_side_by_side_come_in_order_with_the_same_bits(apart: bool) -> None:
    encoder = tiny_encoder("bert")
    expected = encoder.encode(TEXTS * 30)
    torch.set_num_threads(2)
    try:
        np.testing.assert_allclose(encoder.encode(TEXTS * 30), expected, atol=1e-5)
        assert list(side_by_side(lambda item: item**2, range(20), apart=apart)) == [(i, i**2) for i in range(20)]
        with pytest.raises(ZeroDivisionError):
            list(side_by_side(lambda item: 1 // item, [1, 0, 1], apart=apart))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_encode_drops_nothing_and_leaves_the_mode_as_it_is() -> None:
    encoder = tiny_encoder("bert", hidden_dropout_prob=0.5)
    expected = encoder.encode(TEXTS)
    encoder.train()
    encoder.pooling.eval()
    np.testing.assert_array_equal(encoder.encode(TEXTS), expected)
    assert encoder.token_model.model.training
    assert not encoder.pooling.training


def test_a_copy_is_a_whole_of_its_own() -> None:
    model, batch = tiny_transformer("modernbert"), batch_of("modernbert")
    model.layer = 2
    with torch.no_grad():
        before = model(batch)
        twin = copy.deepcopy(model)
        assert torch.equal(twin(batch), before)
        for parameter in twin.parameters():
            parameter.mul_(1.5)
        assert not torch.allclose(twin(batch), before, atol=1e-2)
        assert torch.equal(model(batch), before)
        model.decode(batch, torch.zeros(model.depth, len(batch.lengths), model.dim))  # padded, with a mask
    assert (model.model.config._attn_implementation, twin.model.config._attn_implementation) == (
        "sdpa",
        attention.ATTENTION_NAME,
    )


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_saved_encoder_gives_identical_vectors_and_plain_transformers_reads_it(
    model_type: str, tmp_path: Path
) -> None:
    from transformers import AutoModel, AutoTokenizer

    encoder = tiny_encoder(model_type)
    encoder.token_model.layer = 2
    vectors, ids = encoder.encode(TEXTS), encoder.token_ids(TEXTS)
    encoder.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    assert np.array_equal(again.encode(TEXTS), vectors)
    assert (again.token_model.layer, again.token_model.rule) == (2, encoder.token_model.rule)
    assert again.token_model.special_tokens == encoder.token_model.special_tokens
    again.save(tmp_path / "again")
    assert Encoder.load(tmp_path / "again").token_ids(TEXTS) == ids

    folder = tmp_path / "encoder"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    assert tokenizer(TEXTS)["input_ids"] == ids
    assert tokenizer.model_max_length == POSITIONS
    assert len(tokenizer("good " * 100, truncation=True)["input_ids"]) == POSITIONS
    assert (tokenizer.mask_token, tokenizer.mask_token_id) == (
        tiny_tokenizer(model_type).mask_token,
        tiny_tokenizer(model_type).mask_token_id,
    )
    with torch.inference_mode():
        inputs = tokenizer(TEXTS, padding=True, return_tensors="pt")
        hidden = model(**inputs, output_hidden_states=True).hidden_states[2]
        expected = encoder.token_model(pack(ids))
    torch.testing.assert_close(hidden[inputs["attention_mask"].bool()], expected, atol=2e-5, rtol=1e-4)
    assert attention.ATTENTION_NAME not in (folder / "config.json").read_text(encoding="utf-8")
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json", "encoder.json", "manifest.json", "model.safetensors", "other-tools.txt", "pooling.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip


def test_saving_leaves_the_tokenizer_as_it_was(tmp_path: Path) -> None:
    encoder = tiny_encoder("roberta")
    before = encoder.tokenizer.to_str()
    encoder.save(tmp_path / "encoder")
    assert encoder.tokenizer.to_str() == before


def test_one_layer_is_read_for_a_while() -> None:
    encoder = tiny_encoder("bert")
    last, embeddings = encoder.encode(TEXTS), encoder.encode(TEXTS, layer=0)
    assert np.array_equal(encoder.encode(TEXTS, layer=-1), last)
    assert np.array_equal(encoder.encode(TEXTS, layer=-LAYERS - 1), embeddings)
    assert not np.allclose(encoder.encode(TEXTS, layer="mean"), last, atol=1e-2)
    assert encoder.token_model.layer == LAYERS


@pytest.mark.parametrize("layer", [4, -5, "last", None])
def test_a_layer_that_is_not_there(layer: Any) -> None:
    with pytest.raises(ConfigError) as told:
        token_model("bert").layer_number(layer)
    assert str(told.value) == (
        f"layer: found {layer!r}; expected 'mean' or a number from -4 to 3, since this encoder has 3 layers. "
        "Choose one of them."
    )


def test_an_architecture_that_is_not_supported() -> None:
    class Other:
        class config:
            model_type = "deberta-v2"

    with pytest.raises(ArtifactError) as told:
        Transformer(Other(), TokenRule(), special_tokens={})
    assert str(told.value) == (
        "weights: found an encoder of type 'deberta-v2'; expected one of bert, roberta, xlm-roberta, camembert, "
        "electra, distilbert, mpnet, modernbert. Choose weights of one of them."
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return the folder of a saved encoder."""
    tiny_encoder("bert").save(tmp_path / "encoder")
    return tmp_path / "encoder"


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("model.safetensors", b"no tensors, but a text", "Error while deserializing header: header too large"),
        ("model.safetensors", None, "model.safetensors is missing"),
        (
            "config.json",
            b"{",
            "config.json: cannot be read (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))",
        ),
    ],
)
def test_a_damaged_folder(file: str, content: bytes | None, reason: str, saved: Path) -> None:
    (saved / file).unlink() if content is None else (saved / file).write_bytes(content)
    with pytest.raises(ArtifactError) as told:
        Encoder.read_files(saved)
    assert str(told.value) == (
        f"{saved}: holds no encoder that transformers reads ({reason.format(folder=saved)}); the folder is damaged. "
        "Run the stage again."
    )


def test_weights_that_do_not_fill_the_encoder_are_refused(saved: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(saved / "model.safetensors")
    part = {name: tensor for name, tensor in state.items() if not name.startswith("encoder.layer.1.output.dense.")}
    save_file(part, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"^encoder\.layer\.1\.output\.dense\.bias is missing, and 1 more$"):
        load_model(saved)
    del state["encoder.layer.1.output.dense.bias"]
    save_file(state, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"^encoder\.layer\.1\.output\.dense\.bias is missing$"):
        load_model(saved)


def test_weights_of_another_shape_are_refused(saved: Path) -> None:
    settings = json.loads((saved / "config.json").read_text(encoding="utf-8"))
    (saved / "config.json").write_text(json.dumps({**settings, "vocab_size": 90}), encoding="utf-8")
    with pytest.raises(
        ValueError,
        match=r"^embeddings\.word_embeddings\.weight is \(107, 32\) where config\.json asks for \(90, 32\)$",
    ):
        load_model(saved)
