"""Small BERT with random weights and a WordPiece tokenizer learnt from the pile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from nlptl.errors import ConfigError
from nlptl.inference.tokenizing import TokenRule
from nlptl.models.encoder import Encoder
from nlptl.models.origin import OWN
from nlptl.models.pooling import Pooling
from nlptl.models.pretrained import fresh_bert
from nlptl.models.transformer import Transformer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from nlptl.pretraining.encoders.objectives import Scratch

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # by id
PAD, UNK, CLS, SEP, MASK = range(len(SPECIAL))
NAMES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
MAX_LETTERS = 1_000  # entries for single characters; rarer ones, as in Chinese, become [UNK]

PileReader = Callable[[str], Iterable[Sequence[str]]]  # reads the pile in batches; its argument names the purpose


def fresh_encoder(settings: Scratch, texts: PileReader, *, seed: int) -> Encoder:
    """Return an encoder (mean pooling) with random weights and a tokenizer learnt from the pile."""
    tokenizer = learnt_tokenizer(settings, texts)
    model = fresh_bert(
        seed=seed, vocab_size=tokenizer.get_vocab_size(), type_vocab_size=1, pad_token_id=PAD,
        max_position_embeddings=settings.max_length, hidden_size=settings.dim, num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads, intermediate_size=settings.intermediate or 4 * settings.dim,
        hidden_dropout_prob=settings.dropout, attention_probs_dropout_prob=settings.dropout,
    )  # fmt: skip
    rule = TokenRule(special_tokens=True, unknown=UNK, max_length=settings.max_length)
    special = dict(zip(NAMES, SPECIAL, strict=True))
    token_model = Transformer(model, rule, special_tokens=special)
    token_model.origin = OWN
    return Encoder(tokenizer, token_model, Pooling("mean")).eval()


def learnt_tokenizer(settings: Scratch, texts: PileReader) -> Tokenizer:
    """Learn a WordPiece tokenizer (Schuster & Nakajima 2012) with BERT's normaliser and special tokens.

    Raises ConfigError if the vocabulary is too small for the pile's letters.
    """
    from tokenizers import models, trainers

    untrained = _bert_tokenizer(models.WordPiece(unk_token="[UNK]"), settings)
    letters, inner = _letters(untrained, texts("counting letters"))
    least = len(SPECIAL) + len(letters) + len(inner)
    if settings.vocabulary_size < least:
        raise ConfigError(
            f"bert: scratch.vocabulary_size: found {settings.vocabulary_size}; expected at least {least}: "
            f"{len(SPECIAL)} special tokens, the pile's {len(letters)} letters and {len(inner)} of them inside words. "
            "Raise it."
        )
    # The trainer numbers letters in hash order, different each time, and breaks ties by number: special tokens stay in order.
    trainer = trainers.WordPieceTrainer(
        vocab_size=settings.vocabulary_size, min_frequency=settings.min_frequency, show_progress=False,
        special_tokens=[*SPECIAL, *letters, *inner], initial_alphabet=letters, limit_alphabet=len(letters),
    )  # fmt: skip
    untrained.train_from_iterator(chain.from_iterable(texts("learning the tokenizer")), trainer)
    tokenizer = _bert_tokenizer(models.WordPiece(untrained.get_vocab(), unk_token="[UNK]"), settings)
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.enable_truncation(settings.max_length)
    return tokenizer


def _bert_tokenizer(model: Any, settings: Scratch) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=settings.lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", SEP), ("[CLS]", CLS))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _letters(tokenizer: Tokenizer, batches: Iterable[Sequence[str]]) -> tuple[list[str], list[str]]:
    """Return the most frequent letters, and "##" plus letter for those inside words."""
    words: Counter[str] = Counter()
    for text in chain.from_iterable(batches):
        normalized = tokenizer.normalizer.normalize_str(text)
        words.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalized))
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for letter in word:
            counts[letter] += count
    kept = sorted(counts, key=lambda letter: (-counts[letter], letter))[:MAX_LETTERS]
    inside = {letter for word in words for letter in word[1:]}
    return kept, [f"##{letter}" for letter in kept if letter in inside]
