"""Sequence-to-sequence models of transformers from a folder, such as Marian and T5: a text read, another written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nlptl.errors import ConfigError, first_line
from nlptl.models.pretrained import quiet
from nlptl.randomness import seeded

UNBOUNDED = 100_000  # tokenizers without a limit name an astronomic one
LENGTHENS = (2, 16)  # a written text has at most so many times the tokens of the read one, and so many more


class Seq2Seq:
    """A model and its tokenizer; safetensors only, no code from the folder, no network."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """`model` is one of transformers' sequence-to-sequence models, `tokenizer` its own."""
        self._model, self._tokenizer = model, tokenizer

    @classmethod
    def open(cls, folder: Path, *, device: torch.device, where: str) -> Seq2Seq:
        """Load a folder in transformers' layout in float32; ConfigError, beginning with `where`, when it holds no model."""
        from huggingface_hub.errors import StrictDataclassError
        from safetensors import SafetensorError

        try:
            model, tokenizer = _loaded(folder)
        except (
            OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError, SafetensorError, StrictDataclassError,
        ) as error:  # fmt: skip
            raise ConfigError(
                f"{where}: {folder}: holds no sequence-to-sequence model that transformers reads "
                f"({first_line(error)}); expected config.json, model.safetensors and a tokenizer, such as of a "
                "Marian or T5 model. Check the folder."
            ) from None
        return cls(model.to(device), tokenizer)

    @torch.inference_mode()
    def write(self, text: str, *, seed: int, temperature: float) -> str:
        """Return what the model writes for a text, its words drawn from `seed`; empty for a text longer than it reads."""
        device = self._model.device
        ids = self._tokenizer(text, return_tensors="pt").input_ids.to(device)
        longest = self._longest()
        most = min(LENGTHENS[0] * ids.shape[1] + LENGTHENS[1], longest - 1)
        if ids.shape[1] > longest or most < 1:
            return ""
        with quiet(), seeded(seed % 2**63, device):
            written = self._model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=temperature, top_k=0, top_p=1.0,
                num_beams=1, max_new_tokens=most,
            )  # fmt: skip
        return str(self._tokenizer.decode(written[0], skip_special_tokens=True)).strip()

    def _longest(self) -> int:
        limits = [self._tokenizer.model_max_length, getattr(self._model.config, "max_position_embeddings", None)]
        return min((limit for limit in limits if limit and limit < UNBOUNDED), default=UNBOUNDED)


def _loaded(folder: Path) -> tuple[Any, Any]:
    """Return model and tokenizer; ValueError and others with the reason where that fails."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

    if not folder.is_dir():
        raise ValueError("there is no such folder")
    local = {"local_files_only": True, "trust_remote_code": False}
    with quiet():
        config = AutoConfig.from_pretrained(folder, **local)
        if not config.is_encoder_decoder:
            raise ValueError(f"a model of type {config.model_type} only reads")
        model, report = AutoModelForSeq2SeqLM.from_pretrained(
            folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **local
        )
        if report["missing_keys"]:  # transformers would draw it at random
            raise ValueError(f"{min(report['missing_keys'])} is missing")
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
    return model.eval(), tokenizer
