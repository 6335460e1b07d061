"""`grammask adherence`: how much of a model's attention falls on what a grammar allows."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import PlainConsole
from .options import DEFAULTS, Data, Figures, Force, MostTexts, Page, Parser, TextFile, TextsOfTask
from .outputs import Outputs


def adherence_command(
    model: Annotated[
        str, typer.Option(help="minilm or smollm2 (packaged), a Hub model, or a folder, also one saved with a grammar.")
    ] = DEFAULTS.model,
    grammar: Annotated[
        str | None,
        typer.Option(help="A shipped name or a file.", show_default="the one that the model was saved with"),
    ] = None,
    text: TextFile = None,
    task: TextsOfTask = DEFAULTS.task,
    texts: MostTexts = 500,
    tagger: Parser = DEFAULTS.tagger,
    out: Page = Path("adherence.html"),
    data: Data = False,
    figures: Figures = None,
    force: Force = False,
) -> None:
    """Measure a model's attention, masked or stock, against a grammar, random pairs and a window of equal density."""
    outputs = Outputs(out, data=data, figures=figures, force=force)
    console = PlainConsole()
    with console.loading():
        from ..grammar.file import load_grammar
        from ..interpret.adherence import measure_adherence
        from ..model.attach import grammar_of
        from ..model.named_models import find_model, load_guided, load_tokenizer
        from ..report.adherence_page import adherence_page, write_adherence_figures
        from ..tagging.annotate import Annotator
        from .read_texts import texts_of

    read, name = texts_of(text, task, texts)
    given = None if grammar is None else load_grammar(grammar)
    source = find_model(model)
    guided = load_guided(source, grammar)
    own, strategy = grammar_of(guided)
    wanted = given or own
    annotate = Annotator(load_tokenizer(source), tagger)

    progress = partial(console.progress, description="reading attention")
    reading = "reading everything" if strategy == "full" else f"{strategy} attention under the grammar {own.name}"
    measured: dict[str, Any] = {
        "model": source.name if source.name != source.location else Path(source.location).name,
        "grammar": wanted.name, "reading": reading, "text": name, "parser": tagger,
        **measure_adherence(guided, annotate, read, wanted, parser=tagger, progress=progress).to_dict(),
    }  # fmt: skip
    outputs.write(adherence_page(measured), measured)
    if figures is not None:
        write_adherence_figures(measured, figures)
    for kind, difference in measured["differences"].items():
        low, high = difference["interval"]
        console.say(
            f"attention on the grammar's pairs minus that on {kind}: {100 * difference['value']:+.1f} points "
            f"[{100 * low:+.1f}, {100 * high:+.1f}]"
        )
    outputs.say(console)
