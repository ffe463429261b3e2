"""A small file cannot take all memory: limits of texts, lines and unpacked content, and a ceiling that is measured."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nlptl.config import parse
from nlptl.data import DataSettings, load_table
from nlptl.errors import ConfigError, DataError

TEXT = "the text has more than 5,000,000 characters. Cut it into several texts, or set `max_text_length:` to more characters."
LINE = (
    "the line has more than 11,000,000 characters. Check that the file has line ends, or set `max_text_length:` to more "
    "characters."
)


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path / "cache"))


def fault(name: str) -> str:
    with pytest.raises(DataError) as caught:
        load_table(name, labelled=False)
    return str(caught.value)


LONG = "a" * 5_000_001


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"text\nok\n{LONG}\n"),
        ("a.tsv", f"text\tid\nok\t1\n{LONG}\t2\n"),
        ("a.txt", f"ok\nok\n{LONG}\n"),
        ("a.jsonl", f'{{"text": "ok"}}\n\n{{"text": "{LONG}"}}\n'),
    ],
)
def test_a_text_that_is_too_long(name: str, content: str) -> None:
    Path(name).write_text(content)
    more = " If a quote is not closed, close it." if name != "a.txt" and name != "a.jsonl" else ""
    assert fault(name) == f"{name}:3: {TEXT}{more}"
    table = load_table(name, labelled=False, settings=DataSettings(max_text_length=len(LONG)))
    assert table.texts()[-1] == LONG


def test_a_text_of_parquet_that_is_too_long() -> None:
    pq.write_table(pa.table({"text": ["ok", LONG]}), "a.parquet", use_dictionary=False)
    assert fault("a.parquet") == f"a.parquet, row 2: {TEXT}"


def test_a_line_that_is_too_long() -> None:
    for name, begin in (("a.txt", "ok\n"), ("a.csv", "text\n"), ("a.jsonl", '{"text": "ok"}\n')):
        Path(name).write_text(begin + "b" * 13_000_000)
        assert fault(name) == f"{name}:2: {LINE}"


def test_an_unclosed_quote_stops_before_the_end_of_a_large_file() -> None:
    Path("a.csv").write_text('text,id\nok,1\n"open,2\n' + "line,3\n" * 800_000)
    assert fault("a.csv") == f"a.csv:3: {TEXT} If a quote is not closed, close it."


def test_the_limit_is_a_setting_with_bounds() -> None:
    for wrong in (0, -1, "many", True):
        with pytest.raises(ConfigError):
            parse(DataSettings, {"max_text_length": wrong}, where="p.yaml: data")


def test_a_packed_file_of_many_rows_goes_through_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 10_000)
    Path("a.txt.gz").write_bytes(gzip.compress(b"a line\n" * 20_000))
    table = load_table("a.txt.gz", labelled=False)
    assert table.mapped is not None
    assert len(table) == 20_000


def _bombs() -> dict[str, str]:
    with gzip.open("line.txt.gz", "wb", 1) as file:
        for _ in range(60):
            file.write(b"a" * (1 << 20))
    rows = pa.array(np.zeros(4_000, np.int32))
    dictionary = pa.DictionaryArray.from_arrays(rows, ["x" * 490_000])
    pq.write_table(pa.table({"text": dictionary}), "dictionary.parquet", compression="zstd")
    pq.write_table(
        pa.table({"text": pa.DictionaryArray.from_arrays(rows, ["x" * 6_000_000])}), "cell.parquet", compression="zstd"
    )
    runs = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1_000_000, np.int32)), ["x" * 1000])
    pq.write_table(pa.table({"text": runs}), "runs.parquet", compression="zstd")
    return {
        "line.txt.gz": f"line.txt.gz:1: {LINE}",
        "dictionary.parquet": "dictionary.parquet: the file of 0 bytes unpacks to more than 0 MB, over 200 times its size.",
        "cell.parquet": f"cell.parquet, row 1: {TEXT}",
        "runs.parquet": "runs.parquet: the file of 0 bytes unpacks to more than 0 MB, over 200 times its size.",
    }


# The ceiling is of memory above that of the imported libraries. Content of up to 64 instead of 256 MB is let pass, for speed.
MEASURED = """
import resource, sys
import datasets, pyarrow.parquet
from nlptl.data import limits, load_table
limits.MIN_CHECKED_BYTES = 64 << 20
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in sys.argv[1:]:
    try:
        load_table(name, labelled=False)
    except Exception as error:
        print(type(error).__name__, error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_small_files_that_expand_stay_under_a_ceiling() -> None:
    expected = _bombs()
    assert all(Path(name).stat().st_size < 2_000_000 for name in expected)
    done = subprocess.run([sys.executable, "-c", MEASURED, *expected], capture_output=True, text=True, check=True)
    *told, megabytes = done.stdout.splitlines()
    plain = [re.sub(r"than \d+ MB", "than 0 MB", re.sub(r"of [\d,]+ bytes", "of 0 bytes", line)) for line in told]
    assert len(plain) == len(expected)
    for line, sentence in zip(plain, expected.values(), strict=True):
        assert line.startswith(f"DataError {sentence}")
    assert int(megabytes) < 300
