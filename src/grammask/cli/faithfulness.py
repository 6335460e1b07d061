"""`grammask faithfulness`: whether the words that explanations name matter to the model."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ..environment import LARGEST_SEED
from .console import PlainConsole
from .options import DEFAULTS, Data, Force, MostTexts, Page, SavedModel, Tagger, TextFile, TextsOfTask
from .outputs import Outputs


def faithfulness_command(
    model: SavedModel,
    text: TextFile = None,
    task: TextsOfTask = DEFAULTS.task,
    texts: MostTexts = 200,
    tagger: Tagger = DEFAULTS.tagger,
    seed: Annotated[int, typer.Option(help="Seed of the random orders.", min=0, max=LARGEST_SEED)] = 0,
    out: Page = Path("faithfulness.html"),
    data: Data = False,
    force: Force = False,
) -> None:
    """Measure comprehensiveness and sufficiency of word importance: through rules, by gradients, in random order."""
    outputs = Outputs(out, data=data, figures=None, force=force)
    console = PlainConsole()
    with console.loading():
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

    progress = partial(console.progress, description="erasing words")
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
