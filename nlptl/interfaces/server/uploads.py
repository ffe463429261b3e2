"""Uploaded tables: a body or a form's file, written to the disk as it comes, so that no upload fills the memory."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
from collections.abc import AsyncGenerator
from pathlib import Path

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from nlptl.interfaces.server.refusal import ClientGone, RequestRefused

ENDINGS = {
    "text/csv": ".csv",
    "text/plain": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/vnd.ms-excel": ".csv",
}
FORM = "multipart/form-data"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FIELD = "file"
_PIECE = 1 << 20


async def received(request: Request, folder: Path, *, max_bytes: int) -> Path:
    """Return the path of the table that a request carries, written into `folder`.

    Raises RequestRefused: 413 above `max_bytes`, 415 for another kind of content, 400 for no content, 507 on a full disk.
    """
    kind = _kind(request.headers.get("content-type", ""))
    _check_length(request, max_bytes)
    stream = _at_most(request.stream(), max_bytes)
    try:
        path = await (
            _from_form(request, stream, folder) if kind == FORM else _from_body(stream, folder / f"file{_ending(kind)}")
        )
    except ClientDisconnect:
        raise ClientGone from None
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise RequestRefused(
            507, "no_space", "The server has no room on its disk for this file. Try again later, or send it in parts."
        ) from None
    if not path.stat().st_size:
        raise RequestRefused(400, "no_file", "The request carries an empty file. Send a CSV file as its body.")
    return path


def file_too_large(max_bytes: int) -> RequestRefused:
    """Return the refusal of a file above the limit."""
    return RequestRefused(
        413, "file_too_large", f"The file has more than {max_bytes:,} bytes. Send it in parts, or use `nlptl predict --file`."
    )  # fmt: skip


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _ending(kind: str) -> str:
    if kind not in ENDINGS:
        found = f"the content type {kind[:60]!r}" if kind else "no content type"
        raise RequestRefused(
            415, "no_table", f"Found {found}; expected text/csv, text/tab-separated-values or a form with a file. Send one of them."
        )  # fmt: skip
    return ENDINGS[kind]


def _check_length(request: Request, max_bytes: int) -> None:
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told[:20]) > max_bytes:
        raise file_too_large(max_bytes)


async def _at_most(stream: AsyncGenerator[bytes, None], max_bytes: int) -> AsyncGenerator[bytes, None]:
    """Pass the pieces of a body on. Raises RequestRefused as soon as they are too many bytes."""
    count = 0
    async for piece in stream:
        count += len(piece)
        if count > max_bytes:
            raise file_too_large(max_bytes)
        yield piece


async def _from_body(stream: AsyncGenerator[bytes, None], path: Path) -> Path:
    with path.open("wb") as file:
        async for piece in stream:
            await asyncio.to_thread(file.write, piece)
    return path


async def _from_form(request: Request, stream: AsyncGenerator[bytes, None], folder: Path) -> Path:
    """Write the file of a form, which Starlette keeps on the disk where it is large."""
    if importlib.util.find_spec("python_multipart") is None:
        raise RequestRefused(
            501, "no_forms", "This server reads no forms, since python-multipart is missing. Send the file itself as text/csv."
        )  # fmt: skip
    try:
        form = await MultiPartParser(request.headers, stream, max_files=1, max_fields=0).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise RequestRefused(
            400, "no_form", f"The form cannot be read: {str(error).rstrip('.')}. Send one file in the field `file`."
        ) from None
    try:
        found = form.get(_FIELD)
        if not isinstance(found, UploadFile):
            raise RequestRefused(400, "no_file", "The form has no field `file` with a file. Send one.")
        is_tsv = (found.filename or "").lower().endswith(".tsv") or _kind(
            found.content_type or ""
        ) == "text/tab-separated-values"
        path = folder / ("file.tsv" if is_tsv else "file.csv")
        with path.open("wb") as file:
            while piece := await found.read(_PIECE):
                await asyncio.to_thread(file.write, piece)
        return path
    finally:
        await form.close()
