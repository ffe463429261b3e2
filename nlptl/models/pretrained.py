"""Models and adapters in the layouts of transformers and PEFT: loaded, created and saved, as safetensors only."""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nlptl.artifact import read_json, read_tensors
from nlptl.errors import ArtifactError, first_line
from nlptl.faults import shown
from nlptl.inference.settings_files import AdapterSettings, object_in, read_settings, transformers_settings
from nlptl.models.architectures import ARCHITECTURES, USUAL_PADDING, architecture_of
from nlptl.models.tensor_files import check_layers, check_model, shapes_of, weight_files
from nlptl.randomness import seeded

if TYPE_CHECKING:
    from peft import PeftModel

ADAPTER = "adapter"  # folder of an adapter in PEFT's layout, inside the folder of an encoder
ADAPTER_SETTINGS, ADAPTER_WEIGHTS = ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")  # of PEFT
_QUIET = threading.RLock()  # transformers' verbosity and Python's warning filters are the process's
LOCAL = {"local_files_only": True, "trust_remote_code": False}  # arguments of transformers' from_pretrained


def load_model(folder: Path) -> Any:
    """Load a base encoder in float32 from a folder in transformers' layout. Raises ValueError with the reason if that fails.

    No code in the folder is run. A missing weight is refused: transformers would draw it at random.
    """
    from transformers import AutoModel

    with reasons():
        refuse_adapter(folder)
        files = weight_files(folder)
        config = read_config(folder, ARCHITECTURES)
        if config.pad_token_id is None and architecture_of(config.model_type).first_position == "after_padding":
            config.pad_token_id = USUAL_PADDING
        extra = {"add_pooling_layer": False} if architecture_of(config.model_type).pooler else {}
        check_fit(AutoModel, config, files, **extra)
        with quiet():
            model, report = AutoModel.from_pretrained(
                folder, config=config, dtype=torch.float32, use_safetensors=True, ignore_mismatched_sizes=True,
                output_loading_info=True, **LOCAL, **extra,
            )  # fmt: skip
    if report["mismatched_keys"]:
        name, found, expected = min(report["mismatched_keys"])
        raise ValueError(f"{name} is {tuple(found)} where config.json asks for {tuple(expected)}")
    if missing := sorted(report["missing_keys"]):
        raise ValueError(f"{missing[0]} is missing" + (f", and {len(missing) - 1} more" if missing[1:] else ""))
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    return model.eval()


def refuse_adapter(folder: Path) -> None:
    """Raise ValueError for an adapter beside weights: transformers would load its base from wherever it names."""
    if (folder / ADAPTER_SETTINGS).exists():
        raise ValueError(f"{ADAPTER_SETTINGS} stands beside the weights, which transformers would apply to them")


def read_config(folder: Path, kinds: Collection[str]) -> Any:
    """Return transformers' settings of a model of one of these kinds. Raises ValueError for one out of its bounds.

    Only what `settings_files` knows or calls harmless reaches transformers, which otherwise could fetch and import by them.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    raw = object_in(folder / "config.json")
    kind = raw.get("model_type")
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"a model of type {shown(kind)} is not read here")
    architecture = CONFIG_MAPPING[kind]
    return architecture.from_dict(transformers_settings(raw, architecture=architecture))


def check_fit(model: Any, config: Any, files: Sequence[Path], **extra: bool) -> None:
    """Raise ValueError if settings do not fit the files of weights, before memory is taken for them.

    `model` is one of transformers' classes that make a model `from_config`.
    """
    shapes = shapes_of(files)
    check_layers(config, shapes)
    with quiet(), torch.device("meta"):
        check_model(model.from_config(config, **extra), shapes)


def fresh_bert(*, seed: int, **sizes: int | float) -> Any:
    """Return a BERT (Devlin et al. 2019) with weights drawn from `seed`; `sizes` are arguments of BertConfig."""
    from transformers import BertConfig, BertModel

    with seeded(seed, torch.device("cpu")), quiet():
        return BertModel(BertConfig(**sizes), add_pooling_layer=False).eval()


def fill(module: nn.Module, path: Path, *, what: str) -> None:
    """Load the tensors of a file into a module. Raises ArtifactError if they do not fit `what` describes it."""
    try:
        module.load_state_dict(dict(read_tensors(path)))
    except RuntimeError:
        raise ArtifactError(f"{path}: does not fit {what}; the folder is damaged. Run the stage again.") from None


def save_adapter(adapter: PeftModel, folder: Path) -> None:
    """Write an adapter in PEFT's layout, without a path of this machine, and with its sets in order."""
    with quiet():
        adapter.save_pretrained(str(folder), safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / ADAPTER_SETTINGS
    settings = read_json(path) | {"base_model_name_or_path": None}
    sets = {name: sorted(value) for name, value in settings.items() if isinstance(value, list)}
    path.write_text(json.dumps(settings | sets, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_adapter(model: Any, folder: Path) -> PeftModel:
    """Put an adapter in PEFT's layout into `model`. Raises ArtifactError if it is damaged."""
    from peft import PeftModel

    try:
        with reasons(), quiet():
            if not (folder / ADAPTER_WEIGHTS).is_file():  # else PEFT would look for a pickle
                raise ValueError(f"{ADAPTER_WEIGHTS} is missing")
            config = _lora_config(folder, model)
            return PeftModel.from_pretrained(model, str(folder), config=config, local_files_only=True).eval()
    except ValueError as error:
        raise ArtifactError(
            f"{folder}: holds no adapter that PEFT reads ({error}); the folder is damaged. Run the stage again."
        ) from None


def _lora_config(folder: Path, model: nn.Module) -> Any:
    """Return PEFT's settings of an adapter, made of the checked ones alone. Raises ValueError if its tensors do not fit."""
    from peft import LoraConfig

    found = read_settings(folder / ADAPTER_SETTINGS, AdapterSettings)
    shapes, maps = shapes_of([folder / ADAPTER_WEIGHTS]), dict(model.named_modules())
    for target in found.target_modules:  # PEFT shortens the names of many maps to their ends
        names = [name for name in maps if name == target or name.endswith(f".{target}")] or [target]
        for name in names:
            width = getattr(maps.get(name), "in_features", None)
            if shapes.get(f"base_model.model.{name}.lora_A.weight") != (found.r, width):
                raise ValueError(f"its tensors hold no adapter of rank {found.r} for {name}")
    return LoraConfig(
        r=found.r,
        lora_alpha=found.lora_alpha,  # type: ignore[arg-type]  # PEFT divides by it, whole or not
        lora_dropout=found.lora_dropout,
        target_modules=found.target_modules,
        use_rslora=found.use_rslora,
        use_dora=found.use_dora,
        inference_mode=True,
    )


@contextlib.contextmanager
def reasons() -> Iterator[None]:
    """Raise ValueError with the first line of the error by which transformers or PEFT refuses a folder."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    try:
        yield
    except (
        OSError, ValueError, LookupError, RuntimeError, ImportError, TypeError, AttributeError, ArithmeticError,
        AssertionError, SafetensorError, StrictDataclassError,
    ) as error:  # fmt: skip
        raise ValueError(first_line(error)) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' own reports and progress bars. One thread at a time is inside, for they belong to the process."""
    from transformers.utils import logging

    with _QUIET:
        yield from _silenced(logging)


def _silenced(logging: Any) -> Iterator[None]:
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
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
