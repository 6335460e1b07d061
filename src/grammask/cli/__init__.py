"""The command line: `grammask compare`, `perplexity`, `bench`, `explain`, and what looks into grammars and models.

`pretrain`, `pairs`, `adherence`, `faithfulness`, `induce`, `tag`, `embed`, `tagger` and `grammar` are the rest.
"""

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import NoReturn

from .signals import Listener


def main() -> NoReturn:
    """Run the command line, and exit with its code: 0, 2 for a mistake, 1 for a fault of ours, 128 + n for signal n."""

    def load() -> Callable[[], object]:
        from .app import app

        return app

    run_command(load)


def run_command(load: Callable[[], Callable[[], object]]) -> NoReturn:
    """Load a command, run it, and exit with its code. Loading takes a second, in which signals are answered already."""
    listener = Listener()
    try:
        listener.listen()
        if isinstance(sys.stdout, TextIOWrapper):  # what a terminal cannot show is spelled, and no reason to fail
            sys.stdout.reconfigure(errors="backslashreplace")
        command = load()
        from .app import run_plainly

        code = run_plainly(command, listener)
    except BaseException:
        if listener.stopped is None:
            raise
        sys.stderr.write(f"grammask: {listener.stopped}\n")
        code = listener.stopped.code
    listener.leave()
    sys.exit(code)


__all__ = ["main", "run_command"]
