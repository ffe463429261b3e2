"""Run over a pile: each shard becomes a part, by any engine; finished parts are kept, and a stopped run goes on from them."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.artifact import digest_of
from nlptl.disk.locks import run_lock
from nlptl.interfaces.piles.part_files import PartForm
from nlptl.interfaces.piles.parts import Parts, Receipt
from nlptl.interfaces.piles.pile_options import PileOptions, is_one_file
from nlptl.interfaces.piles.places import Place
from nlptl.interfaces.piles.shard_job import ShardJob
from nlptl.interfaces.piles.shard_rows import Shard
from nlptl.interfaces.piles.shards import Pile
from nlptl.interfaces.prediction_input import EmptyText, WithoutText
from nlptl.interfaces.terminal import remark
from nlptl.interfaces.termination import interruption_told
from nlptl.runs.engines.engine import Engine

if TYPE_CHECKING:
    from nlptl.progress import Task

GOES_ON = "Finished shards are kept; type the same command to go on."
VERSION = 1  # of parts; raised when the same shards give other parts


def parts_of(out: Path, form: PartForm, pile: Pile) -> Parts:
    """Return the parts of a result: in the folder `out`, or hidden beside the file `out` until they are joined."""
    folder = Place.of(out.with_name(f".{out.name}.parts") if is_one_file(out) else out)
    return Parts(folder, form, len(pile.shards))


def run_pile(
    job: ShardJob, pile: Pile, options: PileOptions, *, name: str, depends_on: object, out: Path, header: bytes = b""
) -> list[Receipt]:
    """Work off all shards that have no part yet, and return all receipts in order.

    `depends_on` is what the parts depend on beside the artifact and the rows; `header` begins each part of a text file.
    """
    identity = _identity(job, pile, depends_on)
    with _locked(job.parts.folder), interruption_told(GOES_ON):
        receipts = job.parts.begin(identity, force=options.force, is_ours=is_one_file(out))
        if receipts and not options.quiet:
            remark(f"{len(receipts)} of {len(pile.shards)} shards are finished and kept.")
        todo = [shard for shard in pile.shards if shard.number not in receipts]
        if todo:
            receipts |= _worked_off(job, todo, options, name)
        if is_one_file(out):
            job.parts.joined(out, header=header)
        else:
            job.parts.complete(identity, pile.shards, receipts)
    return [receipts[shard.number] for shard in pile.shards]


def tell_rows(receipts: Sequence[Receipt], empty_text: EmptyText, out: Path, *, empty: str) -> None:
    """Tell rows without a text, which have no `empty`, and what was written."""
    without = WithoutText(sum(one.without_text for one in receipts))
    without.first = next((one.first_without_text for one in receipts if one.first_without_text), "")
    if without.count:
        remark(without.sentence("left out" if empty_text == "skip" else f"given an empty {empty}"))
    rows = sum(one.rows for one in receipts)
    remark(f"{out}: written, {rows:,} row{'s' * (rows != 1)} in {len(receipts):,} shard{'s' * (len(receipts) != 1)}.")


def _worked_off(job: ShardJob, shards: list[Shard], options: PileOptions, name: str) -> dict[int, Receipt]:
    """Return the receipts of shards that an engine works off, and show how far it has come."""
    from nlptl.interfaces.console import progress_for

    progress = progress_for(sys.stderr, quiet=options.quiet)
    counts = [shard.rows for shard in shards]
    are_counted = None not in counts
    total, unit = (sum(count or 0 for count in counts), "texts") if are_counted else (_megabytes(shards), "MB")
    found = dict[int, Receipt]()
    with (
        options.engine.lent(device=options.device, say=progress.say) as engine,
        progress.task(name, total=total, unit=unit) as task,
    ):
        watched = engine.is_here and are_counted
        sent = _sent(job, engine, task if watched else None)
        for shard, receipt in engine.map(sent, shards):
            job.parts.check_here(receipt)
            found[shard.number] = receipt
            if not watched:
                task.advance((shard.rows or 0) if are_counted else _megabytes([shard]))
    return found


def _sent(job: ShardJob, engine: Engine, task: Task | None) -> ShardJob:
    """Return the job as it travels: with the artifact's files where machines may not see them, or watched by a task."""
    from nlptl.runs.engines.artifacts import ArtifactAtHand

    if engine.is_elsewhere:
        job = dataclasses.replace(job, artifact=ArtifactAtHand.of(Path(job.artifact.path), travels=True))
    return job if task is None else dataclasses.replace(job, after_batch=task.advance)


def _identity(job: ShardJob, pile: Pile, depends_on: object) -> str:
    """Return a digest of all that shapes the parts."""
    reading = job.reading
    read = [reading.settings.model_dump(mode="json"), reading.empty_text, reading.keep, reading.names, reading.text]
    shards = [dataclasses.astuple(shard) for shard in pile.shards]
    return digest_of([VERSION, type(job).__name__, job.artifact.digest, read, shards, job.parts.form, depends_on])


def _megabytes(shards: list[Shard]) -> float:
    return sum(shard.size for shard in shards) / 1e6


@contextlib.contextmanager
def _locked(folder: Place) -> Iterator[None]:
    """Keep other commands of this machine out of a folder of parts."""
    if not folder.is_local or folder.kind() == "file":
        yield
        return
    with run_lock(Path(folder.address)):
        yield
