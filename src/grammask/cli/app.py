"""The entry point: commands together, and every error that is the user's to mend as one line with exit code 2."""

import sys
from collections.abc import Callable

import typer
from rich.console import Console

from ..errors import GrammaskError
from . import adherence, bench, compare, explain, faithfulness, grammar, induce, results, tag

app = typer.Typer(
    name="grammask",
    help="Grammar-guided sparse attention: parts of speech decide which tokens may read which.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("compare")(compare.compare_command)
app.command("bench")(bench.bench_command)
app.command("explain")(explain.explain_command)
app.command("adherence")(adherence.adherence_command)
app.command("faithfulness")(faithfulness.faithfulness_command)
app.command("induce")(induce.induce_command)
app.command("results")(results.results_command)
app.command("tag")(tag.tag_command)
app.add_typer(grammar.app, name="grammar")


def main() -> None:
    """Run the command line."""
    sys.exit(run_plainly(app))


def run_plainly(command: Callable[[], object]) -> int:
    """Run `command`; return 0, or 2 after printing what went wrong in one line."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        command()
    except SystemExit as exit_:
        return 2 if exit_.code else 0  # typer's own code for an interruption is another
    except (GrammaskError, OSError) as error:
        # One line, whatever the message quotes.
        console.print("grammask: " + " ".join(str(error).split()), markup=False)
    except ModuleNotFoundError as error:
        console.print(
            f"grammask: this command needs {error.name}, which isn't installed: pip install 'grammask[all]'",
            markup=False,
        )
    else:
        return 0
    return 2
