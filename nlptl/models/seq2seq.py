"""Sequence-to-sequence models of transformers from a folder, such as Marian and T5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nlptl.errors import ConfigError
from nlptl.inference.settings_files import check_generation, object_in
from nlptl.inference.tokenizer_files import check_side_files
from nlptl.models.foreign_encoder import UNBOUNDED_LENGTH
from nlptl.models.pretrained import LOCAL, check_fit, quiet, read_config, reasons, refuse_adapter
from nlptl.models.tensor_files import weight_files
from nlptl.randomness import seeded

GENERATION = "generation_config.json"
KINDS = (  # of encoder-decoders of text, as transformers calls them
    "bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "led", "longt5", "m2m_100", "marian", "mbart", "mt5",
    "mvp", "pegasus", "pegasus_x", "plbart", "prophetnet", "switch_transformers", "t5", "umt5",
)  # fmt: skip
MAX_LENGTH_RATIO, MAX_EXTRA_TOKENS = 2, 16  # output tokens: at most ratio * input + extra


class Seq2Seq:
    """A sequence-to-sequence model and its tokenizer, from safetensors only. No code in the folder is run."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        """`model` and `tokenizer` are transformers' own."""
        self._model, self._tokenizer = model, tokenizer

    @classmethod
    def open(cls, folder: Path, *, device: torch.device, where: str) -> Seq2Seq:
        """Load a folder in transformers' layout in float32; ConfigError, beginning with `where`, if it holds no model."""
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        try:
            with reasons(), quiet():
                if not folder.is_dir():
                    raise ValueError("there is no such folder")
                refuse_adapter(folder)
                check_side_files(folder)
                if (folder / GENERATION).is_file():
                    check_generation(object_in(folder / GENERATION))
                files = weight_files(folder)
                config = read_config(folder, KINDS)
                check_fit(AutoModelForSeq2SeqLM, config, files)
                model, report = AutoModelForSeq2SeqLM.from_pretrained(
                    folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **LOCAL
                )
                if report["missing_keys"]:  # transformers would draw it at random
                    raise ValueError(f"{min(report['missing_keys'])} is missing")
                tokenizer = AutoTokenizer.from_pretrained(folder, config=config, **LOCAL)
        except ValueError as error:
            raise ConfigError(
                f"{where}: {folder}: holds no sequence-to-sequence model that transformers reads ({error}); expected "
                "config.json, model.safetensors and a tokenizer, such as of a Marian or T5 model. Check the folder."
            ) from None
        return cls(model.eval().to(device), tokenizer)

    @torch.inference_mode()
    def write(self, text: str, *, seed: int, temperature: float) -> str:
        """Return a text sampled with `seed`, given `text`. It is empty if `text` is longer than the model reads."""
        device = self._model.device
        ids = self._tokenizer(text, return_tensors="pt").input_ids.to(device)
        limits = [self._tokenizer.model_max_length, getattr(self._model.config, "max_position_embeddings", None)]
        max_length = min((limit for limit in limits if limit and limit < UNBOUNDED_LENGTH), default=UNBOUNDED_LENGTH)
        most = min(MAX_LENGTH_RATIO * ids.shape[1] + MAX_EXTRA_TOKENS, max_length - 1)
        if ids.shape[1] > max_length or most < 1:
            return ""
        with quiet(), seeded(seed % 2**63, device):
            written = self._model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=temperature, top_k=0, top_p=1.0,
                num_beams=1, num_return_sequences=1, max_new_tokens=most,
            )  # fmt: skip
        return str(self._tokenizer.decode(written[0], skip_special_tokens=True)).strip()
