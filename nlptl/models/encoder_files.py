"""Files of an encoder's folder: how its parts are written and read, and whether what is read back computes the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn

from nlptl import artifact
from nlptl.disk.ownership import SETTINGS
from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference.file_names import POOLING, PROJECTION, TOKENIZER, WORD_VECTORS
from nlptl.inference.segmenter import checked_segmenter, segmenter_settings
from nlptl.inference.segmenting import segmenter_of, segmenting
from nlptl.inference.settings_files import EncoderSettings, read_settings
from nlptl.inference.tokenizer_files import highest_id, read_tokenizer
from nlptl.models import other_tools
from nlptl.models.origin import FILE as ORIGIN
from nlptl.models.origin import Origin
from nlptl.models.pooling import Pooling
from nlptl.models.projection import Projection
from nlptl.models.views import FILES as VIEW_FILES
from nlptl.models.views import View, read_views, write_views
from nlptl.models.word_vectors import WordVectors

if TYPE_CHECKING:
    from nlptl.models.exported_model import ExportedModel
    from nlptl.models.transformer import Transformer

    TokenModel = WordVectors | Transformer | ExportedModel

PROBES = ("A text.", "Another one, which is somewhat longer and ends here: 1, 2, 3!")  # encoded again after every save
JAPANESE_PROBE = "この映画は面白くなかったが、俳優の演技は見事だった。"  # where a segmenter cuts words
MAX_ADDED_PROBES = 8  # newest tokens added to the vocabulary, each a probe of its own
TOLERANCE = 1e-4  # between two computations of the same vectors


@dataclass(frozen=True)
class EncoderParts:
    """Parts of an encoder, as its folder holds them."""

    tokenizer: Tokenizer
    token_model: TokenModel
    pooling: Pooling
    normalized: bool
    projection: Projection | None
    kept_dim: int | None
    views: Sequence[View]

    def write(self, folder: Path) -> None:
        """Write the files into an existing folder. Raises ConfigError for an export, which is no source of others."""
        token_model = self.token_model
        if token_model.kind == "exported":
            raise ConfigError(
                "save: found the encoder of an export; expected that of a run. Copy the folder of the export, or export the "
                "run once more."
            )
        settings: dict[str, Any] = {
            "format_version": artifact.FORMAT_VERSION, "token_model": token_model.kind, "pooling": self.pooling.mode,
            "normalized": self.normalized, **token_model.settings(), **segmenter_settings(segmenter_of(self.tokenizer)),
        }  # fmt: skip
        if self.projection is not None:
            settings["projection"] = list(self.projection.activations)
            save_state(self.projection, folder / PROJECTION)
        if self.kept_dim is not None:
            settings["kept_dim"] = self.kept_dim
        if self.views:
            settings["views"] = write_views(self.views, folder)
        seen = other_tools.Parts(
            token_model, self.pooling, self.normalized, self.projection, self.kept_dim, len(self.views)
        )
        other_tools.write(seen, folder)
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        token_model.save(folder, self.tokenizer)
        if token_model.origin is not None:
            token_model.origin.write(folder)
        save_state(self.pooling, folder / POOLING)

    @classmethod
    def read(cls, folder: Path) -> EncoderParts:
        """Read the files of `write`. Raises ArtifactError if one is missing or damaged."""
        checked = read_settings(folder / SETTINGS, EncoderSettings)
        settings = checked.model_dump()
        segmenter = checked_segmenter(checked.segmenter, folder)
        tokenizer = segmenting(read_tokenizer(folder / TOKENIZER), segmenter)
        token_model = _read_token_model(folder, settings)
        token_model.origin = Origin.read(folder)
        pooling = _read_pooling(folder, settings, token_model.dim)
        _check_rows(folder, tokenizer, token_model)
        return cls(
            tokenizer, token_model, pooling, settings.get("normalized", False),
            _read_projection(folder, settings, token_model.dim), settings.get("kept_dim"),
            read_views(folder, checked.views),
        )  # fmt: skip


def file_names() -> frozenset[str]:
    """Return the names of all files that an encoder's folder may hold."""
    from nlptl.models.transformer import FILES

    return frozenset(
        {SETTINGS, TOKENIZER, POOLING, PROJECTION, WORD_VECTORS, ORIGIN, *FILES, *other_tools.FILES, *VIEW_FILES}
    )


def probe_texts(tokenizer: Tokenizer) -> list[str]:
    """Return texts whose vectors tell whether an encoder is read back as it was."""
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    cut = [] if segmenter_of(tokenizer) is None else [JAPANESE_PROBE]
    return [*PROBES, *cut, *added[-MAX_ADDED_PROBES:]]


def check_read_back(
    folder: Path, what: str, numbers: str, saved: NDArray[np.floating], again: NDArray[np.floating]
) -> None:
    """Raise ArtifactError if the vectors or probabilities of what was saved and of what was read back differ."""
    apart = float(np.abs(saved - again).max())
    if not apart <= TOLERANCE * max(1.0, float(np.abs(saved).max())):
        raise ArtifactError(
            f"{folder}: the {what} reads back with other {numbers} (by {apart:.2g}) than it was saved with; expected the "
            "same ones, so nothing was published. This is a fault of nlptl: please report it."
        )


def save_state(part: nn.Module, path: Path) -> None:
    """Write the parameters and buffers of a part into a file."""
    save_file({name: tensor.contiguous() for name, tensor in part.state_dict().items()}, path)


def _read_token_model(folder: Path, settings: dict[str, Any]) -> TokenModel:
    if settings["token_model"] == "word_vectors":
        return WordVectors.load(folder, settings)
    if settings["token_model"] == "exported":
        from nlptl.models.exported_model import ExportedModel

        return ExportedModel.load(folder, settings["rule"])
    from nlptl.models.transformer import Transformer

    return Transformer.load(folder, settings)


def _read_pooling(folder: Path, settings: dict[str, Any], dim: int) -> Pooling:
    # Cloned, since memory of another alignment would round otherwise than before saving.
    state = {name: tensor.clone() for name, tensor in artifact.read_tensors(folder / POOLING).items()}
    try:
        pooling = Pooling(settings["pooling"], **state)
        pooling.check_width(dim)
    except (TypeError, ValueError):
        raise ArtifactError(
            f"{folder / POOLING}: does not fit the pooling that {SETTINGS} describes; the folder is damaged. "
            "Run the stage again."
        ) from None
    return pooling


def _check_rows(folder: Path, tokenizer: Tokenizer, token_model: TokenModel) -> None:
    """Raise ArtifactError if a tokenizer has more words than the token model has vectors. A graph checks its own."""
    if token_model.kind == "exported":
        return
    rows = (
        len(token_model.vectors) if isinstance(token_model, WordVectors) else token_model.word_embeddings.num_embeddings
    )
    highest = highest_id(tokenizer, of_all=not isinstance(token_model, WordVectors))  # where they are few enough
    spelt = isinstance(token_model, WordVectors) and token_model.subwords is not None
    if spelt and (tokenizer.normalizer is None or tokenizer.pre_tokenizer is None):
        raise ArtifactError(
            f"{folder / TOKENIZER}: neither cleans nor splits a text; expected both, since words are spelt by n-grams. The folder "
            "is damaged. Run the stage again."
        )
    if highest >= rows:
        raise ArtifactError(
            f"{folder / TOKENIZER}: gives ids up to {highest}; expected ids below {rows}, since there are no more vectors. "
            "The folder is damaged. Run the stage again."
        )


def _read_projection(folder: Path, settings: dict[str, Any], dim: int) -> Projection | None:
    if not settings.get("projection"):
        return None
    try:
        tensors = {name: tensor.clone() for name, tensor in artifact.read_tensors(folder / PROJECTION).items()}
        projection = Projection.of(settings["projection"], tensors)
        if projection.inputs != dim:
            raise ValueError(f"{projection.inputs} inputs for {dim}")
    except ValueError:
        raise ArtifactError(
            f"{folder / PROJECTION}: does not fit the projection that {SETTINGS} describes; the folder is damaged. "
            "Run the stage again."
        ) from None
    return projection
