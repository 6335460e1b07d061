"""`grammask explain`: what a guided model answers, what it reads, and by which rules."""

from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from ..errors import ExperimentError
from ..files.write import read_lines
from ..printing import printable
from ..tagging.spacy_tagger import check_source
from .console import PlainConsole
from .options import DEFAULTS, Data, Figures, Force, Page, Sentences, Tagger
from .outputs import Outputs

_STRONGEST: Final[int] = 3


def explain_command(
    model: Annotated[
        str,
        typer.Option(
            help="A folder that a model was saved to with its grammar, or with --grammar smollm2 (packaged), a Hub "
            "model or a folder: a causal language model or a classifier."
        ),
    ],
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to explain.")] = None,
    text: Annotated[Path | None, typer.Option(help="UTF-8 text, one text a line, instead of arguments.")] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(help="A rule to switch off, by number or name. Repeatable.", show_default="each"),
    ] = None,
    layer: Annotated[
        list[int] | None,
        typer.Option(help="A layer to show, from 0. Repeatable.", show_default="all"),
    ] = None,
    grammar: Annotated[
        str | None,
        typer.Option(help="A shipped name or a file, read hard.", show_default="the one that the model was saved with"),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="Of a language model: the token of the texts whose prediction is explained, by its word (the last "
            "occurrence) or its number, from 0.",
            show_default="what the model finds likeliest after the text",
        ),
    ] = None,
    tagger: Tagger = DEFAULTS.tagger,
    sentences: Sentences = DEFAULTS.sentences,
    out: Page = Path("explain.html"),
    data: Data = False,
    figures: Figures = None,
    force: Force = False,
) -> None:
    """Explain a model's answers: words, tags, arcs, attention by rule, and each rule switched off in turn."""
    if bool(texts) == (text is not None):
        raise ExperimentError("give either texts to explain or a file of them with --text")
    outputs = Outputs(out, data=data, figures=figures, force=force)
    source_of_sentences = check_source(sentences)
    given = texts or read_lines(text or Path())
    console = PlainConsole()
    with console.loading():
        from ..grammar.file import load_grammar
        from ..interpret.explain import explain
        from ..model.named_models import find_model, load_answering, load_tokenizer
        from ..report.explain_page import explain_page
        from ..report.explain_plots import write_explain_figures
        from ..tagging.annotate import Annotator

    wanted = None if grammar is None else load_grammar(grammar)
    source = find_model(model)
    guided = load_answering(source, wanted)
    annotate = Annotator(load_tokenizer(source), tagger, sentences=source_of_sentences)

    progress = partial(console.progress, description="explaining")
    explained = explain(
        guided, annotate, given, rules=rule or (), layers=layer or (), token=token, progress=progress
    ).to_dict()
    outputs.write(explain_page(explained), explained)
    if figures is not None:
        write_explain_figures(explained, figures)
    console.print(_table(explained))
    outputs.say(console)


def _table(explained: dict[str, Any]) -> Table:
    from ..report.explain_page import answer_label, in_unit, unit_of

    texts = explained["texts"]
    unit = unit_of(texts[0])
    table = Table("text", "answer", f"rules that change it most, {unit}", box=None, padding=(0, 2, 0, 0))
    for text in texts:
        of_words = (row for row in text["ablations"] if row["share"])
        strongest = sorted(of_words, key=lambda row: -row["share"])[:_STRONGEST]
        change = "change" if text["token"] is None else "log_change"
        table.add_row(
            printable(shorten(text["text"], 40, placeholder="…")),
            f"{printable(answer_label(text, text['label']))} {100 * text['probabilities'][text['label']]:.0f} %",
            "\n".join(
                printable(f"{in_unit(text, row[change])} {text['sources'][row['source']]['name']}") for row in strongest
            ),
        )
    return table
