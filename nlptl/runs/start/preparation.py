"""What is known before anything is trained: the data, their profile, and how candidates will be judged on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.context import RunContext
from nlptl.data import DataSettings, TextData
from nlptl.data.columns import names_shown
from nlptl.data.discovery import discover
from nlptl.data.load import LoadedData, load_parts
from nlptl.data.profile import Profile
from nlptl.errors import DataError
from nlptl.faults import shown
from nlptl.finetuning.selection.method_choice import too_few
from nlptl.runs.judging.encoder_at_hand import EncoderAtHand, encoder_at_hand
from nlptl.runs.judging.judged_chain import JudgedChain
from nlptl.runs.judging.segmenter_at_hand import SegmenterAtHand, segmenter_at_hand
from nlptl.runs.judging.splits import Judging, judged_by_folds, judged_on_test, share_to_hold_out
from nlptl.runs.start.candidates import candidates_for
from nlptl.runs.start.files import check_folder, check_same_tables

if TYPE_CHECKING:
    from nlptl.data.discovery import Choose

SEED = 13
MAX_NAMED = 5  # labels that a sentence names


@dataclasses.dataclass(frozen=True)
class StartRequest:
    """What a person gives."""

    files: Sequence[Path]
    text: str | int | None = None
    label: str | int | None = None
    unlabelled: Sequence[Path] = ()
    test: Path | None = None
    minutes: float = 10.0
    out: Path | None = None

    @property
    def folder(self) -> Path:
        """Folder that everything is written into."""
        return self.out or Path("runs") / (self.files[0].resolve().name.split(".")[0] or "start")


@dataclasses.dataclass(frozen=True)
class Prepared:
    """All that is known before anything is trained."""

    request: StartRequest
    settings: DataSettings  # that make a pipeline read the same rows, and hold out the same
    loaded: LoadedData
    taken_as: tuple[str, ...]  # sentences on how the files are read
    profile: Profile
    judging: Judging
    encoder: EncoderAtHand
    segmenter: SegmenterAtHand

    @property
    def data(self) -> TextData:
        """The tables."""
        return self.loaded.data

    @property
    def labelled(self) -> int:
        """Number of labelled rows to learn from."""
        return len(self.data.labelled or ())

    @property
    def pile(self) -> int:
        """Number of texts without a label."""
        return len(self.data.unlabelled or ())

    @property
    def few(self) -> bool:
        """Whether the labels are so few that `auto` learns from the pile."""
        return too_few(self.labelled, len(self.data.label_set))

    def candidates(self, *, minutes: float = 1.0) -> tuple[JudgedChain, ...]:
        """Return what is judged, the simplest first; `minutes` are those of `auto`."""
        labels = self.data.label_set.names
        return candidates_for(
            labels, self.encoder, pile=self.pile, few=self.few, minutes=minutes, segmenter=self.segmenter.name
        )

    def warnings(self) -> tuple[str, ...]:
        """Return sentences on what a person may want to mend."""
        told = [one.remark for one in (self.encoder, self.segmenter) if one.remark]
        told += self._joined_labels()
        if single := self.judging.never_held_out:
            names = ", ".join(single[:MAX_NAMED])
            more = f" and {len(single) - MAX_NAMED} more" if len(single) > MAX_NAMED else ""
            told.append(f"Labels with one text alone are learnt but not judged: {names}{more}. Label more of them.")
        return tuple(told)

    def _joined_labels(self) -> list[str]:
        """Return a sentence where cells seem to hold several labels, of which a start learns the combinations."""
        found = self.loaded.report.parts["labelled"].label_findings
        joined = next((one for one in found if one.kind == "several"), None)
        if joined is None:
            return []
        return [
            f"The label {shown(joined.labels[0])} joins {names_shown(joined.labels[1:])}. If texts have several labels, write a "
            "pipeline with nlptl init several-labels instead: here each combination is a label."
        ]


def prepare(request: StartRequest, context: RunContext, *, choose: Choose | None = None) -> Prepared:
    """Find out what the files hold, and how candidates will be judged on it.

    `choose` answers which column is meant. Raises DataError, ConfigError or ArtifactError before anything is written.
    """
    check_folder(request.folder)
    if request.out is None:
        check_same_tables(request.folder, request.files)
    found = discover(
        request.files, text=request.text, label=request.label, unlabelled=request.unlabelled, test=request.test,
        choose=choose, progress=context.progress,
    )  # fmt: skip
    settings, loaded = found.settings, found.loaded
    assert found.data.labelled is not None
    if found.data.has_label_sets:
        raise DataError(
            f"{found.data.labelled.name}: its rows have lists of labels, but `nlptl start` compares classifiers that give a text "
            "one label. Write a pipeline file with this file under `data:`, and run it with `nlptl run`."
        )
    share = None if found.data.test is not None else share_to_hold_out(found.data.labelled)
    if share is not None:
        settings = settings.model_copy(update={"hold_out": share})
        loaded = load_parts(settings, seed=SEED)
    data = loaded.data
    assert data.labelled is not None
    profile = Profile.of(found.data, found.settings)
    judging = judged_by_folds(data.labelled, seed=SEED) if data.test is None else judged_on_test(data, held_out=share)
    code = None if profile.language is None else profile.language.code
    encoder, segmenter = encoder_at_hand(code), segmenter_at_hand(code)
    return Prepared(request, settings, loaded, found.taken_as, profile, judging, encoder, segmenter)
