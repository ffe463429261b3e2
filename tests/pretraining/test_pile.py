"""A pile's word numbers, and piles in which there is nothing to guess."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import DataError
from nlptl.models.masked_lm_head import fresh_head
from nlptl.pretraining.encoders.continued import PretrainingResult, continue_training
from nlptl.pretraining.encoders.masked_lm import MaskedLMTraining, Masking
from nlptl.pretraining.encoders.objectives import TSDAE, MaskedLM, Objective, Scratch
from nlptl.pretraining.encoders.pile import NO_WORD, Draw, TokenPile
from nlptl.pretraining.encoders.tsdae import Deletion, TSDAETraining
from nlptl.stages.bert import Bert
from tests.models.tiny import tiny_encoder, tiny_folder
from tests.pretraining.piles import small_pile

UNKNOWN = ["ж " * count for count in range(1, 21)]  # texts of no word that a tiny tokenizer knows


def one_token_texts(count: int = 12) -> TokenPile:
    """Return texts of one token each, as a tokenizer without special tokens makes of one-word texts."""
    lengths = torch.ones(count, dtype=torch.int64)
    ids = np.arange(10, 10 + count, dtype=np.int32)
    return TokenPile(ids, np.zeros(count, np.int32), lengths, lengths.cumsum(0) - lengths, "pile.txt")


def tsdae_training(pile: TokenPile) -> TSDAETraining:
    """Return a TSDAE training of a tiny encoder with a fresh head."""
    encoder = tiny_encoder("bert")
    head = fresh_head(encoder.token_model, pile.word_tokens(), torch.Generator().manual_seed(0))
    return TSDAETraining(encoder, head, pile, Deletion(0.6, 1), torch.Generator().manual_seed(1), fresh=True)


@pytest.mark.parametrize("settings", [MaskedLM(steps=2), TSDAE(steps=2), Scratch(steps=2)])
def test_a_pile_of_unknown_words_is_refused(settings: Objective | Scratch) -> None:
    encoder, context = tiny_encoder("bert"), RunContext(device="cpu")
    pile = small_pile(encoder, UNKNOWN)
    with pytest.raises(DataError) as caught:
        continue_training(encoder, settings, pile, context, folder=None, precision="float32")
    assert str(caught.value) == (
        "pile: the tokenizer knows no word of the 19 texts; expected some words to predict. Give "
        "other texts, or weights whose tokenizer knows their script."
    )


def test_tsdae_refuses_texts_of_one_token() -> None:
    with pytest.raises(DataError) as caught:
        continue_training(
            tiny_encoder("bert"), TSDAE(steps=2, held_out=0), one_token_texts(), RunContext(device="cpu"),
            folder=None, precision="float32",
        )  # fmt: skip
    assert str(caught.value) == (
        "pile.txt: found no text of two tokens among 12; expected some, because TSDAE predicts a "
        "token from those before it. Give longer texts, or choose objective: mlm."
    )


def test_tsdae_s_loss_of_texts_of_one_token_is_zero() -> None:
    training = tsdae_training(one_token_texts())
    loss = training.loss(Draw(1, torch.arange(4)))
    loss.backward()
    assert float(loss.detach()) == 0
    gradients = [p.grad for p in training.module.parameters() if p.grad is not None]
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
    part, weight = training.share(Draw(1, torch.arange(4)), 1, 2)
    assert (len(part.rows), weight) == (2, 0.0)


def test_nothing_is_measured_where_nothing_is_asked() -> None:
    encoder = tiny_encoder("bert")
    pile = small_pile(encoder)
    head = fresh_head(encoder.token_model, pile.word_tokens(), torch.Generator().manual_seed(0))
    training = MaskedLMTraining(encoder, head, pile, Masking(0.2, True, 4, 90, seed=0))
    assert training.measure(small_pile(encoder, UNKNOWN)) is None
    assert tsdae_training(pile).measure(one_token_texts()) is None


def test_an_outcome_without_a_measurement_says_so() -> None:
    outcome = PretrainingResult("mlm", 20, 100, 5, None, None, [1.0], 1.0, 1.0, 1)
    assert outcome.sentence() == (
        "Trained 20 steps of mlm on 100 texts. Nothing was measured: the 5 held-out texts have nothing to predict."
    )


def test_a_stage_whose_held_out_texts_are_unknown_words_measures_nothing(tmp_path: Path) -> None:
    texts = [*UNKNOWN, "the film is good"]  # the last of which this seed does not hold out
    context = RunContext(seed=2, device="cpu")
    stage = Bert(weights=str(tiny_folder(tmp_path / "base", "bert")), continue_=MaskedLM(steps=3, head_warmup_steps=0))
    stage.run(data=TextData(unlabelled=texts), context=context)
    told = context.record.report["continue"]
    assert (told["held_out_loss_before"], told["held_out_loss_after"]) == (None, None)
    assert context.record.sentences[-1] == (
        "Trained 3 steps of mlm on 20 texts. Nothing was measured: the 1 held-out texts have nothing to predict."
    )
    assert all(math.isfinite(row["loss"]) for row in context.record.history)


def test_a_word_of_many_pieces_is_as_many_words() -> None:
    encoder = tiny_encoder("xlm-roberta")
    pieces = ["abcdefgh", "abcdefg", "xyz"]
    texts = [" ".join(pieces), *(f"story {number}" for number in range(10))]
    pile = small_pile(encoder, texts)
    words = pile.words[: int(pile.lengths[0])]
    assert len(words) == 2 + 9 + 8 + 4, "the mark of a word's beginning is a piece of its own"
    assert (words[0], words[-1]) == (NO_WORD, NO_WORD)
    assert len(set(words[1:10].tolist())) == 9, "nine pieces stand for themselves"
    assert len(set(words[10:18].tolist())) == 1, "eight are one word"
    assert len(set(words[1:-1].tolist())) == 9 + 1 + 1
    left = Deletion(0.6, seed=3)(pile, Draw(1, torch.zeros(1, dtype=torch.int64)))
    assert 3 <= len(left.input_ids) < len(words)


@pytest.mark.parametrize(("model_type", "written"), [("bert", "[SEP] [MASK] [CLS]"), ("roberta", "<mask> </s>")])
def test_special_tokens_that_a_text_spells_out_are_no_words(model_type: str, written: str) -> None:
    encoder = tiny_encoder(model_type)
    pile = small_pile(encoder, [f"the {written} film", *(f"story {number}" for number in range(10))])
    special = [encoder.tokenizer.token_to_id(name) for name in encoder.token_model.special_tokens.values()]
    found = np.isin(pile.ids[: int(pile.lengths[0])], special)
    assert found.sum() == 2 + len(written.split())
    assert (pile.words[: len(found)][found] == NO_WORD).all()
    assert (pile.words[: len(found)][~found] != NO_WORD).any()
