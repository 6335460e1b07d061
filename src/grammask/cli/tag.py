"""`grammask tag`: what the tagger makes of a text."""

from typing import Annotated

import typer
from rich.table import Table

from ..grammar.tags import TAGS
from ..printing import printable
from ..tagging.load_tagger import load_tagger
from .console import PlainConsole
from .options import DEFAULTS, Sentences, Tagger


def tag_command(
    texts: Annotated[list[str], typer.Argument(help="Texts to tag.", metavar="TEXT...")],
    tagger: Tagger = DEFAULTS.tagger,
    sentences: Sentences = DEFAULTS.sentences,
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
