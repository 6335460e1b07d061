"""`grammask compare --report-only`: results and pages, written anew from finished runs or from the record of a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ExperimentError
from .compare_table import summary_table
from .console import PlainConsole


def report(paths: Sequence[Path], out: Path | None, figures: Path | None) -> None:
    """Report what `paths` name: one comparison in its own folder, or a page of any, in `out`.

    A page comes from folders of finished comparisons, one a task, or from the record of an earlier page. Without paths
    the comparison in `out` is reported.
    """
    if not paths:
        _report_comparison(require_out(out, "--report-only", "comparison"), figures)
    elif len(paths) == 1 and paths[0].is_dir() and (out is None or out.resolve() == paths[0].resolve()):
        _report_comparison(paths[0], figures)
    elif figures is not None:
        raise ExperimentError("--figures are of one comparison; name its folder, and no --out")
    else:
        _report_page(paths, out)


def report_grid_file(grid: Path, out: Path | None) -> None:
    """Report the finished comparisons of a grid file, and write their page."""
    folder = require_out(out, "--report-only", "grid")
    console = PlainConsole()
    with console.loading():
        from ..experiment.grid_file import read_grid_file
        from ..experiment.grid_run import report_grid

    write_page(console, report_grid(read_grid_file(grid), folder), folder)


def _report_comparison(folder: Path, figures: Path | None) -> None:
    """Write the results and the report of a folder anew from its finished runs."""
    console = PlainConsole()
    with console.loading():
        from ..experiment.results import rebuild_results

    (results,) = rebuild_results([folder])
    conclude(console, results.to_dict(), folder, figures)


def _report_page(paths: Sequence[Path], out: Path | None) -> None:
    console = PlainConsole()
    with console.loading():
        from ..experiment.grid_record import read_grid_record
        from ..experiment.grid_summary import read_task_folders, summarise_grid

    if len(paths) == 1 and not paths[0].is_dir():
        write_page(console, read_grid_record(paths[0]), out or paths[0].parent)
    else:
        folder = require_out(out, "--report-only of several folders", "page")
        if folder.resolve() in [path.resolve() for path in paths]:
            raise ExperimentError(f"--out {folder} is one of the comparisons; name another folder for their page")
        write_page(console, summarise_grid(read_task_folders(paths)), folder)


def require_out(out: Path | None, option: str, what: str) -> Path:
    """Return `out`; raise `ExperimentError` where it isn't given although an option needs it."""
    if out is None:
        raise ExperimentError(f"{option} needs the folder of the {what}: --out FOLDER")
    return out


def write_page(console: PlainConsole, grid: Mapping[str, Any], folder: Path) -> None:
    """Write the page of several comparisons, and say where it is."""
    from ..report.results_page import write_results_page

    for path in write_results_page(grid, folder):
        console.say(str(path))


def conclude(console: PlainConsole, results: dict[str, Any], folder: Path, figures: Path | None) -> None:
    """Print the table and where everything is, and write the figures where they are asked for."""
    from ..report.compare_page import write_compare_figures

    if figures is not None:
        write_compare_figures(results, figures)
    console.print(summary_table(results))
    written = [folder / name for name in ("report.html", "results.json", "predictions")]
    for path in [*written, *([figures] if figures else [])]:
        if path.exists():  # records may come without the predictions of earlier runs
            console.say(str(path))
