"""Where the data of a run comes from: the `data:` block of a pipeline file."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from nlptl.config import Config
from nlptl.data.row_checks import names_by_label


class FileSource(Config):
    """A data file whose columns bear names of their own."""

    file: str
    """Path of a .txt, .csv, .tsv, .jsonl or .parquet file, each with or without .gz."""
    text: str | None = None
    """Column that holds the texts; `text_column` of the data block when left out."""
    label: str | None = None
    """Column that holds the labels; `label_column` of the data block when left out."""

    @model_validator(mode="after")
    def _a_txt_file_has_no_columns(self) -> FileSource:
        names = [PurePath(self.file.lower().removesuffix(".gz")).suffix, self.text, self.label]
        if names[0] == ".txt" and names[1:] != [None, None]:
            raise ValueError(
                f"found a column name for {self.file}; expected none, a .txt file has no columns. Remove it."
            )
        return self


class HubSource(Config):
    """One split of a data set on the Hugging Face Hub."""

    hub: str
    """Name on the Hub: owner/name, or owner/name/config."""
    split: str
    """Split to read, such as train or test."""
    text: str | None = None
    """Column that holds the texts; `text_column` of the data block when left out."""
    label: str | None = None
    """Column that holds the labels; `label_column` of the data block when left out."""
    revision: str | None = None
    """Commit, tag or branch of the data set; the newest when left out."""

    @field_validator("hub")
    @classmethod
    def _names_an_owner(cls, hub: str) -> str:
        parts = hub.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise ValueError(f"found {hub!r}; expected owner/name or owner/name/config. Write it so.")
        return hub


def _source_kind(value: object) -> str | None:
    if value is None:
        return "NoneType"
    if isinstance(value, (str, FileSource, HubSource, list)):
        return type(value).__name__
    if isinstance(value, dict):
        if "file" in value:
            return "FileSource"
        if value.keys() & {"hub", "split", "revision"}:
            return "HubSource"
    return None


_by_kind = Discriminator(
    _source_kind,
    custom_error_type="source",
    custom_error_message="Expected a file's path, a block that says file: ..., or one that says hub: ... . Write one.",
)

# The tags are the members' class names: nlptl.config strips those from the path that a fault sentence names.
Source = Annotated[
    Annotated[str, Tag("str")] | Annotated[FileSource, Tag("FileSource")] | Annotated[HubSource, Tag("HubSource")],
    _by_kind,
]
# None is a tagged member too, so that the whole field is one union; `Source | None` would nest two.
_MaybeSource = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[FileSource, Tag("FileSource")]
    | Annotated[HubSource, Tag("HubSource")]
    | Annotated[None, Tag("NoneType")],
    _by_kind,
]
_MaybeSources = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[FileSource, Tag("FileSource")]
    | Annotated[HubSource, Tag("HubSource")]
    | Annotated[list[Source], Field(min_length=1), Tag("list")]
    | Annotated[None, Tag("NoneType")],
    _by_kind,
]


class DataSettings(Config):
    """The parts of the data, each from a file or the Hub, and how strictly they are read."""

    unlabelled: _MaybeSources = None
    """Texts without labels, for stage one; a list of sources is read one after the other."""
    source: _MaybeSource = None
    """Labelled examples of another domain, from which the stage domain_adaptation starts; same labels as the others."""
    labelled: _MaybeSource = None
    """The few labelled examples that the classifier learns from."""
    validation: _MaybeSource = None
    """Labelled examples for choosing updates and settings, early stopping, and how sure predictions may be."""
    test: _MaybeSource = None
    """Labelled examples that nothing learns from; the final figures come from them."""
    label_names: dict[str, str] | None = None
    """What each label means, in a few words ("0": "not hateful"). Methods that read the names of the labels use it
    instead of the label itself; it may name some labels only. With it alone, and no labelled part, the chain predicts
    from the names (zero-shot)."""
    text_column: str = "text"
    """Column that holds the texts."""
    label_column: str = "label"
    """Column that holds the labels."""
    shots: int | None = Field(default=None, ge=1)
    """Rows drawn of each label from the labelled part (seeded); all rows when left out."""
    drop_leaks: bool = True
    """Leave out labelled, source, unlabelled and validation rows whose text also stands in a part that tests them."""
    empty_text: Literal["refuse", "skip"] = "refuse"
    """What to do with a row without text: stop with its line number, or leave it out and count it."""

    @field_validator("label_names", mode="before")
    @classmethod
    def _labels_are_names(cls, value: object) -> object:
        """Take labels that YAML reads as numbers for the names that they are in a data file."""
        return None if value is None else names_by_label(value)

    @model_validator(mode="after")
    def _shots_need_labelled(self) -> DataSettings:
        if self.shots is not None and self.labelled is None:
            raise ValueError(
                f"found shots: {self.shots} without labelled; expected a labelled source to draw from. Add one."
            )
        return self
