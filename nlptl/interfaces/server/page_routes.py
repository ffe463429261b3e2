"""Paths beside /predict: the web page, tables that come back with labels, and corrections."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from nlptl.disk.drafts import temporary_folder
from nlptl.errors import StorageError
from nlptl.interfaces.server.corrections import (
    Correction,
    LabelSet,
    append_correction,
    check_is_json,
    corrections_are_off,
    told_of,
)
from nlptl.interfaces.server.file_answers import FileAnswers
from nlptl.interfaces.server.file_labelling import FileOptions, labelled_file, told_of_the_request
from nlptl.interfaces.server.file_preview import MAX_BYTES, FilePreview, preview_of
from nlptl.interfaces.server.refusal import ClientGone, RequestRefused
from nlptl.interfaces.server.served_model import ServedModel
from nlptl.interfaces.server.server_settings import ServerSettings
from nlptl.interfaces.server.uploads import received
from nlptl.interfaces.server.web_page import INDEX, page_files
from nlptl.interfaces.terminal import remark

FILES_AT_ONCE = 4  # tables that the server has in hand
PAGE_PATHS = ("/", *(f"/page/{name}" for name in page_files() if name != INDEX))  # need no key, which the page asks for
FILE_PATHS = ("/predict-file", "/predict-file/preview")  # whose bodies go to the disk
CSV = "text/csv; charset=utf-8"
TABLE = {"content": {"text/csv": {"schema": {"type": "string"}}}, "required": True}

Chosen = Callable[[str | None], ServedModel]


class HoldingResponse(StreamingResponse):
    """Lines that are sent as they come, and what is given back once they are sent or the client has gone."""

    def __init__(
        self, lines: AsyncIterator[bytes], headers: Mapping[str, str], *, held: contextlib.AsyncExitStack
    ) -> None:
        super().__init__(lines, headers=headers, media_type=CSV)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines."""
        async with self._held:
            await super().__call__(scope, receive, send)


def page_router(served: Mapping[str, ServedModel], settings: ServerSettings, *, model: Chosen) -> APIRouter:
    """Return the paths. `model` returns a served model by its name, or raises RequestRefused."""
    router = APIRouter()
    _add_page(router)
    _add_files(router, settings, model)
    _add_corrections(router, served, settings)
    return router


def _add_page(router: APIRouter) -> None:
    def answer_of(name: str) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            found = page_files()[name]
            if request.headers.get("if-none-match") == found.tag:
                return Response(status_code=304, headers={"ETag": found.tag})
            return Response(found.content, headers=found.headers)

        return answer

    for name in page_files():
        path = "/" if name == INDEX else f"/page/{name}"
        router.add_api_route(path, answer_of(name), methods=["GET", "HEAD"], include_in_schema=False)


def _add_files(router: APIRouter, settings: ServerSettings, model: Chosen) -> None:
    in_hand = asyncio.Semaphore(FILES_AT_ONCE)

    @router.post(
        "/predict-file", summary="Label a table", openapi_extra={"requestBody": TABLE}, response_class=Response,
        description="Send a CSV or TSV file as the body, or in the field `file` of a form. It comes back with a column of labels.",
    )  # fmt: skip
    async def predict_file(
        request: Request,
        model_name: Annotated[str | None, Query(alias="model")] = None,
        coverage: Annotated[float | None, Query(gt=0, lt=1)] = None,
        text_column: str | None = None,
        column_number: Annotated[int | None, Query(ge=1, le=100_000)] = None,
        header: bool = True,
        input_delimiter: str | None = None,
        quoting: Literal["csv", "none"] | None = None,
        encoding: str | None = None,
        empty_text: Literal["refuse", "skip", "empty"] = "refuse",
        probabilities: bool = False,
        delimiter: str = ",",
        bom: bool = False,
        guard_formulas: bool = True,
    ) -> Response:
        version = model(model_name).current
        options = FileOptions(
            text_column, column_number, header, input_delimiter, quoting, encoding, empty_text, probabilities, delimiter, bom,
            guard_formulas,
        )  # fmt: skip
        predictor = version.model.predictor
        form = options.form(
            sets=coverage is not None, separator=getattr(predictor, "separator", "|"), labels=predictor.labels
        )  # fmt: skip
        kind = None if coverage is None else await version.coverage(coverage)
        answers = FileAnswers(version.labels, kind, asyncio.get_running_loop())
        async with contextlib.AsyncExitStack() as stack:
            await _enter(stack, in_hand)
            folder = stack.enter_context(temporary_folder("upload"))
            path = await received(request, folder, max_bytes=settings.max_file)
            found = await asyncio.to_thread(
                labelled_file, path, options, labels=predictor.labels, form=form,
                max_text_length=settings.max_text_length, answers=answers,
            )  # fmt: skip
            headers = {"Content-Disposition": 'attachment; filename="labelled.csv"', **found.headers()}
            return HoldingResponse(_lines(found.blocks), headers, held=stack.pop_all())

    @router.post(
        "/predict-file/preview", summary="Look at a table", openapi_extra={"requestBody": TABLE}, response_class=JSONResponse,
        description="Send the beginning of a CSV or TSV file, up to a megabyte. Its columns and first rows come back.",
    )  # fmt: skip
    async def preview(request: Request, whole: bool = True) -> Response:
        async with contextlib.AsyncExitStack() as stack:
            await _enter(stack, in_hand)
            folder = stack.enter_context(temporary_folder("upload"))
            path = await received(request, folder, max_bytes=MAX_BYTES)
            found = await asyncio.to_thread(_preview, path, whole=whole)
        return JSONResponse(dataclasses.asdict(found))


def _preview(path: Path, *, whole: bool) -> FilePreview:
    with told_of_the_request(path.parent):
        return preview_of(path, whole=whole)


async def _enter(stack: contextlib.AsyncExitStack, in_hand: asyncio.Semaphore) -> None:
    """Take a place among the tables in hand. Raises RequestRefused where none is free."""
    if in_hand.locked():
        raise RequestRefused(
            429, "files_in_hand", f"The server labels {FILES_AT_ONCE} files already. Try again in 5 s.",
            headers={"retry-after": "5"},
        )  # fmt: skip
    await stack.enter_async_context(in_hand)


async def _lines(blocks: Iterator[str]) -> AsyncIterator[bytes]:
    """Yield the lines of a table as they are predicted, in a thread of their own."""
    try:
        while (block := await asyncio.to_thread(_next_block, blocks)) is not None:
            yield block.encode("utf-8", "backslashreplace")
    except Exception as error:  # too late for a status: the client sees that the answer is cut off
        remark(f"A table was labelled in part only, since its model failed: {type(error).__name__}.")
        raise ClientGone from None


def _next_block(blocks: Iterator[str]) -> str | None:
    return next(blocks, None)


def _add_corrections(router: APIRouter, served: Mapping[str, ServedModel], settings: ServerSettings) -> None:
    turns = asyncio.Lock()  # within this process; the file's lock stands between processes

    @router.post(
        "/corrections", status_code=201, summary="Correct a label", response_class=JSONResponse,
        description="Append the right label of a text to the file that --corrections names: "
        '{"model", "text", "label", "predicted"}.',
    )  # fmt: skip
    async def correct(request: Request) -> Response:
        path = settings.corrections
        if path is None:
            raise corrections_are_off()
        check_is_json(request.headers.get("content-type", ""))
        correction = Correction.parse(
            await request.body(), settings, {name: _labels(one) for name, one in served.items()}
        )
        try:
            async with turns:
                await asyncio.to_thread(append_correction, path, correction)
        except StorageError as error:
            remark(str(error))
            raise RequestRefused(
                507,
                "not_written",
                "The server cannot write its file of corrections; its log tells why. Nothing was kept.",
            ) from None
        return JSONResponse(told_of(path, correction), status_code=201)


def _labels(served: ServedModel) -> LabelSet:
    model = served.current.model
    return LabelSet(model.predictor.labels, model.predictor.multi_label, model.version)
