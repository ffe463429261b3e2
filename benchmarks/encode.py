"""Sentence vectors of the same weights: Encoder.encode against SentenceTransformer.encode, both as they come.

    python benchmarks/encode.py DIR [--device auto|cpu|cuda] [--repeats 5] [--precisions float32 bfloat16] [--out DIR]

DIR holds tweeteval/emotion and imdb as JSON lines. Each arm has a process of its own and encodes the same texts in
turn, cut at 256 tokens; loading and one round to warm up are told apart. Speed is in real tokens a second: special
tokens counted, padding not, by the tokenizer of either arm, which must agree. The peer comes by pip install
-c constraints.txt sentence-transformers==6.2.0. Without it, or with --peer transformers, its place takes transformers
alone: batches of 32 padded to the longest, SDPA, mean pooling. On a GPU both also run in bfloat16.
Where nlptl is not installed: PYTHONPATH=. python benchmarks/encode.py …. Writes benchmarks/results/encode.json
(encode-cuda.json on a GPU).
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import arms
import numpy as np
from texts import EMOTION, IMDB, read_rows, sample, weights_folder

LONGEST = 256  # tokens at which MiniLM's folder cuts
SETS = {"emotion": (EMOTION, 1000), "imdb": (IMDB, 100)}
ON_GPU = 20  # times as many texts there, for runs that last


def main(argv: Sequence[str]) -> Path:
    parser = arms.arguments(
        __doc__,
        repeats={"type": int, "default": 5},
        peer={"choices": ["auto", "sentence-transformers", "transformers"], "default": "auto"},
        precisions={"nargs": "+", "choices": ["float32", "bfloat16"], "help": "default float32; on a GPU both"},
        out=arms.OUT,
        apart=arms.APART,
    )
    options = parser.parse_args(argv)
    device = arms.device_of(options.device)
    arms.begin("about 3 minutes on two quiet cores")
    texts = {name: texts_of(options, name, device) for name in SETS}
    every = [text for part in texts.values() for text in part]
    folder, weights = weights_folder(options.weights, every, scratch=arms.SCRATCH, tiny=options.tiny)
    peer, notes = peer_of(options.peer)
    print(*notes, sep="\n", end="\n" if notes else "", flush=True)
    precisions = options.precisions or (["float32", "bfloat16"] if device == "cuda" else ["float32"])
    shared = {"folder": str(folder), "device": device, "texts": texts, "longest": 64 if options.tiny else LONGEST}
    process = arms.SameProcess if options.tiny and not options.apart else arms.OwnProcess
    made = {
        (arm, precision): process(MAKERS[arm], {**shared, "precision": precision})
        for precision in precisions
        for arm in ("nlptl", peer)
    }
    rows, vectors = measure(made, list(texts), options.repeats)
    for arm in made.values():
        arm.close()
    about = {"weights": weights, "device": arms.device_name(device)}
    return arms.publish(
        arms.result_name("encode", device),
        tiny=options.tiny,
        command="python benchmarks/encode.py DIR",
        seeds=[0],
        out=options.out,
        notes=notes,
        rows=[{**row, **about} for row in rows],
        bars=[
            bar
            for name in texts
            for precision in precisions
            for bar in bars(name, precision, peer, rows, vectors, device=device)
        ],
    )


def peer_of(wanted: str) -> tuple[str, list[str]]:
    """Return the peer to measure, and a sentence where another stands in for it."""
    if wanted != "auto":
        return wanted, []
    if not arms.missing(["sentence_transformers"]):
        return "sentence-transformers", []
    return "transformers", ["sentence-transformers is not installed: transformers alone, padded, stands in for it."]


def texts_of(options: Any, name: str, device: str) -> list[str]:
    data_set, count = SETS[name]
    count = 8 if options.tiny else count * (ON_GPU if device == "cuda" else 1)
    rows = read_rows(options.folder, data_set, "test")
    return rows.texts()[:count] if name == "emotion" else sample(rows, count, seed=0).texts()


def measure(made: dict[tuple[str, str], Any], names: list[str], repeats: int) -> tuple[list[arms.Row], dict[Any, Any]]:
    """Run the arms in turn; returns every run, and each arm's vectors by set, arm and precision."""
    rows: list[arms.Row] = []
    vectors: dict[Any, Any] = {}
    for name in names:
        for arm in made.values():
            arm.run(name)  # warm up
        for repeat in range(repeats):
            for arm, precision in made if repeat % 2 == 0 else reversed(made):
                found = made[arm, precision].run(name)
                vectors[name, arm, precision] = found.pop("vectors")
                rows.append({"set": name, "arm": arm, "precision": precision, "repeat": repeat, **found})
                speed = rows[-1]["tokens_per_second"]
                print(f"{name} {precision} {repeat + 1}/{repeats} {arm}: {speed:,.0f} tokens/s", flush=True)
        if len({row["tokens"] for row in rows if row["set"] == name}) > 1:
            raise SystemExit(f"{name}: the arms' tokenizers gave different numbers of tokens")
    return rows, vectors


def bars(
    name: str, precision: str, peer: str, rows: list[arms.Row], vectors: dict[Any, Any], *, device: str
) -> list[arms.Row]:
    speed = {
        arm: [
            r["tokens_per_second"]
            for r in ordered(rows)
            if (r["set"], r["arm"], r["precision"]) == (name, arm, precision)
        ]
        for arm in ("nlptl", peer)
    }
    ratio = [ours / theirs for ours, theirs in zip(speed["nlptl"], speed[peer], strict=True)]
    exact = "float32" if (name, peer, "float32") in vectors else precision
    cosine = lowest_cosine(vectors[name, "nlptl", precision], vectors[name, peer, exact])
    return [
        {"name": f"{name}, {precision}: tokens/s over those of {peer}", "at_least": 3.0 if device == "cuda" else 1.5,
         **arms.told(ratio)},
        {"name": f"{name}, {precision}: lowest cosine to {exact} vectors of {peer}", "value": cosine,
         **({"at_least": 0.9999} if precision == "float32" else {})},
    ]  # fmt: skip


def ordered(rows: list[arms.Row]) -> list[arms.Row]:
    return sorted(rows, key=lambda row: row["repeat"])


def lowest_cosine(ours: np.ndarray, theirs: np.ndarray) -> float:
    first, second = (found.astype(np.float64) for found in (ours, theirs))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return round(float(((first * second).sum(axis=1) / lengths).min()), 7)


def timed(encode: Any, texts: list[str], tokens: int) -> arms.Row:
    begin = time.perf_counter()
    vectors = encode(texts)
    seconds = time.perf_counter() - begin
    return {
        "texts": len(texts), "tokens": tokens, "seconds": round(seconds, 4), "vectors": vectors,
        "tokens_per_second": round(tokens / seconds, 1),
    }  # fmt: skip


def nlptl_arm(*, folder: str, device: str, precision: str, texts: dict[str, list[str]], longest: int) -> arms.Run:
    import torch

    from nlptl.models.foreign_encoder import pretrained_encoder
    from nlptl.models.weights import find_weights

    encoder = pretrained_encoder(find_weights(folder, None, where="benchmark").folder, max_length=longest)
    encoder.to(device=torch.device(device))
    tokens = {name: sum(map(len, encoder.token_ids(part))) for name, part in texts.items()}
    return lambda name: timed(functools.partial(encoder.encode, precision=precision), texts[name], tokens[name])


def sentence_transformers_arm(
    *, folder: str, device: str, precision: str, texts: dict[str, list[str]], longest: int
) -> arms.Run:
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device=device, model_kwargs={"dtype": getattr(torch, precision)})
    model.max_seq_length = longest
    tokens = {name: count_tokens(model.tokenizer, part, longest) for name, part in texts.items()}

    return lambda name: timed(model.encode, texts[name], tokens[name])


def transformers_arm(
    *, folder: str, device: str, precision: str, texts: dict[str, list[str]], longest: int
) -> arms.Run:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = (
        AutoModel.from_pretrained(folder, dtype=getattr(torch, precision), attn_implementation="sdpa").to(device).eval()
    )
    tokens = {name: count_tokens(tokenizer, part, longest) for name, part in texts.items()}

    def encode(part: list[str]) -> np.ndarray:
        found = []
        with torch.inference_mode():
            for begin in range(0, len(part), 32):
                batch = tokenizer(
                    part[begin : begin + 32], padding=True, truncation=True, max_length=longest, return_tensors="pt"
                ).to(device)
                keep = batch["attention_mask"][..., None]
                found.append((model(**batch).last_hidden_state * keep).sum(dim=1) / keep.sum(dim=1))
        return torch.cat(found).float().cpu().numpy()

    return lambda name: timed(encode, texts[name], tokens[name])


def count_tokens(tokenizer: Any, texts: list[str], longest: int) -> int:
    return sum(map(len, tokenizer(texts, truncation=True, max_length=longest)["input_ids"]))


MAKERS = {
    "nlptl": nlptl_arm,
    "sentence-transformers": sentence_transformers_arm,
    "transformers": transformers_arm,
}

if __name__ == "__main__":
    main(sys.argv[1:])
