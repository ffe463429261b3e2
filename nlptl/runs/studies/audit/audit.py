"""Audit of data: wrong labels, copies, leaks, outliers, languages, word pieces, and what to label next.

Scores are computed part by part and kept; thresholds turn them into findings and tables.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from nlptl.context import RunContext
from nlptl.data import DataSettings, TextData
from nlptl.data.load import LoadedData
from nlptl.errors import ArtifactError, DataError
from nlptl.evaluation.text_looks import clear_languages
from nlptl.input_paths import in_file
from nlptl.runs.folder import AUDIT, AUDIT_TABLES
from nlptl.runs.studies.audit.audited_texts import AuditedTexts
from nlptl.runs.studies.audit.findings import Findings
from nlptl.runs.studies.audit.kept_parts import SCORES, KeptParts
from nlptl.runs.studies.audit.outcome import AuditResult, AuditThresholds
from nlptl.runs.studies.audit.scores import Scores, Scoring
from nlptl.runs.studies.audit.text_encoder import AuditEncoder, PartsEncoder, encoded_here, encoder_for


def audit(
    data: TextData | LoadedData, folder: Path | str, *, thresholds: AuditThresholds | None = None,
    encoder: AuditEncoder | None = None, context: RunContext | None = None, command: str = "",
    settings: DataSettings | None = None, run_data: Mapping[str, str] | None = None, encode: PartsEncoder = encoded_here,
) -> AuditResult:  # fmt: skip
    """Audit data and write audit.json and its tables into `folder`.

    `run_data` has the digest of each part as a run reads it, where leaks are dropped. `settings` are those that read the data,
    by which the folder can be read alone; `command` says what to type to audit anew.
    `encoder` is by default the well-known one that is here and knows the language. What an earlier call has computed is
    kept, so that other thresholds take seconds and a killed audit goes on. `encode` says where texts are encoded. Raises
    DataError for data without a text.
    """
    begin, folder, context = time.monotonic(), Path(folder), context or RunContext()
    texts = AuditedTexts.of(data)
    if not len(texts):
        raise DataError("data: there is no text in any part; expected texts to audit. Give some.")
    given = data.data if isinstance(data, LoadedData) else data
    encoder = encoder or encoder_for(given, context)
    kept = KeptParts(folder / AUDIT_TABLES / SCORES)
    scores = Scoring(texts, kept, encoder, context, encode=encode).scores()
    findings = Findings(texts, scores, thresholds or AuditThresholds(), folder / AUDIT_TABLES, seed=context.seed)
    result = AuditResult(
        command=command,
        settings=None if settings is None else settings.model_dump(mode="json", by_alias=True, context=in_file(folder)),
        data=dict(run_data or texts.digests),
        audited={} if run_data in (None, texts.digests) else texts.digests,
        rows={part: len(table) for part, table in texts.tables.items()},
        labels=_label_counts(texts),
        encoder=encoder.name,
        judges=scores.judges if _never_left_out(scores) < len(scores.judged) else (),
        encoded=len(scores.encoded),
        thresholds=thresholds or AuditThresholds(),
        findings=findings.all(),
        confused=findings.confused(),
        lengths=findings.lengths(),
        languages=findings.languages(),
        remarks=tuple(_remarks(texts, scores, encoder)),
        seconds=round(time.monotonic() - begin, 1),
    )
    result.write(folder)
    kept.remove_others()
    return result


def check_same_data(result: AuditResult, data: TextData | LoadedData, folder: Path) -> None:
    """Raise ArtifactError where the data are other ones than those whose scores an audit in `folder` keeps."""
    now, then = AuditedTexts.of(data).digests, result.audited or result.data
    changed = sorted(part for part in now.keys() | then.keys() if now.get(part) != then.get(part))
    if changed:
        raise ArtifactError(
            f"{folder / AUDIT}: belongs to other data than there are now ({', '.join(changed)} changed), so its scores do not "
            f"hold. Audit them again: {result.command or 'nlptl audit'}"
        )


def _label_counts(texts: AuditedTexts) -> dict[str, int]:
    import numpy as np

    counts = np.bincount(texts.labels[texts.labels >= 0], minlength=len(texts.names))
    return dict(zip(texts.names, counts.tolist(), strict=True))


def _remarks(texts: AuditedTexts, scores: Scores, encoder: AuditEncoder) -> list[str]:
    """Return what was not looked at, and why."""
    told = [encoder.remark] if encoder.remark else []
    if texts.has_label_sets:
        told.append("Texts may have several labels, so labels are not judged; copies, lengths and languages are.")
    elif not texts.names:
        told.append("No row has a label, so labels are not judged; copies, lengths, languages and odd texts are.")
    elif len(texts.names) == 1:
        told.append(f"All labelled rows have the label {texts.names[0]!r}, so no label can be judged by the others.")
    elif never := _never_left_out(scores):
        rows = "1 row is the only text of its label, so nothing judges it"
        told.append(
            f"{rows if never == 1 else f'{never:,} rows are the only texts of their labels, so nothing judges them'}."
        )
    if len(scores.encoded) < (distinct := len(set(texts.first_of.tolist()))):
        told.append(f"Vectors were compared of {len(scores.encoded):,} of {distinct:,} distinct texts, evenly spaced.")
        if left := len(set(texts.first_of[scores.judged].tolist()) - set(scores.encoded.tolist())):
            told[-1] += f" Labels of {left:,} texts without one are judged by their words alone."
    if len(scores.looked_at) < len(texts):
        told.append(
            f"Languages and word pieces were told of {len(scores.looked_at):,} of {len(texts):,} rows, evenly spaced."
        )
    if unclear := int((clear_languages(scores.languages) == 0).sum()):
        told.append(
            f"The language of {unclear:,} of {len(scores.looked_at):,} texts is not clear: too few common words."
        )
    return told


def _never_left_out(scores: Scores) -> int:
    import numpy as np

    return int(np.isnan(scores.probabilities).any(axis=1).sum())
