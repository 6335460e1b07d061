"""`grammask tagger`: train a tagger of subwords, and check what it does."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ..errors import ExperimentError
from ..experiment.taggers.tagger_config import TaggerConfig, make_tagger_config
from .console import PlainConsole
from .options import Force, setting
from .outputs import check_folder

if TYPE_CHECKING:
    from ..experiment.taggers.score_tagger import Score, Speed

app = typer.Typer(
    help="Train a small tagger over a model's own subwords, which needs no spaCy, and check it.", no_args_is_help=True
)
_DEFAULTS = TaggerConfig()


@app.command("train")
def train_command(
    out: Annotated[Path, typer.Option(help="The tagger's folder.")],
    model: Annotated[str, setting(TaggerConfig, "model")] = _DEFAULTS.model,
    conllu: Annotated[Path | None, setting(TaggerConfig, "conllu")] = None,
    text: Annotated[Path | None, setting(TaggerConfig, "text")] = None,
    teacher: Annotated[str | None, setting(TaggerConfig, "teacher")] = None,
    model_teaches: Annotated[bool, setting(TaggerConfig, "model_teaches")] = False,
    held_out: Annotated[Path | None, setting(TaggerConfig, "held_out", default="every tenth text")] = None,
    name: Annotated[str, setting(TaggerConfig, "name")] = _DEFAULTS.name,
    inside: Annotated[int, setting(TaggerConfig, "inside")] = _DEFAULTS.inside,
    width: Annotated[int, setting(TaggerConfig, "width")] = _DEFAULTS.width,
    epochs: Annotated[int, setting(TaggerConfig, "epochs")] = _DEFAULTS.epochs,
    limit: Annotated[int | None, setting(TaggerConfig, "limit")] = None,
    seed: Annotated[int, setting(TaggerConfig, "seed")] = _DEFAULTS.seed,
    force: Force = False,
) -> None:
    """Train a tagger from a treebank, from texts that another tagger tags, or from both; take it by --tagger FOLDER."""
    config = make_tagger_config(
        model=model, conllu=conllu, text=text, teacher=teacher, model_teaches=model_teaches, held_out=held_out,
        name=name, inside=inside, width=width, epochs=epochs, limit=limit, seed=seed,
    )  # fmt: skip
    check_folder(out, "--out", empty=not force)
    console = PlainConsole()
    with console.loading():
        from ..experiment.taggers.train_tagger import train_tagger
    trained = train_tagger(config, console.say)
    trained.tagger.save_beside(out)
    console.print(_scores(trained.scores))
    console.say(str(out))


@app.command("check")
def check_command(
    tagger: Annotated[
        str, typer.Argument(help="A shipped tagger's name, a tagger's folder, or that of a model it was saved with.")
    ],
    conllu: Annotated[Path | None, typer.Option(help="A treebank in CoNLL-U: how many words have its tags.")] = None,
    text: Annotated[Path | None, typer.Option(help="UTF-8 text, one text a line: how often --teacher agrees.")] = None,
    teacher: Annotated[str | None, typer.Option(help="A spaCy pipeline, or another tagger of subwords.")] = None,
    limit: Annotated[int | None, typer.Option(help="Texts of each source at most.", min=1)] = None,
) -> None:
    """Measure a trained tagger: its tags, where it begins words, and its speed on one thread."""
    if conllu is None and text is None:
        raise ExperimentError("there is nothing to measure on; give --conllu, or --text with --teacher, or both")
    if (text is None) != (teacher is None):
        raise ExperimentError("--text and --teacher belong together: give both or none")
    console = PlainConsole()
    with console.loading():
        from ..experiment.taggers.check_tagger import check_tagger
    checked = check_tagger(tagger, conllu=conllu, text=text, teacher=teacher, limit=limit)
    console.print(_scores(checked.scores))
    console.say(_speed(checked.speed))


def _scores(scores: "Mapping[str, Score]") -> Table:
    table = Table("measured on", "texts", "words", "right tags %", "words begun rightly %")
    for name, score in scores.items():
        figures = (f"{score.texts:,}", f"{score.words:,}", f"{100 * score.accuracy:.2f}", f"{100 * score.parting:.2f}")
        table.add_row(name, *figures)
    return table


def _speed(speed: "Speed") -> str:
    return (
        f"One thread, subwords a second: {speed.network:,.0f} from ids to tags, {speed.texts:,.0f} from texts to words."
    )
