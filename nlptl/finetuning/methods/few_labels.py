"""How fine-tuning meets few labels: prediction from names alone, the contrastive update, the choice among updates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.finetuning.augmentation.checked import augmented, check_pile, pile_texts
from nlptl.finetuning.methods.union import (
    Auto,
    Contrastive,
    Full,
    Head,
    Lora,
    Pile,
    Update,
    adapters_of,
    contrastive_rates,
    layers_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nlptl.data import TextData
    from nlptl.data.label_sentences import LabelSentences
    from nlptl.finetuning.contrastive.rows import FewShot
    from nlptl.finetuning.gradient.layer_tuner import LayerTuner
    from nlptl.finetuning.selection.method_choice import Candidate, Chosen, Situation
    from nlptl.models.classifier import TextClassifier
    from nlptl.training.compute import PrecisionChoice

UPDATES: dict[str, Update] = {"head": Head(solver="logistic"), "contrastive": Contrastive(), "full": Full()}
"""What `auto` may choose over a transformer; over vectors of words it is the head, of whatever kind it is."""


def from_names(update: Update, given: TextClassifier, data: TextData, context: RunContext) -> TextClassifier:
    """Return a classifier by the names of labels alone, in the templates of a contrastive update."""
    from nlptl.finetuning.contrastive.zero_shot import zero_shot_classifier

    calibrated = ", not calibrated" if data.validation is None else ""
    told = f"No labelled examples: texts get the label whose name is nearest to them (zero-shot){calibrated}."
    context.record.add_finding("choice", "zero-shot", told)
    return zero_shot_classifier(given, sentences_of(given, data, update if isinstance(update, Contrastive) else None))


def sentences_of(given: TextClassifier, data: TextData, update: Contrastive | None = None) -> LabelSentences:
    """Return the sentences that name the labels of `given`."""
    from nlptl.data.label_sentences import TEMPLATES, label_sentences

    return label_sentences(given.labels, data.label_names, templates=update.templates if update else TEMPLATES)


def contrasted(
    update: Contrastive,
    given: TextClassifier,
    data: TextData,
    context: RunContext,
    *,
    precision: PrecisionChoice,
) -> TextClassifier:
    """Return the classifier of the contrastive update on `data.labelled`."""
    from nlptl.finetuning.contrastive.classifier import contrastive_classifier
    from nlptl.finetuning.contrastive.pseudo_labels import PileUse
    from nlptl.finetuning.contrastive.training import ContrastiveSettings, batch_size_for
    from nlptl.training.compute import precision_for

    settings = ContrastiveSettings(
        steps=None if update.steps == "auto" else update.steps,
        batch_size=batch_size_for(len(given.labels)) if update.batch_size == "auto" else update.batch_size,
        temperature=update.temperature,
        seed=context.seed,
        precision=precision_for(precision, context.torch_device()),
    )
    check_linear(given, f"{update.method}")
    check_pile(update, data, where="finetune")
    task = _task(update, given, data, context)
    use = update.pile
    pile = (
        None
        if use is None
        else PileUse(share=use.share, steps=None if use.steps == "auto" else use.steps, gate=use.gate)
    )
    return contrastive_classifier(task, _mover(update, given, context), settings, names=update.label_names, pile=pile)


def solved(
    solver: Literal["auto", "logistic", "ridge", "lda"], given: TextClassifier, data: TextData, context: RunContext
) -> TextClassifier:
    """Return the given encoder under a linear head that is fitted in one go and calibrated on held-out examples."""
    import copy

    import torch

    from nlptl.evaluation.duplicates import duplicate_groups
    from nlptl.finetuning.linear import LabelledVectors, choose_head, write_head
    from nlptl.models.classifier import TextClassifier

    assert data.labelled is not None
    check_linear(given, f"head with solver {solver}")
    texts, ids = data.labelled.texts(), given.label_ids(data.labelled.labels())
    found = duplicate_groups(texts, ids.tolist())
    texts = [texts[row] for row in found.first]
    with context.progress.task("encoding the labelled texts", total=len(texts), unit="texts") as task:
        vectors = torch.from_numpy(given.encoder.encode(texts, after_batch=task.advance))
    copies = torch.from_numpy(found.copies)
    rows = LabelledVectors.of(vectors, ids[found.first], len(given.labels), copies=copies)
    choice = choose_head(rows) if solver == "auto" else choose_head(rows, methods=(solver,))
    context.record.add_finding(
        "choice", {"solver": choice.fitted.method, "strength": choice.fitted.strength}, choice.how
    )
    context.record.trainable_parameters = choice.head.weights.numel() + len(choice.head.bias)
    head = copy.deepcopy(given.head).cpu()
    head.fit_scale(vectors)
    write_head(choice.head, head)
    return TextClassifier(given.encoder, head.to(given.device), given.labels).eval()


def check_linear(given: TextClassifier, update: str) -> None:
    """Raise ConfigError for a head with a hidden layer, which cannot be fitted in one go."""
    if given.head.hidden:
        raise ConfigError(
            f"finetune.update: found {update} over a head with a hidden layer of {given.head.hidden} units; it fits a linear "
            "head. Set hidden: 0 in classification_head, or choose another update."
        )


def read_as_decided(
    update: Auto, given: TextClassifier, data: TextData, context: RunContext
) -> tuple[TextClassifier, Auto]:
    """Return the classifier over an encoder that reads texts as is best for them, which is told, and what time is left."""
    from nlptl.finetuning.selection.long_texts import HowToRead, how_to_read, read_by_sentence

    how = HowToRead(given)
    if update.by_sentence == "always" and not how.by_sentence:
        how = HowToRead(read_by_sentence(given), "Texts are read sentence by sentence, as the settings say.")
    elif update.by_sentence == "auto" and data.labelled is not None:
        texts, labels = data.labelled.texts(), given.label_ids(data.labelled.labels())
        seconds = 60 * update.minutes
        how = how_to_read(given, texts, labels, seconds=seconds, seed=context.seed, progress=context.progress)
    if how.why:
        context.record.add_finding("by_sentence", how.by_sentence, how.why)
    return how.classifier, update.model_copy(update={"minutes": update.minutes - how.seconds / 60})


def chosen_update(
    update: Auto,
    given: TextClassifier,
    data: TextData,
    context: RunContext,
    *,
    train: Callable[[Update, TextData], TextClassifier],
) -> tuple[Update, Chosen]:
    """Return the update that the labels can support, and how it was chosen, which is told.

    `train` trains an update on given data, at the shares of its labels.
    """
    from nlptl.finetuning.selection.method_choice import Situation, by_rule, judges

    assert data.labelled is not None
    speak = len(sentences_of(given, data)) > 0
    words = given.encoder.token_model.kind == "word_vectors" or given.encoder.transformer.used_depth == 0
    validation = [] if data.validation is None else given.label_ids(data.validation.labels()).tolist()
    judging = judges(validation, len(given.labels), seed=context.seed)
    situation = Situation.of(
        data.labelled.labels(), given.labels, word_vectors=words, names_speak=speak, validation=len(judging)
    )
    ruled = by_rule(situation)
    if ruled is None or ruled.method != "head":
        check_linear(given, update.method)
    chosen = ruled or _tried(situation, judging, update, given, data, context, train)
    context.record.add_finding("update", chosen.method, chosen.why)
    if chosen.method == "contrastive" and update.pile == "auto" and data.unlabelled is not None:
        left = update.minutes - chosen.seconds / 60
        return Contrastive(pile=_pile_within(left, given, data, context)), chosen
    return Head() if ruled is not None and ruled.method == "head" else UPDATES[chosen.method], chosen


def pile_joined(context: RunContext) -> bool:
    """Return whether the update that has just been made learnt from the pile, by what it recorded."""
    return bool(context.record.report.get("pile", {}).get("used", "nothing") != "nothing")


def _tried(
    situation: Situation,
    judging: Sequence[int],
    update: Auto,
    given: TextClassifier,
    data: TextData,
    context: RunContext,
    train: Callable[[Update, TextData], TextClassifier],
) -> Chosen:
    """Return the update that does best on validation texts (their row numbers `judging`) or on held-out examples."""
    from nlptl.finetuning.selection.method_choice import MANY, by_trial, trial_on_examples, trial_on_validation

    assert data.labelled is not None
    methods = ["contrastive", "head"] if situation.examples < MANY else ["contrastive", "full", "head"]
    if situation.judged_by_validation:
        assert data.validation is not None
        part = data.validation.select(judging)
        trial = trial_on_validation(situation.examples, part.texts(), given.label_ids(part.labels()).tolist())
    else:
        trial = trial_on_examples(
            data.labelled.texts(), given.label_ids(data.labelled.labels()).tolist(), seed=context.seed
        )
    return by_trial(
        _candidates(methods, given, data, train), trial, examples=situation.examples, seconds=60 * update.minutes
    )


def _pile_within(minutes: float, given: TextClassifier, data: TextData, context: RunContext) -> Pile | None:
    """Return how much of the pile can be tried in the time that is left, as measured on some of its texts; None where none."""
    from nlptl.finetuning.contrastive.pseudo_labels import PileUse, texts_to_pass
    from nlptl.finetuning.selection.method_choice import seconds_a_pass
    from nlptl.training.distributed import broadcast

    assert data.labelled is not None
    texts, why = pile_texts(Pile(), data, context), "it is empty"
    each = broadcast(seconds_a_pass(given, texts) / len(texts)) if texts else math.inf
    for parts in (1, 2, 4) if texts else ():  # coarse, so that the same machine comes to the same number
        count = max(10, len(texts) // parts)
        names = _texts_a_name(given, data)
        seconds = each * texts_to_pass(count, len(data.labelled), len(given.labels), PileUse(), names=names)
        if seconds <= 60 * minutes:
            return Pile(texts=count)
        why = f"it would take about {seconds / 60:.2g} minutes, {max(0.0, minutes):.2g} are left"
    context.record.add_finding("pile", {"used": "nothing"}, f"The pile is not tried: {why}.")
    return None


def _texts_a_name(given: TextClassifier, data: TextData) -> float:
    """Return how many labelled texts the sentences with a label's name are as long as."""
    assert data.labelled is not None
    texts = data.labelled.texts()
    return (
        sum(map(len, sentences_of(given, data).texts)) / len(given.labels) / max(1.0, sum(map(len, texts)) / len(texts))
    )


def _candidates(
    methods: Sequence[str], given: TextClassifier, data: TextData, train: Callable[[Update, TextData], TextClassifier]
) -> list[Candidate]:
    """Return updates with the time that one training of each will take, measured on some of the texts."""
    from nlptl.data import TextData
    from nlptl.finetuning.selection.method_choice import Candidate, passes_of, seconds_a_pass
    from nlptl.training.distributed import broadcast

    assert data.labelled is not None
    texts, labels = data.labelled.texts(), data.labelled.labels()
    a_pass = broadcast(seconds_a_pass(given, texts))

    def candidate(method: str) -> Candidate:
        def on_rows(rows: Sequence[int]) -> TextClassifier:
            some = ([texts[row] for row in rows], [labels[row] for row in rows])
            return train(UPDATES[method], TextData(labelled=some, label_names=data.label_names))

        passes = passes_of(method, len(texts), len(given.labels), names=_texts_a_name(given, data))
        return Candidate(method, a_pass * passes, a_pass / len(texts), on_rows)

    return [candidate(method) for method in methods]


def _task(update: Contrastive, given: TextClassifier, data: TextData, context: RunContext) -> FewShot:
    from nlptl.finetuning.contrastive.rows import FewShot

    assert data.labelled is not None
    texts, labels = data.labelled.texts(), given.label_ids(data.labelled.labels())
    pile = pile_texts(update.pile, data, context)
    views = augmented(update, given, data, pile, context)
    return FewShot(
        given=given,
        texts=texts,
        labels=labels,
        sentences=sentences_of(given, data, update),
        pile=pile,
        views=views.texts,
        origins=views.rows,
        progress=context.progress,
        record=context.record,
        checkpoints=context.checkpoints("contrastive"),
    )


def _mover(update: Contrastive, given: TextClassifier, context: RunContext) -> Callable[[list[str]], LayerTuner]:
    """Return what makes the update of the layers that learn contrastively, over the texts it is given."""
    from nlptl.finetuning.gradient.layer_tuner import LayerTuner

    transformer = given.encoder.transformer
    lora = Lora(rank=update.rank, alpha=2 * update.rank) if update.rank else None

    def make(texts: list[str]) -> LayerTuner:
        with context.progress.task("running the frozen layers", total=len(texts), unit="texts") as task:
            return LayerTuner(
                given,
                texts,
                rates=contrastive_rates(update),
                top_layers=layers_of(update, transformer.used_depth),
                adapters=adapters_of(lora, transformer.architecture) if lora else None,
                seed=context.seed,
                after_batch=task.advance,
            )

    return make
