"""Model card of a classifier: the README.md in its folder, for people and for the Hugging Face Hub.

It is a function of the folder's files, its manifest and what the run knows beside them, and holds no text of the data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from nlptl.artifact import Manifest, read_tensors
from nlptl.data.learnt_texts import LearntTexts
from nlptl.disk.drafts import write_text_atomically
from nlptl.disk.ownership import SETTINGS
from nlptl.disk.sealed_text import CARD, is_sealed, sealed_text
from nlptl.inference.file_names import CLASSIFIER, WORD_VECTORS
from nlptl.inference.segmenter import Segmenter, packages_of
from nlptl.inference.settings_files import ClassifierSettings, EncoderSettings, read_settings
from nlptl.models.card_metadata import CardTest, metadata
from nlptl.models.markdown_text import in_line
from nlptl.models.origin import FILE as ORIGIN
from nlptl.models.origin import Origin
from nlptl.models.sentence_settings import MODULES

MAX_ROWS = 200  # labels in the table of a card


@dataclasses.dataclass(frozen=True)
class LearntPart:
    """Part of the data that a chain has read."""

    name: str
    rows: int
    digest: str


@dataclasses.dataclass(frozen=True)
class CardFacts:
    """What a run knows of a classifier beside its folder."""

    steps: tuple[str, ...] = ()  # its stages, first one first
    learnt: tuple[LearntPart, ...] = ()
    test: CardTest | None = None


@dataclasses.dataclass(frozen=True)
class _Folder:
    """What the files of a classifier's folder say."""

    labels: Sequence[str]
    thresholds: Sequence[float] | None  # where a text may have several labels
    trained: bool
    encoder: EncoderSettings
    origin: Origin | None
    learnt: LearntTexts | None
    kind: str  # of the encoder, as a tag
    has_modules: bool
    has_layers: bool
    has_adapter: bool  # of LoRA, not merged into the weights


def write_card(folder: Path, manifest: Manifest, facts: CardFacts | None = None) -> None:
    """Write the card of a classifier into its folder, whose other files are written."""
    (folder / CARD).write_text(model_card(folder, manifest, facts or CardFacts()), encoding="utf-8")


def renew_card(folder: Path, manifest: Manifest, facts: CardFacts) -> None:
    """Write the card of a published classifier anew, unless a person has edited it."""
    path = folder / CARD
    if path.is_symlink() or (path.exists() and not is_sealed(path)):
        return
    text = model_card(folder, manifest, facts)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text_atomically(path, text)


def model_card(folder: Path, manifest: Manifest, facts: CardFacts) -> str:
    """Return the text of a card: metadata of the Hub in YAML, then markdown."""
    found = _read(folder)
    parts = [
        f"---\n{metadata(found.origin, found.kind, facts.test)}\n---",
        _title(found, facts),
        _use(found),
        _labels(found),
        _training(found, facts),
        _evaluation(facts.test),
        _limits(found, facts.test),
        _licence(found.origin),
        _making(manifest),
    ]
    return sealed_text("\n\n".join(parts) + "\n\n")


def _read(folder: Path) -> _Folder:
    from nlptl.models.pretrained import ADAPTER  # which loads torch

    settings, learnt = read_settings(folder / CLASSIFIER, ClassifierSettings), LearntTexts.read(folder)
    return _Folder(
        labels=settings.labels,
        thresholds=settings.head.thresholds,
        trained=settings.head.trained or learnt is not None,
        encoder=read_settings(folder / SETTINGS, EncoderSettings),
        origin=Origin.read(folder),
        learnt=learnt,
        kind=_kind(folder),
        has_modules=(folder / MODULES).is_file(),
        has_layers=(folder / "config.json").is_file(),
        has_adapter=(folder / ADAPTER).is_dir(),
    )


def _kind(folder: Path) -> str:
    """Return the kind of the encoder as the Hub's tags name kinds; words without vectors of their own have n-grams alone."""
    path = folder / WORD_VECTORS
    if not path.is_file():
        return "transformer"
    return "word-vectors" if read_tensors(path)["vectors"].shape[1] else "n-grams"


def _title(found: _Folder, facts: CardFacts) -> str:
    names = ", ".join(map(in_line, found.labels[:5])) + (", …" if len(found.labels) > 5 else "")
    made = f" Its stages: {', '.join(map(in_line, facts.steps))}." if facts.steps else ""
    fresh = "" if found.trained else " **It is not recorded that its head was trained: do not use its answers.**"
    several = "one" if found.thresholds is None else "none, one or several"
    return (
        f"# Text classifier\n\nIt gives a text {several} of {len(found.labels)} labels ({names}), with probabilities. nlptl has "
        f"made it: transfer learning for text.{made}{fresh}"
    )


def _use(found: _Folder) -> str:
    answer = "its label" if found.thresholds is None else "a tuple of its labels, which may be empty"
    lines = [
        "## Use", "", "```python", "from nlptl import TextClassifier", "",
        'classifier = TextClassifier.load("this folder")', f'classifier.predict(["A text."])        # {answer}',
        'classifier.predict_proba(["A text."])  # probabilities, columns in the order of classifier.labels', "```", "",
        'On the command line: `nlptl predict "this folder" "A text."`',
    ]  # fmt: skip
    if found.has_modules:
        lines += [
            "", "sentence-transformers gives the sentence vectors, without the head:", "", "```python",
            "from sentence_transformers import SentenceTransformer", "",
            'SentenceTransformer("this folder").encode(["A text."])', "```",
        ]  # fmt: skip
    return "\n".join([*lines, *_cut(found.encoder), "", *_other_libraries(found)])


def _cut(encoder: EncoderSettings) -> Iterator[str]:
    """Yield what cuts texts into words before the encoder reads them, and how to install it."""
    for one in dict.fromkeys(encoder.cut_by):
        program = "SudachiPy" if one.program == "sudachi" else "fugashi, which is MeCab,"
        mode = f" in mode {one.mode}" if one.program == "sudachi" else ""
        which, forms = ("Japanese is", f", in {one.forms} forms") if isinstance(one, Segmenter) else ("Texts are", "")
        told = f"{which} cut into words by {program}{mode} with the dictionary {in_line(one.digest.strip())}{forms}."
        yield from ("", told)
    if encoder.cut_by:
        packages = " ".join(f"'{one}'" for one in packages_of(encoder.cut_by))
        yield from ("", "Without them nlptl does not open this folder:", "", "```sh", f"pip install {packages}", "```")


def _other_libraries(found: _Folder) -> Iterator[str]:
    """Yield how transformers and PEFT open what they can of the folder."""
    if not found.has_layers:
        yield "No other library reads this folder as a classifier."
    elif found.has_adapter:
        yield "The encoder has a LoRA adapter, which `transformers.AutoModel` leaves out. PEFT opens both, without the head:"
        yield from (
            "", "```python", "from peft import PeftModel", "from transformers import AutoModel", "",
            'PeftModel.from_pretrained(AutoModel.from_pretrained("this folder"), "this folder/adapter")', "```",
        )  # fmt: skip
    elif found.encoder.bottlenecks is not None:
        yield "`transformers.AutoModel` opens the encoder without its bottleneck adapters. These and the head are read by nlptl."
    else:
        yield "`transformers.AutoModel` opens the encoder alone. The head is read by nlptl."


def _labels(found: _Folder) -> str:
    counts = {} if found.learnt is None else found.learnt.labels
    header = ["label", "labelled examples"]
    rows = [[in_line(label), f"{counts.get(label, 0):,}"] for label in found.labels[:MAX_ROWS]]
    if found.thresholds is not None:
        header.append("given from this probability on")
        rows = [[*row, f"{threshold:.3f}"] for row, threshold in zip(rows, found.thresholds, strict=False)]
    more = len(found.labels) - MAX_ROWS
    told = f"\n\n{more:,} more labels stand in classifier.json." if more > 0 else ""
    return "## Labels\n\n" + _table(header, rows) + told


def _training(found: _Folder, facts: CardFacts) -> str:
    lines = ["## Training data", ""]
    if found.learnt is None:
        lines.append("What the classifier learnt from is not recorded.")
    elif total := sum(found.learnt.labels.values()):
        examples = "labelled examples" if found.thresholds is None else "labels of examples"
        lines.append(f"The head learnt from {total:,} {examples}. This card holds no text of the data.")
    else:
        lines.append("No labelled example was given: the classifier knows its labels by their names alone.")
    if facts.learnt:
        rows = [[part.name, f"{part.rows:,}", f"`{part.digest}`"] for part in facts.learnt]
        lines += ["", _table(["part of the data", "rows", "SHA-256"], rows)]
    return "\n".join(lines)


def _evaluation(test: CardTest | None) -> str:
    if test is None:
        return "## Evaluation\n\nNo scores on test texts stand in this card."
    rows = [[in_line(score.name), in_line(score.told)] for score in test.scores]
    kind = "held-out texts" if test.how else "test texts"
    return "\n\n".join([
        "## Evaluation",
        *([in_line(test.how)] if test.how else []),
        f"On {test.texts:,} {kind} (SHA-256 `{test.digest}`), with 95 % intervals:",
        _table(["score", "value and interval"], rows),
        *map(in_line, test.remarks),
    ])  # fmt: skip


def _limits(found: _Folder, test: CardTest | None) -> str:
    origin = found.origin or Origin()
    lines = [
        "Every text gets one of these labels, also a text that none of them fits."
        if found.thresholds is None
        else "No other labels than these are given.",
        _length(found.encoder),
        f"Languages of the encoder's training texts: {', '.join(map(in_line, origin.languages))}."
        if origin.languages
        else "The language is that of the texts it learnt from; it is not recorded.",
        "It was not tested on texts that it has not seen." if test is None
        else "It was tested on the texts named above alone. Texts of another kind may be told apart worse.",
    ]  # fmt: skip
    if origin.leaks:
        lines.append(
            f"The training data of the weights hold {in_line(origin.leaks)}: scores on such texts may flatter it."
        )
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _length(encoder: EncoderSettings) -> str:
    rule = encoder.rule
    if encoder.token_model == "word_vectors":
        return "Texts of any length are read whole. Words that the encoder does not know are left out."
    if rule is None or rule.longest is None:
        return "Texts are read whole."
    if rule.sentence_start is not None:
        from nlptl.inference.tokenizing import LENGTHS_BY_SENTENCE

        whole = rule.longest * LENGTHS_BY_SENTENCE
        return (
            f"Texts are read sentence by sentence. A sentence is cut off after {rule.longest:,} tokens, a text after "
            f"{whole:,}."
        )
    return f"A text is cut off after {rule.longest:,} tokens."


def _licence(origin: Origin | None) -> str:
    return "## Weights and licence\n\n" + "\n\n".join(_licence_lines(origin))


def _licence_lines(origin: Origin | None) -> Iterator[str]:
    if origin is None:
        yield "Where the weights come from is not recorded, and their licence is not known. Find it out before you pass them on."
        return
    if origin.kind == "own":
        yield "All weights were learnt from the run's own texts. No licence is stated: state yours before you pass them on."
        return
    commit = f", commit {in_line(origin.revision)}" if origin.revision else ""
    digest = f" (SHA-256 {in_line(origin.digest)})" if origin.digest and origin.digest != origin.revision else ""
    yield f"The encoder began with the weights {in_line(origin.name)}{commit}{digest}."
    if origin.licence:
        yield f"Their licence is {in_line(origin.licence)}, according to {in_line(origin.licence_source)}."
    elif origin.licence_text:
        yield "Their licence is one that nlptl does not know by its text."
    else:
        yield "Their licence is not known: nothing beside them states one. Find it out before you pass them on."
    if origin.licence_text:
        yield f"Its text stands in `{ORIGIN}`."


def _making(manifest: Manifest) -> str:
    rows = [[name, in_line(version)] for name, version in manifest.versions.items()]
    seed = "not recorded" if manifest.seed is None else str(manifest.seed)
    identity = f", identity `{manifest.identity}`" if manifest.identity else ""
    told = f"Seed: {seed}. Parameters: {manifest.total_parameters:,}{identity}."
    return f"## Making\n\n{told}\n\n" + _table(["library", "version"], rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
