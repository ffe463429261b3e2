"""Piles: cut the same way everywhere, predicted and encoded shard by shard, and gone on with after a stop."""

from __future__ import annotations

import csv
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nlptl.data import DataSettings
from nlptl.errors import ConfigError, DataError
from nlptl.interfaces.piles.places import Place
from nlptl.interfaces.piles.shard_rows import PileReading, Shard
from nlptl.interfaces.piles.shards import cut
from nlptl.interfaces.prediction_input import WithoutText
from nlptl.interfaces.predictors import load_predictor
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from tests.conftest import small_reviews
from tests.interfaces.commands import Shell

TEXTS, LABELS = small_reviews(23)
NOT_GIVEN = "is not given; expected a file, a folder or an address such as s3://bucket/folder, which"


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    """Return a folder of two parquet files, one with small row groups, and hidden files beside them."""
    folder = tmp_path / "pile"
    (folder / "day").mkdir(parents=True)
    frame = pd.DataFrame({"id": range(23), "text": TEXTS, "label": LABELS})
    pq.write_table(pa.Table.from_pandas(frame[:15]), folder / "day" / "a.parquet", row_group_size=4)
    frame[15:].to_parquet(folder / "day" / "b.parquet", index=False)
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "c.parquet").write_text("no parquet")
    (folder / ".hidden.csv").write_text("text\nhidden\n")
    (folder / "notes.md").write_text("notes")
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "text", "label"), *zip(range(23), TEXTS, LABELS, strict=True)])
    return path


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder).to_pylist()


def test_a_pile_is_cut_by_rows_in_the_order_of_its_files(pile: Path, table: Path) -> None:
    found = cut(Place.of(pile), DataSettings(), shard_rows=6)
    assert [(Path(one.file).name, one.first, one.rows) for one in found.shards] == [
        ("a.parquet", 0, 6),
        ("a.parquet", 6, 6),
        ("a.parquet", 12, 3),
        ("b.parquet", 0, 6),
        ("b.parquet", 6, 2),
    ]
    assert found.rows == 23
    assert found.shards[1].told() == f"{pile}/day/a.parquet, rows 7 to 12"
    counted = cut(Place.of(table), DataSettings(), shard_rows=20)
    assert [(one.first, one.rows) for one in counted.shards] == [(0, 20), (20, 3)]


def test_what_is_no_pile_is_told(pile: Path, tmp_path: Path) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(DataError) as caught:
            cut(Place.of(path), DataSettings())
        return str(caught.value)

    nowhere = tmp_path / "nowhere"
    assert (
        refused(nowhere) == f"--file: {nowhere} is not there; expected a file or a folder of shards. Check the address."
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refused(Path(f"file://{empty}")) == (
        f"--file: file://{empty} holds no shard; expected files that end in .parquet, .csv, .tsv, .jsonl, with or without .gz. "
        "Check the address."
    )
    a, b = pile / "day" / "a.parquet", pile / "day" / "b.parquet"
    pd.DataFrame({"id": ["x"], "text": ["y"], "label": ["z"]}).to_parquet(b, index=False)
    assert refused(pile) == (
        f"{b}: the column 'id' is of the type {pq.read_schema(b).field('id').type}, but in {a} it is int64; a pile needs the "
        "same in every file. Write it again."
    )
    pd.DataFrame({"id": [1], "text": ["y"]}).to_parquet(b, index=False)
    assert refused(pile) == (
        f"{b}: its columns are 'id', 'text', but those of {a} are 'id', 'text', 'label'; a pile needs the same in every file. "
        "Take it out, or write it again."
    )
    b.write_text("no parquet at all")
    assert refused(pile).startswith(f"{b}: the parquet file is damaged (")
    with pytest.raises(ConfigError) as caught:
        cut(Place.of(pile), DataSettings(), shard_rows=0)
    assert str(caught.value) == "--shard-rows: found 0; expected 1 or more. Leave it out for 50,000."


@pytest.mark.parametrize(
    "more",
    [("--keep", "--proba", "--bom"), ("--keep-column", "id"), ("--keep", "--output", "jsonl"), ("--abstain", "0.8")],
)
def test_shards_joined_to_one_file_are_what_the_plain_command_writes(
    table: Path, small_classifier: Path, shell: Shell, more: tuple[str, ...]
) -> None:
    command = ("predict", small_classifier, "--file", table, *more, "--out")
    code, _, plain = shell(*command, table.with_name("plain.csv"))
    again = shell(*command, table.with_name("shards.csv"), "--shard-rows", "10")
    assert (code, again[0]) == (0, 0)
    assert table.with_name("shards.csv").read_bytes() == table.with_name("plain.csv").read_bytes()
    told = plain.replace("plain.csv: written.", "shards.csv: written, 23 rows in 3 shards.")
    assert again[2].split() == told.split()
    assert not table.with_name(".shards.csv.parts").exists()


def test_a_pile_of_parquet_keeps_its_types_and_its_order(pile: Path, small_classifier: Path, shell: Shell) -> None:
    out = pile.parent / "labels"
    command = ("predict", small_classifier, "--file", pile, "--keep", "--proba", "--out", out, "--shard-rows", "6")
    code, printed, err = shell(*command)
    assert (code, printed) == (0, "")
    assert " ".join(err.split()) == (
        "The file has columns of these names; the predictions stand in predicted_label. "
        f"{out}: written, 23 rows in 5 shards."
    )
    found = rows_of(out)
    assert [(row["id"], row["text"], row["label"]) for row in found] == list(zip(range(23), TEXTS, LABELS, strict=True))
    classifier = TextClassifier.load(small_classifier)
    shares = classifier.predict_proba(TEXTS)
    assert [row["predicted_label"] for row in found] == classifier.predict(TEXTS)
    given = [[row["p_negative"], row["p_positive"]] for row in found]
    np.testing.assert_allclose(given, shares, rtol=0, atol=1e-6)
    told = json.loads((out / "_pile.json").read_text())
    assert told["complete"]
    assert [(Path(one["file"]).name, one["first_row"], one["rows"]) for one in told["parts"]][3] == ("b.parquet", 1, 6)
    assert not (out / "_receipts").exists()


def test_rows_without_a_text_are_refused_left_out_or_left_empty(
    tmp_path: Path, small_classifier: Path, shell: Shell
) -> None:
    path = tmp_path / "in.parquet"
    pd.DataFrame({"id": [1, 2, 3], "text": ["good film", None, "bad film"]}).to_parquet(path)
    command = (
        "predict",
        small_classifier,
        "--file",
        path,
        "--keep",
        "--proba",
        "--force",
        "--out",
        tmp_path / "o.parquet",
    )
    code, _, err = shell(*command)
    assert (code, err) == (
        2,
        f"{path}, row 2: the text is empty. Remove the row, fill in the text, or add --empty-text skip to leave out all such "
        "rows, or --empty-text empty to give them an empty label.\n",
    )
    assert " ".join(shell(*command, "--empty-text", "skip")[2].split()) == (
        f"1 row without a text was left out; first: {path}, row 2. {tmp_path / 'o.parquet'}: written, 2 rows in 1 shard."
    )
    assert [row["id"] for row in rows_of(tmp_path / "o.parquet")] == [1, 3]
    assert shell(*command, "--empty-text", "empty")[0] == 0
    row = rows_of(tmp_path / "o.parquet")[1]
    assert row == {"id": 2, "text": None, "label": None, "p_negative": None, "p_positive": None}
    vectors = ("encode", small_classifier, "--file", path, "--empty-text", "empty", "-q", "--out")
    for name in ("v.npy", "v.parquet", "v.jsonl"):
        assert shell(*vectors, tmp_path / name) == (0, "", "")
    assert np.isnan(np.load(tmp_path / "v.npy")).any(axis=1).tolist() == [False, True, False]
    assert [row["vector"] is None for row in rows_of(tmp_path / "v.parquet")] == [False, True, False]
    lines = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert lines[1] == {"text": None, "vector": None}


def test_a_text_that_makes_a_failure_is_told_by_its_row_and_the_rest_goes_on_later(
    pile: Path, small_classifier: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(load_predictor(small_classifier))
    whole = kind.probabilities

    def fragile(self: Any, texts: Any, **settings: Any) -> Any:
        if TEXTS[17] in texts:
            raise ValueError("a text that no tokenizer takes\nand more")
        return whole(self, texts, **settings)

    out = pile.parent / "labels"
    command = ("predict", small_classifier, "--file", pile, "--out", out, "--shard-rows", "6", "-q")
    monkeypatch.setattr(kind, "probabilities", fragile)
    code, _, err = shell(*command)
    assert code == 2
    assert " ".join(err.split()) == (
        f"{pile}/day/b.parquet, row 3: the text cannot be read (ValueError: a text that no tokenizer takes); expected one that "
        "the model reads. Remove the row, or change its text."
    )
    monkeypatch.setattr(kind, "probabilities", whole)
    finished = {path: path.stat().st_mtime_ns for path in out.glob("part-*")}
    assert len(finished) == 3
    code, _, err = shell(*command[:-1])
    assert code == 0
    assert err.splitlines()[0] == "3 of 5 shards are finished and kept."
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert [row["text"] for row in rows_of(out)] == TEXTS
    monkeypatch.setattr(kind, "probabilities", fragile)  # nothing is predicted again
    assert shell(*command[:-1])[2].splitlines()[0] == "5 of 5 shards are finished and kept."


def test_parts_of_other_data_are_replaced_only_if_asked(pile: Path, small_classifier: Path, shell: Shell) -> None:
    out = pile.parent / "labels"
    command = ("predict", small_classifier, "--file", pile, "--out", out, "-q")
    assert shell(*command)[0] == 0
    assert shell(*command, "--proba") == (
        2,
        "",
        f"--out: {out} holds the results of another command, or of other data; nothing was overwritten. Name another folder, or "
        "add --force to replace them.\n",
    )
    assert shell(*command, "--proba", "--force")[0] == 0
    assert set(rows_of(out)[0]) == {"text", "label", "p_negative", "p_positive"}
    assert shell(*command[:-2], pile, "-q") == (
        2,
        "",
        f"--out: {pile} holds other files; expected an empty folder, or none. Name another folder.\n",
    )


def test_a_damaged_or_missing_part_is_made_again(pile: Path, small_classifier: Path, shell: Shell) -> None:
    out = pile.parent / "labels"
    command = ("predict", small_classifier, "--file", pile, "--out", out, "--shard-rows", "6")
    assert shell(*command)[0] == 0
    whole = rows_of(out)
    (out / "part-00001.parquet").write_bytes(b"cut")
    (out / "part-00003.parquet").unlink()
    assert shell(*command)[2].splitlines()[0] == "3 of 5 shards are finished and kept."
    assert rows_of(out) == whole


def test_vectors_of_a_pile_are_those_of_the_encoder(pile: Path, small_classifier: Path, shell: Shell) -> None:
    vectors = Encoder.load(small_classifier).encode(TEXTS)
    command = ("encode", small_classifier, "--file", pile, "--shard-rows", "6", "--out")
    out = pile.parent / "v.npy"
    code, printed, err = shell(*command, out)
    assert (code, printed, " ".join(err.split())) == (0, "", f"{out}: written, 23 rows in 5 shards.")
    found = np.load(out)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, vectors, rtol=0, atol=1e-6)
    assert shell(*command, pile.parent / "v.jsonl", "--keep-column", "id")[0] == 0
    rows = [json.loads(line) for line in (pile.parent / "v.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == list(range(23))
    np.testing.assert_array_equal(np.array([row["vector"] for row in rows], dtype=np.float32), found)
    assert shell(*command, pile.parent / "unit", "--normalize", "--keep")[0] == 0
    table = pq.read_table(pile.parent / "unit")
    assert table.schema.field("vector").type == pa.list_(pa.float32(), vectors.shape[1])
    lengths = np.linalg.norm(np.stack(table["vector"].to_numpy()), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_an_encoder_alone_encodes_too(pile: Path, small_classifier: Path, shell: Shell) -> None:
    encoder = Encoder.load(small_classifier)
    encoder.save(pile.parent / "encoder")
    out = pile.parent / "v.npy"
    assert shell("encode", pile.parent / "encoder", "--file", pile, "-q", "--out", out) == (0, "", "")
    np.testing.assert_allclose(np.load(out), encoder.encode(TEXTS), rtol=0, atol=1e-6)


def test_a_file_without_a_value_fits_any_other(tmp_path: Path, small_classifier: Path, shell: Shell) -> None:
    pile = tmp_path / "pile"
    pile.mkdir()
    none = pa.nulls(1)
    pq.write_table(pa.table({"text": ["good film"], "id": none, "mark": none}), pile / "a.parquet")
    pq.write_table(
        pa.table({"text": pa.array(["bad film"], pa.large_string()), "id": [7], "mark": none}), pile / "b.parquet"
    )
    pq.write_table(pa.table({"text": pa.nulls(0), "id": pa.nulls(0), "mark": pa.nulls(0)}), pile / "c.parquet")
    assert shell("predict", small_classifier, "--file", pile, "--keep", "-q", "--out", tmp_path / "out") == (0, "", "")
    found = pq.read_table(tmp_path / "out")
    assert found["id"].to_pylist() == [None, 7]
    assert found["label"].to_pylist() == ["positive", "negative"]


def test_addresses_are_read_and_written(pile: Path, table: Path, small_classifier: Path, shell: Shell) -> None:
    assert Place.of(Path("s3://bucket/pile")) == Place("s3://bucket/pile")
    address, out = f"file://{pile}", pile.parent / "far"
    command = (
        "predict",
        small_classifier,
        "-q",
        "--file",
        address,
        "--keep",
        "--shard-rows",
        "6",
        "--out",
        f"file://{out}",
    )
    assert shell(*command) == (0, "", "")
    assert [row["id"] for row in rows_of(out)] == list(range(23))
    assert shell(*command) == (0, "", "")
    far = ("encode", small_classifier, "--file", f"file://{table}", "--out", table.with_name("v.npy"))
    assert shell(*far)[2].split()[-6:] == ["written,", "23", "rows", "in", "1", "shard."]
    code, _, err = shell("predict", small_classifier, "--file", "nosuch://bucket/pile", "--out", "nosuch://bucket/out")
    assert code == 2
    assert " ".join(err.split()) == (
        "nosuch://bucket/pile: cannot be reached (Unrecognized filesystem type in URI: nosuch://bucket/pile); expected a path or "
        "an address such as s3://bucket/folder that this machine may use. Check it, and the credentials that its store asks for."
    )


def test_a_pile_that_a_worker_does_not_see_is_told() -> None:
    reading = PileReading(DataSettings(), "refuse", (), ("text",), "text")
    with pytest.raises(DataError) as caught, reading.of(Shard(0, "/no/such/file.csv", 1, 1), WithoutText()):
        pass
    assert str(caught.value) == (
        f"/no/such/file.csv: {socket.gethostname()} has no such file; expected one that all workers see. Put the pile on a "
        "shared file system, or into an object store."
    )


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            ("predict", "good film", "--engine", "ray"),
            "--engine: is for the rows of a file or a pile; found no --file. Give --file, or drop it.",
        ),
        (
            ("predict", "--file", "in.csv", "--engine", "processes"),
            f"--out: {NOT_GIVEN} --engine processes needs: its parts are files. Name one.",
        ),
        (
            ("predict", "--file", "in.csv", "--shard-rows", "9"),
            f"--out: {NOT_GIVEN} --shard-rows needs: its parts are files. Name one.",
        ),
        (
            ("predict", "--file", "in.csv", "--output", "parquet"),
            f"--out: {NOT_GIVEN} --output parquet needs: its parts are files. Name one.",
        ),
        (
            ("encode", "--file", "in.csv"),
            f"--out: {NOT_GIVEN} encode needs: its parts are files. Name one.",
        ),
        (
            ("predict", "--file", "in.csv", "--shard-rows", "9", "--out", "labels.xlsx"),
            "--out: found the ending '.xlsx'; expected .csv, .tsv, .jsonl, .parquet or, for vectors, .npy, or the name of a folder "
            "without an ending. Choose one.",
        ),
        (
            ("predict", "--file", "in.csv", "--out", "labels.parquet", "--bom"),
            "--bom: belongs to CSV, but the output is parquet. Drop it, or add --output csv.",
        ),
        (
            ("encode", "--out", "v.npy"),
            f"--file: {NOT_GIVEN} encode needs. Name one.",
        ),
        (
            ("encode", "--file", "in.csv", "--out", "v.npy", "--keep"),
            "--keep: found beside an array, which holds vectors alone; expected .parquet or .jsonl. Choose one, or drop it.",
        ),
        (
            ("encode", "--file", "in.csv", "--out", "v.csv"),
            "--out: found the ending '.csv'; expected .npy, .parquet or .jsonl, or the name of a folder. Choose one.",
        ),
        (
            ("encode", "--file", "in.csv", "--out", "v.npy", "--output", "jsonl"),
            "--out: found the ending '.npy'; expected .npy, .parquet or .jsonl, as --output jsonl asks for, or the name of a "
            "folder. Choose one.",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    table: Path,
    small_classifier: Path,
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(table.parent)
    name, *rest = command
    code, _, err = shell(name, small_classifier, *rest)
    assert (code, " ".join(err.split())) == (2, told)
