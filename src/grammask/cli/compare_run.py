"""Comparisons and grids of them on the terminal: progress, tables, and where everything is."""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track

from ..errors import ExperimentError
from ..tagging.tagger import TaggedText
from .compare_table import summary_table
from .quiet import quieten
from .signals import advising

if TYPE_CHECKING:  # the module needs torch, which --help must not
    from ..experiment.prepare import Progress


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
        _given(out, "--resume", "comparison")
    quieten()
    console = Console()
    with console.status("loading libraries"):
        from ..experiment.compare import compare
        from ..experiment.config import make_config

    config = make_config(**settings)
    folder = out or _folder_of_now()
    with advising(partial(_how_to_go_on, folder, grid=False)):
        results = compare(
            config, folder, resume=resume, progress=_progress(console), say=_say(console), keep_models=keep_models
        )
    _conclude(console, results, folder, figures)


def run_grid_file(grid: Path, out: Path | None, *, resume: bool, report_only: bool, keep_models: bool) -> None:
    """Run the comparisons of a grid file, or only report what is finished of them, and write their page."""
    if resume or report_only:
        _given(out, "--resume" if resume else "--report-only", "grid")
    quieten()
    console = Console()
    with console.status("loading libraries"):
        from ..experiment.grid_file import read_grid_file
        from ..experiment.grid_run import report_grid, run_grid
        from ..report.results_page import write_results_page

    comparisons = read_grid_file(grid)
    folder = out or _folder_of_now()
    if report_only:
        summary = report_grid(comparisons, folder)
    else:
        with advising(partial(_how_to_go_on, folder, grid=True)):
            summary = run_grid(
                comparisons,
                folder,
                resume=resume,
                progress=_progress(console),
                say=_say(console),
                keep_models=keep_models,
            )
    for path in write_results_page(summary, folder):
        _say(console)(str(path))


def _given(out: Path | None, option: str, what: str) -> Path:
    if out is None:
        raise ExperimentError(f"{option} needs the folder of the {what}: --out FOLDER")
    return out


def _folder_of_now() -> Path:
    return Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S")


def _how_to_go_on(folder: Path, *, grid: bool) -> str:
    """Say what an interrupted command is to be called again with: before anything is there, with nothing more."""
    from ..experiment.folder import CONFIG

    begun = folder.is_dir() and any(folder.glob(f"*/{CONFIG}" if grid else CONFIG))
    return f"go on with the same command and --resume --out {folder}" if begun else "nothing was begun"


def _progress(console: Console) -> "Progress":
    def progress(tagged: Iterable[TaggedText], description: str, length: int) -> Iterable[TaggedText]:
        return track(tagged, description, total=length, console=console)

    return progress


def _say(console: Console) -> Callable[[str], None]:
    return partial(console.print, markup=False, highlight=False, soft_wrap=True)


def report_comparison(out: Path | None, figures: Path | None) -> None:
    """Rebuild the results and the report of a folder from its finished runs."""
    folder = _given(out, "--report-only", "comparison")
    quieten()
    from ..experiment.results import rebuild_results

    (results,) = rebuild_results([folder])
    _conclude(Console(), results.to_dict(), folder, figures)


def _conclude(console: Console, results: dict[str, Any], folder: Path, figures: Path | None) -> None:
    """Print the table and where everything is, and write the figures where they are asked for."""
    from ..report.compare_page import write_compare_figures

    if figures is not None:
        write_compare_figures(results, figures)
    console.print(summary_table(results))
    written = [folder / name for name in ("report.html", "results.json", "predictions")]
    for path in [*written, *([figures] if figures else [])]:
        if path.exists():  # records may come without the predictions of earlier runs
            _say(console)(str(path))
