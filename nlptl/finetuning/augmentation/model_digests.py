"""The model folders that shape new texts, as digests, so that a result is made anew when a model changes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nlptl.artifact import digest_of, file_digest
from nlptl.errors import ConfigError
from nlptl.finetuning.augmentation.blocks import Augmentation, BackTranslation, MaskedLMReplacement


def model_digests(settings: Sequence[Augmentation], *, where: str = "augment") -> Mapping[str, str]:
    """Return a digest of each model's files under the path of its setting, such as "0.weights"; none without models.

    Raises ConfigError, beginning with `where` and that path, for a model that is not there or cannot do its work.
    """
    found: dict[str, str] = {}
    for number, setting in enumerate(settings):
        if isinstance(setting, MaskedLMReplacement):
            from nlptl.finetuning.augmentation.masked_lm import weights_of

            found[f"{number}.weights"] = weights_of(setting, where=f"{where}.{number}").digest()
        elif isinstance(setting, BackTranslation):
            for name in ("forward", "backward"):
                folder = _model_folder(getattr(setting, name), f"{where}.{number}.{name}")
                files = {path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.is_file()}
                found[f"{number}.{name}"] = digest_of(files)
    return found


def check_models(settings: Sequence[Augmentation], *, where: str = "augment") -> None:
    """Refuse models that are not there, and weights that cannot fill gaps, with one sentence each; nothing is loaded."""
    faults: list[str] = []
    for number, setting in enumerate(settings):
        at = f"{where}.{number}"
        finders: list[Callable[[], object]] = []
        if isinstance(setting, MaskedLMReplacement):
            from nlptl.finetuning.augmentation.masked_lm import weights_of

            finders = [functools.partial(weights_of, setting, where=at)]
        elif isinstance(setting, BackTranslation):
            finders = [
                functools.partial(_model_folder, name, f"{at}.{way}")
                for way, name in (("forward", setting.forward), ("backward", setting.backward))
            ]
        for find in finders:
            try:
                find()
            except ConfigError as error:
                faults += error.faults
    if faults:
        raise ConfigError(faults)


def _model_folder(name: str, where: str) -> Path:
    folder = Path(name).expanduser()
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"{where}: {name}: found no folder with a config.json; expected a sequence-to-sequence model in transformers' "
            "layout. Check the path."
        )
    return folder
