"""Options that say where and how predictions are written."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.errors import ConfigError
from nlptl.interfaces.options import check_place
from nlptl.interfaces.terminal import remark

if TYPE_CHECKING:
    from nlptl.inference.predictor import Predictor
    from nlptl.interfaces.prediction_lines import Form, OutputColumns, OutputForm

PLAIN_SUFFIXES: dict[str, Form] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".parquet": "parquet",
}
"""Forms by the ending of --out, with or without .gz."""
TAB = ("tab", "\\t", "\t")  # ways to write it on a command line
_ENDING = re.compile(r"\.[a-z]{2,7}")  # of a file, and hardly of a folder


def output_form(
    output: Form | None, out: Path | None, delimiter: str | None, *, proba: bool, bom: bool, guard_formulas: bool,
    is_pile: bool = False,
) -> OutputForm:  # fmt: skip
    """Return the form of the output, parquet in the folder of a pile. Raises ConfigError for options that do not go together."""
    from nlptl.interfaces.prediction_lines import OutputForm

    suffix = "" if out is None else Path(out.name.lower().removesuffix(".gz")).suffix
    in_folder = is_pile and suffix not in PLAIN_SUFFIXES
    if output is None and out is not None and suffix not in PLAIN_SUFFIXES and not in_folder:
        raise ConfigError(
            f"--out: found the ending {suffix!r}; expected .csv, .tsv or .jsonl, each with or without .gz, or .parquet. Choose "
            "one, or name the form with --output."
        )
    form = output or ("parquet" if in_folder else PLAIN_SUFFIXES.get(suffix, "csv"))
    for_csv = {"--delimiter": delimiter is not None, "--bom": bom, "--guard-formulas": guard_formulas}
    if form != "csv" and (given := [name for name, is_given in for_csv.items() if is_given]):
        shown = "JSON lines" if form == "jsonl" else "parquet"
        raise ConfigError(f"{given[0]}: belongs to CSV, but the output is {shown}. Drop it, or add --output csv.")
    usual = "\t" if suffix == ".tsv" else ","
    separator = usual if delimiter is None else "\t" if delimiter in TAB else delimiter
    if len(separator) != 1 or separator in '"\n\r\ufeff\0' or "\ud800" <= separator <= "\udfff":
        raise ConfigError(
            f"--delimiter: found {separator!r}; expected one character that is no quote and no line end, or tab. Choose "
            "another one."
        )
    return OutputForm(form, proba, separator, bom, guard_formulas)


def with_separator(form: OutputForm, classifier: Predictor, separator: str | None) -> OutputForm:
    """Return the form with the sign between several labels. Raises ConfigError where a label contains it."""
    if not classifier.multi_label and not form.sets:
        if separator is not None:
            raise ConfigError(
                "--label-separator: belongs to texts with several labels, but RUN gives each one label. Drop it."
            )
        return form
    separator = separator or classifier.separator
    if form.form == "csv" and (unfit := next((label for label in classifier.labels if separator in label), None)):
        raise ConfigError(
            f"--label-separator: found {separator!r}, which stands in the label {unfit!r}; expected a sign that no label contains. "
            "Choose another one, or write --output jsonl."
        )
    return dataclasses.replace(form, separator=separator)


def check_out(out: Path | None, file: Path | None, *, force: bool, is_pile: bool = False) -> None:
    """Raise ConfigError for a place where no results may be written: folders are for the results of a pile alone."""
    from nlptl.interfaces.piles.pile_options import is_one_file
    from nlptl.interfaces.piles.places import is_address

    if is_pile and out is not None and (is_address(out) or not is_one_file(out)):
        if not is_address(out) and not out.is_dir() and _ENDING.fullmatch(out.suffix.lower()):
            raise ConfigError(
                f"--out: found the ending {out.suffix!r}; expected .csv, .tsv, .jsonl, .parquet or, for vectors, .npy, or the name "
                "of a folder without an ending. Choose one."
            )
        return
    check_place(out, "--out")
    if out is None or not out.exists():
        return
    if file is not None and file.exists() and out.samefile(file):
        raise ConfigError(f"--out: {out} is the file that --file reads; expected another one. Name another file.")
    if not force:
        raise ConfigError(
            f"--out: {out} exists; nothing was overwritten. Name another file, or add --force to replace it."
        )


def tell_names(columns: OutputColumns, form: OutputForm) -> None:
    """Tell the columns of predictions whose usual names the file has."""
    renamed = [name for name in columns.added(form) if name.startswith("predicted_")]
    if renamed:
        remark(f"The file has columns of these names; the predictions stand in {', '.join(renamed)}.")
