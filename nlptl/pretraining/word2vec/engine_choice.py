"""Choice of the engine that trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from nlptl.context import Device
from nlptl.errors import ConfigError
from nlptl.pretraining.word2vec.engines import Engine

EngineName = Literal["auto", "cpu", "gpu", "gensim", "ppmi"]


def choose_engine(
    wanted: EngineName, *, device: Device = "auto", subwords: bool = False, deterministic: bool = False
) -> tuple[Literal["cpu", "gpu", "gensim", "ppmi"], Engine]:
    """Return the name of an engine and the engine.

    auto takes the GPU if `device` allows it and CUDA and Triton are there. Subwords and repeatable bits need the CPU.
    Raises ConfigError for what the wanted engine cannot do.
    """
    check_engine(wanted, subwords=subwords, deterministic=deterministic)
    if wanted == "gensim":
        from nlptl.pretraining.word2vec import gensim_engine

        return "gensim", gensim_engine.train
    if wanted == "ppmi":
        from nlptl.pretraining.word2vec import ppmi_engine

        return "ppmi", ppmi_engine.train
    if wanted == "gpu" or (wanted == "auto" and device != "cpu" and not subwords and not deterministic):
        from nlptl.pretraining.word2vec import gpu_engine

        if wanted == "gpu" or gpu_engine.available():
            return "gpu", gpu_engine.train
    from nlptl.pretraining.word2vec import cpu_engine

    return "cpu", cpu_engine.train


def missing_engines(wanted: Mapping[str, EngineName]) -> Iterator[str]:
    """Tell which engines, by their settings, this machine cannot run. Asked for a GPU, it loads torch."""
    if "gpu" not in wanted.values():
        return
    from nlptl.pretraining.word2vec.gpu_engine import machine_fault

    if fault := machine_fault():
        yield from (f"{where}.{fault}" for where, name in wanted.items() if name == "gpu")


def check_engine(wanted: EngineName, *, subwords: bool, deterministic: bool, where: str = "skipgram") -> None:
    """Raise ConfigError for what the wanted engine cannot do."""
    fault = ""
    if subwords and wanted in ("gpu", "gensim", "ppmi"):
        fault = f"subwords: found engine {wanted}, which cannot train them; expected engine cpu"
    elif deterministic and wanted == "gpu":
        fault = "deterministic: found engine gpu, whose threads add in any order; expected engine cpu or gensim"
    if fault:
        raise ConfigError(f"{where}.{fault}. Choose engine: cpu or auto.")
