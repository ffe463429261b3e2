"""Data sets of the Hugging Face Hub, loaded with 🤗 datasets; its errors retold as sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nlptl.config import did_you_mean
from nlptl.data.data_settings import HubSource
from nlptl.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


def load_hub(source: HubSource, *, where: str) -> tuple[Dataset, str | None]:
    """Load one split and return it with its commit, where that is known; `where` is the source's YAML path.

    Only data files are read, never a data set's own code. Raises DataError where the split cannot be had.
    """
    import datasets

    owner, name, *config = source.hub.split("/")
    try:
        dataset = datasets.load_dataset(
            f"{owner}/{name}", config[0] if config else None, split=source.split, revision=source.revision
        )
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"{where}: {_reason(source, error)}") from error
    return dataset, _resolved_revision(dataset)


def _reason(source: HubSource, error: Exception) -> str:
    import datasets

    message = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    if "Unknown split" in message:
        return _no_split(source, message)
    if isinstance(error, datasets.exceptions.DatasetNotFoundError):
        return (
            f"found no data set {source.hub!r} on the Hugging Face Hub ({message}); expected owner/name. "
            "Check the name, or log in with `hf auth login` if it is private."
        )
    if isinstance(error, ConnectionError):
        return (
            f"hub data set {source.hub!r} cannot be reached ({message}); expected a connection to huggingface.co or a "
            f"copy on this machine. Where there is a connection, run {_save_command(source)} and name that file here, "
            "or copy its folder ~/.cache/huggingface to this machine."
        )
    return (
        f"hub data set {source.hub!r} cannot be loaded ({message}); expected a data set of plain data files. "
        f"Run {_save_command(source)} where it can be loaded, and name that file here."
    )


def _no_split(source: HubSource, message: str) -> str:
    known = re.findall(r"'([^']+)'", message.partition("Should be one of")[2])
    expected = f"one of {', '.join(known)}" if known else "one of its own"
    return (
        f"hub data set {source.hub!r} has no split {source.split!r}; expected {expected}."
        f"{did_you_mean(source.split, known)} Correct the split."
    )


def _save_command(source: HubSource) -> str:
    owner, name, *config = source.hub.split("/")
    arguments = ", ".join(repr(argument) for argument in [f"{owner}/{name}", *config])
    split = source.split.partition("[")[0]
    return f"load_dataset({arguments}, split={source.split!r}).to_parquet('{split}.parquet')"


def _resolved_revision(dataset: Dataset) -> str | None:
    """Find the commit in the addresses of the downloaded files, hf://datasets/owner/name@COMMIT/file."""
    for address in dataset.info.download_checksums or {}:
        found = re.search(r"@([0-9a-f]{40})/", str(address))
        if found:
            return found.group(1)
    return None
