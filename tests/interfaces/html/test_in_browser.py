"""The page of a run in Chromium: at three widths, light and dark, by keyboard, without a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nlptl.evaluation.intervals import Estimate
from nlptl.interfaces.html.run_report import page_of
from nlptl.runs.report.facts import EmbeddingMap, MapPoint, Rival, RunReport, Standing
from tests.reported import HOSTILE, NAMES, judged_texts, report_of

pytestmark = pytest.mark.browser

WIDTHS = (360, 768, 1280)
LONG = tuple(letter * 240 for letter in "Wim")
FIGURES = ("#matrix", "#reliability .area circle", "#labels .whisker", "#chart-map circle.right", ".mistakes mark",
           ".curves .curve", "#layers rect", "#data rect", "#cost rect")  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return pages of two, of five hostile and of 150 labels, and of a run without judged texts."""
    folder = tmp_path_factory.mktemp("pages")
    many = tuple(f"label_{number}_of_a_long_name" for number in range(150))
    texts = [f"{HOSTILE[row % len(HOSTILE)]} {row} " + "word " * (row % 40) for row in range(400)]
    found = {
        "two": report_of(judged_texts(texts, ["yes", "no"] * 200, ("yes", "no"))),
        "hostile": report_of(judged_texts(texts, [NAMES[row % len(NAMES)] for row in range(400)], NAMES)),
        "many": report_of(judged_texts(texts, [many[row % 150] for row in range(400)], many)),
        "bare": report_of(None),
        "long": _with_long_names(report_of(judged_texts(texts, [LONG[row % 3] for row in range(400)], LONG))),
    }
    corners = [(0.03, 0.03, "a name of the left edge"), (0.97, 0.97, "a name of the right one")]
    spots = tuple(MapPoint(x, y, str(turn), label, "", "labelled") for x, y, label in corners for turn in range(3))
    found["edge"] = dataclasses.replace(found["bare"], map=EmbeddingMap(spots, 6, ""))
    for name, report in found.items():
        (folder / f"{name}.html").write_bytes(page_of(report, tables=f"{name}-tables"))
    return {name: folder / f"{name}.html" for name in found}


def _with_long_names(report: RunReport) -> RunReport:
    """Return a report in which nothing that users name can break at a blank."""
    way = Rival(LONG[0], Estimate(0.5, 0.4, 0.6), difference=Estimate(0.125, 0.075, 0.192), macro_f1=Estimate(0.5, 0.4, 0.6),
                seconds=3.0, note=LONG[1])  # fmt: skip
    parts = tuple(dataclasses.replace(one, source=LONG[0]) for one in report.data.parts)
    stages = tuple(dataclasses.replace(one, folder=f"1-{LONG[0]}") for one in report.stages)
    return dataclasses.replace(
        report, standing=Standing((way, way), LONG[0], LONG[1], (LONG[2],)), stages=stages,
        data=dataclasses.replace(report.data, parts=parts),
    )  # fmt: skip


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """Lend a function that opens a page, and check in the end that nothing was logged and nothing requested."""
    found, logged, requested = [], [], []

    def open_page(path: Path, *, width: int = 1280, scheme: str = "light", **options: Any) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme, **options)
        page.on("console", lambda message: logged.append(message.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.on("dialog", lambda dialog: (logged.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: requested.append(request.url))
        page.goto(path.as_uri())
        found.append((page, path.as_uri()))
        return page

    yield open_page
    for page, _ in found:
        page.close()
    assert logged == []
    assert set(requested) <= {uri for _, uri in found}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["two", "hostile", "many", "bare"])
def test_a_page_fits_its_width(opened: Any, pages: dict[str, Path], name: str, width: int, scheme: str) -> None:
    page = opened(pages[name], width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    missing = [figure for figure in FIGURES if not page.locator(figure).count()]
    assert missing == (
        [] if name != "bare" else [one for one in FIGURES if one[1:4] in ("mat", "rel", "lab", "cha", "mis")]
    )
    for figure in FIGURES:
        if figure not in missing:
            box = page.locator(figure).first.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
    letters = page.evaluate(
        "Math.min(...[...document.querySelectorAll('main *')].filter(e => [...e.childNodes].some(n => n.nodeType === 3 && "
        "n.textContent.trim())).map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert letters >= 11


@pytest.mark.parametrize("width", [360, 700, 900, 1000, 1100, 1280])
def test_names_without_blanks_fit_every_width(opened: Any, pages: dict[str, Path], width: int) -> None:
    page = opened(pages["long"], width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    words = opened(pages["two"], width=width).locator("#labels tbody th bdi").all()
    assert {word.evaluate("one => one.getClientRects().length") for word in words} == {1}  # short labels stay whole


@pytest.mark.parametrize("width", WIDTHS)
def test_names_on_the_map_are_whole(opened: Any, pages: dict[str, Path], width: int) -> None:
    page = opened(pages["edge"], width=width)
    frame = page.locator("#chart-map svg").bounding_box()
    names = page.locator("#chart-map svg text").all()
    assert len(names) == 2
    for name in names:
        box = name.bounding_box()
        assert box["x"] >= frame["x"]
        assert box["x"] + box["width"] <= frame["x"] + frame["width"]
        assert box["y"] >= frame["y"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["two", "many", "bare"])
def test_axe_finds_nothing_that_bars_a_person(opened: Any, pages: dict[str, Path], name: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="axe is missing: pip install 'nlptl[browser]'")
    page = opened(pages[name], scheme=scheme, width=768, bypass_csp=True)
    if name != "bare":
        page.locator("#matrix button").first.click()
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_dark_and_light_differ_and_stand_out(opened: Any, pages: dict[str, Path]) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        page = opened(pages["two"], scheme=scheme)
        colours = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        ink, ground = (sum(map(int, colour[4:-1].split(", "))) for colour in colours)
        shades[scheme] = ink - ground
    assert shades["light"] < -500
    assert shades["dark"] > 500


def test_a_cell_opens_its_texts_by_keyboard(opened: Any, pages: dict[str, Path]) -> None:
    page = opened(pages["two"])
    cell = page.locator("#matrix button").first
    cell.focus()
    page.keyboard.press("ArrowRight")
    focused = page.locator("#matrix button:focus")
    assert focused.get_attribute("data-cell") == "0-1"
    page.keyboard.press("Enter")
    assert focused.get_attribute("aria-expanded") == "true"
    count = int(focused.get_attribute("data-count"))
    assert page.locator("#opened li").count() == min(24, count)
    notes = page.locator("#opened li .note").all_inner_texts()
    assert all(", label no · " in note or ", label yes · " in note for note in notes)
    assert page.locator("#opened h3").inner_text().startswith(focused.get_attribute("aria-label"))
    page.keyboard.press("Enter")
    assert page.locator("#opened").is_hidden()


def test_hostile_texts_are_shown_as_they_are(opened: Any, pages: dict[str, Path]) -> None:
    page = opened(pages["hostile"])
    shown = []
    for button in page.locator("#matrix button").all():
        button.click()
        shown += page.locator("#opened li").all_inner_texts()
    assert any("</script><script>alert(1)</script>" in text for text in shown)
    assert any("\\u202egnirts" in text for text in shown)
    assert any("日本語のテキスト" in text for text in shown)
    assert page.locator("img, iframe, object").count() == 0


def test_the_map_tells_texts_by_keyboard_and_pointer(opened: Any, pages: dict[str, Path]) -> None:
    page = opened(pages["two"])
    told = page.locator("#map-text")
    before = told.inner_text()
    page.locator("#chart-map").focus()
    first = told.inner_text()
    assert first != before
    assert "test.csv, row" in first
    seen = {first}
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp") * 3:
        page.keyboard.press(key)
        seen.add(told.inner_text())
    assert len(seen) > 4
    box = page.locator("#chart-map").bounding_box()
    corners = []
    for share in (0.1, 0.9):
        page.locator("#chart-map").hover(position={"x": box["width"] * share, "y": box["height"] * share})
        corners.append(told.inner_text())
    assert len({*corners}) == 2


def test_a_label_is_shown_alone_on_the_map(opened: Any, pages: dict[str, Path]) -> None:
    page = opened(pages["many"])
    button = page.locator(".legend button").first
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("#chart-map circle.dim.k0").count() == 0
    assert page.locator("#chart-map circle.dim").count() > 0
    button.click()
    assert page.locator("#chart-map circle.dim").count() == 0


def test_the_page_prints_in_light_colours(opened: Any, pages: dict[str, Path]) -> None:
    page = opened(pages["two"], scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("nav").is_hidden()
    assert page.pdf()[:5] == b"%PDF-"


def test_the_page_is_whole_without_javascript(opened: Any, pages: dict[str, Path]) -> None:
    page = opened(pages["two"], java_script_enabled=False)
    assert page.locator("noscript").count() == 1
    assert page.locator("#matrix td.right").count() == 2
    assert page.locator("#chart-map circle.right").count() > 0
