"""docs/ideas.md is true: its settings are there, and each figure stands in the results that it names."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from nlptl.config import Config
from nlptl.data import DataSettings
from nlptl.errors import ConfigError
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.distil import Distil
from nlptl.stages.domain_adaptation import DomainAdaptation
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from tests.docs.pages import read

PAGE = "docs/ideas.md"
BLOCKS: tuple[type[Config], ...] = (
    FineTune, Bert, SkipGram, NgramVectors, SentenceVectors, ClassificationHead, DomainAdaptation, Distil, DataSettings,
)  # fmt: skip
FIGURE = re.compile(r"(?<![\w.])[-+−]?\d+\.\d+(?: \[[^\]]+\])?")
MARKED = re.compile(r"<!-- figure: (\S+)(?: \* 100)? / (.*?) -->")
SOURCE = re.compile(r"\.\./benchmarks/results/([\w-]+)\.json")


def rows() -> list[str]:
    """Return the rows of the tables, without their commands and settings."""
    lines = [line for line in read(PAGE).splitlines() if line.startswith("|") and not line.startswith("| ---")]
    return [re.sub(r"`[^`]*`", "", line) for line in lines if not line.startswith("| practice")]


def test_every_practice_has_a_row_that_says_what_was_measured() -> None:
    assert len(rows()) >= 24
    told = ("–", "benchmarks.md", "not measured yet")
    assert [row for row in rows() if not FIGURE.search(row) and not any(one in row for one in told)] == []


@pytest.mark.parametrize("row", rows())
def test_each_figure_comes_from_the_results_that_its_row_links(row: str) -> None:
    """`make tables` writes the figures, and test_generated.py holds that they are current."""
    linked = set(SOURCE.findall(row))
    assert {name for name, _ in MARKED.findall(row)} == linked
    assert FIGURE.findall(re.sub(r"<!-- figure.*?<!-- end -->", "", row)) == []


@pytest.mark.parametrize(
    ("bar", "in_points", "told"),
    [
        ({"value": 2.43, "range": "2.4 [0.9, 3.8]"}, False, "+2.4 [+0.9, +3.8]"),
        ({"value": 0.00823, "range": "0.008 [-0.002, 0.019]"}, True, "+0.8 [-0.2, +1.9]: not shown"),
        ({"value": -1.5, "range": "-1.5 [-2.9, -0.1]"}, False, "-1.5 [-2.9, -0.1]"),
        ({"value": 1.61, "range": [1.56, 1.65]}, False, "1.61 [1.56, 1.65]"),
        ({"value": 5.586}, False, "5.586"),
    ],
)
def test_a_figure_says_whether_it_is_shown(
    bar: dict[str, object], in_points: bool, told: str, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = bench("tables")
    monkeypatch.setattr(tables, "result", lambda name: {"bars": [{"name": "other"}, {"name": "one", **bar}]})
    assert tables.figure("made", "one", in_points=in_points) == told
    page = f"a <!-- figure: made{' * 100' * in_points} / one -->?<!-- end --> b"
    assert tables.filled(page) == page.replace("?", told)


def test_every_setting_is_there() -> None:
    """A span of code that is a mapping is a part of some block, with values that the block takes."""
    spans = [span for span in re.findall(r"`([^`\n]+)`", read(PAGE)) if ": " in span and not span.startswith("nlptl ")]
    settings = [yaml.safe_load(span) for span in spans]
    assert len(settings) >= 8
    assert [one for one in settings if not any(takes(block, one) for block in BLOCKS)] == []


def takes(block: type[Config], settings: dict[str, object]) -> bool:
    try:
        block(**settings)
    except (ConfigError, TypeError):
        return False
    return True


def test_settings_that_are_not_there_are_missed() -> None:
    assert not any(takes(block, {"update": {"method": "full", "layer_decline": 0.9}}) for block in BLOCKS)
