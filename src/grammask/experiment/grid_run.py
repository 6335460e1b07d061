"""Running a grid of comparisons: a folder for each task; finished runs are not repeated."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..files.lock import locked
from .compare import compare
from .config import Config
from .folder import CONFIG, Folder, refuse_filled
from .grid_summary import summarise_grid
from .plan_runs import plan_runs
from .prepare import Progress
from .processes import Processes
from .results import rebuild_results
from .setup import load_whole_task


def run_grid(
    comparisons: Sequence[tuple[str, Config]],
    out: Path,
    *,
    resume: bool,
    progress: Progress,
    say: Callable[[str], None],
    keep_models: bool = False,
    processes: Processes | None = None,
) -> dict[str, Any]:
    """Run what is missing of a grid into `out`/<task>, and return the summary of what is finished.

    `comparisons` are those of `read_grid_file`. The data of all tasks are loaded before the first run. Raises
    `ExperimentError` where `out` holds something and `resume` isn't asked for, and what `compare` raises.
    """
    if not resume:
        refuse_filled(out)
    with locked(out):
        if not resume:
            refuse_filled(out)
        _check_tasks(comparisons, out)
        for number, (name, config) in enumerate(comparisons, start=1):
            say(f"comparison {number} of {len(comparisons)}: {name}")
            begun = (out / name / CONFIG).is_file()
            if begun and _is_finished(out / name, config):
                say("finished before")
            else:
                compare(
                    config, out / name, resume=begun, progress=progress, say=say, keep_models=keep_models,
                    processes=processes,
                )  # fmt: skip
        return report_grid(comparisons, out)


def _check_tasks(comparisons: Sequence[tuple[str, Config]], out: Path) -> None:
    """Load the data of each unfinished task once, so that none fails after hours of runs of the others."""
    loaded = set()
    for name, config in comparisons:
        if name not in loaded and not ((out / name / CONFIG).is_file() and _is_finished(out / name, config)):
            load_whole_task(config)
            loaded.add(name)


def report_grid(comparisons: Sequence[tuple[str, Config]], out: Path) -> dict[str, Any]:
    """Write the results and the report of each task again from its finished runs; return the summary of all tasks."""
    names = tuple(dict(comparisons))
    return summarise_grid(dict(zip(names, rebuild_results([out / name for name in names]), strict=True)))


def _is_finished(path: Path, config: Config) -> bool:
    """Tell whether all runs of a comparison are there, without loading its data; raises for another folder."""
    folder = Folder(path, resume=True)
    folder.check(config.shared)
    specs, grammars = plan_runs(config)
    return all(folder.finished(spec.id, grammars[spec.grammar].sha256 if spec.grammar else None) for spec in specs)
