"""How much of the pile self-training takes within a time: encoding its texts and learning the views of its words are counted."""

from __future__ import annotations

import dataclasses

from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
from nlptl.finetuning.selection.method_comparison import SelectionTask
from nlptl.finetuning.self_training.fit import MIN_PILE, PileUse
from nlptl.finetuning.self_training.gate import PILE_TEXTS

TIMED_TEXTS = 100  # of the pile, by which its encoding is timed
PARTS = (1, 2, 4, 8, 16, 32)  # of the texts; coarse, so that the same machine comes to the same number


def pile_within(seconds: float, most: PileUse, task: SelectionTask) -> PileUse | None:
    """Return as much of `most` as fits into so many seconds; None, which is told, where nothing does.

    Fewer texts are taken first, then fewer views, for these tell more. The pile's own texts are timed: they may be much longer than
    the labelled ones, and cut off at `max_length`.
    """
    context, unlabelled = task.context, task.examples.unlabelled
    texts = task.examples.draw_unlabelled(TIMED_TEXTS, context.generator("pile"))
    if unlabelled is None or not texts:
        return most  # which says that there is no text
    speed = EncodingSpeed(task.given, texts, context.checkpoints("encoding-speed-of-the-pile"))
    a_text, characters = speed.seconds_for(texts) / len(texts), sum(map(len, texts)) / len(texts)

    def cost(use: PileUse) -> float:
        learnt = () if task.given.encoder.joined_views else use.views
        whole, some = round(characters * len(unlabelled)), round(characters * use.texts)
        compared = min(PILE_TEXTS, use.texts)
        return a_text * (use.texts + compared) + sum(view.seconds(pile=whole, sample=some) for view in learnt)

    size = min(most.texts, len(unlabelled))
    uses = [
        dataclasses.replace(most, texts=size // parts, views=most.views[first:])
        for first in range(len(most.views) + 1)
        for parts in PARTS
        if size // parts >= MIN_PILE or parts == 1
    ]
    found = next((use for use in uses if cost(use) <= seconds), None)
    if found is not None and found.texts < size:
        context.record.add_cut(f"{found.texts:,} of {size:,} texts of the pile were used")
    if found is not None and len(found.views) < len(most.views):
        context.record.add_cut(f"the pile was seen by {1 + len(found.views)} of {1 + len(most.views)} views")
    if found is None:
        context.record.add_cut("the pile was not tried")
        least = min(map(cost, uses))
        told = f"it would take about {least / 60:.2g} minutes, {max(0.0, seconds / 60):.2g} are left"
        context.record.add_finding("pile", {"used": "nothing"}, f"The pile is not tried: {told}.", warns=True)
    return found
