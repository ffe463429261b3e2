"""Data on 🤗 datasets (Arrow, memory-mapped): readers, checks, labels, leaks and the few-shot draw."""

from __future__ import annotations

from nlptl.data.data_settings import DataSettings, FileSource, HubSource, Source
from nlptl.data.label_names import LabelNames
from nlptl.data.leaks import Leak
from nlptl.data.load import load_data, load_table, stream_texts
from nlptl.data.outside_tests import redraw, rows_not_in, without_texts_of
from nlptl.data.python_texts import LabelledLike, TextsLike
from nlptl.data.report import DataReport, PartReport
from nlptl.data.shots import draw_shots
from nlptl.data.table import Label, TextTable
from nlptl.data.text_data import LabelSet, TextData

__all__ = [
    "DataReport", "DataSettings", "FileSource", "HubSource", "Label", "LabelNames", "LabelSet", "LabelledLike",
    "Leak", "PartReport", "Source", "TextData", "TextTable", "TextsLike", "draw_shots", "load_data", "load_table",
    "redraw", "rows_not_in", "stream_texts", "without_texts_of",
]  # fmt: skip
