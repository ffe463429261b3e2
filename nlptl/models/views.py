"""Views: linear vectors of a text by its words or n-grams, which an encoder joins to its own.

Shapes: B texts, T terms, R width of a view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nlptl.artifact import read_tensors
from nlptl.errors import ArtifactError, first_line
from nlptl.inference.file_names import VIEW_TABLES, VIEW_TERMS
from nlptl.inference.settings_files import ViewSettings
from nlptl.models.view_terms import NgramTerms, WordTerms, load_terms

TEXTS_AT_ONCE = 1_000  # whose weights are in memory together
FILES = frozenset(VIEW_TABLES + VIEW_TERMS)


class View(nn.Module):
    """vector(text) = weights(text) @ table - centre, where `terms` gives the weights (T,) of a text.

    A text without known terms has the vector zero, which is the mean of the pile.
    Its numbers never learn, and stay on the CPU in float32 wherever the encoder goes: the weights are sparse and made there.
    """

    table: Tensor
    centre: Tensor

    def __init__(self, terms: WordTerms | NgramTerms, table: Tensor, centre: Tensor) -> None:
        """`table` (T, R) and `centre` (R,) are float32. Raises ValueError if they do not fit the terms."""
        super().__init__()
        fits = table.ndim == 2 and len(table) == len(terms) and table.shape[1:] == centre.shape
        if not fits or table.dtype != torch.float32 or centre.dtype != torch.float32:
            raise ValueError(f"table {tuple(table.shape)} and centre {tuple(centre.shape)} of {len(terms)} terms")
        if not (table.isfinite().all() and centre.isfinite().all()):
            raise ValueError("numbers that are not finite")
        self.terms = terms
        self.register_buffer("table", table)
        self.register_buffer("centre", centre)

    @property
    def dim(self) -> int:
        """Width R of the vectors."""
        return int(self.table.shape[1])

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """Return vectors (B, R) of texts, float32, on the CPU."""
        found = torch.empty(len(texts), self.dim)
        table = self.table.numpy()
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            part = slice(begin, begin + TEXTS_AT_ONCE)
            weights = self.terms.weights(texts[part])
            known = torch.from_numpy(np.diff(weights.indptr) > 0)
            found[part] = torch.from_numpy(weights @ table) - self.centre * known[:, None]
        return found

    def with_columns(self, table: Tensor, centre: Tensor) -> View:
        """Return a view of more columns over the same terms: `table` (T, S) and `centre` (S,) follow those of this one."""
        return View(self.terms, torch.cat([self.table, table], dim=1), torch.cat([self.centre, centre]))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> View:
        """Stay where it is: `to` and `half` of the encoder do not reach it."""
        del fn, recurse
        return self


def write_views(views: Sequence[View], folder: Path) -> list[dict[str, Any]]:
    """Write views into the folder of an encoder. Return what encoder.json says of them."""
    for view, table, vocabulary in zip(views, VIEW_TABLES, VIEW_TERMS, strict=False):
        tensors = {"table": view.table, "centre": view.centre, **view.terms.tensors()}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / table)
        view.terms.save(folder / vocabulary)
    return [view.terms.settings() for view in views]


def read_views(folder: Path, settings: Sequence[ViewSettings]) -> list[View]:
    """Read the views of an encoder's folder. Raises ArtifactError if one is missing or damaged."""
    return [_read_view(folder, *given) for given in zip(settings, VIEW_TABLES, VIEW_TERMS, strict=False)]


def _read_view(folder: Path, settings: ViewSettings, table: str, vocabulary: str) -> View:
    # Cloned, since memory of another alignment would round otherwise than before saving.
    tensors = {name: tensor.clone() for name, tensor in read_tensors(folder / table).items()}
    try:
        return View(load_terms(folder / vocabulary, settings, tensors), tensors["table"], tensors["centre"])
    except (KeyError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{folder / table}: does not fit the view that encoder.json describes ({first_line(error)}); the folder is "
            "damaged. Run the stage again."
        ) from None
