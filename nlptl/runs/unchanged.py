"""A finished run whose inputs have not been touched: told from what stands on disk, before any text is read.

`.inputs.json` holds the stamp of every file that the run has read or made. Where it fits, nothing is loaded. It is no proof
but a shortcut: without it, or where a file was touched, all digests are computed, and stages of equal content are kept all the
same. It is valid in one place alone: a copy of the project reads files of its own. A run with sources on the Hub, with trackers
or in several processes has no shortcut.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from nlptl.artifact import (
    RUN_SETTINGS,
    checked_manifest,
    digest_of,
    file_digest,
    library_versions,
    stage_folder,
    stamp_of,
    verify,
)  # fmt: skip
from nlptl.data import DataReport, DataSettings, FileSource, HubSource
from nlptl.disk.sealed_text import CARD
from nlptl.errors import ArtifactError, ConfigError
from nlptl.results import read_result, write_result
from nlptl.runs import folder as on_disk
from nlptl.runs.chain import Chain, ExternalDigests
from nlptl.runs.runner import RunResult, StageOutcome, read_scores, what_is_made
from nlptl.runs.studies.comparison.comparison import read_comparison
from nlptl.runs.studies.comparison.trials import kept_sentence

if TYPE_CHECKING:
    from nlptl.data import Source
    from nlptl.progress import Progress

Stamp = list[int] | None  # None of a file that is not there
PARTS = ("unlabelled", "source", "labelled", "validation", "test")


def stamps_of(
    chains: Sequence[Chain], tests: Sequence[Source], *, digests: ExternalDigests, until: int
) -> dict[str, Stamp] | None:
    """Return the stamp of every file that these chains and tests read.

    None where not all of it is known, or where a file was written after `until` (ns), when it may have been read already.
    """
    found: dict[str, Stamp] = {}
    sources = [*tests, *(source for chain in chains for source in _sources(chain.data))]
    paths = [Path(source.file if isinstance(source, FileSource) else source) for source in sources if _is_file(source)]
    if len(paths) < len(sources) or not all(path.exists() for path in paths):
        return None
    for chain in chains:
        for stage in chain.stages:
            read = stage.watched_paths()
            if read is None or (digests.of(stage) and not read):
                return None
            paths += [Path(os.path.expanduser(path)) for path in sorted(read)]
    for path in paths:
        for file in [path, *(sorted(path.rglob("*")) if path.is_dir() else ())]:
            found[str(file.absolute())] = _stamp(file)
    return None if any(stamp and max(stamp[1], stamp[3]) >= until for stamp in found.values()) else found


def remember(result: RunResult, key: object, stamps: dict[str, Stamp] | None) -> None:
    """Write `.inputs.json`: what a finished run has read and made, under the key of its settings."""
    if stamps is None:
        return
    with contextlib.suppress(ArtifactError, OSError):
        folder = result.folder
        rows = folder.absolute() / on_disk.COMPARISON_ROWS
        content = {
            "key": _key(key), "settings": file_digest(folder / RUN_SETTINGS), "files": {**stamps, str(rows): _stamp(rows)},
            "made": {outcome.folder.name: _stamps_made(outcome) for outcome in result.stages},
        }  # fmt: skip
        write_result(folder / on_disk.INPUTS, content)


def _stamps_made(stage: StageOutcome) -> dict[str, Stamp]:
    """Return the stamps of a stage's files now that later stages have linked them. Raises ArtifactError for changed files."""
    found = {name: _stamp(stage.folder / name) for name in stage.manifest.files}
    verify(stage.folder, stage.manifest, stamps=[stage.manifest.stamps])
    return found


def unchanged_run(chain: Chain, folder: Path, key: object, *, compared: bool, progress: Progress) -> RunResult | None:
    """Return the result of a finished run in `folder` if none of the files that it read has been touched since."""
    with contextlib.suppress(
        ArtifactError, ConfigError, ValidationError, OSError, ValueError, KeyError, TypeError, AttributeError
    ):
        known = read_result(folder / on_disk.INPUTS, sealed_only=True)
        if known is None or known["key"] != _key(key):
            return None
        if file_digest(folder / RUN_SETTINGS) != known["settings"]:
            return None
        if any(_stamp(Path(path)) != stamp for path, stamp in known["files"].items()):
            return None
        return _read(chain, folder, known["made"], compared=compared, progress=progress)
    return None


def _read(
    chain: Chain, folder: Path, made: Mapping[str, Any], *, compared: bool, progress: Progress
) -> RunResult | None:
    places = [stage_folder(folder, number, stage.stage) for number, stage in enumerate(chain.stages, start=1)]
    outcomes = tuple(
        StageOutcome(place, checked_manifest(place, stamps=made[place.name]), kept=True) for place in places
    )
    if any(one.manifest.kind == "classifier" and not os.path.lexists(one.folder / CARD) for one in outcomes):
        return None  # the run writes the card anew
    report = TypeAdapter(DataReport).validate_python(read_result(folder / on_disk.DATA_REPORT, sealed_only=True))
    scores = read_scores(folder, sealed_only=True)
    comparison = read_comparison(folder, sealed_only=True) if compared else None
    last = outcomes[-1].manifest
    scored = last.kind == "classifier" and chain.data.has_test
    if scored != (scores is not None and scores.identity == last.identity) or compared != (comparison is not None):
        return None
    if read_result(folder / on_disk.FINISHED, sealed_only=True) != what_is_made(outcomes, scores, comparison):
        return None
    for place in places:
        progress.say(f"{place.name}: kept, nothing it depends on has changed.")
    if comparison is not None:
        progress.say(kept_sentence(comparison.trials))
    return RunResult(folder, outcomes, report, scores if scored else None, comparison)


def _key(settings: object) -> str:
    return digest_of([settings, library_versions().get("nlptl")])


def _sources(data: DataSettings) -> Iterator[Any]:
    for part in PARTS:
        value = getattr(data, part)
        yield from value if isinstance(value, list) else [] if value is None else [value]


def _is_file(source: Source) -> bool:
    return not isinstance(source, HubSource)


def _stamp(path: Path) -> Stamp:
    try:
        return list(stamp_of(path))
    except OSError:
        return None
