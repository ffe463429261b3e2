"""`predict` over a pile: the classifier is checked here, and labels the shards wherever the engine works."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from nlptl.interfaces.abstaining import Abstaining
from nlptl.interfaces.output_options import tell_names, with_separator
from nlptl.interfaces.piles.parts import Receipt
from nlptl.interfaces.piles.pile_options import PileInput, PileOptions
from nlptl.interfaces.piles.pile_run import parts_of, run_pile, tell_rows
from nlptl.interfaces.piles.predicting_shards import PredictShards
from nlptl.interfaces.prediction_lines import OutputColumns, OutputForm, csv_head
from nlptl.interfaces.terminal import remark
from nlptl.runs.engines.artifacts import ArtifactAtHand


def predict_pile(
    run: Path, given: PileInput, form: OutputForm, coverage: float | None, separator: str | None, options: PileOptions
) -> None:
    """Predict the labels of a pile, write them, and tell what a person should know of them."""
    from nlptl.interfaces.predictors import load_predictor

    pile, reading = given.cut(options)
    classifier = load_predictor(run, device="cpu")
    classifier.check_trained()
    abstaining = None if coverage is None else Abstaining.of(classifier, coverage)
    form = with_separator(dataclasses.replace(form, sets=abstaining is not None), classifier, separator)
    columns = OutputColumns.of(reading.kept(where=str(given.file)).names, classifier.labels)
    if not options.quiet:
        tell_names(columns, form)
    job = PredictShards(
        artifact=ArtifactAtHand.of(run), device=options.device, reading=reading,
        parts=parts_of(given.out, form.form, pile), form=form, columns=columns, types=pile.types, coverage=coverage,
    )  # fmt: skip
    depends_on = [dataclasses.asdict(form), dataclasses.asdict(columns), coverage]
    header = csv_head(columns, form).encode("utf-8", "backslashreplace") if form.form == "csv" else b""
    receipts = run_pile(job, pile, options, name="predicting", depends_on=depends_on, out=given.out, header=header)
    if not options.quiet:
        if abstaining is not None:
            remark(" ".join(_counted(abstaining, receipts).sentences()))
        tell_rows(receipts, given.empty_text, given.out, empty="label")


def _counted(abstaining: Abstaining, receipts: Sequence[Receipt]) -> Abstaining:
    """Return the counts of all shards."""
    return dataclasses.replace(
        abstaining,
        texts=sum(one.texts for one in receipts),
        kept=sum(one.kept for one in receipts),
        unknown=sum(one.unknown for one in receipts),
        cannot_tell=any(one.cannot_tell for one in receipts),
    )
