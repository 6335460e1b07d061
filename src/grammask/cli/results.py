"""`grammask results`: one page of several finished comparisons."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..errors import ExperimentError
from .quiet import quieten

_GRID = "results/grid.json"


def results_command(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of finished comparisons, one a task  [default: what was recorded before]"),
    ] = None,
    docs: Annotated[Path, typer.Option(help="Where results.md and results/grid.json are.")] = Path("docs"),
) -> None:
    """Write a page of comparisons on several tasks: differences to full, and to controls, on each and on the mean."""
    quieten()
    from ..experiment.folder import dump, read
    from ..experiment.grid import summarise_grid
    from ..files import write_whole
    from ..report.results_page import results_page, results_plot

    record = docs / _GRID
    if folders:
        write_whole(record, dump(summarise_grid(folders)))
    elif not record.is_file():
        raise ExperimentError(f"{record} isn't there; name the folders of finished comparisons")
    grid = read(record)
    write_whole(docs / "results" / "grid.svg", results_plot(grid).svg())
    write_whole(docs / "results.md", results_page(grid))
    for file in (docs / "results.md", record):
        Console().print(str(file), markup=False, highlight=False, soft_wrap=True)
