"""The model folders that shape new texts, as digests, so that a result is made anew when a model changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nlptl.artifact import digest_of, file_digest
from nlptl.augmentation.settings import Augmentation, BackTranslation, MaskedLMReplacement
from nlptl.errors import ConfigError


def model_digests(settings: Sequence[Augmentation], *, where: str = "augment") -> Mapping[str, str]:
    """Return a digest of each model's files under the path of its setting, such as "0.weights"; none without models.

    Raises ConfigError, beginning with `where` and that path, for a model that is not there.
    """
    found: dict[str, str] = {}
    for number, setting in enumerate(settings):
        if isinstance(setting, MaskedLMReplacement):
            from nlptl.models.weights import find_weights

            found[f"{number}.weights"] = find_weights(setting.weights, None, where=f"{where}.{number}").digest()
        elif isinstance(setting, BackTranslation):
            for name in ("forward", "backward"):
                found[f"{number}.{name}"] = _folder_digest(getattr(setting, name), f"{where}.{number}.{name}")
    return found


def _folder_digest(name: str, where: str) -> str:
    folder = Path(name).expanduser()
    if not (folder / "config.json").is_file():
        raise ConfigError(
            f"{where}: {name}: found no folder with a config.json; expected a sequence-to-sequence model in transformers' "
            "layout. Check the path."
        )
    return digest_of({path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.is_file()})
