"""The server's page in Chromium: at three widths, light and dark, by keyboard, with hostile texts, and when things go wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nlptl.data import TextData
from nlptl.interfaces.server.app import create_app
from nlptl.interfaces.server.loaded_model import LoadedModel, load_model
from nlptl.interfaces.server.server_settings import ServerSettings
from nlptl.models.classifier import TextClassifier
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from tests.conftest import small_reviews
from tests.interfaces.server.serving import ByRule, running

pytestmark = pytest.mark.browser

WIDTHS = (360, 768, 1280)
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "a \u202egnirts\u202c \u2066b\u2069 \x07 c",
    "w" * 10_000,
    "👩‍👩‍👧 🏳️‍🌈 the film is good 😀",
    "日本語のテキスト",
    "{{7*7}} ${alert(1)} javascript:alert(1)",
]
LABELS = ("<img src=x onerror=alert(1)>", "\u202eevil")
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def reviews_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a classifier by n-grams, whose words mean what they say."""
    folder = tmp_path_factory.mktemp("reviews") / "classifier"
    data = TextData(unlabelled=small_reviews(200)[0], labelled=small_reviews(80))
    encoder = NgramVectors(dim=16).run(data=data)
    head = ClassificationHead().run(encoder, data=data)
    FineTune(update={"method": "head", "solver": "logistic"}).run(head, data=data).save(folder)
    return folder


@pytest.fixture(scope="module")
def corrections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("collected") / "corrections.jsonl"


@pytest.fixture(scope="module")
def models(reviews_folder: Path, small_classifier: Path) -> dict[str, LoadedModel]:
    reviews = load_model(reviews_folder, device="cpu")
    given = TextClassifier.load(reviews_folder)
    return {
        "reviews": reviews,
        "vectors": load_model(small_classifier, device="cpu"),
        "topics": LoadedModel(ByRule(("good", "bad", "warm"), multi_label=True), "7"),
        "hostile": LoadedModel(TextClassifier(given.encoder, given.head, LABELS), "<b>1</b>"),
    }


@pytest.fixture(scope="module")
def server(models: dict[str, LoadedModel], corrections: Path) -> Iterator[str]:
    """Lend the address of a server of four models, which collects corrections."""
    with running(create_app(models, ServerSettings(corrections=corrections, max_text_length=20_000))) as address:
        yield address


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    """Lend a function that opens a page, and check in the end what was logged and requested."""
    pages, logged, requested, dialogs = [], [], [], []
    expected: list[str] = []

    def open_page(
        address: str, *, width: int = 1280, scheme: str = "light", fails: tuple[str, ...] = (), **options: Any
    ) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, accept_downloads=True, **options
        )
        page = context.new_page()
        page.on("console", lambda message: logged.append(message.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: requested.append(request.url))
        expected.extend(fails)
        pages.append((page, address))
        page.goto(address)
        page.locator("#model-facts:has-text('Version'), #key-form:visible").first.wait_for()
        return page

    yield open_page
    for page, _ in pages:
        page.context.close()
    assert dialogs == []
    assert [line for line in logged if not any(one in line for one in expected)] == []
    places = tuple(address for _, address in pages)
    assert [url for url in requested if not url.startswith((*places, *(f"blob:{one}" for one in places)))] == []


def predict(page: Any, text: str, *, model: str = "reviews", coverage: str = "") -> None:
    """Predict texts and wait until all are there."""
    if page.locator("#model").is_visible():
        page.select_option("#model", model)
    if page.locator("#coverage").is_visible():
        page.select_option("#coverage", coverage)
    page.fill("#text", text)
    page.click("#predict")
    page.locator("#status:has-text('predicted:')").wait_for()


def names(page: Any) -> list[str]:
    return page.locator("#results .answer .name").all_inner_texts()


def open_everything(page: Any, table: Path) -> None:
    """Show every part that the page has."""
    predict(page, "\n".join(["The film is good and warm", "The film is bad and dull", *HOSTILE]))
    page.get_by_role("button", name="Which words decided? Text 1").click()
    page.locator("#why-1 .words").wait_for()
    page.get_by_role("button", name="Correct the label Text 2").click()
    page.set_input_files("#file", table)
    page.locator("#file-form").wait_for()
    with page.expect_download():
        page.click("#label-file")
    page.locator("#file-summary").wait_for()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "Umsätze & reviews.csv"
    rows = '1;The film is good and the cast was warm, ä\r\n2;=The plot is bad and dull\r\n3;\r\n4;"good\r\ngreat"\r\n'
    path.write_bytes(f"id;review\r\n{rows}".encode("cp1252"))
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_and_bars_nobody(opened: Open, server: str, table: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="axe is missing: pip install 'nlptl[browser]'")
    page = opened(server, width=width, scheme=scheme, bypass_csp=True)
    open_everything(page, table)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    letters = page.evaluate(
        "Math.min(...[...document.querySelectorAll('main *')].filter(e => [...e.childNodes].some(n => n.nodeType === 3 && "
        "n.textContent.trim())).map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert letters >= 11
    small = page.evaluate(
        "[...document.querySelectorAll('button, select, summary')].filter(e => e.offsetParent && e.offsetHeight < 24).length"
    )
    assert small == 0


def test_nothing_moves_while_the_page_loads_and_predicts(opened: Open, server: str) -> None:
    page = opened(server, width=360)
    shifts = page.evaluate(
        "new Promise(done => { let sum = 0; new PerformanceObserver(l => l.getEntries().forEach(e => sum += e.value))"
        ".observe({type: 'layout-shift', buffered: true}); setTimeout(() => done(sum), 300); })"
    )
    assert shifts == 0
    before = page.locator("#predict").bounding_box()
    page.evaluate("window.scrollTo(0, 0)")
    predict(page, "The film is good", coverage="0.9")
    page.evaluate("window.scrollTo(0, 0)")
    assert page.locator("#predict").bounding_box() == before


def test_texts_are_labelled_by_keyboard_alone(opened: Open, server: str) -> None:
    page = opened(server)
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the texts"
    page.keyboard.press("Enter")
    assert page.locator(":focus").get_attribute("id") == "text"
    page.select_option("#coverage", "")
    page.locator("#text").focus()
    page.keyboard.type("The film is good and warm\n\nThe plot is awful and the cast was dull")
    page.keyboard.press("Control+Enter")
    page.locator("#status:has-text('predicted:')").wait_for()
    assert page.locator("#status").inner_text() == "2 texts predicted: 1 positive, 1 negative."
    assert page.locator("#status").get_attribute("role") == "status"
    assert names(page) == ["positive", "negative"]
    shares = page.locator("#results .number").all_inner_texts()
    assert all(one.removeprefix("> ").endswith(" %") for one in shares)
    wide = page.locator("#results .bar > span").first.evaluate("e => e.offsetWidth / e.parentNode.clientWidth")
    assert wide > 0.5
    button = page.get_by_role("button", name="Which words decided? Text 1")
    button.focus()
    page.keyboard.press("Enter")
    page.locator("#why-1 .words").wait_for()
    assert button.get_attribute("aria-expanded") == "true"
    page.locator("#why-1 .words").focus()
    page.keyboard.press("Escape")
    assert page.locator("#why-1").is_hidden()
    assert button.evaluate("e => e === document.activeElement")


def test_one_text_of_several_lines_stays_one(opened: Open, server: str) -> None:
    page = opened(server)
    page.get_by_label("All of it is one text").check()
    predict(page, "The film is good\nand the plot is great")
    assert page.locator("#results .said").all_inner_texts() == ["The film is good\nand the plot is great"]


def test_the_words_that_decided_are_marked_with_signs(opened: Open, server: str) -> None:
    page = opened(server)
    predict(page, "😀 👩‍👧 The film is good and great, though the cast was dull")
    page.get_by_role("button", name="Which words decided? Text 1").click()
    page.locator("#why-1 .words").wait_for()
    words = page.locator("#why-1 .words")
    assert (
        words.inner_text().replace("+", "").replace("−", "")
        == "😀 👩‍👧 The film is good and great, though the cast was dull"
    )
    for_it = page.locator("#why-1 mark.for").all_inner_texts()
    against = page.locator("#why-1 mark.against").all_inner_texts()
    assert "good+" in for_it
    assert "dull−" in against
    looks = page.locator("#why-1 mark.for").first.evaluate("e => getComputedStyle(e).textDecorationStyle")
    assert looks != page.locator("#why-1 mark.against").first.evaluate("e => getComputedStyle(e).textDecorationStyle")
    told = page.locator("#why-1").inner_text()
    assert "Method: " in told
    assert "For it: " in told
    assert "Against it: " in told


def test_an_abstention_is_told_as_one(opened: Open, server: str) -> None:
    page = opened(server)
    predictions = [
        {"label": None, "set": ["positive", "negative"], "unknown": False, "probabilities": {"negative": 0.48, "positive": 0.52}},
        {"label": None, "set": ["negative"], "unknown": True, "probabilities": {"negative": 0.999, "positive": 0.001}},
        {"label": None, "set": [*"abcdefgh"], "unknown": False},
        {"label": "positive", "set": ["positive"], "unknown": None, "probabilities": {"negative": 0.004, "positive": 0.996}},
    ]  # fmt: skip
    asked = []

    def answer(route: Any) -> None:
        asked.append(json.loads(route.request.post_data))
        route.fulfill(json={"model": "reviews", "version": "1", "predictions": predictions})

    page.route("**/predict", answer)
    predict(page, "one\ntwo\nthree\nfour", coverage="0.8")
    assert asked == [
        {"model": "reviews", "texts": ["one", "two", "three", "four"], "probabilities": True, "coverage": 0.8}
    ]
    assert names(page) == [
        "Not sure: positive or negative.", "Not sure: looks like none of the known texts.",
        "Not sure: a, b, c, d, e or one of 3 others.", "positive",
    ]  # fmt: skip
    assert page.locator("#results .small").all_inner_texts() == [
        "Probabilities: positive 52 %, negative 48 %.", "It would say: negative > 99 %, positive < 1 %.",
    ]  # fmt: skip
    assert page.locator("#status").inner_text() == "4 texts predicted: 3 not sure, 1 positive."


def test_the_real_model_abstains_from_what_it_never_saw(opened: Open, server: str) -> None:
    page = opened(server)
    predict(page, "Quarterly tariffs on imported zinc were raised", model="vectors", coverage="0.8")
    assert names(page) == ["Not sure: looks like none of the known texts."]


def test_a_model_of_several_labels_shows_them_and_cannot_abstain(opened: Open, server: str) -> None:
    page = opened(server)
    predict(page, "gw\nxyz", model="topics")
    assert page.locator("#coverage").is_hidden()
    assert names(page) == ["good", "warm", "No label applies."]
    assert "a text may have several, or none. Version 7." in page.locator("#model-facts").inner_text()
    page.get_by_role("button", name="Correct the label Text 2").click()
    page.locator("#mend-2").get_by_label("bad").check()
    page.locator("#mend-2").get_by_role("button", name="Save").click()
    page.locator("#mend-2 .keep").wait_for()


def test_hostile_texts_are_shown_as_they_are(opened: Open, server: str) -> None:
    page = opened(server, width=360, fails=("requires 'TrustedHTML' assignment",))
    predict(page, "\n".join(HOSTILE), model="hostile")
    shown = page.locator("#results .said").all_inner_texts()
    assert shown[:2] == HOSTILE[:2]
    assert shown[2] == "a \\u202egnirts\\u202c \\u2066b\\u2069 \\x07 c"
    assert shown[4:] == HOSTILE[4:]
    assert page.locator("main img, main script, main iframe").count() == 0
    assert {*names(page)} <= {LABELS[0], "\\u202eevil"}
    page.get_by_role("button", name="Show the whole text").click()
    assert page.locator("#results .said").nth(3).inner_text() == HOSTILE[3]
    page.get_by_role("button", name="Which words decided? Text 1").click()
    page.locator("#why-1 .words").wait_for()
    page.get_by_role("button", name="Correct the label Text 1").click()
    assert page.locator("#mend-1 option").all_inner_texts() == [LABELS[0], "\\u202eevil"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert (
        page.evaluate("try { document.body.innerHTML = '<b>x</b>'; 'written' } catch (error) { error.name }")
        == "TypeError"
    )


def test_a_file_comes_back_with_labels(opened: Open, server: str, table: Path) -> None:
    page = opened(server)
    page.select_option("#coverage", "")
    page.set_input_files("#file", table)
    page.locator("#file-form").wait_for()
    assert page.locator("#column").evaluate("e => e.selectedOptions[0].textContent") == "review"
    assert page.locator("#preview th").all_inner_texts() == ["id", "review"]
    assert page.locator("#preview tbody tr").first.locator("td").all_inner_texts() == [
        "1", "The film is good and the cast was warm, ä"
    ]  # fmt: skip
    assert page.locator("#file-remarks").inner_text() == "Read with a semicolon between fields; encoding Windows-1252."
    with page.expect_download() as download:
        page.click("#label-file")
    assert download.value.suggested_filename == "Umsätze & reviews-labelled.csv"
    content = Path(download.value.path()).read_bytes().decode()
    assert content == (
        "\ufeffid;review;label\n1;The film is good and the cast was warm, ä;positive\n2;'=The plot is bad and dull;negative\n"
        '3;;\n4;"good\r\ngreat";positive\n'
    )
    page.locator("#file-summary").wait_for()
    rows = [row.locator("td").all_inner_texts() for row in page.locator("#file-summary tbody tr").all()]
    assert rows == [
        ["positive", "2", "50 %"],
        ["negative", "1", "25 %"],
        ["no text: the label is left empty", "1", "25 %"],
    ]
    assert page.locator("#file-status").inner_text() == "4 rows done. The file is in your downloads."


def test_a_dropped_file_is_taken_wherever_it_falls(opened: Open, server: str) -> None:
    page = opened(server)
    page.fill("#text", "not lost")
    page.evaluate(
        "() => { const data = new DataTransfer(); data.items.add(new File(['wörter\\tx\\ngood film\\t1\\n'], 'a.tsv'));"
        "document.querySelector('h1').dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})) }"
    )
    page.locator("#file-form").wait_for()
    assert page.locator("#column option").all_inner_texts() == ["wörter", "x"]
    assert page.locator(":focus").get_attribute("id") == "column"
    page.select_option("#column", "1")
    with page.expect_download() as download:
        page.click("#label-file")
    assert Path(download.value.path()).read_text(encoding="utf-8-sig").startswith("wörter\tx\tlabel\tset")
    assert page.input_value("#text") == "not lost"


def test_a_table_of_several_labels_says_where_none_applies(opened: Open, server: str) -> None:
    page = opened(server)
    page.select_option("#model", "topics")
    page.set_input_files("#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": b'text\ng w\nxyz\n""\n'})
    page.locator("#file-form").wait_for()
    page.click("#label-file")
    page.locator("#file-summary").wait_for()
    rows = [row.locator("td").all_inner_texts() for row in page.locator("#file-summary tbody tr").all()]
    assert [row[:2] for row in rows] == [
        ["good|warm", "1"], ["no label applies: the label is left empty", "1"], ["no text: the label is left empty", "1"]
    ]  # fmt: skip


def test_files_that_are_no_tables_are_told(opened: Open, server: str, tmp_path: Path) -> None:
    page = opened(server, fails=("422 (Unprocessable",))
    for name, content, told in (
        (
            "book.xlsx",
            b"PK",
            "book.xlsx is no CSV or TSV file. Save the table as CSV in your spreadsheet program",
        ),
        ("none.csv", b"", "none.csv is empty. Give another file."),
        ("image.csv", b"\x89PNG\r\n\x1a\n\0\0\0", "file.csv: "),
    ):
        (tmp_path / name).write_bytes(content)
        page.set_input_files("#file", tmp_path / name)
        page.locator(f"#file-problem p:has-text('{told[:20]}')").wait_for()
        assert page.locator("#file-problem").inner_text().startswith(told)
        assert page.locator("#file-form").is_hidden()


def test_a_correction_is_collected_and_told(opened: Open, server: str, corrections: Path) -> None:
    page = opened(server)
    corrections.unlink(missing_ok=True)
    text = "The film is good <b>and</b> 😀 \u202e warm"
    predict(page, text)
    page.get_by_role("button", name="Correct the label Text 1").click()
    assert page.locator(":focus").evaluate("e => e.labels[0].textContent") == "Right label of text 1"
    assert page.locator("#mend-1 select").input_value() == "negative"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#mend-1 .keep").wait_for()
    assert page.locator(":focus").inner_text() == (
        "Saved. Collected in corrections.jsonl. `nlptl refresh RUN --labelled corrections.jsonl` learns from it, where RUN is the "
        "folder of reviews."
    )
    line = json.loads(corrections.read_text())
    assert (line["text"], line["label"], line["predicted"], line["model"]) == (text, "negative", "positive", "reviews")


def test_a_server_with_a_key_is_opened_by_it(opened: Open, models: dict[str, LoadedModel]) -> None:
    app = create_app({"reviews": models["reviews"]}, ServerSettings(api_key="se'cret"))
    with running(app) as address:
        page = opened(address, fails=("401 (Unauthorized",))
        assert page.locator("#model-problem").inner_text().startswith("The server asks for an API key. Give it above.")
        assert page.locator(":focus").get_attribute("id") == "key"
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        page.locator("#model-problem:has-text('does not know')").wait_for()
        page.fill("#key", "se'cret")
        page.keyboard.press("Enter")
        page.locator("#text").wait_for()
        assert page.locator("#key-form").is_hidden()
        assert page.locator("#results").get_by_text("Correct").count() == 0
        predict(page, "The film is good")
        assert page.get_by_role("button", name="Correct the label").count() == 0  # not collected here
        assert "$NLPTL_API_KEY" in page.locator("#curl").inner_text()
        assert "cret" not in page.content()
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_errors_are_sentences_and_no_text_is_lost(opened: Open, server: str) -> None:
    page = opened(server, fails=("status of 429", "status of 413", "ERR_CONNECTION_REFUSED", "ERR_FAILED"))
    text = "\n".join(f"The film is good, number {row}" for row in range(40))
    state = {"calls": 0}

    def busy_once(route: Any) -> None:
        state["calls"] += 1
        if state["calls"] == 2:
            route.fulfill(
                status=429, headers={"Retry-After": "3"}, json={"error": {"code": "queue_full", "message": "Full."}}
            )
        else:
            route.continue_()

    page.route("**/predict", busy_once)
    page.fill("#text", text)
    page.select_option("#coverage", "")
    page.click("#predict")
    page.locator("#problem p").wait_for()
    assert page.locator("#problem").inner_text().split("\n")[0] == "The server is busy. Try again in 3 seconds."
    assert page.locator("#status").inner_text() == "32 texts predicted: 32 positive. 8 texts left."
    page.get_by_role("button", name="Try again").click()
    page.locator("#status:has-text('40 texts predicted')").wait_for()
    assert page.locator("#results > li").count() == 40
    assert page.locator("#problem p").count() == 0
    page.unroute("**/predict")

    page.fill("#text", "x" * 20_001)
    page.click("#predict")
    page.locator("#problem p").wait_for()
    assert (
        page.locator("#problem")
        .inner_text()
        .startswith("texts[0]: found 20,001 characters; expected 20,000 at most. Shorten the text.")
    )

    page.route("**/predict", lambda route: route.abort("failed"))
    page.fill("#text", text)
    page.click("#predict")
    page.locator("#problem p:has-text('does not answer')").wait_for()
    assert (
        page.locator("#problem")
        .inner_text()
        .startswith(
            "The server does not answer. It may have stopped, or the network is down. Your texts are still here: try again."
        )
    )
    assert page.input_value("#text") == text
    page.fill("#text", " \n ")
    page.click("#predict")
    assert page.locator("#problem").inner_text() == "There is no text. Type or paste one first."
    assert page.locator(":focus").get_attribute("id") == "text"


def test_a_server_that_ends_is_told(opened: Open, models: dict[str, LoadedModel]) -> None:
    with running(create_app({"reviews": models["reviews"]})) as address:
        page = opened(address, fails=("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"))
    page.fill("#text", "still here")
    page.click("#predict")
    page.locator("#problem p:has-text('does not answer')").wait_for()
    assert page.input_value("#text") == "still here"


def test_slow_work_shows_how_far_it_is_and_can_be_stopped(opened: Open, tmp_path: Path) -> None:
    app = create_app({"slow": LoadedModel(ByRule(("good", "bad"), seconds=0.1), "1")})
    with running(app) as address:
        page = opened(address)
        page.fill("#text", "\n".join(f"good {row}" for row in range(900)))
        page.click("#predict")
        page.locator("#status:has-text('of 900 texts …')").wait_for()
        page.locator("#results > li").first.wait_for()
        page.get_by_role("button", name="Stop").click()
        page.locator("#status:has-text('Stopped.')").wait_for()
        assert 0 < page.locator("#results > li").count() < 900
        (tmp_path / "long.csv").write_text("text\n" + "".join(f"good {row}\n" for row in range(20_000)))
        page.set_input_files("#file", tmp_path / "long.csv")
        page.locator("#file-form").wait_for()
        page.click("#label-file")
        page.locator("#file-status:has-text('of 20,000 rows …')").wait_for()
        assert 0 < float(page.locator("#file-progress").get_attribute("value") or 0) < 1
        page.locator("#file-stop").click()
        page.locator("#file-status:has-text('Stopped. Nothing was kept.')").wait_for()


def test_a_file_whose_answer_is_cut_off_is_no_result(opened: Open) -> None:
    predictor = ByRule(("good", "bad"), seconds=0.05)
    with running(create_app({"reviews": LoadedModel(predictor, "1")})) as address:
        page = opened(address, fails=("ERR_INCOMPLETE_CHUNKED_ENCODING",))
        page.set_input_files(
            "#file", {"name": "a.csv", "mimeType": "text/csv", "buffer": b"text\n" + b"good film\n" * 5000}
        )
        page.locator("#file-form").wait_for()
        page.click("#label-file")
        page.locator("#file-status:has-text('of 5,000 rows …')").wait_for()
        predictor.fails = True
        page.locator("#file-problem p").wait_for()
        assert page.locator("#file-summary").is_hidden()


@pytest.mark.parametrize("model", ["reviews", "hostile"])
def test_the_shown_code_sends_the_very_texts(opened: Open, server: str, tmp_path: Path, model: str) -> None:
    page = opened(server)
    texts = [
        'it\'s $(touch owned) `id` \\ "x" !! %s',
        "<b>\u202e ü 😀 \U000e0041 日本",
        "'; touch owned; '",
        "\\n \\u0041 \x07 end",
    ]
    page.select_option("#model", model)
    page.fill("#text", "\n".join(texts))
    expected = page.evaluate(
        "async asked => (await (await fetch('predict', {method: 'POST', headers: {'Content-Type': 'application/json'}, "
        "body: JSON.stringify(asked)})).json())",
        {"model": model, "texts": texts, "probabilities": True},
    )
    curl, python = (page.locator(one).text_content() or "" for one in ("#curl", "#python"))
    assert "\u202e" not in curl + python
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONUTF8": "1"}
    sent = subprocess.run(
        ["bash", "-c", curl.replace("curl ", "curl --silent ", 1)], cwd=tmp_path, env=clean, capture_output=True, check=True
    )  # fmt: skip
    assert json.loads(sent.stdout) == expected
    run = subprocess.run([sys.executable, "-c", python], cwd=tmp_path, env=clean, capture_output=True, check=True)
    assert run.stdout.decode() == "".join(
        f"{found['label']} {text}\n" for found, text in zip(expected["predictions"], texts, strict=True)
    )
    assert [*tmp_path.iterdir()] == []


def test_a_refreshed_run_shows_its_new_version(opened: Open) -> None:
    app = create_app({"m": LoadedModel(ByRule(("good", "bad")), "1")})
    with running(app) as address:
        page = opened(address)
        models = [{"name": "m", "version": "2", "labels": ["fine", "bad"], "multi_label": False, "can_abstain": False}]

        page.route("**/models", lambda route: route.fulfill(json=models))
        page.route(
            "**/predict",
            lambda route: route.fulfill(json={"model": "m", "version": "2", "predictions": [{"label": "fine"}]}),
        )
        predict(page, "x")
        page.locator("#model-facts:has-text('fine, bad. Version 2.')").wait_for()


def test_a_file_that_is_too_large_is_told(opened: Open, models: dict[str, LoadedModel], tmp_path: Path) -> None:
    (tmp_path / "large.csv").write_bytes(b"text\n" + b"a film that is good and goes on\n" * 600_000)
    with running(create_app({"reviews": models["reviews"]}, ServerSettings(max_file=1_000_000))) as address:
        page = opened(address, fails=("413",))
        page.set_input_files("#file", tmp_path / "large.csv")
        page.locator("#file-form").wait_for()
        page.click("#label-file")
        page.locator("#file-problem p").wait_for()
        assert page.locator("#file-problem").inner_text().startswith("The file has more than 1,000,000 bytes.")


def test_the_code_is_copied(opened: Open, server: str) -> None:
    page = opened(server, permissions=["clipboard-read", "clipboard-write"])
    page.fill("#text", "copied text")
    page.get_by_role("button", name="Copy the curl command").click()
    page.locator("#copied:has-text('Copied.')").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#curl").text_content()


def test_many_texts_are_sent_to_a_file(opened: Open, server: str) -> None:
    page = opened(server)
    page.evaluate("document.querySelector('#text').value = 'x\\n'.repeat(1001)")  # typed line by line, it takes long
    page.click("#predict")
    assert page.locator("#problem").inner_text() == (
        "These are 1,001 texts; the page takes 1,000 texts at once. Put them into a file and give it below."
    )


def test_dark_and_light_differ_and_stand_out(opened: Open, server: str) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        page = opened(server, scheme=scheme)
        colours = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        ink, ground = (sum(map(int, colour[4:-1].split(", "))) for colour in colours)
        shades[scheme] = ink - ground
    assert shades["light"] < -500
    assert shades["dark"] > 500
