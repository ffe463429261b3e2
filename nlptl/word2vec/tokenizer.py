"""Old name of `nlptl.pretraining.word2vec.tokenizer`."""

from nlptl.pretraining.word2vec.tokenizer import TextSettings, untrained_tokenizer, words_of

__all__ = ["TextSettings", "untrained_tokenizer", "words_of"]
