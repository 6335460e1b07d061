"""Options of settings, options that several commands share, and how values with commas are read."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import typer
from pydantic import BaseModel
from typer.models import OptionInfo

from ..errors import ExperimentError
from ..experiment.config import Config
from ..printing import quoted


def setting(
    model: type[BaseModel], name: str, *, several: str = "with commas", default: str | None = None, **more: Any
) -> OptionInfo:
    """Return the option of a setting, described as its model describes it.

    `several` says how several values are given where the setting holds several, `default` what None or nothing stands
    for; `more` goes to `typer.Option`.
    """
    field = model.model_fields[name]
    choices = ", ".join(map(str, _choices(field.annotation)))
    if any(get_origin(part) is tuple for part in (field.annotation, *get_args(field.annotation))):
        how = f"Any of {choices}, {several}." if choices else f"Several {several}."
    else:
        how = f"One of {choices}." if choices else ""
    option: OptionInfo = typer.Option(help=f"{field.description} {how}".strip(), show_default=default or True, **more)
    return option


def _choices(annotation: Any) -> list[Any]:
    """Return the values of the `Literal` in an annotation, wherever it lies; none where there is no `Literal`."""
    parts = get_args(annotation)
    return list(parts) if get_origin(annotation) is Literal else [value for part in parts for value in _choices(part)]


DEFAULTS: Final[Config] = Config()  # of a comparison, and of every command that has the same option

Tagger = Annotated[str, setting(Config, "tagger")]
Parser = Annotated[str, typer.Option(help="A spaCy pipeline that gives UPOS tags and parses, by its name or folder.")]
Sentences = Annotated[str, setting(Config, "sentences")]

SavedModel = Annotated[str, typer.Option(help="A folder that a model was saved to with its grammar.")]
TextFile = Annotated[Path | None, typer.Option(help="UTF-8 text, one text a line.")]
OwnText = Annotated[
    Path | None, typer.Option(help="UTF-8 text, one text a line.", show_default="the built-in sentences")
]
TextsOfTask = Annotated[str, typer.Option(help="Instead of --text: the dev texts of a task, as compare takes them.")]
MostTexts = Annotated[int, typer.Option(help="Texts at most.", min=2)]

Corpus = Annotated[Path | None, typer.Option(help="A Parquet or JSONL file, or a folder of them.", show_default=False)]
Column = Annotated[str, typer.Option(help="With --corpus: the column with the texts.")]
Keep = Annotated[str, typer.Option(help="With --corpus: other columns to keep, with commas.")]
PartRows = Annotated[int, typer.Option(help="With --corpus: the most rows of a part.", min=1, max=10_000_000)]
Workers = Annotated[int | None, typer.Option(help="With --corpus: processes.", min=1, show_default="one a CPU")]
Address = Annotated[
    str | None, typer.Option(help="With --corpus: a Ray cluster's address.", show_default="Ray on this machine")
]

Page = Annotated[Path, typer.Option(help="The page.")]
Data = Annotated[bool, typer.Option("--data", help="Write what the page shows as JSON next to it, too.")]
Figures = Annotated[Path | None, typer.Option(help="A folder for every figure as SVG and PNG, and its numbers as CSV.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")]


def joined(values: Iterable[object]) -> str:
    """Return values as an option holds them: a and b give `a,b`."""
    return ",".join(map(str, values))


def split(text: str) -> tuple[str, ...]:
    """Return the values of an option: `a, b` gives a and b."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def whole_numbers(text: str, *, option: str, example: str) -> tuple[int, ...]:
    """Return the whole numbers of an option; raises `ExperimentError` naming the option."""
    try:
        return tuple(int(part) for part in split(text))
    except ValueError:
        raise ExperimentError(
            f"{option} are whole numbers with commas, such as {example}, but got {quoted(text)}"
        ) from None


def refuse_others(context: typer.Context, allowed: tuple[str, ...], why: str) -> None:
    """Raise for an option that is given and isn't among those that are allowed, rather than leave it out."""
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name not in allowed and source is not None and source.name != "DEFAULT":
            raise ExperimentError(
                f"{parameter.metavar if parameter.param_type_name == 'argument' else parameter.opts[0]} and {why}"
            )
