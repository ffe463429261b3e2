"""The contextual token model: a BERT-family encoder of transformers, run layer by layer on packed texts.

Shapes: B texts, N packed tokens, T tokens of the longest text, D dimension.
"""

from __future__ import annotations

import contextlib
import dataclasses
import operator
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from nlptl.errors import ArtifactError, ConfigError
from nlptl.models import attention, bottlenecks
from nlptl.models.architectures import anatomy_of
from nlptl.models.attention import AttentionChoice
from nlptl.models.buffered import Buffers, plain_layers, run_layer, width_of
from nlptl.models.layout import Layout, Mask
from nlptl.models.packing import Batch, TokenRule, tokenize
from nlptl.models.pretrained import ADAPTER_FILES, load_adapter, load_model, quiet, save_adapter
from nlptl.models.sentences import tokenize_by_sentence

if TYPE_CHECKING:
    from peft import PeftModel
    from tokenizers import Tokenizer

LayerChoice = int | Literal["mean"]
TOKEN_BUDGET = 1024  # tokens a batch when encoding on a CPU: a layer's activations stay in the caches (measured)
GPU_TOKEN_BUDGET = 65_536
ADAPTER = "adapter"
"""Folder of an adapter in PEFT's layout, inside the folder of an encoder."""
FILES = frozenset({
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", bottlenecks.FILE, *(f"{ADAPTER}/{name}" for name in ADAPTER_FILES),
})  # fmt: skip
"""Names of all files that `Transformer.save` writes, under any version of transformers."""


class Transformer(nn.Module):
    """token_vectors = layer_L(... layer_1(embeddings(input_ids))); with layer "mean" the average over layers 1 to L.

    `layer` says whose output counts: L (all) by default, an earlier one, or "mean". Attention never crosses texts, nor the
    pieces of a text where it has several; positions are counted within a piece.
    """

    kind: ClassVar[Literal["transformer"]] = "transformer"
    sorts = True

    def __init__(self, model: Any, rule: TokenRule, *, special_tokens: dict[str, str]) -> None:
        """`model` is a base model of transformers (no task head), `special_tokens` its "cls_token" and the like."""
        super().__init__()
        self.model = model
        self.rule = rule
        self.special_tokens = special_tokens
        self.architecture = anatomy_of(model.config.model_type)
        self.layer: LayerChoice = self.depth
        self.adapters: tuple[PeftModel, ...] = ()
        """The adapter in `model`, if there is one; in a tuple, so that it does not count as a part of its own."""
        self.bottlenecks = nn.ModuleDict()
        """Bottleneck adapters by the number of the layer behind which they stand, counted from 1."""
        self.attention: AttentionChoice = "auto"
        self._implementation = ""

    @property
    def dim(self) -> int:
        """Width D of the token vectors."""
        return int(self.model.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.word_embeddings.weight.device

    @property
    def token_budget(self) -> int:
        """Tokens a batch when encoding: few where caches are small, many where launching a kernel is what costs."""
        return TOKEN_BUDGET if self.device.type == "cpu" else GPU_TOKEN_BUDGET

    @property
    def layers(self) -> nn.ModuleList:
        """The layers, lowest first."""
        found: nn.ModuleList = operator.attrgetter(self.architecture.layers)(self.model)
        return found

    @property
    def depth(self) -> int:
        """How many layers there are."""
        return len(self.layers)

    @property
    def used_depth(self) -> int:
        """How many layers take part in the output."""
        return self.depth if self.layer == "mean" else int(self.layer)

    @property
    def word_embeddings(self) -> nn.Embedding:
        """The table of token embeddings."""
        found: nn.Embedding = operator.attrgetter(self.architecture.word_embeddings)(self.model)
        return found

    def below_layers(self) -> Iterator[nn.Module]:
        """Yield what stands below the first layer: the projection of the embeddings, where there is one, and they."""
        if self.architecture.projection and hasattr(self.model, self.architecture.projection):
            yield getattr(self.model, self.architecture.projection)
        yield self.model.embeddings

    @property
    def final_norm(self) -> nn.Module | None:
        """The norm after the last layer, where the architecture has one."""
        return (
            None
            if self.architecture.final_norm is None
            else operator.attrgetter(self.architecture.final_norm)(self.model)
        )

    @property
    def frozen_width(self) -> int:
        """Width of what `lower` returns: D, or 2 D where the mean of the layers must be carried along."""
        return self.dim * (2 if self.layer == "mean" else 1)

    def read(self, tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's token ids."""
        if self.rule.sentence_start is not None:
            return tokenize_by_sentence(tokenizer, texts, self.rule)
        return tokenize(tokenizer, texts, self.rule)

    def forward(self, batch: Batch) -> Tensor:
        """Return token vectors (N, D)."""
        return self.upper(self.lower(batch, 0), batch, 0)

    def lower(self, batch: Batch, layers: int) -> Tensor:
        """Return what embeddings and the first `layers` layers make of a batch: (N, frozen_width), for `upper`.

        `layers` is at most `used_depth`; the layers above do not take part.
        """
        layout = self._layout(batch)
        hidden, total = self._run(self._embedded(batch, layout), None, layout, 0, layers)
        return layout.take_out(hidden if total is None else torch.cat([hidden, total], dim=-1))

    def upper(self, frozen_layers: Tensor, batch: Batch, layers: int) -> Tensor:
        """Return token vectors (N, D), going on after `layers` layers from the frozen layers's output (N, frozen_width)."""
        layout = self._layout(batch)
        state = layout.lay_out(frozen_layers)
        hidden, total = (state[..., : self.dim], state[..., self.dim :]) if self.layer == "mean" else (state, None)
        hidden, total = self._run(hidden, total, layout, layers, self.used_depth)
        if total is not None:
            hidden = total / self.depth
        return layout.take_out(hidden)

    def decode(self, batch: Batch, memory: Sequence[Tensor]) -> Tensor:
        """Return token vectors (N, D) of a decoder that has the encoder's weights: a token sees those up to itself.

        `memory` has one vector (B, D) a layer for each text, added to what goes into the layer.
        """
        layout = self._causal_layout(batch)
        hidden = self._embedded(batch, layout)
        arguments = self._layer_arguments(hidden, layout)
        for vectors, layer in zip(memory, self.layers, strict=True):
            hidden = layer(hidden + vectors[:, None], **arguments(layer))
        return layout.take_out(hidden if self.final_norm is None else self.final_norm(hidden))

    def _embedded(self, batch: Batch, layout: Layout) -> Tensor:
        """Return what goes into the first layer, (1, N, D) or (B, T, D)."""
        embedded: Tensor = self.model.embeddings(
            input_ids=layout.lay_out(batch.input_ids),
            **({} if self.architecture.rotary else {"position_ids": layout.position_ids}),
        )
        if self.architecture.projection and hasattr(self.model, self.architecture.projection):
            embedded = getattr(self.model, self.architecture.projection)(embedded)
        return embedded

    def _run(
        self, hidden: Tensor, total: Tensor | None, layout: Layout, begin: int, end: int
    ) -> tuple[Tensor, Tensor | None]:
        """Run layers `begin` to `end`; with layer "mean" also sum up their outputs."""
        arguments = self._layer_arguments(hidden, layout)
        if self.layer == "mean" and total is None:
            total = torch.zeros_like(hidden)
        if not hidden.numel():  # texts without tokens alone, which transformers' layers cannot reshape
            return hidden, total
        one_layer = self._buffered(hidden, layout) or (lambda layer, given: layer(given, **arguments(layer)))
        for number, layer in enumerate(self.layers[begin:end], start=begin + 1):
            hidden = one_layer(layer, hidden)
            if str(number) in self.bottlenecks:
                hidden = self.bottlenecks[str(number)](hidden)
            if number == self.depth and self.final_norm is not None:
                hidden = self.final_norm(hidden)
            total = None if total is None else total + hidden
        return hidden, total

    def _buffered(self, hidden: Tensor, layout: Layout) -> Callable[[nn.Module, Tensor], Tensor] | None:
        """Return what runs a layer in buffers, where nothing learns and the layers are plain; else None."""
        device = hidden.device.type
        if torch.is_grad_enabled() or self.training or layout.packed is None or device != "cpu":
            return None
        plain = None if torch.is_autocast_enabled(device) else plain_layers(self.layers, self.architecture.parts)
        if not plain:
            return None
        packed, heads = layout.packed, int(self.model.config.num_attention_heads)
        buffers = Buffers(hidden[0], width_of(plain))
        parts = dict(zip(self.layers, plain, strict=True))
        return lambda layer, given: run_layer(parts[layer], given[0], packed, heads, buffers)[None]

    def _layer_arguments(self, hidden: Tensor, layout: Layout) -> Any:
        shared: dict[str, Any] = {} if layout.packed is None else {"packed": layout.packed}
        if self.architecture.rotary is None:
            return lambda _: {"attention_mask": layout.mask, **shared}
        rotary = getattr(self.model, self.architecture.rotary)
        kinds = set(self.model.config.layer_types)
        turns = {kind: rotary(hidden, layout.position_ids, kind) for kind in kinds}

        def arguments(layer: Any) -> dict[str, Any]:
            mask = layout.mask[layer.attention_type] if isinstance(layout.mask, dict) else layout.mask
            return {"attention_mask": mask, "position_embeddings": turns[layer.attention_type], **shared}

        return arguments

    def _layout(self, batch: Batch) -> Layout:
        first = self.model.config.pad_token_id + 1 if self.architecture.first_position == "after_padding" else 0
        if self._use_attention() == "packed":
            return Layout.end_to_end(batch, first)
        return Layout.padded(batch, first, self._mask)

    def _causal_layout(self, batch: Batch) -> Layout:
        """Return the padded layout whose tokens see nothing after them; padding stands after all and is not seen."""
        before, self.attention = self.attention, "sdpa"
        layout = self._layout(batch)
        self.attention = before
        place = torch.arange(layout.position_ids.shape[1], device=self.device)
        past = (place[:, None] >= place[None, :])[None, None]
        if self.architecture.rotary is None:
            return dataclasses.replace(layout, mask=past)
        near = past & (place[:, None] - place[None, :] <= self.model.config.sliding_window)
        return dataclasses.replace(layout, mask={"full_attention": past, "sliding_attention": near})

    def _mask(self, batch: Batch, longest: int) -> Mask:
        from transformers.masking_utils import create_bidirectional_mask, create_bidirectional_sliding_window_mask

        device = batch.input_ids.device
        keep = torch.arange(longest, device=device)[None] < batch.lengths[:, None].to(device)
        like = self.word_embeddings.weight.new_empty(len(batch.lengths), longest, 1)
        arguments = {"config": self.model.config, "inputs_embeds": like, "attention_mask": keep}
        full: Tensor | None = create_bidirectional_mask(**arguments)
        if self.architecture.rotary is None:
            return full
        return {"full_attention": full, "sliding_attention": create_bidirectional_sliding_window_mask(**arguments)}

    def _use_attention(self) -> str:
        """Set up the attention that is asked for, and return its name."""
        choice = attention.choose(self.attention, self.device)[0]
        self._use(attention.NAME if choice == "packed" else choice)
        return choice

    def _use(self, implementation: str) -> None:
        if implementation != self._implementation:
            attention.register()
            with quiet():
                self.model.set_attn_implementation(implementation)
            self._implementation = implementation

    @contextlib.contextmanager
    def reading(self, layer: LayerChoice | None) -> Iterator[None]:
        """Give the output of another layer for a while; ConfigError for one that is not there.

        Inside, several threads may compute at once: nothing is left to be set up.
        """
        self._use_attention()
        before = self.layer
        self.layer = before if layer is None else self.layer_number(layer)
        try:
            yield
        finally:
            self.layer = before

    def layer_number(self, layer: LayerChoice) -> LayerChoice:
        """Return a layer counted from the embeddings (0) upwards, or "mean"; ConfigError for one that is not there."""
        if layer == "mean":
            return layer
        number = layer if isinstance(layer, int) else None
        if number is None or not -self.depth - 1 <= number <= self.depth:
            raise ConfigError(
                f"layer: found {layer!r}; expected 'mean' or a number from {-self.depth - 1} to {self.depth}, this "
                f"encoder has {self.depth} layers. Choose one of them."
            )
        return number if number >= 0 else self.depth + 1 + number

    def save(self, folder: Path, tokenizer: Tokenizer) -> None:
        """Write encoder and tokenizer in transformers' layout, an adapter in PEFT's into the folder `adapter`."""
        from safetensors.torch import save_file
        from transformers import PreTrainedTokenizerFast

        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, model_max_length=self.rule.longest, **self.special_tokens
        ).save_pretrained(str(folder))
        self.model.config.save_pretrained(folder)
        base = {name: tensor.contiguous() for name, tensor in self._base_state().items()}
        save_file(base, folder / "model.safetensors", metadata={"format": "pt"})
        for adapter in self.adapters:
            save_adapter(adapter, folder / ADAPTER)
        bottlenecks.write(self.bottlenecks, folder)

    def settings(self) -> dict[str, Any]:
        """Return what `load` needs beside the files of transformers."""
        return {"layer": self.layer, "attention": self.attention, "special_tokens": self.special_tokens,
                "rule": dataclasses.asdict(self.rule), **bottlenecks.settings_of(self.bottlenecks)}  # fmt: skip

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> Transformer:
        """Read what `save` wrote; ArtifactError when something is missing or damaged."""
        try:
            model = load_model(folder)
        except ValueError as error:
            raise ArtifactError(
                f"{folder}: holds no encoder that transformers reads ({error}); the folder is damaged. "
                "Run the stage again."
            ) from None
        found = cls(model, TokenRule(**settings["rule"]), special_tokens=settings["special_tokens"])
        found.layer, found.attention = settings["layer"], settings["attention"]
        if (folder / ADAPTER).is_dir():
            found.adapters = (load_adapter(model, folder / ADAPTER),)
        found.bottlenecks = bottlenecks.read(folder, settings, found.dim)
        return found

    def _base_state(self) -> dict[str, Tensor]:
        """Return the weights by the names that transformers gives them, without those of an adapter."""
        if not self.adapters:
            state: dict[str, Tensor] = self.model.state_dict()
            return state
        return {
            name.replace(".base_layer.", "."): tensor
            for name, tensor in self.model.state_dict().items()
            if ".lora_" not in name
        }
