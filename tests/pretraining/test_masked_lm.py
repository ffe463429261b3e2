"""Masking, the heads of each architecture, and the loss against transformers' own."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from nlptl.models.masked_lm_head import carried_head, carries_head, fresh_head
from nlptl.pretraining.encoders.masked_lm import MaskedLMTraining, Masking
from nlptl.pretraining.encoders.pile import NO_WORD, Draw, TokenPile, token_pile
from nlptl.randomness import keyed_uniform
from tests.models.tiny import MODEL_TYPES, tiny_config, tiny_encoder, tiny_folder, tiny_tokenizer
from tests.pretraining.piles import encoder_of, masked_lm_folder, small_pile

MASK = 4


def many_words(texts: int = 400, words: int = 30) -> TokenPile:
    """Return texts of [CLS], words of one to three pieces with ids from 10, [SEP]."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(texts):
        word_of = np.repeat(np.arange(words), rng.integers(1, 4, words))
        rows.append(np.concatenate([[NO_WORD], word_of, [NO_WORD]]))
    lengths = torch.tensor([len(row) for row in rows])
    flat = np.concatenate(rows).astype(np.int32)
    ids = np.where(flat == NO_WORD, 2, 10 + rng.integers(0, 900, len(flat))).astype(np.int32)
    return TokenPile(ids, flat, lengths, lengths.cumsum(0) - lengths)


def test_chance_is_uniform_and_a_function_of_its_keys() -> None:
    numbers = keyed_uniform(3, np.arange(100_000), 5)
    assert abs(numbers.mean() - 0.5) < 0.005
    assert np.abs(np.histogram(numbers, 10, (0, 1))[0] / 10_000 - 1).max() < 0.05
    np.testing.assert_array_equal(keyed_uniform(3, np.arange(50, 60), 5), numbers[50:60])
    for keys in ((4, 50, 5), (3, 50, 6), (50, 3, 5)):
        assert keyed_uniform(*keys)[0] != numbers[50]
    assert abs(np.corrcoef(numbers, keyed_uniform(4, np.arange(100_000), 5))[0, 1]) < 0.02


@pytest.mark.parametrize("whole_word", [True, False])
def test_masks_are_bert_s(whole_word: bool) -> None:
    pile = many_words()
    draw = Draw(1, torch.arange(len(pile)))
    masked = Masking(0.15, whole_word, MASK, 1000, seed=5)(pile, draw)
    seen, ids = masked.batch.input_ids.numpy(), pile.ids
    chosen = np.zeros(len(ids), bool)
    chosen[masked.places] = True
    assert not chosen[pile.words == NO_WORD].any(), "special tokens are never asked for"
    np.testing.assert_array_equal(masked.targets, ids[chosen])
    np.testing.assert_array_equal(seen[~chosen], ids[~chosen])
    assert abs(chosen[pile.words != NO_WORD].mean() - 0.15) < 0.01
    assert abs((seen[chosen] == MASK).mean() - 0.8) < 0.03
    assert abs((seen[chosen] == ids[chosen]).mean() - 0.1) < 0.03
    word = np.repeat(np.arange(len(pile)), pile.lengths) * 1000 + pile.words
    shares = [chosen[word == number].mean() for number in np.unique(word[pile.words != NO_WORD])[:2000]]
    assert set(shares) <= {0.0, 1.0} if whole_word else not set(shares) <= {0.0, 1.0}


def test_a_text_s_mask_depends_on_nothing_but_seed_epoch_and_row() -> None:
    pile = many_words(40)
    masking = Masking(0.3, True, MASK, 1000, seed=5)
    alone = masking(pile, Draw(2, torch.tensor([7]))).batch.input_ids
    company = masking(pile, Draw(2, torch.tensor([3, 7, 1]))).batch
    torch.testing.assert_close(company.input_ids.split(company.lengths.tolist())[1], alone)
    for other in (Draw(3, torch.tensor([7])), Draw(-1, torch.tensor([7]))):
        assert not torch.equal(masking(pile, other).batch.input_ids, alone)
    assert not torch.equal(
        Masking(0.3, True, MASK, 1000, seed=6)(pile, Draw(2, torch.tensor([7]))).batch.input_ids, alone
    )


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_loss_and_gradients_are_those_of_transformers(model_type: str, tmp_path: Path) -> None:
    folder = masked_lm_folder(tmp_path / "weights", model_type)
    reference = transformers.AutoModelForMaskedLM.from_pretrained(folder, attn_implementation="eager").eval()
    encoder = encoder_of(folder)
    assert carries_head(folder)
    head = carried_head(folder)
    assert head.table is None
    pile = small_pile(encoder)
    masking = Masking(0.3, True, encoder.tokenizer.get_vocab_size() - 1, encoder.tokenizer.get_vocab_size(), seed=1)
    draw = Draw(1, torch.tensor([0, 5, 9, 11]))
    training = MaskedLMTraining(encoder, head, pile, masking)
    loss = training.loss(draw)
    loss.backward()

    masked = masking(pile, draw)
    labels = torch.full_like(masked.batch.input_ids, -100)
    labels[masked.places] = masked.targets
    texts, targets = (
        torch.nn.utils.rnn.pad_sequence(
            list(flat.split(masked.batch.lengths.tolist())), batch_first=True, padding_value=fill
        )
        for flat, fill in ((masked.batch.input_ids, tiny_tokenizer(model_type).pad_token_id), (labels, -100))
    )
    keep = torch.arange(texts.shape[1])[None] < masked.batch.lengths[:, None]
    expected = reference(input_ids=texts, attention_mask=keep.long(), labels=targets).loss
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        encoder.token_model.word_embeddings.weight.grad,
        reference.get_input_embeddings().weight.grad,
        rtol=1e-3,
        atol=1e-5,
    )
    assert training.tokens == int(masked.batch.lengths.sum())


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_weights_without_a_head_are_known(model_type: str, tmp_path: Path) -> None:
    assert not carries_head(tiny_folder(tmp_path / "base", model_type))
    transformers.AutoModelForSequenceClassification.from_config(tiny_config(model_type)).save_pretrained(tmp_path / "c")
    assert not carries_head(tmp_path / "c")


HEAD_WEIGHTS = [
    ("bert", "cls.predictions.transform.LayerNorm.bias"),
    ("bert", "cls.predictions.bias"),
    ("roberta", "lm_head.layer_norm.weight"),
    ("distilbert", "vocab_projector.bias"),
    ("electra", "generator_predictions.LayerNorm.weight"),
    ("modernbert", "head.norm.weight"),
]


@pytest.mark.parametrize(("model_type", "name"), HEAD_WEIGHTS)
def test_a_head_with_missing_weights_is_none(model_type: str, name: str, tmp_path: Path) -> None:
    folder = masked_lm_folder(tmp_path / "weights", model_type)
    assert carries_head(folder)
    random_state = torch.get_rng_state()
    rewrite(folder, {key: tensor for key, tensor in weights_of(folder).items() if key != name})
    assert not carries_head(folder)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_an_untied_head_without_its_table_is_none(tmp_path: Path) -> None:
    folder = masked_lm_folder(tmp_path / "weights", "bert", tie_word_embeddings=False)
    assert carries_head(folder)
    name = "cls.predictions.decoder.weight"
    rewrite(folder, {key: tensor for key, tensor in weights_of(folder).items() if key != name})
    assert not carries_head(folder)


def test_heads_under_the_names_of_old_files_are_carried(tmp_path: Path) -> None:
    folder = masked_lm_folder(tmp_path / "weights", "bert")
    expected = carried_head(folder)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    tensors = weights_of(folder)
    for new_name, old_name in old.items():
        tensors = {key.replace(new_name, old_name): tensor for key, tensor in tensors.items()}
    rewrite(folder, tensors)
    assert carries_head(folder)
    torch.testing.assert_close(carried_head(folder).state_dict(), expected.state_dict())


def test_the_one_file_counts_before_an_index_beside_it(tmp_path: Path) -> None:
    folder = masked_lm_folder(tmp_path / "weights", "bert")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"embeddings.weight": "gone.safetensors"}}')
    assert carries_head(folder)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a folder."""
    return load_file(folder / "model.safetensors")


def rewrite(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write the tensors of a folder again."""
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_heads_that_are_not_tied_keep_their_table(tmp_path: Path) -> None:
    folder = masked_lm_folder(tmp_path / "weights", "bert", tie_word_embeddings=False)
    head = carried_head(folder)
    assert head.table is not None
    words = len(head.bias)
    assert not torch.equal(head.table, encoder_of(folder).token_model.word_embeddings.weight)
    head.grow(words + 2)
    assert (len(head.bias), len(head.table)) == (words + 2, words + 2)


def test_a_fresh_head_knows_how_frequent_tokens_are() -> None:
    encoder = tiny_encoder("bert")
    before = torch.get_rng_state()
    pile = small_pile(encoder)
    head = fresh_head(encoder.token_model, pile.word_tokens(), torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), before)
    the = encoder.tokenizer.token_to_id("the")
    share = (pile.ids == the).sum() / (pile.words >= 0).sum()
    bias = head.bias.detach()
    torch.testing.assert_close(bias.exp().sum(), torch.tensor(1.0))
    assert abs(float(bias[the].exp()) - share) < 0.01


def test_frozen_training_moves_the_head_alone() -> None:
    encoder = tiny_encoder("bert")
    pile = small_pile(encoder)
    head = fresh_head(encoder.token_model, pile.word_tokens(), torch.Generator().manual_seed(0))
    training = MaskedLMTraining(encoder, head, pile, Masking(0.2, True, MASK, 90, seed=0), frozen=True)
    training.loss(Draw(1, torch.arange(8))).backward()
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_shares_of_processes_add_up_to_the_whole_batch() -> None:
    encoder = tiny_encoder("bert")
    pile = small_pile(encoder)
    head = fresh_head(encoder.token_model, pile.word_tokens(), torch.Generator().manual_seed(0))
    training = MaskedLMTraining(encoder, head, pile, Masking(0.2, True, MASK, 90, seed=0))
    for draw in (Draw(1, torch.arange(9)), Draw(1, torch.tensor([3]))):
        parts = [training.share(draw, process, 2) for process in range(2)]
        mean = sum(float(training.loss(part).detach()) * weight for part, weight in parts) / 2
        assert math.isclose(mean, float(training.loss(draw).detach()), rel_tol=1e-5)


def test_long_texts_are_learnt_from_whole() -> None:
    encoder = tiny_encoder("bert")
    long = " ".join(["the film is good"] * 30)
    texts = [long, long, *(f"story {number}" for number in range(10))]
    cut = token_pile(encoder, [texts], whole=False, name="pile")
    whole = token_pile(encoder, [texts], whole=True, name="pile")
    assert len(cut) == 11, "each distinct text once"
    assert sum(whole.words >= 0) - sum(cut.words >= 0) == 120 - 62
