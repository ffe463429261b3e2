"""The command `encode`: from texts to sentence vectors, in a file or in a folder of shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nlptl.errors import ConfigError
from nlptl.interfaces.door import at_the_command_line
from nlptl.interfaces.options import (
    AddressOption,
    DeviceOption,
    EncodingOption,
    EngineOption,
    ForceOption,
    InputDelimiter,
    MaxTextLength,
    NoHeader,
    QuietOption,
    QuotingOption,
    RunArgument,
    ShardRowsOption,
    SheetOption,
    TextColumn,
    WorkersOption,
    option,
    path_option,
)
from nlptl.interfaces.reading_options import ReadingOptions

if TYPE_CHECKING:
    from nlptl.interfaces.piles.pile_options import PileInput, PileOptions
    from nlptl.models.encoder import EncodingPrecision

VectorForm = Literal["npy", "parquet", "jsonl"]
FORMS: dict[str, VectorForm] = {".npy": "npy", ".parquet": "parquet", ".jsonl": "jsonl"}  # by the ending of --out
VECTOR = "vector"  # name of the column


def encode(
    run: RunArgument,
    file: Annotated[
        Path | None, path_option(help="Read the texts from this file, folder of shards, or address of one.")
    ] = None,
    text_column: TextColumn = None,
    empty_text: Annotated[
        Literal["refuse", "skip", "empty"],
        typer.Option(metavar="HOW", help="Treat rows without a text: refuse, skip, or leave the vector empty."),
    ] = "refuse",
    keep: Annotated[bool, typer.Option("--keep", help="Keep all columns of the file.")] = False,
    keep_column: Annotated[
        list[str] | None, option(metavar="NAME", help="Keep this column of the file. Repeat it for more.")
    ] = None,
    normalize: Annotated[bool, typer.Option("--normalize", help="Scale each vector to length 1.")] = False,
    precision: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(metavar="NAME", help="Compute in float32, or in bfloat16, which is faster on GPUs."),
    ] = "float32",
    out: Annotated[
        Path | None, path_option(help="Write this .npy, .parquet or .jsonl file, or a folder of shards.")
    ] = None,
    force: ForceOption = False,
    output: Annotated[
        VectorForm | None, option(help="Write in this form. Default: by the name of --out, parquet in a folder.")
    ] = None,
    input_delimiter: InputDelimiter = None,
    quoting: QuotingOption = None,
    encoding: EncodingOption = None,
    no_header: NoHeader = False,
    sheet: SheetOption = None,
    max_text_length: MaxTextLength = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    workers: WorkersOption = None,
    shard_rows: ShardRowsOption = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Write the sentence vectors of texts.

    RUN may be an encoder or a classifier. Vectors are float32, in the order of the texts. A .npy file holds them alone; .parquet
    and .jsonl hold the text and what is kept beside them. Finished shards are kept: type the same command to go on after a stop.
    """
    from nlptl.interfaces.output_options import check_out
    from nlptl.interfaces.piles.pile_options import PileInput, PileOptions
    from nlptl.interfaces.piles.shards import first_file
    from nlptl.interfaces.run_columns import with_columns_of
    from nlptl.runs.engines.choice import EngineChoice

    reading = ReadingOptions(text_column, input_delimiter, quoting, encoding, no_header, sheet, max_text_length)
    options = PileOptions(EngineChoice(engine, address, workers), shard_rows, device, force, quiet)
    options.engine.check()
    file, out = options.files(file, out, of="encode")
    check_out(out, file, force=force, is_pile=True)
    form = _form(output, out, keeps=keep or bool(keep_column))
    with at_the_command_line():
        settings = reading.settings(file, option="--file")
        settings = with_columns_of(run, settings, reading, first_file(file), labelled=False, quiet=quiet)
        kept = None if keep else tuple(keep_column or ())
        given = PileInput(file, out, settings, empty_text, kept)
        _encode_pile(run, given, form, precision, normalize, options)


def _form(output: VectorForm | None, out: Path, *, keeps: bool) -> VectorForm:
    """Return the form of the vectors. Raises ConfigError for an ending without one, and for columns beside an array."""
    from nlptl.interfaces.piles.pile_options import is_one_file

    suffix = out.suffix.lower()
    if is_one_file(out) and (suffix not in FORMS or (output or FORMS[suffix]) != FORMS[suffix]):
        wanted = f", as --output {output} asks for" if output else ""
        raise ConfigError(
            f"--out: found the ending {suffix!r}; expected .npy, .parquet or .jsonl{wanted}, or the name of a folder. Choose one."
        )
    form = output or FORMS.get(suffix, "parquet")
    if form == "npy" and keeps:
        raise ConfigError(
            "--keep: found beside an array, which holds vectors alone; expected .parquet or .jsonl. Choose one, or drop it."
        )
    return form


def _encode_pile(
    run: Path, given: PileInput, form: VectorForm, precision: EncodingPrecision, normalize: bool, options: PileOptions
) -> None:
    """Encode a pile, write the vectors, and tell what a person should know of them."""
    from nlptl.inference.export_settings import is_export
    from nlptl.interfaces.piles.encoding_shards import EncodeShards
    from nlptl.interfaces.piles.pile_run import parts_of, run_pile, tell_rows
    from nlptl.runs.engines.artifacts import ArtifactAtHand

    artifact = ArtifactAtHand.of(run)
    if precision != "float32" and is_export(Path(artifact.path)):
        raise ConfigError(
            f"--precision: found {precision} beside an export, which computes in its own precision; expected none. Leave it out."
        )
    pile, reading = given.cut(options)
    kept = reading.kept(where=str(given.file)).names
    column = VECTOR
    while column in kept:
        column = f"encoded_{column}"
    job = EncodeShards(
        artifact=artifact, device=options.device, reading=reading,
        parts=parts_of(given.out, form, pile), kept=kept, column=column, types=pile.types, precision=precision,
        normalize=normalize,
    )  # fmt: skip
    depends_on = [precision, normalize, column]
    receipts = run_pile(job, pile, options, name="encoding", depends_on=depends_on, out=given.out)
    if not options.quiet:
        tell_rows(receipts, given.empty_text, given.out, empty="vector")
