"""New texts from few labelled ones: words dropped, moved, replaced, mistyped; masked-LM words; back-translation.

    from nlptl.finetuning.augmentation import Typos, Vocabulary, WordDropout, Eda, augment, keep_label

    new = augment(texts, [WordDropout(share=0.1, copies=2), Typos(), Eda()], seed=13, words=Vocabulary.of(pile))
    new.texts, new.rows, new.kinds      # each new text, the row that it came from, how it was made
    new.labels(labels)                  # its label
    keep_label(new, texts, classifier.predict_proba, least=0.6).kept

In YAML a list of blocks told apart by `kind` (`Augmentation`): word_dropout, swap, eda, typos, masked_lm,
back_translation. Every block makes `copies` new versions of each text on its own; blocks are not chained. There is no
WordNet: words that replace others come from a `Vocabulary` of a pile, uninformative ones more often, or from `Neighbours`.

What becomes of a text depends on the text, the settings and the seed, never on the other texts. No new text is empty or
repeats its own; mentions, hashtags, links and words with digits keep their spelling. Kanji, kana and hanzi are parted into
runs of a script in place of words; other scripts without spaces, such as Thai, are one word up to the next space.

Models (masked_lm, back_translation) load when first needed; `Augmenter` keeps them between calls, `model_digests` gives the
digests of their files. nlptl.finetuning.augmentation.ablation measures whether any of it helps.
"""

from __future__ import annotations

from nlptl.finetuning.augmentation.augmenter import Augmented, Augmenter, augment
from nlptl.finetuning.augmentation.blocks import (
    Augmentation,
    BackTranslation,
    Eda,
    MaskedLMReplacement,
    Swap,
    Typos,
    WordDropout,
)
from nlptl.finetuning.augmentation.label_check import LabelCheck, keep_label
from nlptl.finetuning.augmentation.model_digests import check_models, model_digests
from nlptl.finetuning.augmentation.vocabulary import Neighbours, Vocabulary, WordSource

__all__ = [
    "Augmentation",
    "Augmented",
    "Augmenter",
    "BackTranslation",
    "Eda",
    "LabelCheck",
    "MaskedLMReplacement",
    "Neighbours",
    "Swap",
    "Typos",
    "Vocabulary",
    "WordDropout",
    "WordSource",
    "augment",
    "check_models",
    "keep_label",
    "model_digests",
]
