"""Comparisons and grids of them, run on the terminal: with progress, and with what to do when they are interrupted."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .compare_report import conclude, require_out, write_page
from .console import PlainConsole
from .signals import advising

if TYPE_CHECKING:
    from ..experiment.config import Config


def run_comparison(
    settings: dict[str, Any],
    out: Path | None,
    *,
    resume: bool,
    keep_models: bool = False,
    figures: Path | None = None,
) -> None:
    """Run a comparison with progress on the terminal, print its table and say where everything is."""
    if resume:
        require_out(out, "--resume", "comparison")
    console = PlainConsole()
    with console.loading():
        from ..experiment.compare import compare
        from ..experiment.config import make_config
        from ..experiment.follow import launched

    config = make_config(**settings)
    folder = out or _folder_of_now()
    with advising(partial(_how_to_go_on, folder, grid=False)), launched() as processes:
        if not processes.is_main:
            return
        results = compare(
            config, folder, resume=resume, progress=console.progress, say=console.say, keep_models=keep_models,
            processes=processes,
        )  # fmt: skip
    conclude(console, results, folder, figures)


def run_grid_file(grid: Path, out: Path | None, *, resume: bool, keep_models: bool) -> None:
    """Run the comparisons of a grid file and write their page."""
    if resume:
        require_out(out, "--resume", "grid")
    console = PlainConsole()
    with console.loading():
        from ..experiment.grid_file import read_grid_file

    run_comparisons(console, read_grid_file(grid), out, resume=resume, keep_models=keep_models)


def run_comparisons(
    console: PlainConsole,
    comparisons: Sequence[tuple[str, "Config"]],
    out: Path | None,
    *,
    resume: bool,
    keep_models: bool = False,
) -> dict[str, Any] | None:
    """Run comparisons, each in the folder of its name, write their page, and return what it is written from.

    Returns None in a process that only trains along.
    """
    with console.loading():
        from ..experiment.follow import launched
        from ..experiment.grid_run import run_grid

    folder = out or _folder_of_now()
    with advising(partial(_how_to_go_on, folder, grid=True)), launched() as processes:
        if not processes.is_main:
            return None
        summary = run_grid(
            comparisons, folder, resume=resume, progress=console.progress, say=console.say, keep_models=keep_models,
            processes=processes,
        )  # fmt: skip
    write_page(console, summary, folder)
    return summary


def _folder_of_now() -> Path:
    return Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S")


def _how_to_go_on(folder: Path, *, grid: bool) -> str:
    """Say how an interrupted command is called again: before anything is there, with nothing more."""
    from ..experiment.folder import CONFIG

    begun = folder.is_dir() and any(folder.glob(f"*/{CONFIG}" if grid else CONFIG))
    return f"go on with the same command and --resume --out {folder}" if begun else "nothing was begun"
