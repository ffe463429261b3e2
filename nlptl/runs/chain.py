"""A chain of stages over one set of data: settings, checks, identities."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from nlptl.artifact import Kind, digest_of
from nlptl.config import Config
from nlptl.data import DataSettings, TextData, load_data
from nlptl.errors import ConfigError, DataError
from nlptl.input_paths import NO_PATHS
from nlptl.stages.stage import ExpectedModel, Need, Stage
from nlptl.stages.union import AnyStage

if TYPE_CHECKING:
    from nlptl.data import DataReport
    from nlptl.progress import Progress


@dataclasses.dataclass(frozen=True)
class StageIdentity:
    """Digests of everything that a stage's result depends on."""

    own: str  # of the stage and all before it
    parent: str  # `own` of the stage before; empty for the first
    data: Mapping[str, str]  # of each part of the data that the stage reads


class Faults:
    """Faults of settings and data, collected so that a person is told all at once."""

    def __init__(self) -> None:
        self._errors: list[ConfigError | DataError] = []

    def __bool__(self) -> bool:
        return bool(self._errors)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Run the block; an error of settings or data ends it and is kept."""
        try:
            yield
        except (ConfigError, DataError) as error:
            self._errors.append(error)

    def check(self) -> None:
        """Raise what was found: the one error, or a ConfigError with the faults of all."""
        if len(self._errors) == 1:
            raise self._errors[0]
        found = [fault for error in self._errors for fault in getattr(error, "faults", (str(error),))]
        if found:
            raise ConfigError(list(dict.fromkeys(found)))


class ExternalDigests:
    """Digests of files outside the data, such as weights. Equal stages share one computation."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = {}

    def of(self, stage: Stage) -> dict[str, str]:
        """Return the digests of the files that shape the result of `stage`."""
        key = digest_of(stage.model_dump(mode="json"))
        if key not in self._known:
            self._known[key] = dict(stage.external_digests())
        return self._known[key]


class Chain(Config):
    """A straight chain of stages over one set of data."""

    seed: int = Field(default=13, ge=0, lt=2**32)
    """All randomness of the run derives from it."""
    data: DataSettings = DataSettings()
    """Where the texts and labels are."""
    stages: list[AnyStage] = Field(min_length=1)
    """The chain, first stage first."""

    @model_validator(mode="after")
    def _chain_fits(self) -> Chain:
        given: Kind | None = None
        for number, stage in enumerate(self.stages):
            if stage.takes != given:
                before = f"stages.{number - 1} gives {kind_words(given)}" if number else "nothing stands before it"
                raise ValueError(
                    f"stages.{number}: {stage.stage} takes {kind_words(stage.takes)}, but {before}; "
                    "each stage must take what the one before gives. Reorder the chain or add the missing stage"
                )
            given = stage.gives
        for number, stage in enumerate(self.stages):
            for need in sorted(stage.needs):
                self._check_need(need, f"stages.{number}: {stage.stage}")
        model = ExpectedModel()
        for number, stage in enumerate(self.stages):
            model = stage.expected_model(model)
            if model.token_model is not None:
                stage.check_model(model.token_model, where=f"stages.{number}")
        if self.data.labelled is not None:
            self.check_models(None, where="stages")
        return self

    def _check_need(self, need: Need, stage: str) -> None:
        part = "labelled" if need == "labels" and self.data.source is None else need
        named = part == "labelled" and self.data.label_names is not None
        may_come = part == "unlabelled" and self.data.empty_label == "unlabelled" and self.data.labelled is not None
        if part == "labels" or getattr(self.data, part) is not None or named or may_come:
            return
        raise ValueError(
            f"{stage} needs data.{part}, which is missing. Set data.{part} to a file"
            + (", or data.label_names to predict from the names alone" if part == "labelled" else "")
        )

    def check(self, *, where: str = "pipeline", progress: Progress | None = None) -> tuple[TextData, DataReport]:
        """Check settings and data without training; returns the data. Raises ConfigError or DataError with all faults."""
        faults = Faults()
        found = self.check_into(faults, where=where, progress=progress)
        faults.check()
        assert found is not None
        return found

    def check_into(
        self, faults: Faults, *, where: str, progress: Progress | None = None
    ) -> tuple[TextData, DataReport] | None:
        """Add all faults of settings and data to `faults`. Return the data if they can be read."""
        found = None
        for number, stage in enumerate(self.stages):
            with faults.kept():
                stage.check(where=f"{where}: stages.{number}")
        stages_fit = not faults
        with faults.kept():
            found = load_data(self.data, seed=self.seed, where=f"{where}: data", progress=progress)
        if found is not None and stages_fit:
            self.check_data(found[0], where=where, faults=faults)
        return found

    def check_data(self, data: TextData, *, where: str, faults: Faults) -> None:
        """Add to `faults` where a stage cannot learn from the data."""
        for number, stage in enumerate(self.stages):
            with faults.kept():
                stage.check_data(data, where=f"{where}: stages.{number}")
        with faults.kept():
            self.check_models(data, where=f"{where}: stages")

    def remarks(self, data: TextData) -> list[str]:
        """Return what a person should know of these stages on these data. It loads weights, so a run leaves it out."""
        return [remark for stage in self.stages for remark in stage.remarks(data)]

    def check_models(self, data: TextData | None, *, where: str) -> None:
        """Raise ConfigError for a stage that does not fit those before. Without `data` only settings are checked."""
        model = ExpectedModel()
        for number, stage in enumerate(self.stages):
            stage.check_chain(model, data, where=f"{where}.{number}")
            model = stage.expected_model(model)

    def identities(self, data: TextData, digests: ExternalDigests, *, trial: int | None = None) -> list[StageIdentity]:
        """Return the identity of each stage's result in a run, or under the seed of a `trial`.

        A trial's seed enters from the first random stage on, so that trials share the work before.
        """
        found, parent, seed = list[StageIdentity](), "", self.seed if trial is None else None
        for stage in self.stages:
            read: dict[str, str] = {part: getattr(data, part).digest for part in sorted(stage.reads(data))}
            seed = trial if seed is None and stage.is_random else seed
            settings = stage.model_dump(mode="json", context=dict(NO_PATHS))
            shaped_by = {
                "settings": settings, "version": stage.version, "seed": seed, "data": read,
                "outside": digests.of(stage), "parent": parent,
            }  # fmt: skip
            found.append(StageIdentity(digest_of(shaped_by), parent, read))
            parent = found[-1].own
        return found


def kind_words(kind: Kind | None) -> str:
    """Return a kind of artifact in words."""
    return "nothing" if kind is None else "an encoder" if kind == "encoder" else "a classifier"
