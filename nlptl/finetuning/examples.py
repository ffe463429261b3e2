"""The labelled examples of one fine-tuning, numbered once.

Shapes: n labelled texts, V validation texts, K labels, D dimension.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from nlptl.data.label_sentences import TEMPLATES, LabelSentences, label_sentences
from nlptl.errors import DataError
from nlptl.evaluation.duplicates import DuplicateGroups, duplicate_groups
from nlptl.progress import SilentProgress

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from nlptl.data import LabelNames, LabelSet, TextData, TextTable
    from nlptl.models.encoder import Encoder
    from nlptl.progress import Progress

SKEWED_SHARE = 0.75  # of the most frequent label, from which all labels weigh the same
MIN_RARE, MAX_RARE = 2, 100  # examples of the rarest label: one cannot be held out, and a hundred speak for themselves


@dataclasses.dataclass(frozen=True)
class ValidationExamples:
    """V held-out labelled texts that the user gives."""

    texts: list[str]
    label_ids: Tensor  # (V,) int64, on the CPU
    label_sets: Tensor | None = None  # (V, K) as of LabelledExamples

    @property
    def targets(self) -> Tensor:
        """`label_sets` where texts may have several labels, else `label_ids`."""
        return self.label_ids if self.label_sets is None else self.label_sets


@dataclasses.dataclass(frozen=True)
class LabelledExamples:
    """Everything that one fine-tuning reads of the data. Make it with `LabelledExamples.of`."""

    texts: list[str]  # n texts; none where the labels' names are all that is known
    label_ids: Tensor  # (n,) int64, on the CPU: positions in `labels`; empty (0,) where texts may have several
    labels: tuple[str, ...]  # K names, in the order of the classifier's outputs
    groups: DuplicateGroups  # which examples repeat another's text and label
    validation: ValidationExamples | None = None
    label_names: LabelNames | None = None  # what the labels mean in words, where the user says so
    unlabelled: TextTable | None = None  # the pile
    label_sets: Tensor | None = None  # (n, K) float32, where texts may have several labels: 1 for each that a text has
    whole_counts: Tensor | None = None  # (K,) of the labels among all examples, where these were drawn evenly from them
    unseen: tuple[int, ...] = ()  # label ids of which the user has no example, but a name
    _vectors: dict[int, tuple[Encoder, Tensor]] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, data: TextData, labels: Sequence[str]) -> LabelledExamples:
        """Number the labelled texts of `data` by the classifier's `labels`.

        Raises DataError where there are neither labelled texts nor names of labels, and where the labels differ.
        """
        import torch

        from nlptl.data import LabelSet

        if data.labelled is None and data.label_names is None:
            raise DataError("finetune: found no labelled examples; it learns from them. Give data.labelled.")
        if set(data.label_set.names) != set(labels):
            raise DataError(
                f"finetune: the head knows the labels {', '.join(labels)}, the data have "
                f"{', '.join(data.label_set.names)}; both must be equal. Attach a fresh classification_head."
            )

        known = LabelSet(tuple(labels))

        def numbered(table: TextTable | None) -> tuple[list[str], Tensor, Tensor | None]:
            if table is not None and table.has_label_sets:
                return table.texts(), torch.empty(0, dtype=torch.int64), _multi_hot(table.label_sets(), known)
            texts, names = ([], []) if table is None else (table.texts(), table.labels())
            return texts, torch.tensor(known.ids(names), dtype=torch.int64), None

        texts, ids, sets = numbered(data.labelled)
        groups = _groups(texts, ids, sets)
        validation = None if data.validation is None else ValidationExamples(*numbered(data.validation))
        unseen = tuple(map(tuple(labels).index, data.labels_without_rows)) if texts else ()
        return cls(
            texts, ids, tuple(labels), groups, validation, data.label_names, data.unlabelled, sets, unseen=unseen
        )

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def targets(self) -> Tensor:
        """`label_sets` where texts may have several labels, else `label_ids`."""
        return self.label_ids if self.label_sets is None else self.label_sets

    @property
    def label_count(self) -> int:
        """K."""
        return len(self.labels)

    def label_counts(self) -> Tensor:
        """Return how many examples each label has (K,)."""
        import torch

        if self.label_sets is not None:
            return self.label_sets.sum(dim=0).long()
        return torch.bincount(self.label_ids, minlength=self.label_count)

    def label_shares(self, *, balanced: bool = False) -> Tensor:
        """Return the share of each label (K,), float64; all alike if `balanced`. None is 0: each counts one example at least.

        A label of which the user has no example counts as many as the others have on average.
        """
        counts = self._whole_counts().double().clamp(min=1, max=1 if balanced else None)
        if self.unseen:
            seen = self.seen()
            counts[list(self.unseen)] = counts[seen].mean()
        return counts / counts.sum()

    def seen(self) -> list[int]:
        """Return the label ids of which the user has examples, ascending."""
        return [label for label in range(self.label_count) if label not in self.unseen]

    @property
    def is_skewed(self) -> bool:
        """Whether one label has most of the examples and another so few that a classifier would hardly predict it."""
        if self.label_sets is not None:
            return False  # each label has a threshold of its own
        counts = self._whole_counts()[self.seen()]
        lopsided = float(counts.max()) >= SKEWED_SHARE * int(counts.sum())
        return lopsided and MIN_RARE <= int(counts.min()) < MAX_RARE

    def _whole_counts(self) -> Tensor:
        return self.label_counts() if self.whole_counts is None else self.whole_counts

    def sentences(self, templates: Sequence[str] = TEMPLATES) -> LabelSentences:
        """Return the sentences that name the labels; none where a name says nothing."""
        return label_sentences(self.labels, self.label_names, templates=templates)

    def select(self, rows: Sequence[int]) -> LabelledExamples:
        """Return the examples with these row numbers alone: no validation texts, no pile."""
        import torch

        texts, chosen = [self.texts[row] for row in rows], torch.as_tensor(rows, dtype=torch.int64)
        sets = None if self.label_sets is None else self.label_sets[chosen]
        ids = self.label_ids[chosen] if sets is None else self.label_ids
        groups = _groups(texts, ids, sets)
        known = {key: (encoder, vectors[chosen]) for key, (encoder, vectors) in self._vectors.items()}
        names, counts, unseen = self.label_names, self.whole_counts, self.unseen
        return LabelledExamples(
            texts, ids, self.labels, groups, label_names=names, label_sets=sets, whole_counts=counts, unseen=unseen,
            _vectors=known,
        )  # fmt: skip

    def of_seen_labels(self) -> LabelledExamples:
        """Return the same examples for a classifier of the labels that have some, without validation texts of others."""
        import torch

        seen = self.seen()
        place = torch.full((self.label_count,), -1)
        place[seen] = torch.arange(len(seen))
        validation = None
        if self.validation is not None:
            ids = place[self.validation.label_ids]
            texts = [text for text, label in zip(self.validation.texts, ids.tolist(), strict=True) if label >= 0]
            validation = ValidationExamples(texts, ids[ids >= 0]) if texts else None
        return dataclasses.replace(
            self,
            label_ids=place[self.label_ids],
            labels=tuple(self.labels[label] for label in seen),
            validation=validation,
            whole_counts=None if self.whole_counts is None else self.whole_counts[seen],
            unseen=(),
        )

    def frozen_vectors(self, encoder: Encoder, *, progress: Progress | None = None) -> Tensor:
        """Return the sentence vectors (n, D) of an encoder that does not learn, on the CPU.

        Each distinct example is encoded once, however often this is called.
        """
        import torch

        if id(encoder) not in self._vectors:
            texts = [self.texts[row] for row in self.groups.first]
            watch = progress or SilentProgress()
            with watch.task("encoding the labelled texts", total=len(texts), unit="texts") as task:
                vectors = torch.from_numpy(encoder.encode(texts, after_batch=task.advance))
            if len(texts) < len(self.texts):
                vectors = vectors[torch.from_numpy(self.groups.owner)]
            self._vectors[id(encoder)] = (encoder, vectors)
        return self._vectors[id(encoder)][1]

    def forget_vectors(self, encoder: Encoder) -> None:
        """Let go of an encoder and its vectors."""
        self._vectors.pop(id(encoder), None)

    def knows_vectors(self, encoder: Encoder) -> bool:
        """Say whether `frozen_vectors` has encoded the texts already."""
        return id(encoder) in self._vectors

    def draw_unlabelled(self, count: int, generator: torch.Generator) -> list[str]:
        """Return at most `count` texts of the pile, drawn at random, none of them a labelled one."""
        import torch

        if self.unlabelled is None:
            return []
        known = set(self.texts)
        order = torch.randperm(len(self.unlabelled), generator=generator).tolist()
        found: list[str] = []
        size = count + len(known)  # enough at once unless the pile repeats labelled texts
        for begin in range(0, len(order), size):
            found += [text for text in self.unlabelled.select(order[begin : begin + size]).texts() if text not in known]
            if len(found) >= count:
                break
        return found[:count]


def _multi_hot(sets: Sequence[Sequence[str]], known: LabelSet) -> Tensor:
    """Return label sets as a matrix (n, K) with 1 for each label that a row has."""
    import torch

    found = torch.zeros(len(sets), len(known))
    rows = [row for row, labels in enumerate(sets) for _ in labels]
    found[rows, known.ids(label for labels in sets for label in labels)] = 1.0
    return found


def _groups(texts: Sequence[str], ids: Tensor, sets: Tensor | None) -> DuplicateGroups:
    return duplicate_groups(texts, ids.tolist() if sets is None else [*map(tuple, sets.tolist())])
