"""Predictions of a pile: the job, and the parts that it writes as CSV, JSON lines or parquet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.interfaces.abstaining import Abstaining
from nlptl.interfaces.piles.kept_tables import kept_arrays, kept_schema
from nlptl.interfaces.piles.part_files import write_blocks, write_tables
from nlptl.interfaces.piles.parts import Receipt
from nlptl.interfaces.piles.shard_job import ShardJob
from nlptl.interfaces.piles.shard_rows import Shard
from nlptl.interfaces.prediction_input import InputRows
from nlptl.interfaces.prediction_lines import OutputColumns, OutputForm, answers, prediction_blocks

if TYPE_CHECKING:
    from nlptl.inference.predictor import Predictor


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictShards(ShardJob):
    """Job that predicts the labels of shards."""

    form: OutputForm
    columns: OutputColumns
    types: Any = None  # Arrow types of the pile's columns by name, where they are known
    coverage: float | None = None  # of the sets, where it may abstain

    def open(self) -> Callable[[Shard], Receipt]:
        """Load the classifier, and return what predicts a shard."""
        from nlptl.interfaces.predictors import load_predictor

        with self.artifact.folder() as folder:
            classifier = load_predictor(folder, device=self.device)
        return lambda shard: self._predicted(shard, classifier)

    def _predicted(self, shard: Shard, classifier: Predictor) -> Receipt:
        abstaining = None if self.coverage is None else Abstaining.of(classifier, self.coverage)

        def write(path: Path, batches: Iterator[InputRows]) -> dict[str, object]:
            if self.parts.form == "parquet":
                schema = self.schema(classifier)
                write_tables(path, self._tables(classifier, batches, schema, abstaining), schema)
            else:
                blocks = prediction_blocks(
                    classifier, batches, columns=self.columns, form=self.form, after_batch=lambda _: None,
                    abstaining=abstaining,
                )  # fmt: skip
                write_blocks(path, blocks)
            if abstaining is None:
                return {}
            return {
                "texts": abstaining.texts,
                "kept": abstaining.kept,
                "unknown": abstaining.unknown,
                "cannot_tell": abstaining.cannot_tell,
            }

        return self.written(shard, write, classifier.probabilities)

    def schema(self, classifier: Predictor) -> Any:
        """Return the Arrow schema of a part."""
        import pyarrow as pa

        label = pa.list_(pa.string()) if classifier.multi_label else pa.string()
        added = [(self.columns.label, label)]
        if self.form.sets:
            kinds = (pa.list_(pa.string()), pa.bool_(), pa.float64())
            added += zip(self.columns.of_sets, kinds, strict=True)
        if self.form.proba:
            added += [(name, pa.float64()) for name in self.columns.each]
        return pa.schema(
            [*kept_schema(self.columns.keys, self.columns.kept, self.types), *map(pa.field, *zip(*added, strict=True))]
        )

    def _tables(
        self, classifier: Predictor, batches: Iterator[InputRows], schema: Any, abstaining: Abstaining | None
    ) -> Iterator[Any]:
        import pyarrow as pa

        kept = len(self.columns.kept)
        for rows in batches:
            found = answers(classifier, rows, abstaining)
            columns: list[list[Any]] = [[one.label for one in found]]
            if self.form.sets:
                sets = [one.found for one in found]
                columns.append([None if one is None else list(one.labels) for one in sets])
                columns.append([None if one is None else one.unknown for one in sets])
                columns.append([None if one is None else one.novelty for one in sets])
            if self.form.proba:
                columns += [
                    [one.shares[place] if len(one.shares) else None for one in found]
                    for place in range(len(classifier.labels))
                ]
            added = [pa.array(column, field.type) for column, field in zip(columns, list(schema)[kept:], strict=True)]
            yield pa.Table.from_arrays([*kept_arrays(rows.kept, list(schema)[:kept]), *added], schema=schema)
