"""Paths in settings: relative to their file when read, relative to another file when written, absent from identities."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlptl.config import Config, override, parse
from nlptl.disk.refusals import checked_path
from nlptl.errors import ConfigError
from nlptl.input_paths import (
    NO_PATHS,
    PACKAGED_WEIGHTS,
    FromHere,
    InputPath,
    VectorsPath,
    WeightsPath,
    in_file,
    weights_folder,
)


class Settings(Config):
    path: InputPath | None = None
    weights: WeightsPath | None = None


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder beside that of the file."""
    for name in ("file/enc", "here"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file" / "a.csv").touch()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def read(**values: Any) -> Settings:
    return parse(Settings, values, where="p.yaml", folder=Path("../file"))


def test_a_path_is_that_of_the_file_and_opens_from_here() -> None:
    assert read(path="a.csv").path == "../file/a.csv"
    assert read(path="./sub/../a.csv").path == "../file/a.csv"
    assert read(path="../here/x").path == "../here/x"
    assert read(path="/x/a.csv").path == "/x/a.csv"
    assert (read(path=None).path, read(path="").path) == (None, "")
    assert read(path="a\0b").path == "../file/a\0b"


def test_weights_are_a_path_where_they_look_like_one_or_stand_there() -> None:
    assert read(weights="enc").weights == read(weights="./enc").weights == "../file/enc"
    assert read(weights="./nowhere").weights == "../file/nowhere"
    names = ["minilm", "google-bert/bert-base-uncased", "~/enc", "/enc"]
    assert [read(weights=name).weights for name in names] == names
    beside = parse(Settings, {"weights": "../file/enc"}, where="x", folder=Path())
    assert beside.weights == "../file/enc"
    os.mkdir("own")
    assert parse(Settings, {"weights": "own"}, where="x", folder=Path()).weights == "./own", "no name of the Hub"


def test_vectors_are_a_path_but_for_the_name_of_a_package(here: Path) -> None:
    class Vectors(Config):
        vectors: VectorsPath

    def of(value: str, folder: Path | None) -> Vectors:
        return parse(Vectors, {"vectors": value}, where="x", folder=folder)

    named = of("glove", Path("../file"))
    assert named.vectors == "glove"
    assert (
        named.model_dump(context=dict(NO_PATHS))
        == named.model_dump(context=in_file(Path("..")))
        == {"vectors": "glove"}
    )
    assert of("glove.txt", Path("../file")).vectors == "../file/glove.txt"
    beside = of("./glove", Path())
    assert beside.vectors == "./glove", "a file of that name, not the package"
    assert beside.model_dump(context=in_file(Path())) == {"vectors": "./glove"}
    assert beside.model_dump(context=in_file(Path(".."))) == {"vectors": "here/glove"}
    assert beside.model_dump(context=dict(NO_PATHS)) == {"vectors": ""}


@pytest.mark.parametrize("name", ["path", "weights"])
def test_a_path_from_the_current_folder_is_told_with_the_new_one(name: str) -> None:
    os.makedirs("data/enc")
    with pytest.raises(ConfigError) as caught:
        read(**{name: "data/enc"})
    assert str(caught.value) == (
        f"p.yaml: {name} is data/enc, a path from the current folder, but must be relative to the pipeline file. "
        "Write ../here/data/enc."
    )
    os.makedirs("../file/data/enc")
    assert getattr(read(**{name: "data/enc"}), name) == "../file/data/enc"


def test_weights_are_a_folder_where_one_stands() -> None:
    os.mkdir("minilm")
    os.mkdir("own")
    assert [weights_folder(name) for name in ("minilm", "org/name", "./nowhere", "a\0b")] == [None] * 4
    assert weights_folder("own") == Path("own")
    assert weights_folder("~") == Path.home()


def test_a_name_of_weights_is_no_path_in_a_runs_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    from nlptl.runs.chain import Chain
    from nlptl.runs.runner import check_outside

    for name in ("minilm", "org/name"):
        check_outside(Chain(stages=[{"stage": "bert", "weights": name}]), Path(), "pipeline")
    os.mkdir("own")
    with pytest.raises(ConfigError, match="which stands in this run's own folder"):
        check_outside(Chain(stages=[{"stage": "bert", "weights": "./own"}]), Path(), "pipeline")
    monkeypatch.setenv("HOME", os.getcwd())
    with pytest.raises(ConfigError, match="which stands in this run's own folder"):
        check_outside(Chain(stages=[{"stage": "bert", "weights": "~/own"}]), Path(), "pipeline")


def test_the_home_folder_is_meant_at_every_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert read(path="~/a.csv").path == Settings(path="~/a.csv").path == "/home/me/a.csv"
    assert Settings(path=Path("~/a.csv")).path == read(path=FromHere("~/a.csv")).path == "/home/me/a.csv"  # type: ignore[arg-type]
    assert checked_path("~/a") == checked_path(Path("~/a")) == Path("/home/me/a")
    assert checked_path("./~/a") == Path("~/a")


def test_the_command_line_speaks_of_the_current_folder() -> None:
    os.makedirs("data/enc")
    raw = override({}, ["path=data/a.csv", "weights=data/enc"])
    assert isinstance(raw, dict)
    assert isinstance(raw["path"], FromHere)
    found = parse(Settings, raw, where="x", folder=Path("../file"))
    assert (found.path, found.weights) == ("data/a.csv", "data/enc")
    assert type(found.path) is type(found.weights) is str


def test_python_speaks_of_the_current_folder() -> None:
    assert Settings(path="a.csv", weights="enc").model_dump() == {"path": "a.csv", "weights": "enc"}


def test_settings_are_written_for_a_file_elsewhere() -> None:
    os.makedirs("runs/x")
    found = read(path="a.csv", weights="enc")
    written = found.model_dump(mode="json", context=in_file(Path("runs/x")))
    assert written == {"path": "../../../file/a.csv", "weights": "../../../file/enc"}
    assert parse(Settings, written, where="x", folder=Path("runs/x")) == found
    for name in ("minilm", "google-bert/bert-base-uncased", "/enc"):
        assert read(weights=name).model_dump(context=in_file(Path("runs/x")))["weights"] == name
    assert Settings(path="a").model_dump(context=in_file(Path("/nowhere/x")))["path"] == os.path.abspath("a")


def test_links_lead_where_they_lead(tmp_path: Path) -> None:
    """`link/..` is the folder above the link's target, for the kernel as for us."""
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "far" / "a.csv").touch()
    os.symlink(tmp_path / "far" / "deep", "link")
    found = parse(Settings, {"path": "../a.csv"}, where="x", folder=Path("link"))
    assert found.path is not None
    assert os.path.samefile(found.path, tmp_path / "far" / "a.csv")
    written = found.model_dump(context=in_file(Path("link")))
    again = parse(Settings, written, where="x", folder=Path("link"))
    assert again.path is not None
    assert os.path.samefile(again.path, found.path)


def test_an_identity_holds_no_path_but_the_names_of_weights() -> None:
    first, second = read(path="a.csv", weights="enc"), Settings(path="b.csv", weights=os.path.abspath("../file/enc"))
    assert (
        first.model_dump(context=dict(NO_PATHS))
        == second.model_dump(context=dict(NO_PATHS))
        == {"path": "", "weights": ""}
    )
    assert Settings(weights="minilm").model_dump(context=dict(NO_PATHS)) == {"path": None, "weights": "minilm"}


def test_short_names_are_those_of_the_packages() -> None:
    from nlptl.models.weights import PACKAGES

    assert set(PACKAGED_WEIGHTS) == set(PACKAGES)


@given(st.lists(st.sampled_from(["a", "b", "..", "."]), min_size=1, max_size=5))
def test_what_is_written_is_read_back(parts: list[str]) -> None:
    found = read(path="/".join(parts))
    written = found.model_dump(context=in_file(Path("../file")))
    again = parse(Settings, written, where="x", folder=Path("../file"))
    assert os.path.abspath(again.path or "") == os.path.abspath(found.path or "")
