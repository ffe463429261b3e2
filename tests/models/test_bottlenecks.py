"""Bottleneck adapters: nothing at first, and the same after saving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nlptl.errors import ArtifactError, ConfigError
from nlptl.models.bottlenecks import Bottleneck, bottlenecks
from nlptl.models.encoder import Encoder
from nlptl.pretraining.encoders.continued import check_plain
from tests.models.tiny import DIM, LAYERS, TEXTS, tiny_encoder


def adapted(model_type: str = "bert", *, up: float = 0.0) -> Encoder:
    encoder = tiny_encoder(model_type)
    generator = torch.Generator().manual_seed(0)
    encoder.transformer.bottlenecks = bottlenecks(DIM, 4, range(2, LAYERS + 1))
    for adapter in encoder.transformer.bottlenecks.values():
        assert isinstance(adapter, Bottleneck)
        adapter.initialise(generator)
        with torch.no_grad():
            adapter.up_weight.normal_(std=up or 1e-9, generator=generator).mul_(up > 0)
    return encoder


@pytest.mark.parametrize("model_type", ["bert", "modernbert"])
def test_they_begin_as_the_identity(model_type: str) -> None:
    np.testing.assert_array_equal(adapted(model_type).encode(TEXTS), tiny_encoder(model_type).encode(TEXTS))


def test_the_formula() -> None:
    adapter = adapted(up=0.5).transformer.bottlenecks["2"]
    assert isinstance(adapter, Bottleneck)
    hidden = torch.randn(2, 3, DIM)
    inner = torch.nn.functional.gelu(hidden @ adapter.down_weight.T + adapter.down_bias)
    torch.testing.assert_close(adapter(hidden), hidden + inner @ adapter.up_weight.T + adapter.up_bias)


def test_buffered_and_learning_layers_agree() -> None:
    encoder = adapted(up=5.0)
    from nlptl.models.packing import pack

    with torch.enable_grad():
        slow = encoder(pack(encoder.token_ids(TEXTS))).detach().numpy()
    np.testing.assert_allclose(encoder.encode(TEXTS), slow, atol=1e-4)
    assert not np.allclose(slow, tiny_encoder("bert").encode(TEXTS), atol=1e-2)


def test_saved_and_loaded_they_give_the_same_vectors(tmp_path: Path) -> None:
    encoder = adapted(up=5.0)
    encoder.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))
    assert list(again.transformer.bottlenecks) == ["2", "3"]
    tiny_encoder("bert").save(tmp_path / "plain")
    assert not (tmp_path / "plain" / "bottlenecks.safetensors").exists()


def test_damage_is_told(tmp_path: Path) -> None:
    adapted(up=1.0).save(tmp_path / "encoder")
    settings = (tmp_path / "encoder" / "encoder.json").read_text()
    (tmp_path / "encoder" / "encoder.json").write_text(settings.replace('"width": 4', '"width": 5'))
    with pytest.raises(ArtifactError) as caught:
        Encoder.read_files(tmp_path / "encoder")
    assert str(caught.value) == (
        f"{tmp_path / 'encoder' / 'bottlenecks.safetensors'}: does not fit the adapters that encoder.json describes; the "
        "folder is damaged. Run the stage again."
    )


def test_training_on_a_pile_would_leave_them_behind() -> None:
    with pytest.raises(ConfigError) as caught:
        check_plain(adapted())
    assert str(caught.value) == (
        "bert: weights: found weights with bottleneck adapters, which would no longer fit after training; expected "
        "plain weights. Give other weights."
    )
