"""The commands together, and whatever ends one of them as one line and an exit code."""

import sys
from collections.abc import Callable

import typer

from . import (
    adherence,
    bench,
    compare,
    embed,
    explain,
    faithfulness,
    grammar,
    induce,
    pairs,
    perplexity,
    pretrain,
    tag,
    tagger,
)
from .console import PlainConsole
from .endings import ending
from .signals import Listener

app = typer.Typer(
    name="grammask",
    help="Grammar-guided sparse attention: parts of speech decide which tokens may read which.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("compare")(compare.compare_command)
app.command("pretrain")(pretrain.pretrain_command)
app.command("pairs")(pairs.pairs_command)
app.command("perplexity")(perplexity.perplexity_command)
app.command("bench")(bench.bench_command)
app.command("explain")(explain.explain_command)
app.command("adherence")(adherence.adherence_command)
app.command("faithfulness")(faithfulness.faithfulness_command)
app.command("induce")(induce.induce_command)
app.command("tag")(tag.tag_command)
app.command("embed")(embed.embed_command)
app.add_typer(grammar.app, name="grammar")
app.add_typer(tagger.app, name="tagger")


def run_plainly(command: Callable[[], object], listener: Listener | None = None) -> int:
    """Run `command`; return 0, or another exit code after printing what went wrong in one line.

    `listener` knows of signals that came, whatever a library made of them.
    """
    try:
        try:
            # Not its own way with mistakes, which fills a screen.
            command(standalone_mode=False) if isinstance(command, typer.Typer) else command()
        except SystemExit as exit_:
            if exit_.code:
                raise
        sys.stdout.flush()  # while its failing can still be told
    except BaseException as error:
        stopped = listener.stopped if listener is not None else None
        code, told = ending(stopped or error)
        if told:
            _complain(told)
        return code
    return 0


def _complain(text: str) -> None:
    """Print one line on standard error, whatever the text quotes."""
    PlainConsole(stderr=True).say("grammask: " + " ".join(text.split()))
