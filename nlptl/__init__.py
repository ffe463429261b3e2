"""Transfer learning for text: pretrain on unlabelled text, represent, fine-tune on a few labels.

Each name below loads its module on first use; `import nlptl` loads neither torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.data import TextData, load_data
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder
    from nlptl.runs.pipeline import Pipeline
    from nlptl.stages.bert import Bert
    from nlptl.stages.classification_head import ClassificationHead
    from nlptl.stages.distil import Distil
    from nlptl.stages.domain_adaptation import DomainAdaptation
    from nlptl.stages.finetune import FineTune
    from nlptl.stages.sentence_vectors import SentenceVectors
    from nlptl.stages.skipgram import SkipGram

__version__ = "0.1.0"
__all__ = [
    "Bert", "ClassificationHead", "Distil", "DomainAdaptation", "Encoder", "FineTune", "Pipeline", "RunContext",
    "SentenceVectors", "SkipGram", "TextClassifier", "TextData", "__version__", "load_data",
]  # fmt: skip

_MODULES = {
    "Bert": "nlptl.stages.bert",
    "ClassificationHead": "nlptl.stages.classification_head",
    "Distil": "nlptl.stages.distil",
    "DomainAdaptation": "nlptl.stages.domain_adaptation",
    "Encoder": "nlptl.models.encoder",
    "FineTune": "nlptl.stages.finetune",
    "Pipeline": "nlptl.runs.pipeline",
    "RunContext": "nlptl.context",
    "SentenceVectors": "nlptl.stages.sentence_vectors",
    "SkipGram": "nlptl.stages.skipgram",
    "TextClassifier": "nlptl.models.classifier",
    "TextData": "nlptl.data",
    "load_data": "nlptl.data",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'nlptl' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
