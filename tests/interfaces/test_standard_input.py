"""Lines of stdin: none is lost, answers come when the input pauses, and a line that is no text is told with its number."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlptl.errors import DataError
from nlptl.interfaces.standard_input import BATCH_LINES, Lines, lines_in_batches


def read(source: bytes, *, max_length: int = 1000) -> tuple[list[Lines], str]:
    """Return the batches of a pipe that holds `source`, and the error that ended them."""
    reader, writer = os.pipe()
    threading.Thread(target=lambda: (os.write(writer, source), os.close(writer))).start()
    found: list[Lines] = []
    with os.fdopen(reader) as stream:
        try:
            found.extend(lines_in_batches(stream, max_length=max_length))
        except DataError as error:
            return found, str(error)
    return found, ""


def texts(batches: list[Lines]) -> list[str]:
    return [text for batch in batches for text in batch.texts]


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=5), max_size=30))
def test_every_line_is_read(lines: list[str]) -> None:
    given_lines = [line.removesuffix("\r").removeprefix("\ufeff") for line in lines]
    batches, error = read("\n".join([*given_lines, ""]).encode())
    assert error == ""
    assert texts(batches) == given_lines
    assert [batch.first for batch in batches] == [
        1 + sum(len(before.texts) for before in batches[:place]) for place in range(len(batches))
    ]


def test_a_batch_is_bounded_and_the_last_line_needs_no_end() -> None:
    batches, _ = read(b"a\n" * 600 + b"last")
    assert texts(batches) == ["a"] * 600 + ["last"]
    assert max(len(batch.texts) for batch in batches) <= BATCH_LINES
    assert texts(read(b"\xef\xbb\xbfone\r\ntwo\r\n")[0]) == ["one", "two"]


def test_a_line_is_answered_before_the_next_one_comes() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as stream:
        found: Iterator[Lines] = lines_in_batches(stream, max_length=100)
        os.write(writer, b"first\nhal")
        assert next(found) == Lines(1, ["first"])
        os.write(writer, b"f\n")
        assert next(found) == Lines(2, ["half"])
        os.close(writer)
        assert list(found) == []


NO_UTF_8 = "found bytes that are not UTF-8 (invalid start byte); expected UTF-8. Convert the input first."
TOO_LONG = (
    "the text has more than 10 characters. Cut it into several texts, or set `max_text_length:` to more characters."
)


@pytest.mark.parametrize(
    ("source", "before", "told"),
    [
        (b"a\n\nb\n\xff\nc\n", ["a", "", "b"], f"stdin:4: {NO_UTF_8}"),
        (b"\xff\xfea\0\n\0", [], f"stdin:1: {NO_UTF_8}"),
        (b"a\n" + b"x" * 11 + b"\nb\n", ["a"], f"stdin:2: {TOO_LONG}"),
        (b"a\n" + b"x" * 60_000, ["a"], f"stdin:2: {TOO_LONG}"),
    ],
)
def test_a_line_that_is_no_text_is_told_after_all_before_it(source: bytes, before: list[str], told: str) -> None:
    batches, error = read(source, max_length=10)
    assert (texts(batches), error) == (before, told)


def test_an_endless_line_takes_no_memory() -> None:
    reader, writer = os.pipe()

    def write() -> None:
        try:
            while True:
                os.write(writer, b"x" * 65_536)
        except BrokenPipeError:
            os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    with (
        os.fdopen(reader) as stream,
        pytest.raises(DataError, match="stdin:1: the text has more than 100,000 characters"),
    ):
        list(lines_in_batches(stream, max_length=100_000))
    thread.join()


def test_a_stream_without_a_descriptor_is_read_too() -> None:
    assert texts([*lines_in_batches(io.StringIO("one\ntwo"), max_length=10)]) == ["one", "two"]


def test_a_folder_as_stdin_is_told(tmp_path: Path) -> None:
    number = os.open(tmp_path, os.O_RDONLY)

    class Folder(io.StringIO):
        def fileno(self) -> int:
            return number

    with pytest.raises(DataError) as caught:
        list(lines_in_batches(Folder(), max_length=10))
    assert str(caught.value) == "stdin: cannot be read (Is a directory). Give a file, a pipe, or --file."
    os.close(number)
