"""What settings files from outside may hold, with bounds; tokenizer_files and sentence_settings list what theirs may.

Files come with weights and artifacts that anybody may have written. What stands here reaches a library; nothing else does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, model_validator

from nlptl.artifact import FORMAT_VERSION
from nlptl.config import Config, load_json, parse
from nlptl.errors import ArtifactError, ConfigError, first_line
from nlptl.faults import cut, shown
from nlptl.inference.segmenter import Segmenter, WordCutter
from nlptl.inference.spelling import Spelling

MAX_BYTES = 64 * 2**20  # of a settings file; those of real weights have some kilobytes
MAX_TOKENIZER_BYTES = 512 * 2**20  # of a tokenizer's file, which holds the vocabulary
MAX_LAYERS, MAX_DIM, MAX_VOCABULARY, MAX_LENGTH, MAX_LABELS = 512, 16_384, 16_777_216, 1_000_000, 100_000
MAX_VIEWS, MAX_NGRAM = 8, 20

S = TypeVar("S", bound=Config)
SEPARATOR = "|"  # between the labels of a text, where the data have none
TokenId = Annotated[int, Field(ge=0, lt=MAX_VOCABULARY)]
Layer = Annotated[int, Field(ge=0, le=MAX_LAYERS)]
Text = Annotated[str, Field(max_length=10_000)]


class SettingsFile(Config):
    """Content of a settings file: no number for a text, no `true` for a number."""

    model_config = ConfigDict(strict=True)


class TokenRuleSettings(SettingsFile):
    """`rule` of encoder.json: how texts are tokenised. Files call the maximum length `longest`."""

    special_tokens: bool = False
    drop: TokenId | None = None
    unknown: TokenId | None = None
    longest: Annotated[int, Field(ge=1, le=MAX_LENGTH)] | None = None
    sentence_start: TokenId | None = None
    prompt: Text = ""
    skipped: int = Field(default=0, ge=0, le=MAX_LENGTH)


class BottleneckSettings(SettingsFile):
    """`bottlenecks` of encoder.json."""

    width: int = Field(ge=1, le=4096)
    layers: list[Annotated[int, Field(ge=1, le=MAX_LAYERS)]] = Field(max_length=MAX_LAYERS)


class WordTermsSettings(SettingsFile):
    """One of `views` in encoder.json: words."""

    terms: Literal["words"]
    segmenter: Segmenter | None = None


NgramLengths = Annotated[list[Annotated[int, Field(ge=1, le=MAX_NGRAM)]], Field(min_length=2, max_length=2)]


class NgramTermsSettings(SettingsFile):
    """One of `views` in encoder.json: word and character n-grams, of the least and the most length."""

    terms: Literal["ngrams"]
    words: NgramLengths | None = None
    characters: NgramLengths | None = None
    segmenter: Segmenter | None = None

    @model_validator(mode="after")
    def _lengths_in_order(self) -> NgramTermsSettings:
        given = [lengths for lengths in (self.words, self.characters) if lengths]
        if not given or any(least > most for least, most in given):
            raise ValueError("found n-grams without lengths in ascending order; expected the least and the most")
        return self


ViewSettings = Annotated[WordTermsSettings | NgramTermsSettings, Field(discriminator="terms")]


class NgramVocabulary(SettingsFile):
    """File of a view: its n-grams in the order of their rows."""

    words: list[str] = Field(default_factory=list, max_length=MAX_VOCABULARY)
    characters: list[str] = Field(default_factory=list, max_length=MAX_VOCABULARY)


class EncoderSettings(SettingsFile):
    """encoder.json of an artifact."""

    format_version: Literal[FORMAT_VERSION] = FORMAT_VERSION  # type: ignore[valid-type]
    token_model: Literal["word_vectors", "transformer", "exported"]
    pooling: Literal["mean", "max", "tfidf", "sif", "cls", "attention"]
    normalized: bool = False
    projection: list[Literal["tanh", "identity"]] = Field(default_factory=list, max_length=8)
    kept_dim: int | None = Field(default=None, ge=1, le=MAX_DIM)
    views: list[ViewSettings] = Field(default_factory=list, max_length=MAX_VIEWS)
    subwords: Spelling | None = None  # from here on word vectors
    segmenter: Annotated[WordCutter, Field(discriminator="name")] | None = None
    layer: Layer | Literal["mean"] | None = None  # from here on transformers
    attention: Text | None = None
    special_tokens: dict[
        Annotated[str, Field(pattern=r"^[a-z]{1,20}_token$")], Annotated[str, Field(max_length=1000)]
    ] = Field(default_factory=dict, max_length=100)
    rule: TokenRuleSettings | None = None
    bottlenecks: BottleneckSettings | None = None

    @property
    def cut_by(self) -> tuple[WordCutter, ...]:
        """What cuts texts into words, for the token model and for each view."""
        found = (self.segmenter, *(view.segmenter for view in self.views))
        return tuple(one for one in found if one is not None)

    @model_validator(mode="after")
    def _transformers_have_a_rule(self) -> EncoderSettings:
        if self.token_model == "transformer" and (self.rule is None or self.layer is None):
            raise ValueError("found a transformer without layer and rule; expected both")
        return self


class HeadSettings(SettingsFile):
    """`head` of classifier.json."""

    dim: int = Field(ge=1, le=4 * MAX_DIM)
    labels: int = Field(ge=1, le=MAX_LABELS)
    hidden: int = Field(default=0, ge=0, le=65_536)
    activation: Literal["sigmoid", "gelu"] = "gelu"
    dropout: float = Field(default=0.0, ge=0, lt=1)
    trained: bool = False
    thresholds: list[Annotated[float, Field(ge=0, le=1)]] | None = None

    @model_validator(mode="after")
    def _one_threshold_a_label(self) -> HeadSettings:
        if self.thresholds is not None and len(self.thresholds) != self.labels:
            raise ValueError(f"found {len(self.thresholds)} thresholds for {self.labels} labels; expected one each")
        return self


def head_shapes(head: HeadSettings) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors of a head, without making it."""
    below = {"layers.0.weight": (head.hidden, head.dim), "layers.0.bias": (head.hidden,)} if head.hidden else {}
    last = f"layers.{3 if head.hidden else 1}"
    return {
        "centre": (head.dim,),
        "scale": (),
        **below,
        f"{last}.weight": (head.labels, head.hidden or head.dim),
        f"{last}.bias": (head.labels,),
    }


class ClassifierSettings(SettingsFile):
    """classifier.json of an artifact."""

    labels: list[Annotated[str, Field(min_length=1, max_length=10_000)]] = Field(min_length=1, max_length=MAX_LABELS)
    head: HeadSettings
    separator: str = Field(default=SEPARATOR, min_length=1, max_length=10)

    @model_validator(mode="after")
    def _one_label_an_output(self) -> ClassifierSettings:
        if len(self.labels) != self.head.labels:
            raise ValueError(f"found {len(self.labels)} labels for {self.head.labels} outputs; expected one label each")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("found a label twice; expected distinct ones")
        return self


# PEFT imports and builds what its other settings name, so these must stand as PEFT writes them where nothing is asked for.
UNUSED_LORA = {
    **dict.fromkeys((
        "alora_invocation_tokens", "arrow_config", "corda_config", "eva_config", "exclude_modules", "kasa_config",
        "layer_replication", "layers_pattern", "layers_to_transform", "lora_ga_config", "megatron_config",
        "modules_to_save", "monteclora_config", "revision", "target_parameters", "task_type", "trainable_token_indices",
        "use_bdlora", "velora_config", "base_model_name_or_path", "peft_version", "auto_mapping",
    )),
    **dict.fromkeys(("ensure_weight_tying", "fan_in_fan_out", "lora_bias", "use_qalora"), False),
    **{"alpha_pattern": {}, "loftq_config": {}, "rank_pattern": {}},
    **{"bias": "none", "init_lora_weights": True, "megatron_core": "megatron.core", "qalora_group_size": 16},
    "inference_mode": True,
}  # fmt: skip


class AdapterSettings(SettingsFile):
    """adapter_config.json of an artifact: a LoRA adapter of `save_adapter`, whose maps are named in full."""

    peft_type: Literal["LORA"]
    r: int = Field(ge=1, le=1024)
    lora_alpha: int | float = Field(gt=0, le=1e6)  # whole ones stay so
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]{1,200}$")]] = Field(
        min_length=1, max_length=10_000
    )
    use_rslora: bool = False
    use_dora: bool = False

    @model_validator(mode="before")
    @classmethod
    def _nothing_else(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        for name in UNUSED_LORA.keys() & raw.keys():
            if not _stands_unused(name, raw[name]):
                raise ValueError(f"found {name}: {shown(raw[name])}; expected {shown(UNUSED_LORA[name])}")
        return {name: value for name, value in raw.items() if name not in UNUSED_LORA}


def _stands_unused(name: str, value: object) -> bool:
    """Return whether a setting of LoRA asks for nothing, or only says where the adapter came from."""
    if name in ("peft_version", "base_model_name_or_path"):  # nothing reads them
        return value is None or (isinstance(value, str) and len(value) < MAX_NAME)
    if name == "auto_mapping" and isinstance(value, dict):
        module, model = value.get("parent_library"), value.get("base_model_class")
        known = re.fullmatch(r"transformers\.models\.(\w+)\.modeling_\1", str(module)) and str(model).isidentifier()
        return value.keys() == {"parent_library", "base_model_class"} and bool(known)
    return type(value) is type(UNUSED_LORA[name]) and value == UNUSED_LORA[name]


# config.json of transformers: bounds of what shapes a model, by all names that the architectures use.
SIZES = {
    **dict.fromkeys(("num_hidden_layers", "n_layers", "num_layers", "encoder_layers", "decoder_layers"), (0, MAX_LAYERS)),
    **dict.fromkeys(("num_attention_heads", "n_heads", "num_heads", "encoder_attention_heads"), (1, 1024)),
    **dict.fromkeys(("hidden_size", "dim", "d_model", "embedding_size", "d_kv"), (1, MAX_DIM)),
    **dict.fromkeys(("intermediate_size", "hidden_dim", "d_ff", "encoder_ffn_dim"), (1, 8 * MAX_DIM)),
    **dict.fromkeys(("decoder_attention_heads", "num_decoder_layers"), (1, 1024)),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "local_attention", "sliding_window"), (1, MAX_LENGTH)),
    **dict.fromkeys(("pad_token_id", "bos_token_id", "cls_token_id", "sep_token_id"), (-1, MAX_VOCABULARY)),
    "vocab_size": (1, MAX_VOCABULARY), "type_vocab_size": (0, 10_000), "num_labels": (0, MAX_LABELS),
    "decoder_ffn_dim": (1, 8 * MAX_DIM), "global_attn_every_n_layers": (1, MAX_LAYERS),
    "relative_attention_num_buckets": (1, 10_000), "chunk_size_feed_forward": (0, MAX_LENGTH),
}  # fmt: skip
NULLABLE = (
    "pad_token_id",
    "bos_token_id",
    "cls_token_id",
    "sep_token_id",
    "sliding_window",
    "num_labels",
    "num_decoder_layers",
)
RATES = {
    **dict.fromkeys((
        "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "embedding_dropout",
        "mlp_dropout", "dropout_rate", "activation_dropout",
    ), (0.0, 1.0)),
    **dict.fromkeys(("layer_norm_eps", "norm_eps", "layer_norm_epsilon"), (0.0, 1.0)),
    **dict.fromkeys(("initializer_range", "initializer_cutoff_factor", "init_std"), (0.0, 1000.0)),
}  # fmt: skip
ONLY: dict[str, tuple[object, ...]] = {  # values of which transformers or nlptl reads no other
    "position_embedding_type": ("absolute", None),
    "dtype": ("float32", "float16", "bfloat16", "float64", None),
    "torch_dtype": ("float32", "float16", "bfloat16", "float64", None),
    "is_decoder": (False, None), "add_cross_attention": (False, None), "pruned_heads": ({}, None),
    **dict.fromkeys(
        ("attn_implementation", "_attn_implementation", "_attn_implementation_internal"),
        ("eager", "sdpa", "flash_attention_2", None),
    ),
    **dict.fromkeys(("quantization_config", "per_layer_config"), ({}, None)),
}  # fmt: skip
ONLY_OF: dict[str, dict[str, tuple[object, ...]]] = {  # other values, by model_type, where nothing reads them
    "modernbert": {"position_embedding_type": ("absolute", "sans_pos", None)},
}
# Code that `auto_map` names is never run, so weights that need it miss tensors, and others are read without it.
NEVER_PASSED = (
    "attn_implementation",
    "quantization_config",
    "auto_map",
    "custom_pipelines",
    "per_layer_config",
    "pruned_heads",
)
ROPE = ("rope_parameters", "rope_scaling")
NAMED = {"architectures": list, "layer_types": list, "id2label": dict, "label2id": dict, "task_specific_params": dict,
         **dict.fromkeys(ROPE, dict)}  # fmt: skip
MAX_NAME = 1000  # characters
DAMAGED = "The folder is damaged or of another version. Run the stage again."
MAX_SCALAR = 1e15  # of a number that nothing above bounds


def read_settings(path: Path, model: type[S], *, remedy: str = DAMAGED) -> S:
    """Read a settings file of nlptl's own layout. Raises ArtifactError with the first fault."""
    try:
        return parse(model, read_object(path, remedy=remedy), where=str(path))
    except ConfigError as error:
        raise ArtifactError(f"{error.faults[0]} {remedy}") from None


def read_object(path: Path, *, remedy: str, most: int = MAX_BYTES) -> dict[str, Any]:
    """Read a JSON object of bounded size. Raises ArtifactError if it is none."""
    try:
        return object_in(path, most=most)
    except ValueError as error:
        raise ArtifactError(f"{path.parent / str(error)}; expected settings as a JSON object. {remedy}") from None


def object_in(path: Path, *, most: int = MAX_BYTES) -> dict[str, Any]:
    """Read a JSON object of bounded size. Raises ValueError with the file's name and the reason."""
    try:
        found = load_json(path, most=most)
    except FileNotFoundError:
        raise ValueError(f"{path.name}: is missing") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name}: cannot be read ({first_line(error)})") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.name}: is {shown(found)}")
    return found


def transformers_settings(raw: Mapping[str, Any], *, architecture: type) -> dict[str, Any]:
    """Return what of config.json may reach the class `architecture`. Raises ValueError with the first fault.

    Numbers, texts and truth values that nothing here knows are passed on, as real settings hold many; lists and blocks are not.
    """
    check_transformers_settings(raw)
    fields = {name for one in architecture.__mro__ for name in getattr(one, "__annotations__", ())}
    return {
        name: value
        for name, value in raw.items()
        if name not in NEVER_PASSED
        and name.isidentifier()
        and not name.startswith("_")
        and (name in NAMED or not isinstance(value, list | dict))
        and (name in fields or not hasattr(architecture, name))
    }


def check_transformers_settings(raw: Mapping[str, Any]) -> None:
    """Raise ValueError with the first setting of config.json that is out of its bounds."""
    only = ONLY | ONLY_OF.get(str(raw.get("model_type")), {})
    for name, value in raw.items():
        _check_setting(name, value, only)
    _check_heads(raw)


def check_generation(raw: Mapping[str, Any]) -> None:
    """Raise ValueError for settings of generation_config.json that are more than numbers and ids, which need no other code."""
    for name, value in raw.items():
        if isinstance(value, dict) or (
            isinstance(value, str) and name not in ("transformers_version", "early_stopping")
        ):
            raise ValueError(
                f"generation_config.json: {cut(name)} is {shown(value)}, but must be a number or a list of token ids"
            )
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, int | float) and not isinstance(one, bool):
                _check_number(name, one, (-MAX_VOCABULARY, MAX_VOCABULARY), float)


def _check_setting(name: str, value: object, only: Mapping[str, tuple[object, ...]]) -> None:
    """Raise ValueError for a setting of config.json out of its bounds."""
    if name in only and not any(value == one and type(value) is type(one) for one in only[name]):
        options = ", ".join(dict.fromkeys("null" if one is None else str(one) for one in only[name] if one != {}))
        raise ValueError(
            f"{name} is {shown(value)}, but must be {options or 'absent'}, since nothing else is read or run"
        )
    if name in SIZES and not (value is None and name in NULLABLE):
        _check_number(name, value, SIZES[name], int)
    elif name in RATES:
        _check_number(name, value, RATES[name], float)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _check_number(name, value, (-MAX_SCALAR, MAX_SCALAR), float)
    if name in NAMED and value is not None and not isinstance(value, NAMED[name]):
        raise ValueError(f"{name} is {shown(value)}, but must be a {'list' if NAMED[name] is list else 'block'}")
    if name in NAMED and len(value or ()) > MAX_LABELS:  # type: ignore[arg-type]
        raise ValueError(f"{name} has {len(value)} items, but must have at most {MAX_LABELS}")  # type: ignore[arg-type]
    if name in ROPE and isinstance(value, dict):
        for inner, part in value.items():
            for key, number in part.items() if isinstance(part, dict) else [(inner, part)]:
                _check_setting(key, number, only)
    if name in ("architectures", "layer_types") and not all(isinstance(one, str) for one in value or ()):  # type: ignore[attr-defined]
        raise ValueError(f"{name} is {shown(value)}, but must be a list of names")


def _check_number(name: str, value: object, bounds: tuple[float, float], kind: type) -> None:
    least, most = bounds
    of_kind = isinstance(value, int) if kind is int else isinstance(value, int | float)
    if not of_kind or isinstance(value, bool) or not least <= value <= most or not math.isfinite(value):  # type: ignore[operator,arg-type]
        number = "a whole number" if kind is int else "a number"
        raise ValueError(f"{cut(name)} is {shown(value)}, but must be {number} from {least:,} to {most:,}")


def _check_heads(raw: Mapping[str, Any]) -> None:
    """Raise ValueError unless the attention heads share the width, and the padding has a row of the embeddings."""
    for width, heads in (("hidden_size", "num_attention_heads"), ("dim", "n_heads")):
        if width in raw and heads in raw and raw[width] % raw[heads]:
            raise ValueError(f"{heads} is {raw[heads]}, but must divide {width}, which is {raw[width]}")
    padding, rows = raw.get("pad_token_id"), raw.get("vocab_size")
    if padding is not None and rows is not None and padding >= rows:
        raise ValueError(f"pad_token_id is {padding}, but must be below vocab_size, which is {rows}")
