"""`grammask tag`: what the tagger makes of a text, or of a corpus."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..errors import ExperimentError
from ..grammar.tags import TAGS
from ..printing import printable
from ..tagging.load_tagger import load_tagger
from ..tagging.texts import check_texts
from .console import PlainConsole
from .options import DEFAULTS, Address, Column, Corpus, Keep, PartRows, Sentences, Tagger, Workers, refuse_others, split
from .tag_corpus import make_tagger, run_corpus

_WITH_TEXTS = ("texts", "tagger", "sentences")


def tag_command(
    context: typer.Context,
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to tag.", metavar="TEXT...")] = None,
    corpus: Corpus = None,
    out: Annotated[Path | None, typer.Option(help="With --corpus: the folder of what is made.")] = None,
    column: Column = "text",
    as_: Annotated[str, typer.Option("--as", help="tags, or annotation: what a model reads.")] = "tags",
    model: Annotated[str | None, typer.Option(help="With --as annotation: whose tokens.", show_default=False)] = None,
    keep: Keep = "",
    part_rows: PartRows = 5000,
    workers: Workers = None,
    address: Address = None,
    tagger: Tagger = DEFAULTS.tagger,
    sentences: Sentences = DEFAULTS.sentences,
) -> None:
    """Show the words of texts with their tags and sentences, or write those of a corpus (on Ray; see docs/scale.md)."""
    if corpus is None:
        refuse_others(context, _WITH_TEXTS, "texts exclude each other; give --corpus with --out")
        _show(texts or [], tagger, sentences)
        return
    if texts or out is None:
        raise ExperimentError("--corpus needs the folder of what is made, --out FOLDER, and takes no texts beside it")
    run_corpus(
        lambda: make_tagger(as_, column, tagger, sentences, model), corpus, out,
        keep=split(keep), part_rows=part_rows, address=address, workers=workers,
    )  # fmt: skip


def _show(texts: list[str], tagger: str, sentences: str) -> None:
    if not texts:
        raise ExperimentError("there is nothing to tag; give texts, or --corpus with --out")
    texts = check_texts(texts)
    tool = load_tagger(tagger, sentences=sentences)
    console = PlainConsole()
    for text, tagged in zip(texts, tool.tag(texts), strict=True):
        table = Table("word", "tag", "sentence", title=printable(text), title_justify="left")
        spans = zip(tagged.starts, tagged.ends, tagged.tag_ids, tagged.sentence_ids, strict=True)
        for start, end, tag, sentence in spans:
            table.add_row(printable(text[start:end]), TAGS[tag], str(sentence))
        console.print(table)
