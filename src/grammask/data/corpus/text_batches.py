"""What is made of batches of texts, wherever they run: in `datasets.map`, in Spark, or in the parts of a corpus."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isnan
from typing import Any, Final

from ...errors import GrammaskError, InputError
from ...printing import printable, quoted
from ...tagging.texts import check_texts

PROBLEM: Final[str] = "problem"
_TRIED: Final[str] = "Dogs bark."


class Unreadable:
    """Stands where a value should be that could not be read, and says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class TextBatches(ABC):
    """A function of batches of rows that adds columns, among them `problem`: why a row has no answer, else "".

    A row without an answer has empty lists and strings. What is wrong with all texts, as a missing tagger, is raised.
    """

    def __init__(self, column: str) -> None:
        if not isinstance(column, str) or not column:
            raise InputError(f"column must be the name of the column with the texts, but is {quoted(column)}")
        if column in self.columns or column == PROBLEM:
            raise InputError(f"the column {quoted(column)} would be written over; rename it")
        self.column = column
        self._tried = False

    @property
    @abstractmethod
    def columns(self) -> dict[str, str]:
        """The columns that are added, but for `problem`, and their types as Spark spells them."""

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All that the answers depend on besides the texts."""

    @abstractmethod
    def _answer(self, texts: list[str]) -> list[tuple[Any, ...]]:
        """Return the values of `columns` for each text; raises `GrammaskError` where one has none."""

    @property
    def spark_schema(self) -> str:
        """The added columns as Spark's `mapInPandas` wants them behind those of the rows."""
        return ", ".join(f"{name} {kind}" for name, kind in {**self.columns, PROBLEM: "string"}.items())

    def __getstate__(self) -> dict[str, Any]:
        """Return what makes the function, and nothing of what it has done: its hash stays the same."""
        return {**vars(self), "_tried": False}

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Return the added columns of a batch, a mapping from columns to lists as `datasets.map(batched=True)` has it.

        Args:
            batch: The columns of the batch.

        Returns:
            The added columns.

        Raises:
            InputError: Where the batch lacks the column.
            GrammaskError: For what is wrong with all texts, such as a tagger that is missing.
        """
        if self.column not in batch:
            raise InputError(f"there is no column {quoted(self.column)}, but {', '.join(map(quoted, batch))}")
        return self.add_columns(batch[self.column])

    def in_pandas(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Return pandas frames with the added columns, as Spark's `mapInPandas` hands them over and takes them.

        Args:
            frames: The frames.

        Yields:
            Each frame with the added columns.

        Raises:
            InputError: As calling does.
            GrammaskError: As calling does.
        """
        import pandas as pd

        for frame in frames:
            added = self({name: frame[name].tolist() for name in frame.columns if name == self.column})
            new = {name: pd.Series(values, index=frame.index, dtype=object) for name, values in added.items()}
            yield frame.assign(**new)

    def add_columns(self, values: Iterable[Any]) -> dict[str, list[Any]]:
        """Return the added columns for the values of the column of texts; raises as calling does."""
        if not self._tried:  # a tagger that cannot run at all is no problem of a row
            self._answer([_TRIED])
            self._tried = True
        problems = [_problem_of(value) for value in values]
        texts = [value for value, problem in zip(values, problems, strict=True) if not problem]
        answers = iter(self._answers(texts))
        nothing: tuple[Any, ...] = tuple("" if kind == "string" else [] for kind in self.columns.values())
        rows: list[tuple[Any, ...]] = []
        for number, problem in enumerate(problems):
            found = problem or next(answers)
            problems[number] = found if isinstance(found, str) else ""
            rows.append(nothing if isinstance(found, str) else found)
        added = {name: [row[place] for row in rows] for place, name in enumerate(self.columns)}
        return {**added, PROBLEM: problems}

    def _answers(self, texts: list[str]) -> Sequence[tuple[Any, ...] | str]:
        """Return the answer for each text, or why there is none. Halves find what is wrong in a few calls."""
        if not texts:
            return []
        try:
            return self._answer(texts)
        except GrammaskError as error:
            if len(texts) == 1:
                return [printable(str(error))]
        half = len(texts) // 2
        return [*self._answers(texts[:half]), *self._answers(texts[half:])]


def _problem_of(value: Any) -> str:
    """Say why a value is no text, "" for a text."""
    if isinstance(value, Unreadable):
        return value.reason
    if value is None or (isinstance(value, float) and isnan(value)):
        return "there is no text"
    if not isinstance(value, str):
        return f"the text is no string but {quoted(value)} ({type(value).__name__})"
    if not value.strip():
        return "the text is blank"
    try:
        check_texts(value)
    except InputError as error:
        return str(error)
    return ""
