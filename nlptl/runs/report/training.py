"""What the stages of a run learnt and cost: losses, choices, movement of layers, and where the weights come from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlptl.artifact import Manifest
from nlptl.models.known_encoders import known_encoder
from nlptl.runs.folder import HISTORY
from nlptl.runs.report.facts import LossCurve, Provenance, StageFacts

MAX_CURVES = 12  # a comparison of methods may train dozens of times


def stage_facts(folder: Path, manifest: Manifest) -> StageFacts:
    """Return what a stage's manifest says for people."""
    report = manifest.report
    work, moved = report.get("work"), report.get("weight_change")
    flops = work.get("flops") if isinstance(work, Mapping) else None
    return StageFacts(
        folder=folder.name,
        seconds=manifest.seconds,
        trainable_parameters=manifest.trainable_parameters,
        total_parameters=manifest.total_parameters,
        device=manifest.device,
        seed=manifest.seed,
        sentences=tuple(str(one) for one in report.get("sentences", [])),
        flops=float(flops) if isinstance(flops, int | float) else None,
        weight_change={str(name): float(share) for name, share in moved.items()} if isinstance(moved, Mapping) else {},
    )


def loss_curves(folder: Path) -> list[LossCurve]:
    """Return the losses of a stage's history, a curve for each training of at least two epochs."""
    path = folder / HISTORY
    trainings: dict[str, list[list[tuple[float, float]]]] = {}
    for line in path.read_text(encoding="utf-8").split("\n") if path.is_file() else ():
        row = _row(line)
        loss, epoch = row.get("loss"), row.get("epoch")
        if isinstance(loss, int | float) and isinstance(epoch, int | float) and loss - loss == 0:
            name = "/".join(str(value) for value in row.values() if isinstance(value, str))
            found = trainings.setdefault(name, [[]])
            if found[-1] and epoch <= found[-1][-1][0]:
                found.append(
                    []
                )  # the epochs begin anew: another training, such as that of the layers after that of the head
            found[-1].append((float(epoch), float(loss)))
    curves = [
        LossCurve(folder.name, _title(name, number, len(each)), *zip(*points, strict=True))
        for name, each in trainings.items()
        for number, points in enumerate(each, start=1)
        if len(points) > 1
    ]
    return curves[:MAX_CURVES]


def _title(name: str, number: int, of: int) -> str:
    return " ".join(filter(None, [name, f"training {number} of {of}" if of > 1 else ""]))


def provenance(manifests: Sequence[Manifest], *, pipeline: str) -> Provenance:
    """Return what the last stage was made of."""
    first, last = manifests[0], manifests[-1]
    weights, revision = _weights(first)
    known = known_encoder(weights) if weights else None
    return Provenance(
        weights=weights if known is None or known.name == weights else f"{weights} ({known.name})",
        revision=revision or ("" if known is None or known.package != weights else known.revision or ""),
        licence="" if known is None else known.licence,
        versions=dict(last.versions),
        seed=last.seed,
        device=last.device,
        identity=last.identity,
        pipeline=pipeline,
    )


def _weights(first: Manifest) -> tuple[str, str]:
    """Return the name and the revision of the weights or vectors with which a first stage began."""
    found = first.report.get("weights")
    if isinstance(found, Mapping):
        return str(found.get("name") or ""), str(found.get("revision") or "")
    return str(first.settings.get("vectors") or ""), ""


def _row(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line) if line else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
