"""Names of labels, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, TypeAlias

from nlptl.artifact import digest_of
from nlptl.data.row_checks import names_by_label
from nlptl.errors import DataError

NamesLike: TypeAlias = "Mapping[str, str] | Mapping[int, str] | Mapping[bool, str]"  # a few words for each label


@dataclass(frozen=True)
class LabelNames:
    """Names of labels: what each means, in words."""

    pairs: tuple[tuple[str, str], ...]  # labels with their names, sorted by label
    name: ClassVar[str] = "label_names"

    @classmethod
    def of(cls, names: NamesLike) -> LabelNames:
        """Return the names of labels, which may be whole numbers. Raises DataError for a bad label or name."""
        try:
            return cls(tuple(sorted(names_by_label(names, in_python=True).items())))
        except ValueError as error:
            raise DataError(f"{cls.name}: {error}") from None

    def spelt(self, names: Mapping[str, str]) -> LabelNames:
        """Return the same names under the spelling of the labels that `names` gives. DataError for two names of one label."""
        found: dict[str, str] = {}
        for given, name in self.pairs:
            label = names.get(given, given)
            if label in found:
                raise DataError(f"{self.name}: the label {label!r} has two names. Remove one.")
            found[label] = name
        return LabelNames(tuple(sorted(found.items())))

    def labels(self) -> list[str]:
        """Return the labels that have names."""
        return [label for label, _ in self.pairs]

    def get(self, label: str) -> str | None:
        """Return the name of `label`, or None."""
        return dict(self.pairs).get(label)

    @cached_property
    def digest(self) -> str:
        """sha256 of labels and names."""
        return digest_of([list(pair) for pair in self.pairs])
