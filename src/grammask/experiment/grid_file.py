"""Grid files: the tasks, the rows and the settings of many comparisons in one TOML file."""

from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ExperimentError
from ..files.names import check_file_name
from ..files.read import parse_toml, read_text
from .config import CHOICES, Config, make_config
from .plan_runs import plan_runs

_OWN: Final[tuple[str, ...]] = ("results.md", "grid.json", "grid.svg")  # what a grid writes next to its tasks


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    settings: dict[str, Any] = {}
    tasks: dict[str, dict[str, Any]] = Field(min_length=1)
    rows: tuple[dict[str, Any], ...] = Field(min_length=1)


def read_grid_file(path: Path) -> list[tuple[str, Config]]:
    """Read a grid file and return its comparisons with the names of their tasks: the first rows of all tasks first.

    `[settings]` hold for all tasks, `[tasks.NAME]` for one, and each `[[rows]]` says what is run on all of them by
    `grammars`, `strategies`, `controls`, `adaptations` and `seeds`. Keys are those of `Config`. Everything is checked
    before anything is returned; raises `ExperimentError` and `GrammarError`.
    """
    try:
        text = read_text(path, error=ExperimentError)
        file = _File.model_validate(parse_toml(text, origin=f"--grid {path}", error=ExperimentError))
    except ValidationError as error:
        first = error.errors()[0]
        raise ExperimentError(f"--grid {path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    for name in file.tasks:
        check_file_name(name, what=f"--grid {path}: a task, which names a folder,", error=ExperimentError)
        if name.lower() in _OWN:
            raise ExperimentError(
                f"--grid {path}: task {name!r} has the name of a file that the grid writes; rename it"
            )
    comparisons = []
    for number, row in enumerate(file.rows, start=1):
        if wrong := sorted(row.keys() - set(CHOICES)):
            raise ExperimentError(
                f"--grid {path}: row {number} has {wrong[0]!r}; rows have {', '.join(CHOICES)} only; put "
                "other settings under [settings] or [tasks.NAME]"
            )
        for name, own in file.tasks.items():
            try:
                config = make_config(**{**file.settings, **own, **row})
            except ExperimentError as error:
                raise ExperimentError(f"--grid {path}: row {number}, task {name}: {error}") from error
            plan_runs(config)
            comparisons.append((name, config))
    return comparisons
