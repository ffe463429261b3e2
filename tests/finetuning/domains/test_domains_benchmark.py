"""What benchmarks/adapt_domain.py keeps between runs belongs to the weights and texts at hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.models.encoder import Encoder
from tests.conftest import small_reviews
from tests.models.tiny import tiny_encoder


def domains(bench: Any, *texts: str) -> dict[str, Any]:
    rows, module = bench("texts").Rows, bench("adapt_domain")
    return {"books": module.Domain(rows("train", list(texts)), rows("test", ["lovely"]), 0)}


def test_kept_vectors_are_those_of_the_weights_and_texts(bench: Any, tmp_path: Path) -> None:
    remembering = bench("adapt_domain").remembering
    first, second = tiny_encoder("bert", seed=0), tiny_encoder("bert", seed=5)
    for encoder in (first, second):
        found = remembering(encoder, domains(bench, "a good film", "a bad story"), tmp_path).encode(["lovely"])
        np.testing.assert_array_equal(found, encoder.encode(["a good film", "a bad story", "lovely"])[2:])
    others = domains(bench, "a bad story", "a good film")
    found = remembering(first, others, tmp_path).encode(["a good film"])
    np.testing.assert_allclose(found, first.encode(["a good film"]), atol=1e-5)
    assert len(list(tmp_path.iterdir())) == 3


def test_kept_vectors_are_taken_up_and_a_cut_file_is_not(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = bench("adapt_domain")
    encoder, at_hand = tiny_encoder("bert"), domains(bench, "a good film")

    def killed(file: Any, vectors: Any) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module.np, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            module.remembering(encoder, at_hand, tmp_path)
    assert not list(tmp_path.glob("*.npy"))
    module.remembering(encoder, at_hand, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Encoder, "encode", lambda *_, **__: pytest.fail("encoded again"))
        module.remembering(encoder, at_hand, tmp_path)


def test_nothing_is_left_behind(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = bench("adapt_domain")
    (tmp_path / "amazon_mdsd").mkdir()
    for number, name in enumerate(("books", "dvd")):
        rows = zip(*small_reviews(44, start=100 * number), strict=True)
        lines = [json.dumps({"text": text.replace("film", name), "label": label}) for text, label in rows]
        (tmp_path / "amazon_mdsd" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setattr(module, "DOMAINS", ("books", "dvd"))
    monkeypatch.setattr(module, "TINY", dataclasses.replace(module.TINY, splits=range(1)))
    module.main([str(tmp_path), "--tiny", "--device", "cpu"])
    assert not list(bench("arms").SCRATCH.glob("adapt-domain-tiny*"))
