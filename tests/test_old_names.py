"""Import names of the first edition lead to the same objects as the new ones."""

from __future__ import annotations

import importlib

import pytest

OLD = {
    "nlptl.word2vec.formats": "nlptl.models.word_vector_files.reading",
    "nlptl.word2vec.tokenizer": "nlptl.pretraining.word2vec.tokenizer",
}


@pytest.mark.parametrize(("old", "new"), OLD.items())
def test_old_names_are_the_new_objects(old: str, new: str) -> None:
    module, place = importlib.import_module(old), importlib.import_module(new)
    assert module.__all__ == sorted(module.__all__)
    assert all(getattr(module, name) is getattr(place, name) for name in module.__all__)
