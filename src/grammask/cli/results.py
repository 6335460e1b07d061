"""`grammask results`: one page of several finished comparisons."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..errors import ExperimentError
from .quiet import quieten


def results_command(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of finished comparisons, one a task  [default: what was recorded before]"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where results.md and grid.json are.")] = Path("results"),
) -> None:
    """Write a page of comparisons on several tasks: differences to full, and to controls, on each and on the mean."""
    quieten()
    from ..experiment.grid_record import read_grid_record
    from ..experiment.grid_summary import read_task_folders, summarise_grid
    from ..report.results_page import RECORD, write_results_page

    if not folders and not (out / RECORD).is_file():
        raise ExperimentError(f"{out / RECORD} isn't there; name the folders of finished comparisons")
    grid = summarise_grid(read_task_folders(folders)) if folders else read_grid_record(out / RECORD)
    for file in write_results_page(grid, out):
        Console().print(str(file), markup=False, highlight=False, soft_wrap=True)
