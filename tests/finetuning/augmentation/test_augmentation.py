"""What holds for every kind, and the settings of all."""

from __future__ import annotations

import subprocess
import sys
import typing
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.config import Config, dump_yaml, parse
from nlptl.errors import ConfigError
from nlptl.finetuning.augmentation import (
    Augmentation,
    Augmented,
    Augmenter,
    BackTranslation,
    Eda,
    MaskedLMReplacement,
    Swap,
    Typos,
    Vocabulary,
    WordDropout,
)
from nlptl.finetuning.augmentation.augmenter import generator_of
from tests.conftest import small_reviews
from tests.finetuning.augmentation.neighbours import Neighbours
from tests.finetuning.augmentation.translators import translator_folder
from tests.pretraining.piles import masked_lm_folder

TEXTS = [
    "The film is good, and the story was GREAT!",
    "@user 4 films at https://t.co/xYz #dull 👨‍👩‍👧 great👍🏽",
    "この映画は本当に面白い。また見たい！",
    "Le cafe\u0301 e\u0301tait tre\u0300s bon, n'est-ce pas?",
    "नमस्ते दुनिया, ข้อความ ภาษาไทย",
    "film",
    "!!!",
    "a b",
    "the dull dull dull film",
]
PILE = Vocabulary.of(small_reviews(60)[0])
WORD_KINDS: list[Augmentation] = [
    WordDropout(copies=2),
    Swap(copies=2),
    Eda(copies=4),
    Typos(copies=2),
    WordDropout(share=0.5, copies=2),
]
ALL = typing.get_args(typing.get_args(Augmentation)[0])


class Stage(Config):
    """Settings as a stage may have them."""

    augment: tuple[Augmentation, ...] = ()
    """New texts."""


@pytest.fixture(scope="module")
def augmenter(tmp_path_factory: pytest.TempPathFactory) -> Augmenter:
    folder = tmp_path_factory.mktemp("weights")
    models: list[Augmentation] = [
        MaskedLMReplacement(weights=str(masked_lm_folder(folder / "bert", "bert")), share=0.3, copies=2),
        BackTranslation(
            forward=str(translator_folder(folder / "there")), backward=str(translator_folder(folder / "back", seed=1))
        ),
    ]
    return Augmenter([*WORD_KINDS, *models], words=PILE)


def augment(texts: list[str], settings: list[Augmentation], *, seed: int, words: object = None) -> Augmented:
    return Augmenter(settings, words=words)(texts, seed=seed)


def test_new_texts_are_new_and_know_where_they_came_from(augmenter: Augmenter) -> None:
    new = augmenter(TEXTS, seed=3)
    assert set(new.kinds) == {kind.model_fields["kind"].default for kind in ALL}
    assert list(new.rows) == sorted(new.rows)
    for row, text in enumerate(TEXTS):
        own = [made.strip() for made, came in zip(new.texts, new.rows, strict=True) if came == row]
        assert len(own) == len(set(own))
        assert text.strip() not in own
        assert "" not in own
    missing = sum(new.repeated.values())
    assert missing + len(new) == len(TEXTS) * 15
    assert missing > 0, "a text without letters has few versions"
    assert new.sentence().startswith(f"Augmentation made {len(new)} new texts (")
    assert new.sentence().endswith(f"; {missing} more would have repeated a text.")


def test_a_text_s_versions_depend_on_nothing_beside_it(augmenter: Augmenter) -> None:
    whole = augmenter(TEXTS[:3], seed=3)
    assert augmenter(TEXTS[:1], seed=4).texts != whole.of_rows([0]).texts
    assert augmenter(TEXTS[1:2], seed=3).texts == whole.of_rows([1]).texts
    turned = augmenter(TEXTS[2::-1], seed=3)
    assert all(turned.of_rows([2 - row]).texts == whole.of_rows([row]).texts for row in range(3))


def test_more_copies_keep_the_fewer() -> None:
    few, many = (augment(TEXTS[:2], [WordDropout(share=0.3, copies=copies)], seed=1) for copies in (1, 3))
    for row in range(2):
        assert few.of_rows([row]).texts[0] in many.of_rows([row]).texts


def test_two_blocks_of_a_kind_draw_differently() -> None:
    both = augment(TEXTS[:1], [WordDropout(share=0.3), WordDropout(share=0.3)], seed=1)
    assert len(set(both.texts)) == 2


def test_no_settings_and_no_texts_give_nothing() -> None:
    assert len(augment(TEXTS, [], seed=0)) == 0
    assert len(augment([], WORD_KINDS, seed=0, words=PILE)) == 0
    assert augment([], [Typos()], seed=0).sentence() == "Augmentation made 0 new texts (0 by typos)."


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.integers(0, 2**64))
def test_any_text_survives(text: str, seed: int) -> None:
    new = augment([text], WORD_KINDS, seed=seed, words=PILE)
    for made in new.texts:
        assert made.strip()
        assert made.strip() != text.strip()
        made.encode()


def test_seeds_of_any_size_and_half_characters_give_generators() -> None:
    assert generator_of(-5, "a\ud800", "x").random() != generator_of(2**80, "a\ud800", "x").random()


@pytest.mark.parametrize("kind", ALL)
def test_every_setting_is_documented(kind: type[Config]) -> None:
    assert all(info.description for info in kind.model_fields.values())


def test_settings_survive_yaml() -> None:
    stage = Stage(
        augment=(*WORD_KINDS, MaskedLMReplacement(weights="a"), BackTranslation(forward="a", backward="b", copies=2))
    )
    assert parse(Stage, yaml.safe_load(dump_yaml(stage.model_dump(mode="json"))), where="here") == stage


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (
            {"kind": "typo"},
            "here: augment.0.kind is 'typo', but must be one of word_dropout, swap, eda, typos, masked_lm, back_translation. "
            "Did you mean 'typos'?",
        ),
        (
            {"kind": "typos", "shares": 0.1},
            "here: augment.0.shares is not a setting. Did you mean 'share'? Known here: copies, kind, share.",
        ),
        ({"kind": "word_dropout", "share": 1}, "here: augment.0.share is 1, but must be less than 1."),
        ({"kind": "masked_lm"}, "here: augment.0.weights is missing. It has no default, so it must be set."),
        (
            {"kind": "back_translation", "forward": "a", "backward": "a"},
            "here: augment.0: found the same folder a forward and backward; expected a model that translates back, or "
            "another prefix. Give backward its own.",
        ),
    ],
)
def test_wrong_settings_are_told(block: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Stage, {"augment": [block]}, where="here")
    assert str(caught.value) == told


def test_eda_wants_words_for_what_draws_them() -> None:
    with pytest.raises(ConfigError) as caught:
        Augmenter([Typos(), Eda()], where="finetune.augment")
    assert str(caught.value) == (
        "finetune.augment.1: found the edits replace, insert, swap, delete and no words to draw from; expected some for "
        "replace and insert. Give words, such as Vocabulary.of(texts), or set edits: [swap, delete]."
    )
    assert len(augment(TEXTS[:1], [Eda(edits=("swap", "delete"))], seed=0)) == 1
    assert len(augment(["a good film"], [Eda(edits=("replace",))], seed=0, words=Neighbours({"good": ["fine"]}))) == 1


def test_the_room_loads_nothing_heavy(root: Path) -> None:
    script = (
        "import sys, nlptl.finetuning.augmentation as a; a.Augmenter([a.WordDropout()])(['a b c'], seed=0);"
        "print(sorted({'torch', 'transformers', 'datasets', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
