"""Digests of the models that augmentation uses, which enter the identity of a result."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.artifact import digest_of, file_digest
from nlptl.errors import ConfigError
from nlptl.finetuning.augmentation.augment_settings import Augmentation, BackTranslation, MaskedLMReplacement

if TYPE_CHECKING:
    from nlptl.models.weights import Weights


def model_digests(settings: Sequence[Augmentation], *, where: str = "augment") -> Mapping[str, str]:
    """Return the digest of each model by the path of its setting, such as "0.weights"; ConfigError as `check_models`."""
    return {path: _digest(find()) for path, find in _models(settings, where)}


def check_models(settings: Sequence[Augmentation], *, where: str = "augment") -> None:
    """Refuse missing or unfit models, with one sentence for each; nothing is loaded."""
    faults: list[str] = []
    for _, find in _models(settings, where):
        try:
            find()
        except ConfigError as error:
            faults += error.faults
    if faults:
        raise ConfigError(faults)


def _models(settings: Sequence[Augmentation], where: str) -> Iterator[tuple[str, Callable[[], Weights | Path]]]:
    """Yield the path of each model's setting and a function that finds the model."""
    for number, setting in enumerate(settings):
        if isinstance(setting, MaskedLMReplacement):
            from nlptl.finetuning.augmentation.word_filler import weights_of

            yield f"{number}.weights", functools.partial(weights_of, setting, where=f"{where}.{number}")
        elif isinstance(setting, BackTranslation):
            for name, folder in (("forward", setting.forward), ("backward", setting.backward)):
                yield f"{number}.{name}", functools.partial(_model_folder, folder, f"{where}.{number}.{name}")


def _digest(found: Weights | Path) -> str:
    if isinstance(found, Path):
        return digest_of({path.name: file_digest(path) for path in sorted(found.iterdir()) if path.is_file()})
    return found.digest()


def _model_folder(name: str, where: str) -> Path:
    folder = Path(name).expanduser()
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"{where}: {name}: found no folder with a config.json; expected a sequence-to-sequence model in transformers' "
            "layout. Check the path."
        )
    return folder
