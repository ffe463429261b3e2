"""Word replacement by a masked LM: hide words, then predict others (Wu et al. 2019; Kumar et al. 2020).

Shapes: C versions of a text, T tokens of it, M hidden tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from nlptl.errors import ConfigError
from nlptl.finetuning.augmentation.augment_settings import MaskedLMReplacement
from nlptl.finetuning.augmentation.word_edits import count_of, in_case_of
from nlptl.inference.tokenizer_files import encoded
from nlptl.models.encoder import Encoder
from nlptl.models.foreign_encoder import pretrained_encoder
from nlptl.models.masked_lm_head import MaskedLMHead, carried_head, carries_head
from nlptl.models.packing import pack
from nlptl.models.weights import Weights, find_weights
from nlptl.models.words import SplitText, core, is_letters, is_protected, is_unspaced, placed_words

WORD_MARKS = ("##", "Ġ", "▁")  # of tokens that continue or begin a word


class WordFiller:
    """Replacement of words that are one token; others are rare and carry the topic. Of kanji, kana, hanzi: any token."""

    def __init__(self, encoder: Encoder, head: MaskedLMHead, mask_id: int, settings: MaskedLMReplacement) -> None:
        self._encoder, self._head, self._mask_id, self._settings = encoder, head, mask_id, settings
        self._surfaces, self._group = _surfaces(encoder.tokenizer, encoder.transformer.word_embeddings.num_embeddings)

    @classmethod
    def open(cls, settings: MaskedLMReplacement, *, device: torch.device, where: str) -> WordFiller:
        """Load encoder and head; ConfigError for weights without a masked-LM head or mask token."""
        weights = weights_of(settings, where=where)
        encoder = pretrained_encoder(weights.folder)
        mask = encoder.tokenizer.token_to_id(encoder.transformer.special_tokens.get("mask_token", ""))
        if mask is None:
            raise ConfigError(
                f"{where}.weights: {settings.weights}: found a tokenizer without a mask token; expected one such as [MASK]. "
                "Give weights with their own tokenizer, or choose another kind."
            )
        return cls(encoder.to(device), carried_head(weights.transformer).to(device).eval(), mask, settings)

    def __call__(self, text: str, generators: Sequence[np.random.Generator]) -> list[str]:
        """Return the text with some words replaced, once for each generator."""
        (encoding,) = encoded(self._encoder.tokenizer.encode_batch, [text])
        spans = self._spans(text, encoding)
        count = min(count_of(self._settings.share, len(spans)), len(SplitText.of(text).words) - 1)  # one word stays
        if count < 1:
            return [text] * len(generators)
        places = np.array(list(spans))
        chosen = [np.sort(generator.choice(places, size=count, replace=False)) for generator in generators]
        versions = []
        for hidden, rows, generator in zip(chosen, self._logits(encoding.ids, chosen), generators, strict=True):
            new = [self._drawn(row, encoding.ids[place], generator) for row, place in zip(rows, hidden, strict=True)]
            version = text
            for place, word in zip(hidden[::-1].tolist(), new[::-1], strict=True):
                begin, end = spans[place]
                version = version[:begin] + in_case_of(text[begin:end], word) + version[end:]
            versions.append(version)
        return versions

    def _spans(self, text: str, encoding: Encoding) -> dict[int, tuple[int, int]]:
        """Return the tokens that are words, with their spans in the text."""
        words = _word_spans(text)
        found = {}
        for place, (first, end) in enumerate(encoding.offsets):
            begin = end - len(text[first:end].lstrip())  # some tokenizers count the space before a word in
            known = not encoding.special_tokens_mask[place] and self._group[encoding.ids[place]] >= 0
            if known and ((begin, end) in words or is_unspaced(text[begin:end])):
                found[place] = (begin, end)
        return found

    @torch.inference_mode()
    def _logits(self, ids: list[int], chosen: list[NDArray[np.int64]]) -> NDArray[np.float64]:
        """Return the logits (C, M, V) of the hidden tokens in each version."""
        versions = np.tile(ids, (len(chosen), 1))
        for version, hidden in zip(versions, chosen, strict=True):
            version[hidden] = self._mask_id
        asked = torch.from_numpy(np.concatenate([hidden + row * len(ids) for row, hidden in enumerate(chosen)]))
        token_model = self._encoder.transformer
        vectors = token_model(pack(versions.tolist()).to(self._encoder.device), layer=-1)
        logits = self._head(vectors[asked.to(vectors.device)], token_model.word_embeddings.weight)
        found: NDArray[np.float64] = logits.double().cpu().numpy().reshape(len(chosen), -1, logits.shape[-1])
        return found

    def _drawn(self, logits: NDArray[np.float64], old: int, generator: np.random.Generator) -> str:
        """Draw another word for a hidden token from its logits (V,), or the old word."""
        possible = np.flatnonzero(self._group[: len(logits)] == self._group[old])
        possible = possible[possible != old]
        if not len(possible):
            return self._surfaces[old]
        likeliest = possible[np.argsort(-logits[possible], kind="stable")[: self._settings.top_k]]
        scaled = logits[likeliest] / self._settings.temperature
        weights = np.cumsum(np.exp(scaled - scaled.max()))
        drawn = int(np.searchsorted(weights, generator.random() * weights[-1], side="right"))
        return self._surfaces[int(likeliest[min(drawn, len(likeliest) - 1)])]


def weights_of(settings: MaskedLMReplacement, *, where: str) -> Weights:
    """Find the weights; ConfigError if they are missing or have no masked-LM head."""
    weights = find_weights(settings.weights, None, where=where)
    if not carries_head(weights.transformer):
        raise ConfigError(
            f"{where}.weights: {settings.weights}: found no masked-LM head; expected weights that carry one, which sentence "
            "encoders do not. Give those of a masked LM, such as google-bert/bert-base-uncased, or choose another kind."
        )
    return weights


def _surfaces(tokenizer: Tokenizer, rows: int) -> tuple[list[str], NDArray[np.int64]]:
    """Return the spelling of each token, and its group (V,) by position in the word and script; -1 is no word."""
    surfaces, group = [""] * rows, np.full(rows, -1)
    special = {token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}
    for token, number in tokenizer.get_vocab().items():
        mark = next((mark for mark in WORD_MARKS if token.startswith(mark)), "")
        surface = tokenizer.decode([number]).removeprefix("##").strip()
        if number < rows and number not in special and is_letters(surface):
            surfaces[number] = surface
            group[number] = 2 * (WORD_MARKS.index(mark) + 1 if mark else 0) + is_unspaced(surface)
    return surfaces, group


def _word_spans(text: str) -> set[tuple[int, int]]:
    """Return the spans of the words of a text, without punctuation and protected words."""
    cores = ((begin, core(word)) for begin, word in placed_words(text) if not is_protected(word))
    return {(begin + first, begin + last) for begin, (first, last) in cores if last}
