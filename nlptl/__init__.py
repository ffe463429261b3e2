"""Transfer learning for text: pretrain on a pile, represent, fine-tune on a few labels.

The names below load on first use; `import nlptl` itself loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder
    from nlptl.runs.pipeline import Pipeline

__version__ = "0.1.0"
__all__ = ["Encoder", "Pipeline", "TextClassifier", "__version__"]

_HOMES = {
    "Encoder": "nlptl.models.encoder",
    "Pipeline": "nlptl.runs.pipeline",
    "TextClassifier": "nlptl.models.classifier",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'nlptl' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
