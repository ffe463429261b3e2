"""The page's files, tables that come back with labels, and corrections, by requests without a browser."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import multiprocessing
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from nlptl.data import load_table
from nlptl.errors import StorageError
from nlptl.interfaces.server import page_routes, uploads
from nlptl.interfaces.server.app import create_app
from nlptl.interfaces.server.corrections import Correction, append_correction
from nlptl.interfaces.server.file_answers import FileAnswers
from nlptl.interfaces.server.file_preview import whole_rows
from nlptl.interfaces.server.loaded_model import LoadedModel, load_model
from nlptl.interfaces.server.served_model import ServedModel
from nlptl.interfaces.server.server_metrics import ServerMetrics
from nlptl.interfaces.server.server_settings import ServerSettings
from nlptl.interfaces.server.web_page import POLICY, page_files
from tests.interfaces.commands import Shell
from tests.interfaces.server.serving import ByRule, asked

CSV = {"content-type": "text/csv"}
TABLES = {
    "plain": ("id,text\n1,a good film\n2,\"a bad, dull \"\"film\"\"\"\n3,\"two\nlines\"\n", {}),
    "semicolons": ("id;text\r\n1;a good film\r\n2;bad\r\n", {"delimiter": ";"}),
    "no header": ("1\ta good film\n2\tbad\n", {"header": "false", "column_number": "2"}),
    "formulas": ("text,=note\n=1+1 good,+x\n@bad,y\n", {}),
    "label there": ("label,text\nx,a good film\n", {"probabilities": "true", "bom": "true"}),
    "with gaps": ("id,text\n1,good\n2,\n3, \n4,bad\n", {"empty_text": "empty"}),
    "gaps left out": ("id,text\n1,good\n2,\n4,bad\n", {"empty_text": "skip"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def served(small_classifier: Path) -> LoadedModel:
    return load_model(small_classifier, device="cpu")


@pytest.fixture(scope="module")
def app(served: LoadedModel) -> FastAPI:
    return create_app({"reviews": served})


def by_rule(**options: Any) -> LoadedModel:
    return LoadedModel(ByRule(("good", "bad"), **options), "1")


def message(answer: Any) -> str:
    return answer.json()["error"]["message"]


def test_the_page_and_its_parts_are_sent_under_a_strict_policy(app: FastAPI) -> None:
    index = asked(app, "GET", "/")
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert index.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "<style" not in index.text
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bon\w+=|style=", index.text)
    for part in re.findall(r'(?:src|href)="(page/[^"]+)"', index.text):
        assert asked(app, "GET", f"/{part}").status_code == 200
    again = asked(app, "GET", "/", headers={"if-none-match": index.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert asked(app, "GET", "/page/..%2Fapp.py").status_code == 404


def test_the_page_needs_no_key_and_says_nothing_without_one(served: LoadedModel) -> None:
    app = create_app({"reviews": served}, ServerSettings(api_key="secret"))
    paths = ["/", "/page/page.js", "/models", "/predict-file"]
    methods = ["GET", "GET", "GET", "POST"]
    assert [asked(app, *one).status_code for one in zip(methods, paths, strict=True)] == [200, 200, 401, 401]


def test_all_parts_of_the_page_are_packed(root: Path, tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    wheel = Path(next(WheelBuilder(str(root)).build(directory=str(tmp_path), versions=["standard"])))
    packed = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if "/server/page/" in name}
    assert packed == set(page_files())


@pytest.mark.parametrize("name", TABLES)
def test_a_table_comes_back_as_predict_would_write_it(
    app: FastAPI, small_classifier: Path, tmp_path: Path, shell: Shell, name: str
) -> None:
    table, options = TABLES[name]
    path = tmp_path / "table.csv"
    path.write_bytes(table.encode())
    answer = asked(app, "POST", "/predict-file", params=options, content=table.encode(), headers=CSV)
    words = {
        "delimiter": lambda one: ["--delimiter", one], "header": lambda _: ["--no-header"], "probabilities": lambda _: ["--proba"],
        "bom": lambda _: ["--bom"], "empty_text": lambda one: ["--empty-text", one],
        "column_number": lambda one: ["--text-column", one],
    }  # fmt: skip
    given = [word for key, value in options.items() for word in words[key](value)]
    code, out, err = shell("predict", small_classifier, "--file", path, "--keep", "--guard-formulas", "--quiet", *given)
    assert (code, err) == (0, "")
    assert answer.status_code == 200
    assert answer.content.decode() == out
    assert answer.headers["x-rows"] == str(out.replace("two\nlines", "").count("\n") - 1)
    assert answer.headers["content-disposition"] == 'attachment; filename="labelled.csv"'


def test_a_table_in_another_encoding_or_a_form_is_read_too(app: FastAPI) -> None:
    table = "id;text\n1;ein schöner Film, good\n2;größer, bad\n"
    plain = asked(app, "POST", "/predict-file", content=table.encode(), headers=CSV)
    cp1252 = asked(app, "POST", "/predict-file", content=table.encode("cp1252"), headers=CSV)
    utf_16 = asked(app, "POST", "/predict-file", content=table.encode("utf-16"), headers=CSV)
    form = asked(app, "POST", "/predict-file", files={"file": ("my table.csv", table.encode(), "text/csv")})
    assert plain.status_code == 200
    assert plain.text.startswith("id,text,label\n1,")
    assert {cp1252.text, utf_16.text, form.text} == {plain.text}


def test_sets_of_labels_are_added_where_a_coverage_is_asked_for(app: FastAPI) -> None:
    answer = asked(
        app, "POST", "/predict-file", params={"coverage": "0.8"}, content=b"text\na good film\n", headers=CSV
    )
    assert answer.text.startswith("text,label,set,unknown,novelty\na good film,")
    refused = asked(app, "POST", "/predict-file", params={"coverage": "0.999"}, content=b"text\nx\n", headers=CSV)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "cannot_abstain")


FAULTS = {
    "file.csv:3: the text is empty. Remove the row, fill in the text, or send `empty_text=skip` to leave out all such rows, or "
    "`empty_text=empty` to give them an empty label.": (422, b"id,text\n1,good\n2,\n", {}),
    "file.csv:1: there is no column 'txt' with the texts; the columns are 'id', 'text'. Did you mean 'text'? Name the column with "
    "`text_column`.": (422, b"id,text\n1,good\n", {"text_column": "txt"}),
    "The request holds text_column and column_number; expected one of them. Drop one.":
        (422, b"text\nx\n", {"text_column": "text", "column_number": "1"}),
    "delimiter: expected one character that is no quote and no line end. Give another one.":
        (422, b"text\nx\n", {"delimiter": "ab"}),
    "The request carries an empty file. Send a CSV file as its body.": (400, b"", {}),
    "The file has more than 100 bytes. Send it in parts, or use `nlptl predict --file`.": (413, b"text\n" + b"x" * 100, {}),
    "file.csv: there are no rows. Add rows, or choose another source.": (422, b"\n", {}),
    'model: found "other"; the models are reviews. Correct it.': (404, b"text\nx\n", {"model": "other"}),
}  # fmt: skip


@pytest.mark.parametrize("sentence", FAULTS)
def test_a_table_that_cannot_be_labelled_is_refused_with_a_sentence(served: LoadedModel, sentence: str) -> None:
    status, content, options = FAULTS[sentence]
    app = create_app({"reviews": served}, ServerSettings(max_file=100, max_body=10))
    answer = asked(app, "POST", "/predict-file", params=options, content=content, headers=CSV)
    assert (answer.status_code, message(answer)) == (status, sentence)


def test_other_contents_are_refused(app: FastAPI) -> None:
    answer = asked(app, "POST", "/predict-file", content=b"PK", headers={"content-type": "application/zip"})
    assert (answer.status_code, message(answer)) == (
        415,
        "Found the content type 'application/zip'; expected text/csv, text/tab-separated-values or a form with a file. Send one of "
        "them.",
    )
    form = asked(app, "POST", "/predict-file", files={"other": ("x.csv", b"text\nx\n", "text/csv")})
    assert (form.status_code, message(form)) == (400, "The form has no field `file` with a file. Send one.")
    lines = asked(app, "POST", "/predict-file", content=b"--x", headers={"content-type": "multipart/form-data"})
    assert (lines.status_code, message(lines)) == (
        400, "The form cannot be read: Missing boundary in multipart. Send one file in the field `file`."
    )  # fmt: skip


def test_nothing_of_an_upload_is_left(app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    failing = create_app({"reviews": by_rule(fails=True)})
    for one in (app, failing):
        for content in (b"text\ngood\n", b"text\n\n", b""):
            with contextlib.suppress(AssertionError):  # of the transport, where an answer is cut off
                asked(one, "POST", "/predict-file", content=content, headers=CSV)
            asked(one, "POST", "/predict-file/preview", content=content, headers=CSV)
    assert [*tmp_path.iterdir()] == []


def test_files_in_hand_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_routes, "FILES_AT_ONCE", 1)
    app = create_app({"reviews": by_rule(seconds=0.2)})

    async def both() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            first, second = (client.post("/predict-file", content=b"text\ngood\n", headers=CSV) for _ in range(2))
            return await asyncio.gather(first, second)

    done, refused = sorted(asyncio.run(both()), key=lambda one: one.status_code)
    assert (done.status_code, done.text) == (200, "text,label\ngood,good\n")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    assert message(refused) == "The server labels 1 files already. Try again in 5 s."


def test_a_client_that_leaves_gives_its_place_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(page_routes, "FILES_AT_ONCE", 1)
    app = create_app({"reviews": by_rule(seconds=0.05)})
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
        "path": "/predict-file", "raw_path": b"/predict-file", "query_string": b"", "scheme": "http", "root_path": "",
        "headers": [(b"content-type", b"text/csv")], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    sent: list[bytes] = []

    async def leave_after_the_first_rows() -> None:
        has_rows, messages = asyncio.Event(), iter([{"type": "http.request", "body": b"text\n" + b"good\n" * 50_000}])

        async def receive() -> dict[str, Any]:
            message = next(messages, None)
            if message is None:
                await has_rows.wait()
                return {"type": "http.disconnect"}
            return message

        async def send(one: Any) -> None:
            sent.append(one.get("body", b""))
            if one.get("body"):
                has_rows.set()

        await app(scope, receive, send)

    async def leave_then_ask() -> httpx.Response:
        await leave_after_the_first_rows()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            return await client.post("/predict-file", content=b"text\ngood\n", headers=CSV)

    assert asyncio.run(leave_then_ask()).status_code == 200
    assert b"".join(sent).count(b"\n") < 50_000
    assert [*tmp_path.iterdir()] == []


def test_a_table_keeps_the_version_that_it_began_with() -> None:
    old, new = (LoadedModel(ByRule(labels, seconds=0.005), labels[0]) for labels in (("good", "bad"), ("warm", "cold")))

    async def replace_midway() -> list[Any]:
        served = ServedModel("m", old, ServerSettings(), ServerMetrics())
        answers = FileAnswers(served.current.labels, None, asyncio.get_running_loop())
        first = await asyncio.to_thread(answers, ["good"] * 100)
        waiting = asyncio.ensure_future(asyncio.to_thread(answers, ["bad"] * 2000))
        await asyncio.sleep(0.01)
        served.replace(new)
        return [*first, *await waiting, *await asyncio.to_thread(answers, ["good"])]

    found = asyncio.run(replace_midway())
    assert [one.label for one in found] == ["good"] * 100 + ["bad"] * 2000 + ["good"]


def test_texts_of_a_large_table_wait_for_room_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app({"reviews": by_rule()}, ServerSettings(queue=1))
    table = "text\n" + "".join(f"{'good' if row % 3 else 'bad'} {row}\n" for row in range(1500))
    answer = asked(app, "POST", "/predict-file", content=table.encode(), headers=CSV)
    lines = answer.text.splitlines()
    assert len(lines) == 1501
    assert all(line.split(",")[1] == line.split(" ")[0] for line in lines[1:])


def test_a_text_over_the_limit_is_named(served: LoadedModel) -> None:
    app = create_app({"reviews": served}, ServerSettings(max_text_length=10))
    answer = asked(app, "POST", "/predict-file", content=b"text\nshort\n" + b"x" * 11 + b"\n", headers=CSV)
    assert message(answer) == (
        "file.csv:3: the text has more than 10 characters. Cut it into several texts, or set `max_text_length` to more characters. "
        "If a quote is not closed, close it."
    )


def test_the_preview_names_columns_and_finds_the_texts(app: FastAPI) -> None:
    table = "id;Kommentar;Sterne\n" + "".join(
        f"{row};Das war ein guter Film mit viel Gefühl {row};3\n" for row in range(9)
    )
    found = asked(app, "POST", "/predict-file/preview", content=table.encode("cp1252"), headers=CSV).json()
    assert found == {
        "columns": ["id", "Kommentar", "Sterne"], "header": True, "text_column": 2, "delimiter": ";",
        "rows": [[str(row), f"Das war ein guter Film mit viel Gefühl {row}", "3"] for row in range(5)],
        "remarks": ["a semicolon between fields", "encoding Windows-1252"],
    }  # fmt: skip


def test_the_preview_of_a_beginning_reads_whole_rows(app: FastAPI) -> None:
    table = 'id,text\n1,"a text, of\ntwo lines"\n2,"cut\nin the mid'
    found = asked(app, "POST", "/predict-file/preview", params={"whole": "false"}, content=table.encode(), headers=CSV)
    assert found.json()["rows"] == [["1", "a text, of\ntwo lines"]]


@pytest.mark.parametrize(
    ("beginning", "kept"),
    [
        (b"a\nb\nc", b"a\nb\n"),
        (b'a\n"b\nc', b"a\n"),
        (b'a "\nb "\nc', b'a "\nb "\n'),
        (b"no line end", b"no line end"),
        ("a\nbĊb\nc".encode("utf-16-le"), "a\nbĊb\n".encode("utf-16-le")),
    ],
)
def test_a_beginning_is_cut_at_its_last_row(beginning: bytes, kept: bytes) -> None:
    mark = b"\xff\xfe" if b"\0" in beginning else b""
    assert whole_rows(mark + beginning) == mark + kept


def test_corrections_are_off_unless_a_file_is_named(app: FastAPI) -> None:
    assert asked(app, "GET", "/models").json()[0]["corrections"] is False
    answer = asked(app, "POST", "/corrections", json={"text": "x", "label": "positive"})
    assert (answer.status_code, answer.json()["error"]) == (
        404,
        {"code": "corrections_off", "message": "This server collects no corrections. Start it with --corrections "
         "FILE.jsonl to let it."},
    )  # fmt: skip


def test_corrections_are_read_as_labelled_texts(served: LoadedModel, tmp_path: Path) -> None:
    path = tmp_path / "corrections.jsonl"
    app = create_app({"reviews": served}, ServerSettings(corrections=path))
    texts = ["a fine film", 'quotes " and \\ and\nlines\u2028', "日本語 \u202e 😀"]
    for text in texts:
        given = {"model": "reviews", "text": text, "label": "positive", "predicted": "negative"}
        answer = asked(app, "POST", "/corrections", json=given)
        assert answer.status_code == 201
    assert answer.json() == {
        "file": "corrections.jsonl",
        "message": "Collected in corrections.jsonl. `nlptl refresh RUN --labelled corrections.jsonl` learns from it, where RUN is "
        "the folder of reviews.",
    }
    table = load_table(str(path))
    assert table.texts() == texts
    assert table.labels() == ["positive"] * 3
    assert json.loads(path.read_text().split("\n")[0]) == {
        "text": "a fine film", "label": "positive", "predicted": "negative", "model": "reviews", "version": served.version,
    }  # fmt: skip


def test_corrections_of_several_labels_are_lists(tmp_path: Path) -> None:
    path = tmp_path / "corrections.jsonl"
    model = LoadedModel(ByRule(("good", "bad"), multi_label=True), "1")
    app = create_app({"topics": model}, ServerSettings(corrections=path))
    for text, labels in (("one", ["good", "bad"]), ("none", [])):
        answer = asked(app, "POST", "/corrections", json={"text": text, "label": labels, "predicted": ["good"]})
        assert answer.status_code == 201
    assert [json.loads(line)["label"] for line in path.read_text().splitlines()] == [["good", "bad"], []]
    assert message(asked(app, "POST", "/corrections", json={"text": "x", "label": 3})) == (
        "label: found a number; expected an array of labels. Correct it."
    )


WRONG = {
    "text: found no text; expected one that is not empty. Give the text.": {"text": " ", "label": "positive"},
    'label: found "so-so", which is no label of this model. Give one that /models lists.': {"text": "x", "label": "so-so"},
    "label: found an array; expected a label. Correct it.": {"text": "x", "label": ["positive"]},
    "label: found null; expected a label. Correct it.": {"text": "x"},
    '"lable": is no field of a correction. The fields are model, text, label, predicted.': {"text": "x", "lable": "positive"},
    'model: found "other"; the models are reviews. Name one.': {"text": "x", "label": "positive", "model": "other"},
    "text: found 21 characters; expected 20 at most. Shorten the text.": {"text": "x" * 21, "label": "positive"},
    "text: found half a character (a lone surrogate) at place 0. Remove it.": {"text": "\ud800", "label": "positive"},
}  # fmt: skip


@pytest.mark.parametrize("sentence", WRONG)
def test_a_wrong_correction_is_refused_and_nothing_is_written(
    served: LoadedModel, tmp_path: Path, sentence: str
) -> None:
    path = tmp_path / "corrections.jsonl"
    app = create_app({"reviews": served}, ServerSettings(corrections=path, max_text_length=20))
    answer = asked(
        app, "POST", "/corrections", content=json.dumps(WRONG[sentence]), headers={"content-type": "application/json"}
    )
    assert message(answer) == sentence
    assert not path.exists()


def test_a_file_of_corrections_that_cannot_be_written_is_told(
    served: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = create_app({"reviews": served}, ServerSettings(corrections=tmp_path / "none" / "corrections.jsonl"))
    answer = asked(app, "POST", "/corrections", json={"text": "x", "label": "positive"})
    assert (answer.status_code, message(answer)) == (
        507, "The server cannot write its file of corrections; its log tells why. Nothing was kept."
    )  # fmt: skip
    assert "corrections.jsonl" in capsys.readouterr().err


def test_nothing_of_a_correction_is_left_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "corrections.jsonl", os.write
    append_correction(path, Correction("x", "good", None, "m", "1"))
    before = path.read_text()
    room = iter([10])

    def write_some(handle: int, line: bytes) -> int:
        if (left := next(room, 0)) == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, line[:left])

    monkeypatch.setattr(os, "write", write_some)
    with pytest.raises(StorageError):
        append_correction(path, Correction("y", "good", None, "m", "1"))
    assert path.read_text() == before


@pytest.mark.parametrize("form", [False, True])
def test_a_full_disk_refuses_a_table_with_a_sentence(
    form: bool, app: FastAPI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def full(_: str) -> Iterator[Path]:
        (tmp_path / "file.csv").symlink_to("/dev/full")
        yield tmp_path

    monkeypatch.setattr(page_routes, "temporary_folder", full)
    sent: Any = (
        {"files": {"file": ("x.csv", b"text\nx\n", "text/csv")}} if form else {"content": b"text\nx\n", "headers": CSV}
    )
    answer = asked(app, "POST", "/predict-file", **sent)
    assert (answer.status_code, message(answer)) == (
        507, "The server has no room on its disk for this file. Try again later, or send it in parts."
    )  # fmt: skip


def test_a_correction_is_taken_as_json_alone(served: LoadedModel, tmp_path: Path) -> None:
    app = create_app({"reviews": served}, ServerSettings(corrections=tmp_path / "corrections.jsonl"))
    plain = {"content-type": "text/plain"}  # which a page of another site may send without asking
    answer = asked(app, "POST", "/corrections", content='{"text": "x", "label": "positive"}', headers=plain)
    assert (answer.status_code, message(answer)) == (
        415, "Expected a body of application/json. Send the header Content-Type: application/json."
    )  # fmt: skip
    assert [*tmp_path.iterdir()] == []


def test_forms_need_their_package(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads.importlib.util, "find_spec", lambda _: None)
    answer = asked(app, "POST", "/predict-file", files={"file": ("x.csv", b"text\nx\n", "text/csv")})
    assert (answer.status_code, message(answer)) == (
        501, "This server reads no forms, since python-multipart is missing. Send the file itself as text/csv."
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"text": "a", "label": "b"}\n{"text": "cu', '{"text": "a", "label": "b"}\n'),
        ('{"text": "a", "label": "b"}', '{"text": "a", "label": "b"}\n'),
        ('{"te', ""),
        ("", ""),
    ],
)
def test_what_a_kill_left_of_a_line_is_removed(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "corrections.jsonl"
    path.write_text(before)
    one = Correction("x", "good", None, "m", "1")
    append_correction(path, one)
    assert path.read_text() == after + one.line().decode()


def test_processes_take_turns_at_the_file(tmp_path: Path) -> None:
    path = tmp_path / "corrections.jsonl"
    workers = [multiprocessing.get_context("fork").Process(target=_append, args=(path, name)) for name in "abc"]
    for one in workers:
        one.start()
    for one in workers:
        one.join(60)
    found = [json.loads(line)["text"] for line in path.read_text().splitlines()]
    assert sorted(found) == sorted(f"{name}{'x' * 5000}{turn}" for name in "abc" for turn in range(20))


def _append(path: Path, name: str) -> None:
    for turn in range(20):
        append_correction(path, Correction(f"{name}{'x' * 5000}{turn}", "good", None, "m", "1"))
