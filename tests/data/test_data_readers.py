"""The same rows come out of every format, packed or not, small or cached; hypothesis writes the files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nlptl.data import DataSettings, FileSource, TextTable, load_data, load_table
from nlptl.data.cache import cache_folder
from nlptl.data.label_spelling import spellings, stripped
from nlptl.data.text_blocks import read_blocks
from nlptl.data.text_format import TextFormat

_letters = st.characters(exclude_categories=["Cs"])
_texts = st.text(_letters, min_size=1, max_size=40).filter(lambda text: text.strip())
_rows = st.lists(st.tuples(_texts, _texts.filter(stripped)), min_size=1, max_size=12)
_quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path / "cache"))


def written(kind: str, rows: list[tuple[str, str]]) -> bytes:
    """Return the bytes of a file of this kind that holds `rows`."""
    if kind == "parquet":
        packed = io.BytesIO()
        texts, labels = zip(*rows, strict=True)
        pq.write_table(pa.table({"label": labels, "text": texts}), packed, row_group_size=5)
        return packed.getvalue()
    if kind == "jsonl":
        return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows).encode()
    if kind == "jsonl, raw":
        return "\n".join(json.dumps({"text": t, "label": la}, ensure_ascii=False) for t, la in rows).encode()
    file = io.StringIO(newline="")
    # With "\n" as the line end, Python's writer would leave "\r" unquoted.
    tsv = {"delimiter": "\t", "lineterminator": "\n", "quoting": csv.QUOTE_ALL}
    writer = csv.writer(file, **(tsv if kind == "tsv" else {}))
    writer.writerows([("label", "text"), *((label, text) for text, label in rows)])
    return file.getvalue().encode("utf-8-sig" if kind == "csv" else "utf-8")


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "jsonl, raw", "parquet"])
@given(rows=_rows, packed=st.booleans())
@_quick
def test_round_trip(kind: str, rows: list[tuple[str, str]], packed: bool, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{kind.partition(',')[0]}{'.gz' if packed else ''}"
    content = written(kind, rows)
    path.write_bytes(gzip.compress(content, 1, mtime=0) if packed else content)
    table = load_table(str(path))
    texts, labels = map(list, zip(*rows, strict=True))
    names = spellings(labels)
    labels = [names[label] for label in labels]
    assert (table.texts(), table.labels()) == (texts, labels)
    assert table.digest == TextTable.from_lists(texts, labels, name="lists").digest
    unlabelled = load_table(str(path), labelled=False)
    assert unlabelled.digest == TextTable.from_lists(texts, name="lists").digest


@given(texts=st.lists(_texts.filter(lambda text: not {"\n", "\r", "\0"} & {*text} and text != "\x1a"), min_size=1))
@_quick
def test_txt_round_trip(texts: list[str], tmp_path: Path) -> None:
    expected = TextTable.from_lists(texts, name="lists")
    for end in ("\n", "\r\n"):
        for last in (end, ""):
            path = tmp_path / "rows.txt"
            path.write_bytes((end.join(texts) + last).encode())
            if texts[0].startswith("\ufeff"):
                continue  # a byte-order mark is no text
            table = load_table(str(path), labelled=False)
            assert table.texts() == texts
            assert table.digest == expected.digest


@given(data=st.binary(max_size=60).map(lambda noise: noise.translate(None, b"\r\x1a")), size=st.integers(1, 9))
@_quick
def test_blocks_hold_whole_lines_and_their_numbers(data: bytes, size: int, tmp_path: Path) -> None:
    path = tmp_path / "noise.txt"
    text = data.decode("utf-8", errors="ignore").lstrip("\ufeff\ufffe")
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nlptl.data.compressed_files._BLOCK_BYTES", size)
        blocks = list(read_blocks(path, TextFormat()))
    assert "".join(block for _, block in blocks) == text
    line = 1
    for number, block in blocks:
        assert number == line
        line += block.count("\n")


@pytest.mark.parametrize("name", ["rows.txt", "rows.txt.gz", "rows.csv", "rows.jsonl.gz", "rows.parquet"])
def test_a_big_file_gives_the_same_rows_from_the_cache(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(f"text number {i}", "ab"[i % 2]) for i in range(25_000)]
    kind = name.split(".")[1]
    content = "\n".join(text for text, _ in rows).encode() if kind == "txt" else written(kind, rows)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content, 1, mtime=0) if name.endswith(".gz") else content)
    small = load_table(str(path), labelled=kind != "txt")
    assert small.mapped is None
    assert not cache_folder().exists()

    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 1000)
    big = load_table(str(path), labelled=kind != "txt")
    assert big.mapped is not None
    assert big.dataset.cache_files == [{"filename": str(big.mapped)}]
    assert big == small
    assert big.texts() == small.texts()
    assert big.dataset[24_999] == small.dataset[24_999]


def test_a_second_load_reads_the_cache_and_a_changed_file_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 10)
    path = tmp_path / "rows.txt"
    path.write_text("one line\n\nanother line\n")
    chosen = DataSettings(unlabelled=str(path), empty_text="skip")
    data, report = load_data(chosen, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nlptl.data.sources.read_file", None)
        assert load_data(chosen, seed=1) == (data, report)
        assert report.parts["unlabelled"].empty_skipped == 1
    path.write_text("one line\n\nyet another line\n")
    assert load_data(chosen, seed=1)[0] != data
    assert len(list(cache_folder().glob("*.arrow"))) == 2


def test_columns_of_other_names(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("stars,review,id\n1,good,7\n0,bad,8\n")
    chosen = DataSettings(labelled=FileSource(file=str(path), text="review"), label_column="stars")
    data, _ = load_data(chosen, seed=1)
    assert data.labelled is not None
    assert data.labelled.texts() == ["good", "bad"]
    assert data.labelled.labels() == ["1", "0"]
    assert data.label_set.names == ("0", "1")


def test_labels_of_other_types_become_names(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    values = [1, 2.0, True, False, "1.0", " x "]
    path.write_text("".join(json.dumps({"text": "a", "label": value}) + "\n" for value in values))
    assert load_table(str(path)).labels() == ["1", "2", "True", "False", "1.0", "x"]


def test_parquet_with_class_labels(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    path = tmp_path / "rows.parquet"
    datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features).to_parquet(path)
    assert load_table(str(path)).labels() == ["yes", "no"]


def test_a_field_longer_than_the_csv_modules_own_limit(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    path = tmp_path / "rows.csv"
    path.write_text(f"text,label\n{'long ' * 100_000},a\n")
    assert len(load_table(str(path)).texts()[0]) == 500_000
    assert csv.field_size_limit() == before
