"""Modules without dropout: a copy that shares the weights, or a switch for a block that one thread owns."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Iterator
from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def at_rest(module: Module) -> Module:
    """Return the module if no part of it is in training mode, else a copy in evaluation mode that shares its tensors.

    The module itself does not change, so that threads may train, encode and predict with it side by side.
    """
    if not any(part.training for part in module.modules()):
        return module
    shared: dict[int, object] = {
        id(tensor): tensor for tensor in itertools.chain(module.parameters(), module.buffers())
    }
    return copy.deepcopy(module, shared).eval()


@contextlib.contextmanager
def not_training(module: nn.Module) -> Iterator[None]:
    """Switch dropout off inside the block, of a module that no other thread uses."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
