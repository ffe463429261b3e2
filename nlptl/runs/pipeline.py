"""Pipeline: from a YAML file to a checked chain, and to a run folder."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr, model_validator

from nlptl.config import load_yaml, override, parse
from nlptl.context import RunContext
from nlptl.disk.refusals import checked_path
from nlptl.errors import ConfigError
from nlptl.faults import shown
from nlptl.inference.bert_words import installed_dictionaries
from nlptl.input_paths import in_file
from nlptl.progress import SilentTracker
from nlptl.runs.chain import Chain, ExternalDigests, Faults, kind_words
from nlptl.runs.runner import RunPlan, RunResult, check_outside, context_here, run_chain
from nlptl.runs.studies.comparison.arms import Comparison, Study, check_tests
from nlptl.runs.unchanged import remember, stamps_of, unchanged_run
from nlptl.stages.union import stage_versions
from nlptl.training.distributed import main_process_first, processes

if TYPE_CHECKING:
    from nlptl.data import DataReport, Source, TextData
    from nlptl.progress import Progress


class Pipeline(Chain):
    """A chain of stages over one set of data, with an optional comparison."""

    compare: Comparison | None = None
    """Afterwards, compare arms of this chain over many seeds."""
    _file: Path | None = PrivateAttr(default=None)  # that it was read from
    _test_remarks: tuple[str, ...] = PrivateAttr(default=())  # on how the comparison's tests are read

    @model_validator(mode="after")
    def _arms_are_classifiers(self) -> Pipeline:
        last = self.stages[-1]
        if self.compare is not None and last.gives != "classifier":
            raise ValueError(
                f"compare: the chain ends with {last.stage}, which gives {kind_words(last.gives)}; only "
                "classifiers can be compared. Add a classification_head and finetune, or drop compare"
            )
        return self

    @classmethod
    def from_yaml(cls, path: Path | str, *, assignments: Sequence[str] = ()) -> Pipeline:
        """Read a pipeline file and apply assignments such as "stages.0.dim=50".

        Paths in the file are relative to its folder, those in assignments to the current one. Raises ConfigError with one
        sentence for every fault of the file.
        """
        path = checked_path(path)
        if not isinstance(assignments, list | tuple) or not all(isinstance(one, str) for one in assignments):
            raise ConfigError(
                f"assignments: found {shown(assignments)}; expected a list of texts. Write ['stages.0.dim=50']."
            )
        raw = load_yaml(path)
        if raw is None:
            raise ConfigError(f"{path}: the file is empty. Write data: and stages:.")
        if not isinstance(raw, dict):
            raise ConfigError(
                f"{path}: found {type(raw).__name__}; expected a block with data: and stages: . Write one."
            )
        pipeline = parse(cls, override(raw, assignments), where=str(path), folder=path.parent)
        pipeline._file = path
        return pipeline

    def check(self, *, where: str = "pipeline", progress: Progress | None = None) -> tuple[TextData, DataReport]:
        """Check all settings, data and arms without training; returns the data.

        Raises ConfigError or DataError with all faults.
        """
        data, report, _ = self._checked(where, progress, ExternalDigests())
        return data, report

    def remarks(self, data: TextData) -> list[str]:
        """Return what a person should know of these stages on these data, and of the tests that were checked."""
        return [*super().remarks(data), *self._test_remarks]

    def _checked(
        self, where: str, progress: Progress | None, digests: ExternalDigests
    ) -> tuple[TextData, DataReport, Study | None]:
        faults, study = Faults(), None
        found = self.check_into(faults, where=where, progress=progress)
        if found is not None and not faults:
            with faults.kept():
                study = self._study(found[0], where, digests)
                self._test_remarks = () if study is None else study.remarks
        elif self.compare is not None:
            check_tests(self.compare, self.data, faults, where=f"{where}: compare")
        faults.check()
        assert found is not None
        return *found, study

    def run(
        self, folder: Path | str, *, context: RunContext | None = None, where: str = "pipeline", force: bool = False
    ) -> RunResult:
        """Check, then run into `folder`. A stage whose identity has not changed is kept.

        With `force`, finished stages of another pipeline may be removed. Under torchrun or accelerate launch every process
        calls this method. Raises ConfigError or DataError before training, ArtifactError for a folder in use, without write
        permission or with another pipeline's work, ProcessError if another process fails.
        """
        folder, context = checked_path(folder), context_here(context, self.seed)
        begin, quick = time.time_ns(), isinstance(context.tracker, SilentTracker) and processes().count == 1
        compared = self.compare is not None
        if quick and (
            kept := unchanged_run(self, folder, self._key(folder), compared=compared, progress=context.progress)
        ):
            return kept
        with main_process_first():
            context.torch_device()
            if self.compare is not None and (count := processes().count) > 1:
                raise ConfigError(
                    f"{where}: compare: found {count} processes; a comparison runs in one. "
                    "Run it without torchrun or accelerate launch, or drop compare."
                )
            check_outside(self, folder, where)
            digests = ExternalDigests()
            data, report, study = self._checked(where, context.progress, digests)
            identities = self.identities(data, digests)
        plan = RunPlan(self._settings(folder, study), tuple(identities), study, source=self._file, force=force)
        stamps = stamps_of(self._chains(study), self._tests(), digests=digests, until=begin) if quick else None
        result = run_chain(self, folder, data, report, context, plan=plan)
        remember(result, self._key(folder), stamps)
        return result

    def _chains(self, study: Study | None) -> list[Chain]:
        return [self, *(arm.chain for arm in (() if study is None else study.arms))]

    def _tests(self) -> list[Source]:
        if self.compare is None:
            return []
        return [*self.compare.tests.values(), *([] if self.compare.redraw is None else [self.compare.redraw])]

    def _key(self, folder: Path) -> list[object]:
        """Return what tells this pipeline and the files that it names from others, before they are read."""
        places = [str(folder.resolve()), os.path.expanduser("~"), sys.prefix]
        if self._file is not None:
            places.append(os.path.abspath(self._file.parent))
        if self._file is None or self.compare is not None:  # arms keep paths as they were given
            places.append(os.getcwd())
        dictionaries = installed_dictionaries()  # weights may cut words by one that their folder does not hold
        return [self.model_dump(mode="json", context=in_file(folder)), places, stage_versions(), dictionaries]

    def _settings(self, folder: Path, study: Study | None) -> dict[str, Any]:
        """Return all settings as they stand in the run's folder, to which their paths are relative."""
        settings = self.model_dump(mode="json", context=in_file(folder))
        if self.compare is not None and study is not None:
            settings["compare"]["arms"] = study.changes(self.compare, folder)
        return settings

    def _study(self, data: TextData, where: str, digests: ExternalDigests) -> Study | None:
        if self.compare is None:
            return None
        if data.has_label_sets:
            raise ConfigError(
                f"{where}: compare: a comparison counts texts that get their one label, but the labelled rows have lists of "
                "labels. Remove compare, and compare the micro-F1 of runs."
            )
        chain = Chain(seed=self.seed, data=self.data, stages=self.stages)
        return Study.of(
            chain,
            self.compare,
            data,
            where=f"{where}: compare",
            digests=digests,
            folder=None if self._file is None else self._file.parent,
        )
