"""The schemas of records and results; files that were cut, changed, moved or copied are errors."""

import math
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import ExperimentError
from ..files.names import check_file_name
from ..files.read import parse_json_object, read_bytes
from ..grammar.rules import Strategy
from ..model.position_methods import PositionMethod
from .adaptations import Adaptation, Attention, Weights
from .controls.registry import find_control
from .plan_runs import RowKey, RunSpec, row_key_of

Share = Annotated[float, Field(ge=0, le=1)]
Correlation = Annotated[float, Field(ge=-1, le=1)]
# Far above every count of bytes, texts or seconds, and far below what overflows in a sum or on a page.
_MOST: Final[int] = 10**15
Amount = Annotated[float, Field(ge=0, le=_MOST)]
Count = Annotated[int, Field(ge=0, le=_MOST)]
Difference = Annotated[float, Field(ge=-2, le=2)]  # of accuracies or of Matthews' correlations
Bounds = Annotated[list[Difference], Field(min_length=2, max_length=2)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Labels = Annotated[str, Field(pattern=r"^\d{1,6}( \d{1,6})*$")]
_DAMAGED: Final[str] = "it is damaged: delete it, and its run is done again"


class Schema(BaseModel):
    """Checks what was read from JSON: types must match exactly, numbers are finite, and other keys are allowed."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class RowSchema(Schema):
    """The fields that name a row of a comparison."""

    grammar: str | None
    strategy: Strategy
    control: str | None
    adaptation: Adaptation | None
    attention: Weights | None = None

    @property
    def row_key(self) -> RowKey:
        """What tells the rows of a comparison apart."""
        return row_key_of(vars(self))

    @model_validator(mode="after")
    def _is_a_row(self) -> "RowSchema":
        try:
            if self.grammar is not None:
                check_file_name(self.grammar, what="grammar", error=ExperimentError)
            if self.control is not None:
                find_control(self.control)
        except ExperimentError as error:
            raise ValueError(str(error)) from error
        if (self.grammar is None) != (self.strategy == "full"):
            raise ValueError("full attention, and nothing else, has no grammar")
        return self


class _Seconds(Schema):
    tagging: Amount
    planning: Amount
    training: Amount
    evaluation: Amount


class RunRecord(RowSchema):
    """One finished run."""

    id: str
    seed: Count
    accuracy: Share
    accuracy_interval: Bounds
    f1: Share
    matthews: Correlation
    density: Share
    word_density: Share
    attention_flops_relative: Amount
    model_flops_relative: Amount
    seconds: _Seconds
    peak_memory_bytes: Count
    training_loss: Annotated[float, Field(ge=-_MOST, le=_MOST)]
    finished_at: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")]
    environment: dict[str, Any]
    grammar_sha256: Sha256 | None
    predictions: _Labels

    @model_validator(mode="after")
    def _is_itself(self) -> "RunRecord":
        choices = self.model_dump(include=set(RunSpec.model_fields))
        if (own := RunSpec(**choices).id) != self.id:
            raise ValueError(f"its id is {self.id!r}, but its fields are those of {own!r}")
        return self


class _Task(Schema):
    name: str
    labels: Annotated[list[str], Field(min_length=2)]
    note: str
    train_rows: Count
    train_available: Count
    dev_rows: Count
    dev_available: Count
    sha256: Sha256


class _Model(Schema):
    name: str
    model_type: str
    layers: Count
    sha256: Sha256


class ReportedSettings(Schema):
    """The settings of a comparison that pages show."""

    task: str
    model: str
    tagger: str
    train_size: int | None
    epochs: Amount
    batch_size: Count
    learning_rate: Amount
    warmup: Share = 0.0
    max_length: Count
    positions: Count | None = None
    position_method: PositionMethod = "tile"
    group_by_length: bool = False
    attention: Attention = "kept"
    metric: Literal["accuracy", "matthews"]
    margin: Share


class Facts(Schema):
    """What results.json holds besides its runs; the first ones have no `planned`."""

    format: Literal[1]
    config: ReportedSettings
    task: _Task
    model: _Model
    tagger: dict[str, Any]
    environment: dict[str, Any]
    answers: _Labels
    planned_runs: Count
    planned: list[str] | None = None


def read_json(path: Path, *, remedy: str = _DAMAGED) -> dict[str, Any]:
    """Read a JSON file of an experiment; raises `ExperimentError`, with a remedy, when it is damaged."""
    try:
        return parse_json_object(
            read_bytes(path, error=ExperimentError, named=False), origin=path, error=ExperimentError
        )
    except ExperimentError as error:
        raise ExperimentError(f"{error}; {remedy}") from error


def read_checked(path: Path, schema: type[BaseModel], *, remedy: str = _DAMAGED) -> dict[str, Any]:
    """Read a JSON file that must follow a schema; raises `ExperimentError` naming the first thing that doesn't."""
    data = read_json(path, remedy=remedy)
    try:
        schema.model_validate(data)
    except (ValidationError, RecursionError) as error:
        raise ExperimentError(f"{path}: {_first(error)}; {remedy}") from error
    return data


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a finished run; raises `ExperimentError` for one that is damaged or misnamed."""
    record = read_checked(path, RunRecord)
    if record["id"] != path.stem:
        raise ExperimentError(f"{path} is the record of {record['id']}, under another name; delete or rename it")
    return record


def check_answers(
    path: Path, predictions: tuple[int, ...], answers: tuple[int, ...], classes: int, accuracy: float
) -> None:
    """Raise `ExperimentError` for predictions that don't fit the answers, or not the accuracy of their record."""
    if len(predictions) != len(answers):
        raise ExperimentError(f"{path}: {len(predictions)} predictions for {len(answers)} texts; {_DAMAGED}")
    if max(predictions) >= classes:
        raise ExperimentError(f"{path}: it predicts label {max(predictions)} of {classes} classes; {_DAMAGED}")
    share = sum(map(int.__eq__, predictions, answers)) / len(answers)
    if not math.isclose(share, accuracy, abs_tol=1e-9):
        raise ExperimentError(f"{path}: its accuracy is {accuracy}, that of its predictions {share}; {_DAMAGED}")


def _first(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"]).removeprefix("Value error, ")
