"""Changes between the texts of before and new ones: inputs, labels, words, languages, and which of them chance does not explain.

Shapes: n texts of before, m new texts, K labels, D dimension.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.data.languages import sure_language
from nlptl.evaluation.drift import FOLDS, MixShift, RateShift, holm, mix_shift, rate_shift, vector_shift
from nlptl.evaluation.intervals import Estimate
from nlptl.evaluation.word_ageing import AgedWord, Words, aged_words, frequent_of, new_words, unseen_rates
from nlptl.pretraining.encoders.vocabulary import FRAGMENTED_WORD_PIECES, examined_words
from nlptl.runs.monitoring.outcome import MIN_TEXTS, Cause, InputResult, MixResult, RateResult, WordResult
from nlptl.runs.monitoring.reference import Reference

if TYPE_CHECKING:
    from nlptl.inference.abstention.known_texts import KnownTexts
    from nlptl.models.encoder import Encoder

LEVEL = 0.05  # probability of naming a cause where nothing has changed, for all causes together
MAX_WORDS = 10  # of each kind, that are kept with examples
MAX_EXAMPLE = 200  # characters of an example that are kept

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Changes:
    """What differs between the texts of before and the new ones."""

    inputs: InputResult | None = None
    label_mix: MixResult | None = None
    languages: MixResult | None = None
    unseen: RateResult | None = None
    cut: RateResult | None = None
    new_words: tuple[WordResult, ...] = ()
    cut_words: tuple[WordResult, ...] = ()
    new_words_p: float = 1.0

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Changes that chance does not explain, all of them together at LEVEL (Holm 1979)."""
        words = min(1.0, 2 * min(self.new_words_p, 1.0 if self.unseen is None else self.unseen.p_value))
        found: dict[Cause, float] = {
            "inputs": _p(self.inputs), "label mix": _p(self.label_mix), "new words": words, "cut words": _p(self.cut),
            "languages": _p(self.languages),
        }  # fmt: skip
        shown = holm([*found.values()], level=LEVEL)
        return tuple(cause for cause, is_shown in zip(found, shown, strict=True) if is_shown)


def changes_of(
    reference: Reference, texts: Sequence[str], labels: Sequence[str], encoder: Encoder, inputs: InputResult | None, *,
    seed: int,
) -> Changes:  # fmt: skip
    """Compare m new texts and the labels that are predicted for them with the reference; `inputs` were compared before."""
    answers = reference.answers
    enough = answers is not None and min(len(labels), len(answers.labels)) >= MIN_TEXTS
    mix = _mix(mix_shift(answers.labels, labels, seed=seed)) if answers is not None and enough else None
    if min(len(reference.texts), len(texts)) < MIN_TEXTS:
        return Changes(inputs=inputs, label_mix=mix)
    before, new = (Words.of(side, encoder.word_cutter) for side in (reference.texts, texts))
    known: Counter[str] = Words.of(reference.pile, encoder.word_cutter).holders() if reference.pile else Counter()
    fresh = new_words(before, new, known, others=len(reference.pile))
    pieces = _pieces(encoder, before.counts() + new.counts())
    cut = {word for word, count in pieces.items() if count == 0 or count >= FRAGMENTED_WORD_PIECES}
    rising = [one for one in aged_words(frequent_of(cut, new), before, new) if one.share > one.share_before]
    return Changes(
        inputs=inputs,
        label_mix=mix,
        languages=_languages(reference.texts, texts, seed=seed),
        unseen=_rate(rate_shift(*unseen_rates(before, new, known), seed=seed)),
        cut=_rate(rate_shift(before.rates(cut.__contains__), new.rates(cut.__contains__), seed=seed)),
        new_words=_told(fresh.words, texts, pieces),
        cut_words=_told(rising, texts, pieces),
        new_words_p=fresh.p_value,
    )


def inputs_by_vectors(before: Floats, new: Floats, *, seed: int) -> InputResult | None:
    """Compare new vectors (m, D) with those of before (n, D); None where one side is too small."""
    if min(len(before), len(new)) < max(MIN_TEXTS, FOLDS):
        return None
    found = vector_shift(before, new, seed=seed)
    return InputResult(texts=len(before), auc=_plain(found.auc), unlike=None, p_value=found.p_value)


def inputs_by_look(known: KnownTexts | None, texts: Sequence[str], vectors: Floats) -> InputResult | None:
    """Count the new texts, with vectors (m, D), that are less like known texts than 95 in 100 of these. None where unknown."""
    from scipy.stats import binom

    from nlptl.inference.abstention.known_texts import FALSE_REJECTIONS

    if known is None or known.count < 1 / FALSE_REJECTIONS * FOLDS or len(texts) < MIN_TEXTS:
        return None
    unlike = int((known.novelty(texts, vectors[:, : known.dim]) > 1).sum())
    expected = FALSE_REJECTIONS + 2 * (FALSE_REJECTIONS * (1 - FALSE_REJECTIONS) / known.count) ** 0.5
    p_value = float(binom.sf(unlike - 1, len(texts), expected))  # the threshold itself was found on few texts
    return InputResult(texts=0, auc=None, unlike=unlike / len(texts), p_value=p_value)


def _languages(before: Sequence[str], new: Sequence[str], *, seed: int) -> MixResult | None:
    """Compare the languages of the texts in which one is sure.

    Texts of the usual script in which none is sure say nothing: short ones are, whatever their language.
    """
    found = [[one for text in texts if (one := sure_language(text)) is not None] for texts in (before, new)]
    usual = Counter(one.script for one in found[0]).most_common(1)[0][0] if found[0] else None
    sides = [[one.name for one in side if one.code is not None or one.script != usual] for side in found]
    if min(map(len, sides)) < MIN_TEXTS or len({*sides[0], *sides[1]}) < 2:
        return None
    return _mix(mix_shift(*sides, seed=seed))


def _pieces(encoder: Encoder, counts: Counter[str]) -> dict[str, int]:
    """Return into how many pieces the tokenizer cuts each word; 0 for one with an unknown part."""
    return {word.text: 0 if word.unknown else len(word.word_pieces) for word in examined_words(encoder, counts)}


def _told(words: Sequence[AgedWord], texts: Sequence[str], pieces: dict[str, int]) -> tuple[WordResult, ...]:
    return tuple(
        WordResult(
            word=one.word, pieces=pieces.get(one.word, 1), texts=one.texts, share=one.share, share_before=one.share_before,
            examples=tuple(texts[place][:MAX_EXAMPLE] for place in one.places),
        )
        for one in words[:MAX_WORDS]
    )  # fmt: skip


def _mix(found: MixShift) -> MixResult:
    return MixResult(**dataclasses.asdict(found))


def _rate(found: RateShift | None) -> RateResult | None:
    if found is None:
        return None
    return RateResult(then=found.then, now=found.now, difference=_plain(found.difference), p_value=found.p_value)


def _plain(found: Estimate) -> Estimate:
    return Estimate(found.value, found.low, found.high, found.level)


def _p(found: InputResult | MixResult | RateResult | None) -> float:
    return 1.0 if found is None else found.p_value
