"""The tagged union under `update:` of the stage finetune. A new method is one line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nlptl.finetuning.methods.auto import Auto
from nlptl.finetuning.methods.contrastive import Contrastive
from nlptl.finetuning.methods.head import HeadOnly
from nlptl.finetuning.methods.layers import Full, Partial
from nlptl.finetuning.methods.lora import Lora
from nlptl.finetuning.methods.self_training import SelfTraining
from nlptl.finetuning.methods.words import Words

AnyMethod = Annotated[
    HeadOnly | Partial | Full | Lora | Contrastive | SelfTraining | Words | Auto, Field(discriminator="method")
]
