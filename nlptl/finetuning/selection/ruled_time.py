"""What a rule has chosen, as much of it as the time allows: contrastive training with fewer steps, or the head alone."""

from __future__ import annotations

import dataclasses

from nlptl.finetuning.contrastive.contrastive_training import batch_size_for, passes_for, steps_for
from nlptl.finetuning.selection.method_choice import MethodChoice, passes_of
from nlptl.finetuning.selection.method_comparison import SelectionTask, texts_per_name

STEP_SHARES = (0.5, 0.25)  # of its own number; with fewer the head alone is as good


def ruled_within(ruled: MethodChoice, task: SelectionTask, seconds: float) -> MethodChoice:
    """Return contrastive training that a rule chose with the steps that `seconds` allow, or the head alone; both are told."""
    examples = task.examples
    count, labels = len(examples), examples.label_count
    one_pass, names = task.speed.seconds_for(examples.texts), texts_per_name(examples)
    own = steps_for(count, batch_size_for(labels), passes=passes_for(count, labels))

    def cost(steps: int) -> float:
        return one_pass * passes_of("contrastive", count, labels, names=names, steps=steps)

    if cost(own) <= seconds:
        return ruled
    left = f"{max(0.0, seconds / 60):.2g} are left"
    steps = next(
        (some for some in (max(1, round(share * own)) for share in STEP_SHARES) if cost(some) <= seconds), None
    )
    if steps is None:
        task.context.record.add_cut("contrastive was not tried")
        told = (
            f"Contrastive training would take about {cost(own) / 60:.2g} minutes and {left}, so the head alone learns."
        )
        return MethodChoice("head", told)
    task.context.record.add_cut(f"contrastive took {steps} of {own} steps")
    less = f"{cost(steps) / 60:.2g} minutes; all would take {cost(own) / 60:.2g}, and {left}"
    told = f" It takes {steps} of its {own} steps, about {less}."
    return dataclasses.replace(ruled, why=ruled.why + told, steps=steps)
