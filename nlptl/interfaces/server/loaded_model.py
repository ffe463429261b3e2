"""LoadedModel: one version of a classifier that is served, and how it is read from the folder of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal, cast

from nlptl.artifact import read_manifest
from nlptl.disk.ownership import MANIFEST
from nlptl.errors import ConfigError, NlptlError
from nlptl.inference.predictor import Predictor
from nlptl.interfaces.server.refusal import RequestRefused
from nlptl.versions import artifact_in_use

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier

VERSION_LENGTH = 12  # digits of a version, of the manifest's digest
TRIES = 5  # at reading a run that is replaced meanwhile

Device = Literal["auto", "cpu", "cuda"]
Stamp = tuple[object, ...]


@dataclass(frozen=True)
class LoadedModel:
    """One version of a classifier."""

    predictor: Predictor
    version: str
    folder: Path | None = None  # of this version; None for a classifier that was never saved
    _whole: list[TextClassifier] = field(default_factory=list, repr=False)  # with torch, once it is asked for
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def max_tokens(self) -> int | None:
        """Tokens of a text that it reads; None where that is not known, or all of them."""
        encoder = getattr(self.predictor, "encoder", None)
        rule = getattr(encoder, "rule", None) or getattr(getattr(encoder, "token_model", None), "rule", None)
        return cast("int | None", getattr(rule, "max_text_length", None))

    @property
    def lanes(self) -> int:
        """Batches that may be computed at once: one a core where each keeps one core busy, as those of exports do."""
        from nlptl.inference.exported_encoder import ExportedEncoder
        from nlptl.inference.graphs import core_count

        return core_count() if isinstance(getattr(self.predictor, "encoder", None), ExportedEncoder) else 1

    @property
    def can_abstain(self) -> bool:
        """Whether it carries what prediction sets need."""
        try:
            self.predictor.checked_abstention(where="coverage")
        except ConfigError:
            return False
        return True

    def whole(self) -> TextClassifier:
        """Return the classifier with all that it can do, read by torch if it was not. Raises RequestRefused (501) without torch."""
        if hasattr(self.predictor, "explain"):
            return cast("TextClassifier", self.predictor)
        with self._lock:
            if not self._whole:
                self._whole.append(self._with_torch())
        return self._whole[0]

    def _with_torch(self) -> TextClassifier:
        try:
            from nlptl.models.classifier import TextClassifier
        except ImportError:
            raise RequestRefused(
                501, "needs_torch",
                "This server runs without torch, which explanations need. Install nlptl with torch, or ask for labels alone.",
            ) from None  # fmt: skip
        assert self.folder is not None
        return TextClassifier.load(self.folder)


def load_model(run: Path, *, device: Device = "auto") -> LoadedModel:
    """Read the version of a run that is in use. Raises ArtifactError or ConfigError, as TextClassifier.load does."""
    for tries_left in reversed(range(TRIES)):
        folder = artifact_in_use(run)
        version = _version(folder)
        predictor = _predictor(folder, device)
        predictor.check_trained()
        if not tries_left or (artifact_in_use(run) == folder and _version(folder) == version):
            return LoadedModel(predictor, version, folder)
    raise AssertionError("the last try returns or raises")


def stamp_of_run(run: Path) -> Stamp:
    """Return what changes when a run's version in use changes; that takes no reading of weights."""
    try:
        folder = artifact_in_use(run)
        found = (folder / MANIFEST).stat()
    except (OSError, NlptlError) as error:  # no fault of a folder may end the watch
        return (str(error),)
    return folder, found.st_ino, found.st_mtime_ns, found.st_size


def warm_up(model: LoadedModel, texts: Sequence[str]) -> None:
    """Predict some texts, so that the first request finds everything loaded."""
    model.predictor.probabilities(texts)


def _version(folder: Path) -> str:
    manifest = read_manifest(folder, kind="classifier")
    return (manifest.digest or manifest.identity)[:VERSION_LENGTH]


def _predictor(folder: Path, device: Device) -> Predictor:
    from nlptl.interfaces.predictors import load_predictor

    return load_predictor(folder, device=device)
