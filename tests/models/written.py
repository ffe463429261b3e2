"""Artifacts of every kind, written by a process of its own: `python -m tests.models.written FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.domain_adaptation import DomainAdaptation
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from tests.conftest import small_reviews
from tests.models.tiny import tiny_encoder


def write_all(folder: Path) -> None:
    """Save word vectors with n-grams and phrases, a transformer, and classifiers with LoRA and with bottleneck adapters."""
    torch.set_num_threads(1)
    labelled, pile = small_reviews(12), small_reviews(40, start=100)
    data = TextData(labelled=labelled, unlabelled=pile[0], source=small_reviews(16, start=300))
    context = RunContext(seed=7, device="cpu")
    words = SkipGram(dim=4, min_count=1, epochs=1, subwords={"buckets": 50}, phrases={"min_count": 2, "threshold": 0.1})
    vectors = SentenceVectors(pooling="sif").run(words.run(data=data, context=context), data=data, context=context)
    vectors.save(folder / "words")
    FineTune(update={"method": "head"}).run(
        ClassificationHead().run(vectors, data=data, context=context), data=data, context=context
    ).save(folder / "classifier over words")
    head = ClassificationHead().run(tiny_encoder("bert"), data=data, context=context)
    head.encoder.save(folder / "transformer")
    lora = FineTune(update={"method": "lora", "rank": 2, "epochs": 1, "l2": 0.1})
    lora.run(head, data=data, context=context).save(folder / "lora")
    adapters = DomainAdaptation(adapt={"method": "adapters", "epochs": 1}, l2=0.1, folds=2)
    adapters.run(head, data=data, context=context).save(folder / "bottlenecks")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
