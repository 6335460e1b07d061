"""`grammask tag`: what the tagger makes of a text."""

from typing import Annotated

import typer
from rich.table import Table

from ..grammar.tags import TAGS
from ..printing import printable
from ..tagging.load_tagger import load_tagger
from ..tagging.spacy_tagger import DEFAULT_PIPELINE
from .console import PlainConsole


def tag_command(
    texts: Annotated[list[str], typer.Argument(help="Texts to tag.", metavar="TEXT...")],
    tagger: Annotated[str, typer.Option(help="A spaCy pipeline that gives UPOS tags.")] = DEFAULT_PIPELINE,
    sentences: Annotated[str, typer.Option(help="Where sentences come from: sentencizer or parser.")] = "sentencizer",
) -> None:
    """Show the words of texts with their tags and sentences."""
    tool = load_tagger(tagger, sentences=sentences)
    console = PlainConsole()
    for text, tagged in zip(texts, tool.tag(texts), strict=True):
        table = Table("word", "tag", "sentence", title=printable(text), title_justify="left")
        spans = zip(tagged.starts, tagged.ends, tagged.tag_ids, tagged.sentence_ids, strict=True)
        for start, end, tag, sentence in spans:
            table.add_row(printable(text[start:end]), TAGS[tag], str(sentence))
        console.print(table)
