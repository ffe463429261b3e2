"""Data sets of the Hugging Face Hub, loaded with 🤗 datasets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nlptl.config import did_you_mean
from nlptl.data.data_settings import HubSource
from nlptl.errors import DataError, first_line

if TYPE_CHECKING:
    from datasets import Dataset


def load_hub(source: HubSource, *, where: str) -> tuple[Dataset, str | None]:
    """Return one split and its commit, if known. Only data files are read; no code is run. DataError begins with `where`."""
    import datasets

    owner, name, *config = source.hub.split("/")
    try:
        dataset = datasets.load_dataset(
            f"{owner}/{name}", config[0] if config else None, split=source.split, revision=source.revision
        )
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"{where}: {_reason(source, error)}") from error
    # The addresses of the downloaded files are of the form hf://datasets/OWNER/NAME@COMMIT/FILE.
    found = re.search(r"@([0-9a-f]{40})/", " ".join(map(str, dataset.info.download_checksums or {})))
    return dataset, None if found is None else found.group(1)


def _reason(source: HubSource, error: Exception) -> str:
    import datasets

    message = first_line(error)
    if "Unknown split" in message:
        known = re.findall(r"'([^']+)'", message.partition("Should be one of")[2])
        there = f"; its splits are {', '.join(known)}" if known else ""
        meant = did_you_mean(source.split, known)
        return f"the data set {source.hub!r} has no split {source.split!r}{there}.{meant} Correct the split."
    if isinstance(error, datasets.exceptions.DatasetNotFoundError):
        return (
            f"the Hugging Face Hub has no data set {source.hub!r} ({message}). Check that the name is OWNER/NAME, or log in "
            "with `hf auth login` if the data set is private."
        )
    if isinstance(error, ConnectionError):
        return (
            f"the data set {source.hub!r} needs a connection to huggingface.co ({message}). On a machine with a "
            f"connection, run {_save_command(source)} and give that file here, or copy that machine's folder "
            "~/.cache/huggingface to this one."
        )
    return (
        f"the data set {source.hub!r} cannot be loaded ({message}). Only data sets of plain data files are supported. "
        f"Run {_save_command(source)} where it can be loaded, and give that file here."
    )


def _save_command(source: HubSource) -> str:
    owner, name, *config = source.hub.split("/")
    arguments = ", ".join(repr(argument) for argument in [f"{owner}/{name}", *config])
    split = source.split.partition("[")[0]
    return f"load_dataset({arguments}, split={source.split!r}).to_parquet('{split}.parquet')"
