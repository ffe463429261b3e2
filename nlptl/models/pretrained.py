"""Models and adapters in the layouts of transformers and PEFT: read, made and written, safetensors only."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nlptl.artifact import read_json
from nlptl.errors import ArtifactError, first_line
from nlptl.models.architectures import anatomy_of
from nlptl.randomness import seeded

if TYPE_CHECKING:
    from peft import PeftModel

ADAPTER_SETTINGS, ADAPTER_WEIGHTS = ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
"""Names of the files of an adapter, as PEFT writes them."""


def load_model(folder: Path) -> Any:
    """Load a base encoder in float32 from a folder in transformers' layout; safetensors only, no code from the folder.

    Raises ValueError with the reason for a folder that cannot be read, and for one whose weights do not fill the
    encoder: transformers would draw what is missing at random.
    """
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModel

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        extra = {"add_pooling_layer": False} if anatomy_of(config.model_type).pooler else {}
        with quiet():
            model, report = AutoModel.from_pretrained(
                folder, config=config, dtype=torch.float32, use_safetensors=True, local_files_only=True,
                trust_remote_code=False, ignore_mismatched_sizes=True, output_loading_info=True, **extra,
            )  # fmt: skip
    except (
        OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError, SafetensorError, StrictDataclassError,
    ) as error:  # fmt: skip
        raise ValueError(first_line(error)) from None
    _check_filled(report)
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    return model.eval()


def load_masked_lm(folder: Path) -> Any:
    """Load encoder and masked-LM head in float32 from a folder whose weights carry both."""
    from transformers import AutoModelForMaskedLM

    with quiet():
        return AutoModelForMaskedLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, trust_remote_code=False
        ).eval()


def fresh_bert(*, seed: int, **sizes: int | float) -> Any:
    """Return a BERT (Devlin et al. 2019) with random weights; `sizes` are named as in transformers' BertConfig.

    The caller's random state is left alone.
    """
    from transformers import BertConfig, BertModel

    with seeded(seed, torch.device("cpu")), quiet():
        return BertModel(BertConfig(**sizes), add_pooling_layer=False).eval()


def _check_filled(report: dict[str, Any]) -> None:
    """Raise ValueError when transformers' loading report names weights that are missing or of another shape."""
    if report["mismatched_keys"]:
        name, found, expected = min(report["mismatched_keys"])
        raise ValueError(f"{name} is {tuple(found)} where config.json asks for {tuple(expected)}")
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ValueError(f"{missing[0]} is missing" + (f", and {len(missing) - 1} more" if missing[1:] else ""))


def save_adapter(adapter: PeftModel, folder: Path) -> None:
    """Write an adapter as PEFT does: adapter_config.json and adapter_model.safetensors, no path of this machine in it."""
    with quiet():
        adapter.save_pretrained(str(folder), safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / ADAPTER_SETTINGS
    settings = {**read_json(path), "base_model_name_or_path": None}
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def load_adapter(model: Any, folder: Path) -> PeftModel:
    """Put an adapter of PEFT's layout into `model`; ArtifactError when it is damaged."""
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        if not (folder / ADAPTER_WEIGHTS).is_file():  # else PEFT would look for a pickle
            raise ValueError("adapter_model.safetensors is missing")
        with quiet():
            return PeftModel.from_pretrained(model, str(folder), local_files_only=True).eval()
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise ArtifactError(
            f"{folder}: holds no adapter that PEFT reads ({first_line(error)}); the folder is damaged. "
            "Run the stage again."
        ) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' own reports and bars off the terminal; what matters is told as a sentence elsewhere."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # PEFT asks transformers for a name that transformers has renamed.
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
            yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
