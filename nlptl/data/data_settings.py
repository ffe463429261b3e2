"""Settings of a run's data: the `data:` block of a pipeline file."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from nlptl.config import Config
from nlptl.data.row_checks import names_by_label
from nlptl.faults import PREDICATE
from nlptl.input_paths import InputPath


class FileSource(Config):
    """Data file with column names of its own."""

    file: InputPath
    """Path of a .txt, .csv, .tsv, .jsonl or .parquet file, with or without .gz."""
    text: str | None = None
    """Column of the texts. Default: `text_column` of the data block."""
    label: str | None = None
    """Column of the labels. Default: `label_column` of the data block."""

    @model_validator(mode="after")
    def _a_txt_file_has_no_columns(self) -> FileSource:
        is_txt = PurePath(self.file.lower().removesuffix(".gz")).suffix == ".txt"
        if is_txt and (self.text, self.label) != (None, None):
            raise ValueError(f"{self.file} has no columns, since it is a .txt file. Remove the column name.")
        return self


class HubSource(Config):
    """Split of a data set on the Hugging Face Hub."""

    hub: str
    """Name on the Hub: OWNER/NAME or OWNER/NAME/CONFIG."""
    split: str
    """Split to read, such as train or test."""
    text: str | None = None
    """Column of the texts. Default: `text_column` of the data block."""
    label: str | None = None
    """Column of the labels. Default: `label_column` of the data block."""
    revision: str | None = None
    """Commit, tag or branch of the data set. Default: the newest commit."""

    @field_validator("hub")
    @classmethod
    def _names_an_owner(cls, hub: str) -> str:
        parts = hub.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise ValueError(f"{hub!r} is not of the form OWNER/NAME or OWNER/NAME/CONFIG.")
        return hub


def _source_kind(value: object) -> str | None:
    if isinstance(value, str):
        return "str"
    if isinstance(value, FileSource | HubSource | list | None):
        return type(value).__name__
    names = value.keys() if isinstance(value, dict) else set()
    return "FileSource" if "file" in names else "HubSource" if names & {"hub", "split", "revision"} else None


_by_kind = Discriminator(
    _source_kind,
    custom_error_type=PREDICATE,
    custom_error_message="is not a source. Give the path of a file, or a block with `file: ...` or `hub: ...`.",
)

# The tags are the class names of the members: nlptl.faults removes those from the path of a fault.
_Path = Annotated[InputPath, Tag("str")]
_File = Annotated[FileSource, Tag("FileSource")]
_Hub = Annotated[HubSource, Tag("HubSource")]
_Missing = Annotated[None, Tag("NoneType")]  # a tagged member too: `Source | None` would nest two unions

Source = Annotated[_Path | _File | _Hub, _by_kind]
_Sources = Annotated[list[Source], Field(min_length=1), Tag("list")]
_MaybeSource = Annotated[_Path | _File | _Hub | _Missing, _by_kind]
_MaybeSources = Annotated[_Path | _File | _Hub | _Sources | _Missing, _by_kind]


class DataSettings(Config):
    """Parts of the data, each from a file or the Hub, and how they are read."""

    unlabelled: _MaybeSources = None
    """Texts without labels, for pretraining. Several sources may be listed; they are joined. More text makes better
    vectors and takes longer."""
    source: _MaybeSource = None
    """Labelled examples of another domain, with the same labels. The stage domain_adaptation starts from them."""
    labelled: _MaybeSource = None
    """The few labelled examples from which the classifier learns."""
    validation: _MaybeSource = None
    """Held-out labelled examples: for choosing methods, early stopping and calibration."""
    test: _MaybeSource = None
    """Labelled examples for the final scores. Nothing learns from them."""
    label_names: dict[str, str] | None = None
    """A few words for each label, such as "0": "not hateful". Methods that read label names use them instead of the
    label; some labels may be left out. Without `labelled`, the classifier predicts from the names alone (zero-shot)."""
    text_column: str = "text"
    """Column of the texts."""
    label_column: str = "label"
    """Column of the labels."""
    shots: int | None = Field(default=None, ge=1)
    """Number of rows of each label to draw from `labelled`, by `seed`. Default: all rows. Fewer rows show what a
    smaller set of examples would be worth."""
    drop_leaks: bool = True
    """Leave out rows of other parts whose text also occurs in `test` or `validation`. `false` keeps them, which makes
    scores too high."""
    empty_text: Literal["refuse", "skip"] = "refuse"
    """Treatment of a row without text: `refuse` stops and names its line; `skip` leaves it out."""

    @field_validator("label_names", mode="before")
    @classmethod
    def _labels_are_names(cls, value: object) -> object:
        """Read numbers as the labels that they are in a data file."""
        return None if value is None else names_by_label(value)

    @model_validator(mode="after")
    def _shots_need_labelled(self) -> DataSettings:
        if self.shots is not None and self.labelled is None:
            raise ValueError(f"`shots: {self.shots}` needs labelled examples to draw from. Add `labelled:`.")
        return self
