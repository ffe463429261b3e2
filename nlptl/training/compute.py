"""Precision of matrix products, and the number of threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

import torch

Precision = Literal["float32", "tf32", "bfloat16"]


def precision_for(choice: Precision | Literal["auto"], device: torch.device) -> Precision:
    """Return the precision of training: for auto, bfloat16 where the hardware has it, which measured faster."""
    if choice != "auto":
        return choice
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    flags: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bfloat16" if flags.get("avx512_bf16") or flags.get("amx_bf16") else "float32"


@contextlib.contextmanager
def matrix_products(precision: Precision, device: torch.device) -> Iterator[None]:
    """Round the inputs of float32 matrix products to TF32 inside the block, if asked for; CPUs have no such mode."""
    if precision != "tf32" or device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def one_thread_if(small: bool) -> Iterator[None]:
    """Compute on one thread inside the block if the job is `small`."""
    # Threads wait for one another at every tiny operation: a factor of 2, and of 30 on a busy machine.
    threads = torch.get_num_threads()
    if small:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Compute NumPy's and SciPy's matrix products on one thread inside the block.

    A solver of small problems calls them thousands of times, and threads wait for one another each time: logistic regression of
    149 texts on 40,000 terms took 12.5 s on two busy cores, and 0.9 s on one thread.
    """
    from threadpoolctl import threadpool_limits  # which scikit-learn brings

    with threadpool_limits(1, user_api="blas"):
        yield
