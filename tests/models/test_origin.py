"""Origin and licence of weights: found, and carried through a chain."""

from __future__ import annotations

import json
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from nlptl.errors import ArtifactError
from nlptl.models.origin import Origin, origin_of, package_origin, stated_in_card
from nlptl.models.weights import Weights

MIT = "MIT License\n\nCopyright (c) 2020 Somebody\n\nPermission is hereby granted, free of charge, to any person…\n"


def weights(folder: Path, name: str | None = None) -> Weights:
    (folder / "config.json").write_text("{}")
    return Weights(folder, str(folder) if name is None else name, None)


def found(folder: Path, name: str | None = None) -> tuple[str, str, str]:
    origin = origin_of(weights(folder, name))
    return origin.name, origin.licence, origin.licence_source


def test_a_well_known_name_tells_most(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("A licence of the package.")
    for name in ("minilm", "sentence-transformers/all-MiniLM-L6-v2"):
        assert found(tmp_path, name) == (
            "sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0", "the authors of the weights"
        )  # fmt: skip
    origin = origin_of(weights(tmp_path, "minilm"))
    assert (origin.languages, origin.leaks, origin.hub_name) == (("en",), "Yahoo Answers", origin.name)
    assert origin.digest == weights(tmp_path).digest()


def test_a_folder_tells_by_its_card_its_config_or_its_licence(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    assert found(folder) == ("mine", "", "")
    assert origin_of(weights(folder)).hub_name is None
    (folder / "LICENCE.txt").write_text("All rights reserved.")
    assert found(folder) == ("mine", "", "the licence file beside them")
    (folder / "LICENCE.txt").unlink()
    (folder / "LICENSE").write_text(MIT)
    assert found(folder) == ("mine", "MIT", "the licence file beside them")
    assert origin_of(weights(folder)).licence_text == MIT
    (folder / "README.md").write_text("---\nlicense: gpl-3.0\nlanguage: [en, ja]\n---\n")
    assert found(folder) == ("mine", "gpl-3.0", "their model card (README.md)")
    assert origin_of(weights(folder)).languages == ("en", "ja")


@pytest.mark.parametrize(
    ("phrase", "licence"),
    [
        ("Apache License\n   Version 2.0, January 2004", "Apache-2.0"),
        ("GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007", "GPL-3.0"),
        ("Creative Commons Attribution-NonCommercial 4.0 International", "CC-BY-NC-4.0"),
        ("Creative Commons Attribution 4.0 International", "CC-BY-4.0"),
        ("Redistribution and use in source and binary forms, …\nNeither the name of …", "BSD-3-Clause"),
        ("Redistribution and use in source and binary forms, …", "BSD-2-Clause"),
        ("", ""),
    ],
)
def test_texts_of_licences(phrase: str, licence: str, tmp_path: Path) -> None:
    (tmp_path / "COPYING").write_text(phrase)
    assert origin_of(weights(tmp_path)).licence == licence


@pytest.mark.parametrize(
    ("head", "stated"),
    [
        ("license: unknown", ""),
        ("license: other\nlicense_name: my-licence", "my-licence"),
        ("license: other", ""),
        ("license: 'mit'", "mit"),
        ("tags: [license]", ""),
    ],
)
def test_what_a_card_states(head: str, stated: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"---\n{head}\n---\nlicense: apache-2.0\n")
    assert stated_in_card(tmp_path / "README.md") == (stated, ())


def test_a_package_states_its_licence() -> None:
    name = next(iter(Distribution.discover(name="numpy"))).metadata["License-Expression"]
    origin = package_origin("short", "numpy", digest="d")
    assert (origin.name, origin.licence, origin.licence_source) == ("short", name, "the metadata of the package numpy")
    assert package_origin("short", "no_such_package") == Origin(name="short")


def test_an_origin_is_written_read_and_kept(tmp_path: Path) -> None:
    origin = Origin(name="someone/encoder", revision="abc", licence="MIT", languages=("en",))
    origin.write(tmp_path)
    assert Origin.read(tmp_path) == origin
    assert origin_of(weights(tmp_path)) == origin
    assert Origin.read(tmp_path / "nowhere") is None
    (tmp_path / "origin.json").write_text(json.dumps({"kind": "stolen"}))
    with pytest.raises(ArtifactError) as told:
        Origin.read(tmp_path)
    assert str(told.value) == (
        f"{tmp_path / 'origin.json'}: does not say where weights come from as this version reads it; the folder is damaged. Run "
        "the stage again."
    )
