"""Compiles the skip-gram kernel for Hopper (sm_90) without a GPU and prints what it takes as JSON.

    python tests/pretraining/word2vec/gpu_compiled.py DIM WINDOW

This catches what Triton's interpreter lets pass: sizes and types that tensor cores refuse, and registers spilled to memory.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from nlptl.pretraining.word2vec.engines import SkipGramTask
from nlptl.pretraining.word2vec.gpu_kernels import train_segments
from nlptl.pretraining.word2vec.gpu_tuning import Tuning, row_width, tile_for

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
POINTERS = {
    "inputs": "*fp32", "outputs": "*fp32", "cuts": "*fp32", "caps": "*fp32", "words": "*i32", "texts": "*i32", "aliases": "*i32",
}  # fmt: skip
SCALARS = {
    "kept": "i32", "first_tile": "i32", "tiles": "i32", "key": "i32", "vocabulary": "i32", "rate": "fp32", "slope": "fp32",
}  # fmt: skip


def main() -> None:
    if not (TOOLS / "ptxas").is_file() or not (TOOLS / "cuobjdump").is_file():
        sys.stdout.write("skip: triton came without ptxas and cuobjdump")
        return
    dim, window = map(int, sys.argv[1:])
    sys.stdout.write(json.dumps(measured(compiled(dim=dim, window=window))))


def compiled(*, dim: int, window: int) -> Any:
    task = SkipGramTask(dim=dim, window=window, negatives=5, subsample=0, epochs=1, learning_rate=0.025, seed=1)
    tuning = Tuning()
    tile = tile_for(task, tuning)
    constants: dict[str, Any] = {
        "WIDTH": row_width(dim), "WINDOW": window, "NEGATIVES": 5, "CENTRES": tile.centres, "SLOTS": tile.slots,
        "CONTEXTS": tile.contexts, "NOISE": tile.noise, "BLOCK": tile.block, "OPERAND": tl.bfloat16,
    }  # fmt: skip
    types = {**POINTERS, **SCALARS, **dict.fromkeys(constants, "constexpr")}
    names = train_segments.arg_names
    # Tensors of torch begin at multiples of 16 bytes, which is what the launcher would say.
    attributes = {(names.index(name),): [["tt.divisibility", 16]] for name in POINTERS}
    source = ASTSource(train_segments, {name: types[name] for name in names}, constants, attributes)
    options = {"num_warps": tile.warps, "num_stages": 1, "enable_fp_fusion": True}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def measured(kernel: Any) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        command = [str(TOOLS / "cuobjdump"), "--dump-resource-usage", file.name]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    usage = {name: int(value) for name, value in re.findall(r"(REG|STACK):(\d+)", told)}
    return {
        "registers": usage["REG"],
        "stack_bytes": usage["STACK"],
        "shared_bytes": kernel.metadata.shared,
        "reads_four_at_once": "ld.global.cg.v4.b32" in kernel.asm["ptx"],
        "adds_four_at_once": ".add.v4.f32" in kernel.asm["ptx"],
    }


if __name__ == "__main__":
    main()
