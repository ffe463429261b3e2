"""Augmentation: new texts from labelled ones, by word edits, typos, a masked LM or back-translation.

    from nlptl.finetuning.augmentation import Augmenter, Eda, Typos, Vocabulary, WordDropout, keep_label

    augmenter = Augmenter([WordDropout(share=0.1, copies=2), Typos(), Eda()], words=Vocabulary.of(pile))
    new = augmenter(texts, seed=13)
    new.texts, new.rows, new.kinds      # each new text, the row of its original, its kind
    keep_label(new, texts, classifier.predict_proba, least=0.6).kept

Each block of settings makes `copies` new versions of each text; blocks are not chained. A new text depends on its
original, the settings and the seed alone, and is never empty or equal to its original. Mentions, hashtags, links and
words with digits keep their spelling. Kanji, kana and hanzi are split into runs of one script. Other scripts without
spaces, such as Thai, are one word up to the next space. `augmentation_ablation` measures whether augmentation helps.
"""

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
    "Augmentation", "Augmented", "Augmenter", "BackTranslation", "Eda", "LabelCheck", "MaskedLMReplacement", "Swap",
    "Typos", "Vocabulary", "WordDropout", "check_models", "keep_label", "model_digests",
]  # fmt: skip
