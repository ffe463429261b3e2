"""Exports of MiniLM beside sentence-transformers and its int8 backends: tokens a second, load time, memory, accuracy.

    python benchmarks/export.py DIR [--repeats 5] [--out DIR] [--tiny]

DIR holds tweeteval/emotion, tweeteval/offensive, imdb and trec as JSON lines. Each arm has a process of its own and encodes the
same texts in turn, cut at 256 tokens; loading and one round to warm up are told apart. Runs are kept as they come, so that a
killed benchmark goes on. Accuracy is that of a logistic head, learnt on float32 vectors of training rows, on the arm's own vectors
of test rows, as a share of that on float32 vectors.

sentence-transformers comes by pip install -c constraints.txt sentence-transformers==6.2.0. Its ONNX and OpenVINO backends need
optimum, which does not go with transformers 5, so they are built as its export functions do: ONNX Runtime's quantize_dynamic, and
NNCF's static quantisation by 128 training texts, in batches of 32 sorted by length and padded. Without the package transformers
alone takes the place of its float32. Writes benchmarks/results/export.json.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import arms
import numpy as np
from encode import LONGEST, count_tokens, lowest_cosine, sentence_transformers_arm, timed, transformers_arm
from texts import EMOTION, IMDB, read_rows, sample, weights_folder

EXPORTS = [("onnx", "fp32"), ("onnx", "int8"), ("openvino", "bf16"), ("openvino", "int8"), ("safetensors", "int8")]
OWN = [f"nlptl {format} {precision}" for format, precision in EXPORTS]
PEER = "sentence-transformers fp32"
BACKENDS = ["sentence-transformers onnx int8", "sentence-transformers openvino int8"]
SPEED = {"tweets": (EMOTION, 2000), "reviews": (IMDB, 200)}
HEADS = {"emotion": EMOTION, "offensive": "tweeteval/offensive", "imdb": IMDB, "trec": "trec"}
LEARNT, TESTED, CALIBRATION = 1000, 1000, 128
BATCH = 32  # of sentence-transformers


def main(argv: Sequence[str]) -> Path:
    parser = arms.arguments(__doc__, repeats={"type": int, "default": 5}, out=arms.OUT, apart=arms.APART)
    options = parser.parse_args(argv)
    arms.device_of("cpu")
    arms.begin("about 20 minutes on two quiet cores")
    texts, labels = texts_of(options)
    folder, weights = weights_folder(options.weights, texts["tweets"], scratch=arms.SCRATCH, tiny=options.tiny)
    longest = 64 if options.tiny else LONGEST
    kept = arms.Kept("export", {"weights": weights, "texts": {name: len(part) for name, part in texts.items()}})
    notes = write_exports(folder, longest)
    process = arms.SameProcess if options.tiny and not options.apart else arms.OwnProcess
    shared = {"folder": str(folder), "texts": texts, "longest": longest}
    vectors: dict[tuple[str, str], np.ndarray] = {}
    backends = BACKENDS[:1] if options.tiny else BACKENDS  # NNCF quantises no tiny model
    names = ["nlptl fp32", *OWN, PEER, *backends]
    made = {name: process(*maker(name, shared)) for name in names}
    rows = measure(made, kept, options.repeats)
    for name, arm in made.items():
        for part in (*SPEED, *(one for one in texts if one not in SPEED)):
            vectors[name, part] = arm.run(part)["vectors"]
        arm.close()
    accuracy = [row for name in HEADS for row in accuracies(name, names, vectors, labels)]
    path = arms.publish(
        "export", tiny=options.tiny, command="python benchmarks/export.py DIR", seeds=[0], out=options.out, notes=notes,
        rows=[*({**row, "weights": weights} for row in rows), *accuracy],
        bars=[*(bar for name in SPEED for bar in speed_bars(name, rows, vectors, backends)), *accuracy_bars(accuracy)],
    )  # fmt: skip
    kept.remove()
    return path


def texts_of(options: Any) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the texts of each part, and the labels of those that heads learn and are tested on."""
    texts, labels = {}, {}
    for name, (data_set, count) in SPEED.items():
        rows = read_rows(options.folder, data_set, "test")
        texts[name] = sample(rows, 8 if options.tiny else count, seed=0).texts()
    for name, data_set in HEADS.items() if not options.tiny else [("emotion", EMOTION)]:
        for part, count in (("train", LEARNT), ("test", TESTED)):
            rows = sample(read_rows(options.folder, data_set, part), 24 if options.tiny else count, seed=1)
            texts[f"{name} {part}"], labels[f"{name} {part}"] = rows.texts(), rows.labels()
    return texts, labels


def write_exports(folder: Path, longest: int) -> list[str]:
    """Export the encoder in every form under an untaught head; the heads of this benchmark are learnt apart."""
    from nlptl import artifact
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.exports.writing import write_export
    from nlptl.models.foreign_encoder import pretrained_encoder
    from nlptl.models.heads import Head

    encoder = pretrained_encoder(folder, max_length=longest)
    classifier = TextClassifier(encoder, Head(encoder.dim, 2, trained=True), ["a", "b"]).eval()
    for (format, precision), name in zip(EXPORTS, OWN, strict=True):

        def write(draft: Path, format: Any = format, precision: Any = precision) -> None:
            write_export(classifier, draft, format=format, precision=precision)

        artifact.publish(place_of(name), write, artifact.Manifest(kind="classifier"))
    notes = ["The int8 backends of sentence-transformers are built by hand, as its export functions build them."]
    if arms.missing(["sentence_transformers"]):
        notes.append("sentence-transformers is not installed: transformers alone, padded, stands in for its float32.")
    return notes


def place_of(name: str) -> Path:
    return arms.SCRATCH / "exports" / name.replace(" ", "-")


def maker(name: str, shared: dict[str, Any]) -> tuple[Callable[..., arms.Run], dict[str, Any]]:
    """Return what makes an arm, and its settings."""
    if name in OWN:
        return export_arm, {"texts": shared["texts"], "place": str(place_of(name))}
    if name == "nlptl fp32":
        return torch_arm, shared
    if name == PEER:
        peer = transformers_arm if arms.missing(["sentence_transformers"]) else sentence_transformers_arm
        return peer, {**shared, "device": "cpu", "precision": "float32"}
    return padded_arm, {**shared, "backend": "onnx" if "onnx" in name else "openvino"}


def measure(made: dict[str, Any], kept: Any, repeats: int) -> list[arms.Row]:
    """Run the arms in turn; returns every run."""
    rows = []
    for part in SPEED:
        for arm in made.values():
            arm.run(part)  # warm up
        for repeat in range(repeats):
            for name, arm in list(made.items()) if repeat % 2 == 0 else reversed(list(made.items())):
                row = kept.find(part, name, repeat)
                if row is None:
                    row = {"set": part, "arm": name, "repeat": repeat, **arm.run(part)}
                    del row["vectors"]
                    kept.add(row, part, name, repeat)
                rows.append(row)
                print(f"{part} {repeat + 1}/{repeats} {name}: {row['tokens_per_second']:,.0f} tokens/s", flush=True)
        if len({row["tokens"] for row in rows if row["set"] == part}) > 1:
            raise SystemExit(f"{part}: the arms' tokenizers gave different numbers of tokens")
    return rows


def accuracies(
    name: str, names: Sequence[str], vectors: dict[tuple[str, str], np.ndarray], labels: dict[str, list[str]]
) -> list[arms.Row]:
    """Return each arm's accuracy on a set, by a head that learnt on float32 vectors."""
    from sklearn.linear_model import LogisticRegression

    if f"{name} train" not in labels:
        return []
    head = LogisticRegression(C=1.0, max_iter=2000).fit(vectors["nlptl fp32", f"{name} train"], labels[f"{name} train"])
    wanted = np.array(labels[f"{name} test"])
    right = {arm: float((head.predict(vectors[arm, f"{name} test"]) == wanted).mean()) for arm in names}
    return [
        {
            "set": name, "arm": arm, "accuracy": round(right[arm], 5), "relative": round(right[arm] / right["nlptl fp32"], 5),
            "lowest_cosine": lowest_cosine(vectors[arm, f"{name} test"], vectors["nlptl fp32", f"{name} test"]),
        }
        for arm in names
    ]  # fmt: skip


def speed_bars(
    name: str, rows: list[arms.Row], vectors: dict[tuple[str, str], np.ndarray], backends: Sequence[str]
) -> list[arms.Row]:
    def speeds(arm: str) -> list[float]:
        found = [row for row in rows if (row["set"], row["arm"]) == (name, arm)]
        return [row["tokens_per_second"] for row in sorted(found, key=lambda row: row["repeat"])]

    fastest = [max(both) for both in zip(*map(speeds, backends), strict=True)]
    bars = []
    for arm in ("nlptl fp32", *OWN):
        own, promised = speeds(arm), {"at_least": 4.0} if arm == OWN[-1] else {}
        ratios = [ours / theirs for ours, theirs in zip(own, speeds(PEER), strict=True)]
        bars.append({"name": f"{name}: {arm}, tokens/s over those of {PEER}", **promised, **arms.told(ratios)})
    over = [ours / theirs for ours, theirs in zip(speeds(OWN[-1]), fastest, strict=True)]
    bars.append(
        {"name": f"{name}: {OWN[-1]}, tokens/s over the faster int8 backend", "at_least": 1.0, **arms.told(over)}
    )
    cosine = lowest_cosine(vectors[OWN[0], name], vectors[PEER, name])
    return [*bars, {"name": f"{name}: lowest cosine of {OWN[0]} to {PEER}", "value": cosine, "at_least": 0.9999}]


def accuracy_bars(rows: list[arms.Row]) -> list[arms.Row]:
    bars = []
    for arm in (*OWN, *BACKENDS):
        found = [row["relative"] for row in rows if row["arm"] == arm]
        if not found:
            continue
        promised = {"at_least": 0.995} if arm in OWN else {}
        mean, ends = round(float(np.mean(found)), 4), [min(found), max(found)]
        name = f"{arm}: accuracy over that of float32, mean of {len(found)} sets"
        bars.append({"name": name, "value": mean, "range": ends, **promised})
    return bars


def export_arm(*, texts: dict[str, list[str]], place: str) -> arms.Run:
    from nlptl.inference.exported import ExportedClassifier

    encoder = ExportedClassifier.load(place).encoder
    tokens = {name: sum(map(len, encoder.token_ids(part))) for name, part in texts.items()}
    return lambda name: timed(encoder.encode, texts[name], tokens[name])


def torch_arm(*, folder: str, texts: dict[str, list[str]], longest: int) -> arms.Run:
    from nlptl.models.foreign_encoder import pretrained_encoder

    encoder = pretrained_encoder(Path(folder), max_length=longest)
    tokens = {name: sum(map(len, encoder.token_ids(part))) for name, part in texts.items()}
    return lambda name: timed(encoder.encode, texts[name], tokens[name])


def padded_arm(*, folder: str, texts: dict[str, list[str]], longest: int, backend: str) -> arms.Run:
    """Return an int8 backend of sentence-transformers, by hand: a model of padded batches of 32, the longest texts first."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)

    def batch(part: Sequence[str]) -> dict[str, np.ndarray]:
        found = tokenizer(list(part), padding=True, truncation=True, max_length=longest, return_tensors="np")
        return {name: found[name].astype(np.int64) for name in ("input_ids", "attention_mask")}

    calibration = next(part for name, part in texts.items() if name.endswith("train"))[:CALIBRATION]
    run = (onnx_backend if backend == "onnx" else openvino_backend)(folder, [batch([text]) for text in calibration])

    def encode(part: Sequence[str]) -> np.ndarray:
        order = sorted(range(len(part)), key=lambda row: -len(part[row]))
        found: list[np.ndarray | None] = [None] * len(part)
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            given = batch([part[row] for row in rows])
            keep = given["attention_mask"][..., None].astype(np.float32)
            means = (run(given) * keep).sum(axis=1) / keep.sum(axis=1)
            for row, vector in zip(rows, means / np.linalg.norm(means, axis=1, keepdims=True), strict=True):
                found[row] = vector
        return np.stack([vector for vector in found if vector is not None])

    tokens = {name: count_tokens(tokenizer, part, longest) for name, part in texts.items()}
    return lambda name: timed(functools.partial(encode), texts[name], tokens[name])


def onnx_backend(folder: str, _: Sequence[dict[str, np.ndarray]]) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """Return ONNX Runtime on a model that quantize_dynamic made, on all cores."""
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    place = padded_model(folder)
    quantize_dynamic(place, place.with_suffix(".int8.onnx"), weight_type=QuantType.QInt8)
    session = onnxruntime.InferenceSession(place.with_suffix(".int8.onnx"), providers=["CPUExecutionProvider"])
    return lambda given: session.run(None, given)[0]


def openvino_backend(
    folder: str, calibration: Sequence[dict[str, np.ndarray]]
) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """Return OpenVINO on a model that NNCF quantised by calibration texts, on all cores."""
    import nncf
    import openvino

    core = openvino.Core()
    model = nncf.quantize(
        core.read_model(padded_model(folder)), nncf.Dataset(list(calibration)), model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(calibration),
    )  # fmt: skip
    request = core.compile_model(model, "CPU").create_infer_request()
    return lambda given: next(iter(request.infer(given).values())).copy()


def padded_model(folder: str) -> Path:
    """Write transformers' model of padded batches as ONNX, unless it is there."""
    import torch
    from transformers import AutoModel

    place = arms.SCRATCH / "exports" / f"padded-{Path(folder).parent.name}.onnx"
    if place.is_file():
        return place

    class Padded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModel.from_pretrained(folder, attn_implementation="eager")

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    rows, columns = torch.export.Dim("rows", min=1, max=4096), torch.export.Dim("columns", min=2, max=512)
    example, mask = torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64)
    mask[0, 5:] = 0  # under a mask of ones the exporter leaves the mask out
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_suffix(f".{os.getpid()}.onnx")  # both backends begin at once
    torch.onnx.export(
        Padded().eval(), (example, mask), draft, dynamo=True, external_data=False, opset_version=20,
        input_names=["input_ids", "attention_mask"], output_names=["padded_vectors"],
        dynamic_shapes=({0: rows, 1: columns}, {0: rows, 1: columns}),
    )  # fmt: skip
    draft.replace(place)
    return place


if __name__ == "__main__":
    main(sys.argv[1:])
