"""The schema of the record of a grid, from which alone its page is written."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from .records import (
    Bounds,
    Correlation,
    Count,
    Difference,
    ReportedSettings,
    RowSchema,
    Schema,
    Sha256,
    Share,
    read_checked,
)

_REMEDY: Final[str] = "name the grid.json of a page, or the folders of finished comparisons"
_Seeds = Annotated[list[Count], Field(min_length=1)]


class _Row(RowSchema):
    seeds: _Seeds
    accuracy: Share
    accuracy_interval: Bounds
    matthews: Correlation
    difference: Difference | None
    difference_interval: Bounds | None
    p_value: Share | None
    p_holm: Share | None
    p_inferior: Share | None
    density: Share
    word_density: Share

    @model_validator(mode="after")
    def _has_all_or_none(self) -> "_Row":
        compared = (self.difference, self.difference_interval, self.p_value, self.p_holm, self.p_inferior)
        if len({value is None for value in compared}) > 1:
            raise ValueError("a row has a difference, its interval and its p-values, or none of them")
        return self


class _Environment(Schema):
    precision: str


class _Task(ReportedSettings):
    name: str
    train_rows: Count
    dev_rows: Count
    sha256: Sha256
    model_sha256: Sha256
    environments: Annotated[list[_Environment], Field(min_length=1)]
    rows: Annotated[list[_Row], Field(min_length=1)]


class _Mean(RowSchema):
    against: RowSchema
    tasks: Annotated[list[str], Field(min_length=1)]
    seeds: Count
    difference: Difference
    interval: Bounds


class Grid(Schema):
    """Comparisons of several tasks side by side; see `grid_summary.summarise_grid`."""

    format: Literal[1]
    tasks: Annotated[list[_Task], Field(min_length=1)]
    means: list[_Mean]
    against_controls: list[_Mean]
    against_others: list[_Mean]

    @model_validator(mode="after")
    def _means_are_of_rows(self) -> "Grid":
        there = {(task.name, row.row_key) for task in self.tasks for row in task.rows}
        for mean in (*self.means, *self.against_controls, *self.against_others):
            if missing := [name for name in mean.tasks if (name, mean.row_key) not in there]:
                raise ValueError(f"a mean is of {str(mean.row_key)!r} on {missing[0]!r}, but there is no such row")
        return self


def read_grid_record(path: Path) -> dict[str, Any]:
    """Read the record of a grid; raises `ExperimentError` for a damaged one."""
    return read_checked(path, Grid, remedy=_REMEDY)
