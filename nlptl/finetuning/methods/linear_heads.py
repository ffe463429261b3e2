"""Updates that fit a linear head: a hidden layer under one is refused before anything trains, where that can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlptl.errors import ConfigError
from nlptl.finetuning.methods.union import Auto, Contrastive, Head, Update

if TYPE_CHECKING:
    from nlptl.data import TextData


def check_hidden(update: Update, hidden: int, data: TextData | None, *, layers: bool, where: str) -> None:
    """Raise ConfigError for an update that will refuse a head with a hidden layer of `hidden` units.

    `data` are those that it learns from, None where they are not known yet; auto hangs on them, and on whether the
    encoder is known to have `layers` that can move. In doubt nothing is refused, the update does that when it runs.
    """
    told = _told(update)
    if not hidden or told is None or (data is not None and data.labelled is None):
        return
    if isinstance(update, Auto) and (data is None or not layers or _head_alone(data)):
        return
    raise ConfigError(
        f"{where}.update: found {told} over a head with a hidden layer of {hidden} units; it fits a linear head. Set "
        "hidden: 0 in classification_head, or choose another update."
    )


def _told(update: Update) -> str | None:
    """Return an update in words; None for one that trains any head."""
    if isinstance(update, Head):
        return None if update.solver == "iterative" else f"head with solver {update.solver}"
    return update.method if isinstance(update, Contrastive | Auto) else None


def _head_alone(data: TextData) -> bool:
    """Return whether auto trains the head alone on these data, which may then be of any kind."""
    from nlptl.data.label_sentences import label_sentences
    from nlptl.finetuning.selection.method_choice import Situation, by_rule

    assert data.labelled is not None
    known = data.label_set.names
    speak = len(label_sentences(known, data.label_names)) > 0
    ruled = by_rule(Situation.of(data.labelled.labels(), known, word_vectors=False, names_speak=speak))
    return ruled is not None and ruled.method == "head"
