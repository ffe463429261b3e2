"""The page of a run: safe whatever its texts hold, small whatever their number, and whole."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from nlptl.errors import ArtifactError
from nlptl.interfaces.html.run_report import MAX_BYTES, check_replaceable, page_of, write_report
from nlptl.interfaces.html.tables import write_tables
from nlptl.runs.report.facts import DataFacts, RunReport
from tests.interfaces.commands import Shell
from tests.reported import HOSTILE, NAMES, judged_texts, report_of, tiny_run

SECTIONS = (
    "scores", "confusion", "reliability", "labels", "map", "mistakes", "training", "layers", "data", "cost", "provenance",
)  # fmt: skip


class Page(HTMLParser):
    """Elements of a page, and the texts of its scripts."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data

    @property
    def ids(self) -> set[str]:
        return {str(attributes["id"]) for _, attributes in self.elements if "id" in attributes}

    @property
    def payload(self) -> dict[str, list[list[str]]]:
        return json.loads(self.scripts[0])


@pytest.fixture(scope="module")
def hostile() -> RunReport:
    texts = [f"{text} {number}" if text else "" for number, text in enumerate(HOSTILE * 8)]
    return report_of(judged_texts(texts, [NAMES[row % 5] for row in range(len(texts))], NAMES))


def test_every_section_stands_in_the_page(hostile: RunReport) -> None:
    page = Page(page_of(hostile, tables="t"))
    assert page.ids >= {"main", "matrix", "chart-map", *SECTIONS}
    links = {str(attributes["href"])[1:] for tag, attributes in page.elements
             if tag == "a" and str(attributes["href"]).startswith("#")}  # fmt: skip
    assert links == {"main", "top", *SECTIONS}


def test_the_policy_names_the_pages_own_style_and_script_and_nothing_else(hostile: RunReport) -> None:
    source = page_of(hostile, tables="t").decode()
    page = Page(source.encode())
    (policy,) = (str(attributes["content"]) for _, attributes in page.elements
                 if attributes.get("http-equiv") == "Content-Security-Policy")  # fmt: skip
    style = source[source.index("<style>") + 7 : source.index("</style>")]
    hashes = ["sha256-" + base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()
              for one in (style, page.scripts[1])]  # fmt: skip
    assert policy == (
        f"default-src 'none'; style-src '{hashes[0]}'; script-src '{hashes[1]}'; base-uri 'none'; form-action 'none'"
    )


def test_hostile_texts_and_labels_stay_texts(hostile: RunReport) -> None:
    page = Page(page_of(dataclasses.replace(hostile, name=HOSTILE[0], verdict=HOSTILE[2]), tables=HOSTILE[3]))
    assert len(page.scripts) == 2
    assert not {tag for tag, _ in page.elements} & {"img", "iframe", "object", "link", "base", "form", "b" * 2}
    attributes = {name for _, found in page.elements for name in found}
    assert not {name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset")}
    hrefs = {str(found["href"]) for _, found in page.elements if "href" in found}
    assert not [href for href in hrefs if ":" in href or href.startswith("//")]
    shown = {row[0] for row in page.payload["texts"]}
    assert "</script><script>alert(1)</script> 0" in shown
    assert "\\x1b[31mred\\x1b[0m 6" in shown
    assert "\\u202egnirts\\u202c 7" in shown
    assert "nul\\x00inside 8" in shown
    assert "日本語のテキスト 10" in shown
    assert "{{ 7 * 7 }}{% raw %} 5" in page.text or "{{ 7 * 7 }}{% raw %} 5" in shown
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", page.text + page.scripts[0])


def test_half_a_character_is_written_out() -> None:
    page = Page(page_of(report_of(judged_texts(["a\ud800b"] * 3, ["x", "y", "x"], ("x", "y"))), tables="t"))
    assert "a\\ud800b" in {row[0] for row in page.payload["texts"]}


def test_each_cell_holds_its_texts() -> None:
    texts = [f"text {row}" for row in range(60)]
    judged = judged_texts(texts, [("a", "b", "c")[row % 3] for row in range(60)], ("a", "b", "c"))
    page = Page(page_of(report_of(judged), tables="t"))
    held: dict[tuple[str, str], int] = {}
    for true, said in zip(judged.labels, judged.predicted, strict=True):
        held[true, said] = held.get((true, said), 0) + 1
    cells, shown = json.loads(page.scripts[0])["cells"], page.payload["texts"]
    for key, numbers in cells.items():
        true, said = (judged.names[int(place)] for place in key.lstrip("p").split("-"))
        assert len(numbers) == min(24, held[true, said])
        assert {(shown[number][1], shown[number][2]) for number in numbers} == {(true, said)}
    buttons = {str(found["data-cell"]) for tag, found in page.elements if tag == "button" and "data-cell" in found}
    assert buttons == set(cells)


def test_150_labels_fold_and_50_000_rows_stay_below_two_megabytes() -> None:
    names = [f"label_{number}" for number in range(150)]
    texts = [f"<row {row}> " + "日本語" * 40 for row in range(50_000)]
    judged = judged_texts(texts, [names[row % 150] for row in range(50_000)], names)
    page = page_of(report_of(judged), tables="t")
    assert len(page) <= MAX_BYTES
    found = Page(page)
    assert sum(tag == "button" and "data-cell" in held for tag, held in found.elements) <= 10 * 10 + 12
    assert "141 other labels" in found.text


def test_a_text_of_a_book_fits_too() -> None:
    judged = judged_texts([f"{row} " + "<&>" * 100_000 for row in range(300)], ["a", "b"] * 150, ("a", "b"))
    assert len(page_of(report_of(judged), tables="t")) <= MAX_BYTES


def test_sections_without_facts_are_left_out() -> None:
    bare = dataclasses.replace(report_of(None), curves=(), stages=(), data=DataFacts((), ()), advice=())
    page = Page(page_of(bare, tables="t"))
    assert page.ids & {*SECTIONS} == {"cost", "provenance"}


def test_empty_and_single_labels_are_shown() -> None:
    page = Page(page_of(report_of(judged_texts(["x", "y"], ["", ""], ("",))), tables="t"))
    assert "(empty)" in page.text


def test_tables_hold_every_row_and_guard_formulas(hostile: RunReport, tmp_path: Path) -> None:
    judged = judged_texts(["=1+1", 'quote " and, comma\nline', "plain"] * 20, ["a", "b", "@c"] * 20, ("@c", "a", "b"))
    written = {path.name for path in write_tables(report_of(judged), tmp_path)}
    assert written == {
        "predictions.csv",
        "labels.csv",
        "confusion.csv",
        "reliability.csv",
        "map.csv",
        "losses.csv",
        "stages.csv",
    }
    with (tmp_path / "predictions.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows[:3]] == ["'=1+1", 'quote " and, comma\nline', "plain"]
    assert len(rows) == 60
    assert [float(row["p_a"]) for row in rows] == pytest.approx(judged.probabilities[:, 1], abs=1e-6)
    write_tables(dataclasses.replace(report_of(judged), curves=()), tmp_path)
    assert not (tmp_path / "losses.csv").exists()


def test_a_page_replaces_a_page_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    out.write_bytes(page_of(report_of(None), tables="t"))
    check_replaceable(out)
    out.write_text("<html>my own</html>")
    with pytest.raises(ArtifactError) as caught:
        check_replaceable(out)
    assert str(caught.value) == (
        f"{out}: a file that nlptl did not write stands here; nothing was overwritten. Name another file with --out."
    )
    (tmp_path / "other-tables").mkdir()
    (tmp_path / "other-tables" / "mine.csv").write_text("mine")
    with pytest.raises(ArtifactError) as caught:
        check_replaceable(tmp_path / "other.html")
    assert str(caught.value) == (
        f"{tmp_path / 'other-tables'}: holds mine.csv, which nlptl did not write; expected a folder for the tables of the "
        "report. Name another file with --out."
    )


def test_the_command_writes_the_page_beside_its_tables(tmp_path: Path, shell: Shell) -> None:
    run = tiny_run(tmp_path)
    assert shell("report", run, "-q") == (0, f"{run / 'report.html'}\n", "")
    first = (run / "report.html").read_bytes()
    assert (run / "report-tables" / "predictions.csv").is_file()
    assert write_report(run / "4-finetune").read_bytes() == first  # the same run gives the same page
    for name in ("page.pdf", "page"):
        told = f"--out: found {name}; expected a name that ends in .html, since the page is HTML. A browser prints it as PDF."
        code, out, err = shell("report", run, "-q", "--out", tmp_path / name)
        assert (code, out, " ".join(err.split())) == (2, "", told)
    code, out, err = shell("report", run, "-q", "--price-per-hour", "-1")
    assert (code, out) == (2, "")
    assert err == "--price-per-hour: found -1; expected a number of at least 0. Give the price of an hour.\n"
    code, out, err = shell("report", run, "-q", "--price-per-hour", "3600", "--out", tmp_path / "priced.html")
    assert (code, err) == (0, "")
    assert "At 3600 an hour that is " in (tmp_path / "priced.html").read_text()


@pytest.mark.parametrize(("texts", "told"), [(4, "too few texts for an interval"), (40, "no interval: all are right")])
def test_an_f1_score_without_an_interval_says_why(texts: int, told: str) -> None:
    judged = judged_texts([f"text {row}" for row in range(texts)], ["a", "b"] * (texts // 2), ("a", "b"))
    right = dataclasses.replace(judged, probabilities=np.tile(np.eye(2), (texts // 2, 1)))
    page = Page(page_of(report_of(right), tables="t"))
    assert f"Macro-F1, the mean F1 of all labels: 100.0\u00a0% ({told})." in page.text


def test_a_command_that_cannot_be_typed_is_not_shown() -> None:
    report = report_of(None)
    typed, hidden = "nlptl report 'runs/a b'", "nlptl report 'runs/\u202ea'"
    page = Page(
        page_of(dataclasses.replace(report, commands={**report.commands, "cost": typed, "data": hidden}), tables="t")
    )
    assert f"These figures again: {typed}" in page.text
    assert "u202ea" not in page.text
