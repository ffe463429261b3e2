"""Which encoders may be tried: those at hand, within limits of size, licence and language."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from nlptl.config import Config
from nlptl.errors import ConfigError
from nlptl.models.known_encoders import KnownEncoder, known_encoder
from nlptl.models.origin import origin_of

if TYPE_CHECKING:
    from nlptl.models.weights import Weights

Code = Annotated[str, Field(min_length=1, max_length=60)]


class EncoderLimits(Config):
    """Limits within which one of several encoders is chosen."""

    max_milliseconds: float | None = Field(default=None, gt=0, le=1e9)
    """Most milliseconds a text may take on this machine, measured on the labelled texts. null sets no limit."""
    max_megabytes: float | None = Field(default=None, gt=0, le=1e9)
    """Most megabytes (a million bytes) the files of the weights may take. null sets no limit."""
    languages: tuple[Code, ...] = ()
    """Codes of languages that the encoder must know, such as [en, ja]. What is not known of an encoder counts as no."""
    licences: tuple[Code, ...] = ()
    """Licences that are accepted, such as [MIT, Apache-2.0]. None accepts all; an unknown licence is then accepted too."""
    offline: bool = False
    """Take only weights that are at hand, and do not ask the Hub."""
    minutes: float = Field(default=3.0, gt=0, le=1440)
    """Time budget for the choice, in minutes. Less compares the encoders on fewer texts, and skips the slowest."""


@dataclasses.dataclass(frozen=True)
class EncoderFacts:
    """Facts about weights that do not depend on the data. None or nothing where they are not known."""

    megabytes: float
    licence: str | None = None
    languages: tuple[str, ...] = ()
    year: int | None = None
    leaks: str = ""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Weights that may be chosen."""

    weights: Weights
    facts: EncoderFacts


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Weights that may be chosen, and the reason against each of the others by its name."""

    usable: tuple[Candidate, ...]
    skipped: Mapping[str, str]


def candidates_of(names: Sequence[str], limits: EncoderLimits, *, where: str) -> Candidates:
    """Find the weights that are at hand and within the limits.

    Raises ConfigError where none is left, and for weights that are here but cannot be read.
    """
    from nlptl.models.weights import NotAtHand, find_weights

    usable, skipped = list[Candidate](), dict[str, str]()
    for name in names:
        if (known := known_encoder(name)) is not None and (why := _breaches(_known_facts(known), limits)):
            skipped[name] = why  # before it is downloaded
            continue
        try:
            weights = find_weights(name, None, where=where, offline=limits.offline)
        except NotAtHand as error:
            skipped[name] = re.sub("^is ", "it is ", str(error).removeprefix(f"{where}.weights: {name}: "))
            continue
        facts = facts_of(weights)
        if why := _breaches(facts, limits):
            skipped[name] = why
        else:
            usable.append(Candidate(weights, facts))
    if not usable:
        raise ConfigError(none_left(skipped, where=where))
    return Candidates(tuple(usable), skipped)


def none_left(skipped: Mapping[str, str], *, where: str) -> str:
    """Return the sentence that no encoder is left, with the reason against each, told once."""
    names = {why: [name for name in skipped if skipped[name] == why] for why in skipped.values()}
    reasons = " ".join(f"{', '.join(some)}: {why}" for why, some in names.items())
    return (
        f"{where}.weights: found no encoder to choose of {len(skipped)}; expected one that is at hand and within `choose`. "
        f"{reasons}"
    )


def facts_of(weights: Weights) -> EncoderFacts:
    """Return what is known of weights; see `nlptl.models.origin.origin_of`."""
    from nlptl.models.tensor_files import weight_files

    megabytes = sum(path.stat().st_size for path in weight_files(weights.transformer)) / 1e6
    origin = origin_of(weights)
    if (known := known_encoder(origin.name)) is not None and origin.licence == known.licence:
        return _known_facts(known, megabytes)
    return EncoderFacts(megabytes, origin.licence or None, origin.languages, leaks=origin.leaks)


def _known_facts(known: KnownEncoder, megabytes: float | None = None) -> EncoderFacts:
    size = known.megabytes if megabytes is None else megabytes
    return EncoderFacts(size, known.licence, tuple(known.languages.split()), known.year, known.leaks)


def _breaches(facts: EncoderFacts, limits: EncoderLimits) -> str:
    """Return what the weights exceed and what to do, or nothing."""
    found = list(_each_breach(facts, limits))
    if not found:
        return ""
    remedy = found[0][1] if len(found) == 1 else "Drop these limits"
    return f"{'; '.join(breach for breach, _ in found)}. {remedy}, or leave the encoder out."


def _each_breach(facts: EncoderFacts, limits: EncoderLimits) -> Iterator[tuple[str, str]]:
    """Yield each limit that the weights exceed, and what to do about it alone."""
    if limits.max_megabytes is not None and facts.megabytes > limits.max_megabytes:
        yield (
            f"it has {facts.megabytes:,.6g} MB, and choose.max_megabytes allows {limits.max_megabytes:g}",
            "Raise that",
        )
    if limits.licences and not facts.licence:
        yield "its licence is not known, and choose.licences asks for one", "Drop that limit"
    elif limits.licences and (facts.licence or "").casefold() not in map(str.casefold, limits.licences):
        allowed = ", ".join(limits.licences)
        yield f"its licence is {facts.licence}, and choose.licences allows {allowed}", "Add it there"
    missing = ", ".join(code for code in limits.languages if code not in facts.languages)
    if missing and not facts.languages:
        yield f"its languages are not known, and choose.languages asks for {missing}", "Drop that limit"
    elif missing:
        yield f"it was not trained on {missing} of choose.languages", "Drop that there"
