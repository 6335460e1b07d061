"""`grammask faithfulness`: whether the words that explanations name matter to the model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track
from rich.table import Table

from .console import PlainConsole
from .outputs import Outputs
from .quiet import quieten

_TEXTS = 200


def faithfulness_command(
    model: Annotated[str, typer.Option(help="A folder that a model was saved to with its grammar.")],
    text: Annotated[Path | None, typer.Option(help="UTF-8 text, one text a line.")] = None,
    task: Annotated[
        str, typer.Option(help="In place of a text: the dev texts of a task, as `compare` takes them.")
    ] = "film-reviews",
    texts: Annotated[int, typer.Option(help="Texts at most.", min=2)] = _TEXTS,
    tagger: Annotated[str, typer.Option(help="A spaCy pipeline that gives UPOS tags.")] = "en_core_web_sm",
    seed: Annotated[int, typer.Option(help="Of the random orders.", min=0, max=2**32 - 1)] = 0,
    out: Annotated[Path, typer.Option(help="The page.")] = Path("faithfulness.html"),
    data: Annotated[bool, typer.Option("--data", help="Write what the page shows as JSON beside it, too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Measure comprehensiveness and sufficiency of word importance: through rules, by gradients, in random order."""
    outputs = Outputs(out, data=data, figures=None, force=force)
    quieten()
    console = PlainConsole()
    with console.status("loading libraries"):
        from ..interpret.faithfulness import measure_faithfulness
        from ..model.attach import grammar_of
        from ..model.named_models import find_model, load_saved, load_tokenizer
        from ..report.faithfulness_page import faithfulness_page
        from ..tagging.annotate import Annotator
        from .read_texts import texts_of

    read, name = texts_of(text, task, texts)
    source = find_model(model)
    guided = load_saved(source)
    grammar, strategy = grammar_of(guided)
    annotate = Annotator(load_tokenizer(source), tagger)

    def progress(waiting: Sequence[str]) -> Sequence[str]:
        return track(waiting, "erasing words", console=console)  # type: ignore[return-value]

    measured: dict[str, Any] = {
        "model": Path(source.location).name, "grammar": grammar.name, "strategy": strategy, "text": name, "seed": seed,
        **measure_faithfulness(guided, annotate, read, seed=seed, progress=progress).to_dict(),
    }  # fmt: skip
    outputs.write(faithfulness_page(measured), measured)
    console.print(_table(measured))
    outputs.say(console)


def _table(measured: dict[str, Any]) -> Table:
    table = Table(
        "importance", "comprehensiveness", "to random", "sufficiency", "to random", box=None, padding=(0, 2, 0, 0)
    )
    for row in measured["rows"]:
        figures = (
            row[key]
            for key in ("comprehensiveness", "comprehensiveness_to_random", "sufficiency", "sufficiency_to_random")
        )
        table.add_row(row["way"], *(_spelled(figure) for figure in figures))
    table.caption = "Points of the answer's probability, with 95 % intervals. Comprehensive is high, sufficient is low."
    return table


def _spelled(figure: dict[str, Any]) -> str:
    low, high = figure["interval"]
    return f"{100 * figure['value']:+.1f}\n{100 * low:+.1f}..{100 * high:+.1f}"
