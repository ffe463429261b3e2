"""Remedies of faulty rows and columns in the words of predict, evaluate and explain."""

from __future__ import annotations

import dataclasses

from nlptl.data.columns import Door

EVALUATE_DOOR = Door(
    empty_text="Remove the row, fill in the text, or add --empty-text skip to leave out all such rows, or --empty-text empty to "
    "count them as wrong.",
    empty_label="Remove the row, fill in the label, or add --empty-label skip to leave out all such rows.",
    text_column="Name the column with --text-column.",
    label_column="Name the column with --label-column.",
    no_label="Write [] if no label applies, or add --empty-label none if each empty cell says so.",
    no_string="Put it in quotes, or name another column with --text-column.",
    no_header="If the first row is data, add --no-header.",
    delimiter="If another character separates the fields, add --input-delimiter.",
)
PREDICT_DOOR = dataclasses.replace(
    EVALUATE_DOOR,
    empty_text="Remove the row, fill in the text, or add --empty-text skip to leave out all such rows, or --empty-text empty to "
    "give them an empty label.",
)
EXPLAIN_DOOR = dataclasses.replace(
    EVALUATE_DOOR,
    empty_text="Remove the row, fill in the text, or add --empty-text skip to leave out all such rows.",
)
