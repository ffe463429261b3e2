"""Augmentation: new texts from labelled ones, by word edits, typos, a masked LM or back-translation.

    from nlptl.finetuning.augmentation import Augmenter, Eda, Typos, Vocabulary, WordDropout, keep_label

    augmenter = Augmenter([WordDropout(share=0.1, copies=2), Typos(), Eda()], words=Vocabulary.of(pile))
    new = augmenter(texts, seed=13)
    new.texts, new.rows, new.kinds      # each new text, the row of its original, its kind
    keep_label(new, texts, classifier.predict_proba, least=0.6).kept

In YAML: a list of blocks told apart by `kind` (`Augmentation`): word_dropout, swap, eda, typos, masked_lm,
back_translation. Each block makes `copies` new versions of each text. Blocks are not chained.

A new text depends on its original, the settings and the seed, and on no other text. No new text is empty or equals its
original. Mentions, hashtags, links and words with digits keep their spelling. Kanji, kana and hanzi are split into runs
of one script. Text in other scripts without spaces, such as Thai, is one word up to the next space.

`Augmenter` loads models (masked_lm, back_translation) once; `model_digests` gives the digests of their files.
nlptl.finetuning.augmentation.ablation measures whether augmentation helps.
"""

from __future__ import annotations

from nlptl.finetuning.augmentation.augment_settings import (
    Augmentation,
    BackTranslation,
    Eda,
    MaskedLMReplacement,
    Swap,
    Typos,
    WordDropout,
)
from nlptl.finetuning.augmentation.augmenter import Augmented, Augmenter
from nlptl.finetuning.augmentation.label_check import LabelCheck, keep_label
from nlptl.finetuning.augmentation.model_digests import check_models, model_digests
from nlptl.finetuning.augmentation.unigrams import Vocabulary

__all__ = [
    "Augmentation",
    "Augmented",
    "Augmenter",
    "BackTranslation",
    "Eda",
    "LabelCheck",
    "MaskedLMReplacement",
    "Swap",
    "Typos",
    "Vocabulary",
    "WordDropout",
    "check_models",
    "keep_label",
    "model_digests",
]
