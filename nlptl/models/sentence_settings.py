"""Settings of sentence-transformers in a folder of weights: which of them nlptl honours, and a refusal of all others.

Read from JSON alone, so that `check` tells what `run` would refuse.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast, get_args

from nlptl.config import load_json
from nlptl.errors import ArtifactError
from nlptl.faults import cut, shown
from nlptl.inference.settings_files import MAX_BYTES, read_object

MODULES = "modules.json"
PROMPTS = "config_sentence_transformers.json"
TRANSFORMER_SETTINGS = tuple(  # the first of these that is there
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
DENSE_WEIGHTS = "model.safetensors"
PooledBy = Literal["cls", "mean", "max"]
Activation = Literal["tanh", "identity"]
ACTIVATIONS: dict[str, Activation] = {
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.Tanh": "tanh",
    "torch.nn.Identity": "identity",
}
# What only says how fast or with which code a model runs, and what only other uses read.
HARMLESS_MODEL = {"add_pooling_layer", "attn_implementation", "torch_dtype", "dtype", "trust_remote_code", "low_cpu_mem_usage",
                  "use_memory_efficient_attention", "unpad_inputs", "use_safetensors", "revision", "device_map"}  # fmt: skip
HARMLESS_TOKENIZER = {
    "trust_remote_code",
    "use_fast",
    "padding_side",
    "padding",
    "revision",
    "clean_up_tokenization_spaces",
}
HARMLESS_TRANSFORMER = {"modality_config", "module_output_name", "method_output_name", "unpad_inputs", "backend",
                        "query_length", "document_length", "_name_or_path"}  # fmt: skip
OLD_NAMES = {"model_args": "model_kwargs", "tokenizer_args": "processor_kwargs", "config_args": "config_kwargs"}
MAX_PROMPT = 10_000  # characters
AGAIN = "Get the weights again."
MAX_DENSE = 8  # modules
MAX_MODULES = 100  # that modules.json lists
MAX_PLACE = 200  # bytes of a module's path
MAX_TEXT, MAX_JSON = 200, 80  # characters of names, and of values, in a sentence


@dataclasses.dataclass(frozen=True)
class DenseSettings:
    """A linear map after the pooling, with its activation."""

    folder: Path
    inputs: int
    outputs: int
    bias: bool
    activation: Activation


@dataclasses.dataclass(frozen=True)
class SentenceSettings:
    """What sentence-transformers does with a folder's weights, as far as it shapes vectors."""

    transformer: Path
    """Folder of config.json."""
    pooling: PooledBy = "mean"
    normalized: bool = False
    dense: tuple[DenseSettings, ...] = ()
    max_length: int | None = None
    """Tokens after which texts are cut off, whatever the tokenizer's own settings say; None leaves it to these."""
    lower_case: bool = False
    truncation_side: str | None = None
    prompts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    prompt: str = ""
    """The default prompt, which stands before every text."""
    prompt_pooled: bool = True
    kept_dim: int | None = None
    """Numbers of a vector that are kept, the first ones; None keeps all."""


def sentence_settings(folder: Path) -> SentenceSettings:
    """Read the settings of a folder; without modules.json the plain mean. Raises ArtifactError for what is not honoured."""
    found = SentenceSettings(folder)
    if (folder / MODULES).is_file():
        found = _modules(folder, found)
    _check_widths(found)
    found = _transformer(found)
    return _prompts(folder, found)


def transformer_folder(folder: Path) -> Path:
    """Return the folder of config.json: `folder`, or one below it that modules.json names. Raises ArtifactError."""
    if not (folder / MODULES).is_file():
        return folder
    first = next((place for kind, place in _listed(folder) if kind == "Transformer"), folder)
    return first if (first / "config.json").is_file() or not (folder / "config.json").is_file() else folder


def prompts_of(folder: Path) -> Mapping[str, str]:
    """Return the prompts that weights name, without empty ones."""
    return _prompts(folder, SentenceSettings(folder)).prompts


def _listed(folder: Path) -> list[tuple[str, Path]]:
    """Return kind and folder of each module of modules.json."""
    path = folder / MODULES
    try:
        modules: Any = load_json(path, most=MAX_BYTES)
        listed = [(module["type"], module["path"]) for module in modules]
        if len(listed) > MAX_MODULES or not all(isinstance(one, str) for pair in listed for one in pair):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise ArtifactError(
            f"{path}: cannot be read; expected a list of modules with type and path, as sentence-transformers writes it. "
            "Get the weights again."
        ) from None
    found = []
    for kind, place in listed:
        if not kind.startswith("sentence_transformers."):
            raise ArtifactError(
                f"{path}: found the module {_named(kind)}, whose code would come with the weights; expected only modules of "
                "sentence-transformers. Choose weights without it."
            )
        if (
            PurePosixPath(place).is_absolute()
            or ".." in PurePosixPath(place).parts
            or "\\" in place
            or not place.isprintable()
            or len(place.encode()) > MAX_PLACE
        ):
            raise ArtifactError(
                f"{path}: found the path {shown(place)}; expected one inside the folder. Get the weights again."
            )
        found.append((kind.rsplit(".", 1)[-1], folder / place))
    return found


def _modules(folder: Path, found: SentenceSettings) -> SentenceSettings:
    """Go through the modules in their order: transformer, pooling, linear maps, scaling to length 1."""
    listed, path = _listed(folder), folder / MODULES
    for kind, place in listed:
        if kind == "Transformer":
            found = dataclasses.replace(found, transformer=transformer_folder(folder))
        elif kind == "Pooling":
            pooling, pooled = _pooling(place / "config.json")
            found = dataclasses.replace(found, pooling=pooling, prompt_pooled=pooled)
        elif kind == "Dense":
            found = dataclasses.replace(found, dense=(*found.dense, _dense(place)))
        elif kind == "Normalize":
            found = dataclasses.replace(found, normalized=True)
        elif kind != "Dropout":  # drops nothing outside training
            raise ArtifactError(
                f"{path}: found the module {_named(kind)}; expected only Transformer, Pooling, Dense and Normalize. "
                "Choose weights without it."
            )
    order = [kind for kind, _ in listed if kind != "Dropout"]
    if len(found.dense) > MAX_DENSE:
        raise ArtifactError(
            f"{path}: found {len(found.dense)} Dense modules; expected at most {MAX_DENSE}. Choose other weights."
        )
    dense, normalize = order.count("Dense"), min(1, order.count("Normalize"))
    if order != [
        "Transformer",
        *["Pooling"] * min(1, order.count("Pooling")),
        *["Dense"] * dense,
        *["Normalize"] * normalize,
    ]:
        raise ArtifactError(
            f"{path}: found the modules {_named(', '.join(order))}; expected Transformer, Pooling, any Dense and one Normalize, in "
            "this order. Choose other weights."
        )
    return found


def _pooling(path: Path) -> tuple[PooledBy, bool]:
    """Return the mode of a pooling, and whether the prompt's tokens are in it."""
    settings = read_object(path, remedy=AGAIN)
    asked: list[Any] = [
        name.removeprefix("pooling_mode_") for name, wanted in settings.items()
        if name.startswith("pooling_mode_") and wanted
    ]  # fmt: skip
    if (mode := settings.get("pooling_mode")) is not None:
        asked = list(mode) if isinstance(mode, list) else [mode]
    modes = [str(name).removesuffix("_token").removesuffix("_tokens") for name in asked] or ["mean"]
    (first, *more) = modes
    if more or first not in get_args(PooledBy):
        key = "pooling_mode" if mode is not None else f"pooling_mode_{asked[-1]}"
        names = _named(", ".join(map(str, asked)))
        raise ArtifactError(
            f"{path}: {_named(key)}: found the pooling {names}; expected one of cls, mean, max. Choose other weights."
        )
    known = {"word_embedding_dimension", "embedding_dimension", "pooling_mode", "include_prompt"}
    _refuse(path, {name: value for name, value in settings.items() if not name.startswith("pooling_mode_")}, known)
    return cast("PooledBy", first), _flag(path, settings, "include_prompt", default=True)


def _dense(folder: Path) -> DenseSettings:
    """Return the settings of a linear map, which has an activation that needs no code of others."""
    path = folder / "config.json"
    settings = read_object(path, remedy=AGAIN)
    _refuse(path, settings, {"in_features", "out_features", "bias", "activation_function", "use_residual",
                             "module_input_name", "module_output_name"})  # fmt: skip
    for name, only in (("use_residual", (False,)), ("module_input_name", ("sentence_embedding",)),
                       ("module_output_name", ("sentence_embedding", None))):  # fmt: skip
        if name in settings and settings[name] not in only:
            raise _refused(path, name, settings[name], str(only[0]).lower())
    activation = settings.get("activation_function", "torch.nn.modules.activation.Tanh")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise _refused(path, "activation_function", activation, "Tanh or Identity")
    sizes = [settings.get(name) for name in ("in_features", "out_features")]
    for name, size in zip(("in_features", "out_features"), sizes, strict=True):
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise _refused(path, name, size, "a whole number from 1")
    if not (folder / DENSE_WEIGHTS).is_file():
        raise ArtifactError(
            f"{folder / DENSE_WEIGHTS}: is missing; expected the weights of this Dense module, for a pickle is never read. "
            "Load the folder with sentence-transformers where you trust it and save it again."
        )
    inputs, outputs = (int(size) for size in sizes if size is not None)
    bias = _flag(path, settings, "bias", default=True)
    return DenseSettings(folder, inputs, outputs, bias, ACTIVATIONS[activation])


def _check_widths(found: SentenceSettings) -> None:
    """Refuse a Dense module that does not take what comes before it."""
    path = found.transformer / "config.json"
    config = read_object(path, remedy=AGAIN) if found.dense and path.is_file() else {}
    width = config.get("hidden_size", config.get("dim"))
    for one in found.dense:
        if isinstance(width, int) and one.inputs != width:
            raise _refused(
                one.folder / "config.json", "in_features", one.inputs, f"{width}, the width of what comes before"
            )
        width = one.outputs


def _transformer(found: SentenceSettings) -> SentenceSettings:
    """Add what stands beside config.json."""
    path = next((file for name in TRANSFORMER_SETTINGS if (file := found.transformer / name).is_file()), None)
    if path is None:
        return found
    settings = {OLD_NAMES.get(name, name): value for name, value in read_object(path, remedy=AGAIN).items()}
    blocks = {name: settings.get(name) or {} for name in OLD_NAMES.values()}
    _refuse(path, settings, {"max_seq_length", "do_lower_case", "transformer_task", *blocks, *HARMLESS_TRANSFORMER})
    for name, block in blocks.items():
        if not isinstance(block, dict):
            raise _refused(path, name, block, "a block")
    task = settings.get("transformer_task", "feature-extraction")
    if task not in ("feature-extraction", "fill-mask"):
        raise _refused(path, "transformer_task", task, "feature-extraction")
    tokenizer = blocks["processor_kwargs"]
    _refuse(path, blocks["model_kwargs"], HARMLESS_MODEL, within="model_args.")
    _refuse(path, blocks["config_kwargs"], HARMLESS_MODEL, within="config_args.")
    _refuse(path, tokenizer, {*HARMLESS_TOKENIZER, "model_max_length", "truncation_side"}, within="tokenizer_args.")
    side = tokenizer.get("truncation_side")
    if side not in (None, "left", "right"):
        raise _refused(path, "tokenizer_args.truncation_side", side, "left or right")
    lengths = [_length(path, settings, "max_seq_length"), _length(path, tokenizer, "model_max_length")]
    return dataclasses.replace(
        found, max_length=min(filter(None, lengths), default=None), truncation_side=side,
        lower_case=_flag(path, settings, "do_lower_case", default=False),
    )  # fmt: skip


def _prompts(folder: Path, found: SentenceSettings) -> SentenceSettings:
    """Add the prompts and the numbers that are kept."""
    path = folder / PROMPTS
    if not path.is_file():
        return found
    settings = read_object(path, remedy=AGAIN)
    prompts, default, kept = (settings.get(name) for name in ("prompts", "default_prompt_name", "truncate_dim"))
    prompts = {} if prompts is None else prompts
    if not isinstance(prompts, dict) or not all(map(_is_prompt, prompts.values())):
        raise _refused(path, "prompts", prompts, f"texts of at most {MAX_PROMPT:,} characters by name")
    texts = {str(name): text for name, text in prompts.items() if text}
    if default is not None and (not isinstance(default, str) or default not in prompts):
        names = _named(", ".join(map(str, prompts))) or "no prompt"
        raise _refused(path, "default_prompt_name", default, f"one of its prompts ({names})")
    if kept is not None and (not isinstance(kept, int) or isinstance(kept, bool) or kept < 1):
        raise _refused(path, "truncate_dim", kept, "a whole number from 1, or null")
    prompt = "" if default is None else texts.get(default, "")
    return dataclasses.replace(found, prompts=texts, prompt=prompt, kept_dim=kept)


def _is_prompt(text: object) -> bool:
    """Return whether a value is a prompt: text that can be encoded, or null."""
    if text is None:
        return True
    return isinstance(text, str) and len(text) <= MAX_PROMPT and not any("\ud800" <= one <= "\udfff" for one in text)


def _length(path: Path, settings: Mapping[str, Any], name: str) -> int | None:
    value = settings.get(name)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value >= 1):
        return None if value is None else int(min(value, 10**9))
    raise _refused(path, name, value, "a whole number from 1, or null")


def _flag(path: Path, settings: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = settings.get(name, default)
    if not isinstance(value, bool):
        raise _refused(path, name, value, "true or false")
    return value


def _refuse(path: Path, settings: Mapping[str, Any], known: set[str], within: str = "") -> None:
    """Refuse the first setting that is not known and asks for something: it may shape vectors."""
    for name, value in settings.items():
        if name not in known and value not in (None, {}, []):
            raise ArtifactError(
                f"{path}: found the setting {within}{_named(name)}, which nlptl does not know and which may change "
                "vectors; expected no such setting. Remove it, or choose other weights."
            )


def _named(name: str) -> str:
    """Return a name of a file as it stands in a sentence."""
    return cut(name, most=MAX_TEXT)


def _refused(path: Path, name: str, value: object, expected: str) -> ArtifactError:
    found = cut(json.dumps(value, ensure_ascii=True, default=str), most=MAX_JSON)
    return ArtifactError(f"{path}: {name}: found {found}; expected {expected}. Choose other weights.")
