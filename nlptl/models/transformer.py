"""The contextual token model: a BERT-family encoder of transformers, run layer by layer on packed texts.

Shapes: B texts, N packed tokens, T tokens of the longest text, D dimension, L layers.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from nlptl.config import whole_number
from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference.segmenting import segmenter_of, without_segmenter
from nlptl.inference.sentences import tokenize_by_sentence
from nlptl.inference.tokenizing import TokenRule, tokenize
from nlptl.models import attention, bert_japanese, bottlenecks
from nlptl.models.architectures import architecture_of
from nlptl.models.buffered import Buffers, plain_layers, run_layer
from nlptl.models.packing import Batch, LayerChoice, Layout
from nlptl.models.pretrained import ADAPTER, ADAPTER_FILES, load_adapter, load_model, quiet, save_adapter
from nlptl.models.relative_positions import bias_of, biases_of, run_relative_layer

if TYPE_CHECKING:
    from peft import PeftModel

    from nlptl.models.origin import Origin

CPU_TOKEN_BUDGET = 1024  # tokens a batch when encoding: a layer's activations stay in the caches (measured)
GPU_TOKEN_BUDGET = 65_536
NO_MASKS = {"full_attention": None, "sliding_attention": None}  # packed attention needs none
FILES = frozenset({  # of all that `Transformer.save` writes, under any version of transformers
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", *bert_japanese.FILES, bottlenecks.BOTTLENECKS, *(f"{ADAPTER}/{name}" for name in ADAPTER_FILES),
})  # fmt: skip


class Transformer(nn.Module):
    """token_vectors = layer_L(... layer_1(embeddings(input_ids))) (Vaswani et al. 2017, Devlin et al. 2019).

    `layer` is the output: the last layer by default, an earlier one, or "mean", the average over layers 1 to L. Each call may
    choose another one; nothing is kept of that, so that threads may call at once.
    Attention does not cross texts, nor the segments of a text. Positions count within a segment.

    `lower` and `upper` split the computation at any layer k, so that frozen layers run only once: for each k up to
    `used_depth`, upper(lower(batch, k), batch, k) = forward(batch).
    """

    kind: ClassVar[Literal["transformer"]] = "transformer"
    sorts = True

    def __init__(self, model: Any, rule: TokenRule, *, special_tokens: dict[str, str]) -> None:
        """`model` is a base model of transformers (no task head), `special_tokens` its "cls_token" and the like."""
        super().__init__()
        self.model, self.rule, self.special_tokens = model, rule, special_tokens
        self.architecture = architecture_of(model.config.model_type)
        self.layer: LayerChoice = self.depth
        # The adapter in `model`, if any. The tuple keeps it from being registered as a submodule.
        self.adapters: tuple[PeftModel, ...] = ()
        self.bottlenecks = nn.ModuleDict()  # by the number of the layer below them, counted from 1
        self.origin: Origin | None = None  # of the weights, where it is known
        after_padding = self.architecture.first_position == "after_padding"
        self.first_position = model.config.pad_token_id + 1 if after_padding else 0
        self._use_attention(attention.ATTENTION_NAME)  # at once, since threads must not find it half set

    @property
    def dim(self) -> int:
        """Width D of the token vectors."""
        return int(self.model.config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.word_embeddings.weight.device

    @property
    def token_budget(self) -> int:
        """Tokens a batch when encoding: few on a CPU with its small caches, many on a GPU with its launch overhead."""
        return CPU_TOKEN_BUDGET if self.device.type == "cpu" else GPU_TOKEN_BUDGET

    @property
    def layers(self) -> nn.ModuleList:
        """The layers, lowest first."""
        return cast("nn.ModuleList", operator.attrgetter(self.architecture.layers)(self.model))

    @property
    def depth(self) -> int:
        """Number of layers L."""
        return len(self.layers)

    @property
    def positions(self) -> int:
        """Number of tokens of a text, or of a sentence, for which the model has positions."""
        config = self.model.config
        return self.architecture.positions(int(config.max_position_embeddings), config.pad_token_id)

    @property
    def used_depth(self) -> int:
        """Number of layers that take part in the output."""
        return self.depth if self.layer == "mean" else int(self.layer)

    @property
    def word_embeddings(self) -> nn.Embedding:
        """The table of token embeddings."""
        return cast("nn.Embedding", operator.attrgetter(self.architecture.word_embeddings)(self.model))

    @property
    def projection(self) -> nn.Module | None:
        """Map from the embeddings' width to D, if they differ."""
        return cast("nn.Module | None", getattr(self.model, self.architecture.projection or "", None))

    @property
    def final_norm(self) -> nn.Module | None:
        """Norm after the last layer, if the architecture has one."""
        return cast("nn.Module | None", getattr(self.model, self.architecture.final_norm or "", None))

    def below_layers(self) -> Iterator[nn.Module]:
        """Yield the modules below the first layer: the projection, if any, and the embeddings."""
        yield from filter(None, (self.projection, self.model.embeddings))

    @property
    def frozen_width(self) -> int:
        """Width of what `lower` returns: D, or 2 D with layer "mean", whose running sum is carried along."""
        return self.dim * (2 if self.layer == "mean" else 1)

    def read(self, tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's token ids."""
        return (tokenize if self.rule.sentence_start is None else tokenize_by_sentence)(tokenizer, texts, self.rule)

    def forward(self, batch: Batch, *, layer: LayerChoice | None = None) -> Tensor:
        """Return token vectors (N, D) of `layer`, or of the transformer's own. Raises ConfigError if there is none."""
        chosen = self.layer if layer is None else self.layer_number(layer)
        return self._upper(self._lower(batch, 0, chosen), batch, 0, chosen)

    def lower(self, batch: Batch, layers: int) -> Tensor:
        """Return what the embeddings and the first `layers` layers give (N, frozen_width), as input of `upper`."""
        return self._lower(batch, layers, self.layer)

    def upper(self, frozen_layers: Tensor, batch: Batch, layers: int) -> Tensor:
        """Return token vectors (N, D), given what `lower(batch, layers)` returned (N, frozen_width)."""
        return self._upper(frozen_layers, batch, layers, self.layer)

    def _lower(self, batch: Batch, layers: int, chosen: LayerChoice) -> Tensor:
        layout = self._layout(batch)
        embedded = self._embedded(layout.lay_out(batch.input_ids), layout.position_ids)
        hidden, total = self._run(embedded, None, layout, range(layers), averaged=chosen == "mean")
        return layout.take_out(hidden if total is None else torch.cat([hidden, total], dim=-1))

    def _upper(self, frozen_layers: Tensor, batch: Batch, layers: int, chosen: LayerChoice) -> Tensor:
        layout, averaged = self._layout(batch), chosen == "mean"
        state = layout.lay_out(frozen_layers)
        hidden, total = (state[..., : self.dim], state[..., self.dim :]) if averaged else (state, None)
        end = self.depth if chosen == "mean" else int(chosen)
        hidden, total = self._run(hidden, total, layout, range(layers, end), averaged=averaged)
        return layout.take_out(hidden if total is None else total / self.depth)

    def decode(self, batch: Batch, memory: Sequence[Tensor]) -> Tensor:
        """Return token vectors (N, D) of a causal decoder that shares the encoder's weights.

        `memory` has one (B, D) a layer, which is added to the layer's input at every token of the text.
        """
        self._use_attention("sdpa")
        segments = batch.by_segment()
        places = (segments.text_of_token(), segments.positions())
        position = torch.arange(max(segments.lengths.tolist(), default=0), device=self.device)
        distance = (position[:, None] - position[None, :])[None, None]
        masks = {"full_attention": distance >= 0}  # padding comes last and is thus never attended to
        if self.architecture.rotary:
            masks["sliding_attention"] = (distance >= 0) & (distance <= self.model.config.sliding_window)
        ids = batch.input_ids.new_zeros(len(segments.lengths), len(position)).index_put(places, batch.input_ids)
        position_ids = (position + self.first_position).expand(ids.shape)
        hidden = self._embedded(ids, position_ids)
        if self.architecture.relative:
            least = torch.finfo(hidden.dtype).min
            added = torch.where(masks["full_attention"], 0.0, least).to(hidden.dtype)
            bias = bias_of(self.model, len(position), hidden)
            for vectors, layer in zip(memory, self.layers, strict=True):
                hidden = layer(hidden + vectors[:, None], added, bias)[0]
            return hidden[places]
        arguments = self._layer_arguments(hidden, position_ids, masks)
        for vectors, layer in zip(memory, self.layers, strict=True):
            hidden = layer(hidden + vectors[:, None], **arguments(layer))
        return (hidden if self.final_norm is None else self.final_norm(hidden))[places]

    def _embedded(self, ids: Tensor, position_ids: Tensor) -> Tensor:
        """Return the input of the first layer, (1, N, D) or (B, T, D)."""
        places = {} if self.architecture.rotary else {"position_ids": position_ids}
        embedded: Tensor = self.model.embeddings(input_ids=ids, **places)
        return embedded if self.projection is None else self.projection(embedded)

    def _run(
        self, hidden: Tensor, total: Tensor | None, layout: Layout, layers: range, *, averaged: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Run layers by their number, counted from 0. If they are `averaged`, also sum up their outputs."""
        arguments = self._layer_arguments(hidden, layout.position_ids, packed=layout.packed)
        if averaged and total is None:
            total = torch.zeros_like(hidden)
        if not hidden.numel():  # only texts without tokens, which transformers' layers cannot reshape
            return hidden, total
        one_layer = self._own_layers(hidden, layout) or (lambda layer, given: layer(given, **arguments(layer)))
        final_norm = self.final_norm
        for number, layer in enumerate(self.layers[layers.start : layers.stop], start=layers.start + 1):
            hidden = one_layer(layer, hidden)
            if str(number) in self.bottlenecks:
                hidden = self.bottlenecks[str(number)](hidden)
            if number == self.depth and final_norm is not None:
                hidden = final_norm(hidden)
            total = None if total is None else total + hidden
        return hidden, total

    def _own_layers(self, hidden: Tensor, layout: Layout) -> Callable[[nn.Module, Tensor], Tensor] | None:
        """Return a function that runs a layer where transformers' own would be wrong or slower."""
        if not self.architecture.relative:
            return self._buffered(hidden, layout)
        biases = biases_of(self.model, layout.packed, hidden)
        return lambda layer, given: run_relative_layer(layer, given, layout.packed, biases)

    def _buffered(self, hidden: Tensor, layout: Layout) -> Callable[[nn.Module, Tensor], Tensor] | None:
        """Return a function that runs a layer in buffers, or None if something is trained or the layers are not plain."""
        if torch.is_grad_enabled() or self.training or hidden.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return None
        if not (plain := plain_layers(self.layers, self.architecture.parts)):
            return None
        packed, heads = layout.packed, int(self.model.config.num_attention_heads)
        buffers = Buffers(hidden[0], plain)
        parts = dict(zip(self.layers, plain, strict=True))
        return lambda layer, given: run_layer(parts[layer], given[0], packed, heads, buffers)[None]

    def _layer_arguments(
        self, hidden: Tensor, position_ids: Tensor, masks: Mapping[str, Tensor | None] = NO_MASKS, **shared: Any
    ) -> Callable[[Any], dict[str, Any]]:
        """Return a function from a layer to its arguments. `masks` (1, 1, T, T) are by the kind of a layer's attention."""
        if self.architecture.rotary is None:
            return lambda _: {"attention_mask": masks["full_attention"], **shared}
        rotary, kinds = getattr(self.model, self.architecture.rotary), set(self.model.config.layer_types)
        rotations = {kind: {"position_embeddings": rotary(hidden, position_ids, kind)} for kind in kinds}
        return lambda layer: {
            "attention_mask": masks[layer.attention_type],
            **rotations[layer.attention_type],
            **shared,
        }

    def _layout(self, batch: Batch) -> Layout:
        self._use_attention(attention.ATTENTION_NAME)
        return Layout.end_to_end(batch, self.first_position)

    def _use_attention(self, name: str) -> None:
        if self.model.config._attn_implementation != name and not self.architecture.relative:
            attention.register()
            with quiet():
                self.model.set_attn_implementation(name)

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Return a block in which texts are read; a transformer keeps nothing for it."""
        return contextlib.nullcontext()

    def layer_number(self, layer: LayerChoice) -> LayerChoice:
        """Return a layer counted from the embeddings (0) upwards, or "mean". Raises ConfigError if there is no such layer."""
        if isinstance(layer, str) and layer == "mean":
            return "mean"
        number = whole_number(layer)
        if number is None or not -self.depth - 1 <= number <= self.depth:
            raise ConfigError(
                f"layer: found {layer!r}; expected 'mean' or a number from {-self.depth - 1} to {self.depth}, since this "
                f"encoder has {self.depth} layers. Choose one of them."
            )
        return number % (self.depth + 1)

    def save(self, folder: Path, tokenizer: Tokenizer) -> None:
        """Write encoder and tokenizer in transformers' layout, and an adapter in PEFT's into the folder `adapter`."""
        from transformers import PreTrainedTokenizerFast

        cut = {"truncation_side": "left"} if (tokenizer.truncation or {}).get("direction") == "left" else {}
        PreTrainedTokenizerFast(
            tokenizer_object=without_segmenter(tokenizer),
            model_max_length=self.rule.max_length,
            **self.special_tokens,
            **cut,
        ).save_pretrained(str(folder))
        if (words := segmenter_of(tokenizer)) is not None:
            bert_japanese.write_for_transformers(folder, tokenizer, words)
        config = copy.deepcopy(self.model.config)
        config.architectures = [type(self.model).__name__]  # weights may come with a head, which is not kept
        config.save_pretrained(folder)
        weights = {  # by transformers' names, without those of an adapter
            name.replace(".base_layer.", "."): tensor.contiguous()
            for name, tensor in self.model.state_dict().items()
            if ".lora_" not in name
        }
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        for adapter in self.adapters:
            save_adapter(adapter, folder / ADAPTER)
        bottlenecks.write(self.bottlenecks, folder)

    def settings(self) -> dict[str, Any]:
        """Return what `load` needs besides the files of transformers. Files call the maximum length `longest`."""
        rule = {"longest" if name == "max_length" else name: v for name, v in dataclasses.asdict(self.rule).items()}
        rule = {name: value for name, value in rule.items() if value or name not in ("prompt", "skipped")}
        return {"layer": self.layer, "special_tokens": self.special_tokens,
                "rule": rule, **bottlenecks.settings_of(self.bottlenecks)}  # fmt: skip

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> Transformer:
        """Read what `save` wrote. Raises ArtifactError if something is missing or damaged."""
        try:
            model = load_model(folder)
        except ValueError as error:
            raise ArtifactError(
                f"{folder}: holds no encoder that transformers reads ({error}); the folder is damaged. Run the stage again."
            ) from None
        rule = {"max_length" if name == "longest" else name: value for name, value in settings["rule"].items()}
        found = cls(model, TokenRule(**rule), special_tokens=settings["special_tokens"])
        try:
            found.layer = found.layer_number(settings["layer"])
        except ConfigError as error:
            raise ArtifactError(f"{folder}: its encoder.json has a fault. {error} Run the stage again.") from None
        if (folder / ADAPTER).is_dir():
            found.adapters = (load_adapter(model, folder / ADAPTER),)
        found.bottlenecks = bottlenecks.read(folder, settings, found.dim)
        return found
