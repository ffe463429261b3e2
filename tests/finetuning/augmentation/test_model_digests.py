"""Digests of the models that augmentation reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptl.errors import ConfigError
from nlptl.finetuning.augmentation import BackTranslation, MaskedLMReplacement, Typos, model_digests
from tests.finetuning.augmentation.translators import translator_folder
from tests.pretraining.piles import masked_lm_folder


def test_a_changed_model_changes_its_digest(tmp_path: Path) -> None:
    there, back = (translator_folder(tmp_path / name, seed=seed) for seed, name in enumerate(["there", "back"]))
    settings = [
        Typos(),
        MaskedLMReplacement(weights=str(masked_lm_folder(tmp_path / "bert", "bert"))),
        BackTranslation(forward=str(there), backward=str(back)),
    ]
    before = model_digests(settings)
    assert sorted(before) == ["1.weights", "2.backward", "2.forward"]
    assert model_digests(settings) == before
    translator_folder(back, seed=7)
    after = model_digests(settings)
    assert {name for name in before if before[name] != after[name]} == {"2.backward"}
    assert model_digests([Typos()]) == {}


def test_a_missing_model_is_told_before_anything_runs() -> None:
    with pytest.raises(ConfigError) as caught:
        model_digests([BackTranslation(forward="nowhere", backward="b")], where="finetune.augment")
    assert str(caught.value) == (
        "finetune.augment.0.forward: nowhere: found no folder with a config.json; expected a sequence-to-sequence model in "
        "transformers' layout. Check the path."
    )
