"""The site: its contents name every page, no link of it is broken, it loads nothing from anywhere, and a reader can search it."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("sphinx", reason="sphinx is missing: pip install 'nlptl[docs]'")
ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
HTML = DOCS / "_build" / "html"
SCRIPTS = ("conf", "docstrings", "mathml", "search_words", "site_source")
LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "link": "href"}
"""Elements that load a file, and the attribute that names it."""
NAMES_ONLY = ("canonical", "index", "search", "next", "prev", "author", "copyright")
"""What a link element may be without loading anything."""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Return a script of docs/, loaded anew."""
    monkeypatch.syspath_prepend(str(DOCS))
    for name in SCRIPTS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(request.param)
    for name in SCRIPTS:
        sys.modules.pop(name, None)


def executed_nowhere(folder: Path) -> Any:
    """Return a function that gives a tutorial as a notebook whose cells never ran."""

    def notebook(path: Path) -> Path:
        cells = [{"cell_type": "markdown", "metadata": {}, "source": path.read_text(encoding="utf-8")}]
        written = folder / f"{path.stem}.ipynb"
        written.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
        return written

    return notebook


@pytest.mark.parametrize("script", ["site_source"], indirect=True)
def test_the_index_lists_every_page(script: ModuleType) -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = {(DOCS / target).resolve() for target in script.ITEM.findall(index)}
    assert sorted({*script.pages(), ROOT / "CHANGELOG.md"} - listed) == [DOCS / "index.md"]
    assert sorted(listed - {*script.pages(), ROOT / "CHANGELOG.md"}) == []


@pytest.mark.parametrize("script", ["site_source"], indirect=True)
def test_every_link_of_the_source_leads_to_a_page_of_it(script: ModuleType, tmp_path: Path) -> None:
    source = tmp_path / "source"
    script.stage(source, executed=executed_nowhere(tmp_path))
    written = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    assert {"guide.md", "project/README.md", "project/pipelines/tweets-head.yaml.md", "project/benchmarks/index.md",
            "report.png", "tutorials/01-the-72-reviews.ipynb"} <= written  # fmt: skip
    assert "](project/pipelines/adapt-domain.yaml.md)" in (source / "guide.md").read_text(encoding="utf-8")
    broken = [
        f"{path.relative_to(source)}: {target}"
        for path in [*source.rglob("*.md"), *source.rglob("*.ipynb")]
        for target in targets(path)
        if not (path.parent / target.partition("#")[0]).is_file()
    ]
    assert broken == []


def targets(path: Path) -> list[str]:
    """Return the links of a page that lead to another one."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join(
            "".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"
        )
    prose = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    return [found for found in re.findall(r"\]\(([^)\s]+)\)", prose) if not re.match(r"#|https?:", found)]


@pytest.mark.parametrize("script", ["site_source"], indirect=True)
def test_links_in_code_stay_as_they_are(script: ModuleType) -> None:
    links = script.Links(script.Page(DOCS / "guide.md"))
    text = "See [it\nall](../README.md#results), nlptl[ja].\n```\n[it](../README.md)\n```\n![a picture](report.png) [web](https://example.org)\n"
    assert links.turned(text) == (
        "See [it\nall](project/README.md#results), nlptl[ja].\n```\n[it](../README.md)\n```\n![a picture](report.png) [web](https://example.org)\n"
    )
    assert [page.origin for page in links.found] == [ROOT / "README.md"]
    assert links.pictures == [DOCS / "report.png"]


@pytest.mark.parametrize("script", ["site_source"], indirect=True)
def test_sections_of_the_index_become_contents(script: ModuleType) -> None:
    index = "# Title\n\n## Guides\n\nText.\n\n- [Guide](guide.md): all.\n- [Changes](../CHANGELOG.md)\n\n## Words\n\nNo list.\n"
    assert script.contents(index) == (
        "\n```{toctree}\n:hidden:\n:caption: Guides\n\nguide.md\nproject/CHANGELOG.md\n```\n"
    )
    with pytest.raises(SystemExit, match=r"^docs/index\.md: gone\.md is not there\.$"):
        script.contents("## Guides\n\n- [Gone](gone.md)\n")


@pytest.mark.parametrize("script", ["docstrings"], indirect=True)
def test_docstrings_are_read_as_plain_prose(script: ModuleType) -> None:
    said = ["Return `it`s files_, *.txt | more.", "", "    code of `it`", "", "One ` alone."]
    assert script.as_restructured(said) == [
        r"Return ``it``\ s files\_, \*.txt \| more.", "", "::", "", "    code of `it`", "", r"One \` alone.",
    ]  # fmt: skip


@pytest.mark.parametrize("script", ["search_words"], indirect=True)
def test_japanese_is_searched_by_pairs_of_characters(script: ModuleType) -> None:
    found = script.EnglishAndJapanese({}).split("映画 and ラベル8件")
    assert found == ["映", "画", "映画", "and", "ラ", "ベ", "ル", "ラベ", "ベル", "8", "件"]


@pytest.mark.parametrize("script", ["conf"], indirect=True)
def test_the_settings_of_the_site_name_no_other_place(script: ModuleType) -> None:
    assert script.nb_execution_mode == "off"
    assert script.nb_ipywidgets_js == {}
    texts = [Path(str(script.__file__)), *(DOCS / "site").iterdir()]
    assert [
        path.name for path in texts if re.search(r"https?:|//[a-z]|@import", path.read_text(encoding="utf-8"))
    ] == []


class Reading(HTMLParser):
    """Links, anchors and loaded files of a page."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag in LOADED and LOADED[tag] in found and found.get("rel") not in NAMES_ONLY:
            self.loaded.append(found[LOADED[tag]])


@pytest.fixture(scope="module")
def built() -> dict[Path, Reading]:
    """Return the pages of the site that `make docs` built."""
    assert (HTML / "index.html").is_file(), "The site is not built: make docs"
    return {page: Reading(page) for page in sorted(HTML.rglob("*.html"))}


@pytest.mark.docs
def test_every_page_has_become_one(built: dict[Path, Reading]) -> None:
    missing = [
        path.relative_to(DOCS)
        for path in DOCS.rglob("*.md")
        if "_build" not in path.parts and HTML / path.relative_to(DOCS).with_suffix(".html") not in built
    ]
    assert missing == []


@pytest.mark.docs
def test_links_of_the_site_lead_somewhere(built: dict[Path, Reading]) -> None:
    broken = []
    for page, reading in built.items():
        for link in reading.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchors = built[target].anchors if target in built else None
            if not target.is_file() or (
                anchors is not None and parts.fragment and unquote(parts.fragment) not in anchors
            ):
                broken.append(f"{page.relative_to(HTML)}: {link}")
    assert broken == []


@pytest.mark.docs
def test_the_site_loads_nothing_from_elsewhere(built: dict[Path, Reading]) -> None:
    outside = [f"{page.relative_to(HTML)}: {name}" for page, reading in built.items() for name in reading.loaded
               if urlsplit(name).netloc or urlsplit(name).scheme not in ("", "data")]  # fmt: skip
    styles = [
        path
        for path in HTML.rglob("*.css")
        if re.search(r"@import|url\(\s*[\"']?(https?:)?//", path.read_text("utf-8"))
    ]
    assert outside == []
    assert styles == []


@pytest.mark.docs
def test_formulas_are_drawn_by_the_browser(built: dict[Path, Reading]) -> None:
    page = (HTML / "tutorials" / "01-the-72-reviews.html").read_text(encoding="utf-8")
    assert page.count("<math ") >= 5
    assert "σ" in page
    assert "$$" not in page


@pytest.mark.docs
@pytest.mark.parametrize(
    ("typed", "found"),
    [("pretraining", "Use the pile"), ("TextClassifier", "Encoders and classifiers"), ("calibration", "Glossary")],
)
def test_a_reader_finds_pages_from_disk(typed: str, found: str, browser: Any, built: dict[Path, Reading]) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{(HTML / 'search.html').as_uri()}?q={typed}")
    page.wait_for_selector("ul.search li a")
    page.wait_for_function("document.querySelector('.search-summary').innerText.startsWith('Search finished')")
    titles = page.locator("ul.search li").all_inner_texts()
    page.close()
    assert any(found in title for title in titles), titles
    assert [url for url in asked if not url.startswith("file:")] == []


@pytest.mark.docs
def test_a_japanese_reader_finds_japanese_pages(browser: Any, built: dict[Path, Reading]) -> None:
    japanese = HTML / "tutorials" / "07-japanese.html"
    assert japanese in built
    assert '<html class="no-js" lang="ja"' in japanese.read_text(encoding="utf-8")
    page = browser.new_page()
    page.goto(f"{(HTML / 'search.html').as_uri()}?q=映画")
    page.wait_for_selector("ul.search li a")
    links = [link.get_attribute("href") for link in page.locator("ul.search li a").all()]
    page.close()
    assert "tutorials/07-japanese.html" in [(link or "").partition("#")[0] for link in links]
