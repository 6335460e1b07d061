"""One base class, few subclasses: catch `GrammaskError` to catch everything that grammask raises on purpose.

Every message says what was wrong, with which value, and what to do.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # only commands with settings need it
    from pydantic import ValidationError


class GrammaskError(Exception):
    """Base class of every error that grammask raises on purpose.

    Its subclasses are in `grammask.errors`: `GrammarError`, `TaggingError`, `AlignmentError`, `ModelError`,
    `InputError`, `TaskError`, `ExperimentError` and `ExplainError`. All but `ExperimentError` are `ValueError`s too.

    Example:
        >>> try:
        ...     grammask.load_grammar("papr")
        ... except grammask.GrammaskError as error:
        ...     print(error)
        no grammar 'papr': neither a shipped grammar (...) nor a file; did you mean 'paper'?
    """


class GrammarError(GrammaskError, ValueError):
    """A grammar, rule, tag, reach or strategy that cannot be used as it was written."""


class TaggingError(GrammaskError, ValueError):
    """A tagger that is missing or unusable, or texts that it cannot tag."""


class AlignmentError(GrammaskError, ValueError):
    """Words and subwords that cannot be laid over each other, or cover too little of each other."""


class ModelError(GrammaskError, ValueError):
    """A model that grammask cannot guide, or one that is used against its attachment."""


class InputError(GrammaskError, ValueError):
    """Tensors or texts of the wrong shape, dtype, range or kind."""


class TaskError(GrammaskError, ValueError):
    """Data that cannot be read as a classification task."""


class ExperimentError(GrammaskError, RuntimeError):
    """An experiment that cannot start, resume or be written."""


class ExplainError(GrammaskError, ValueError):
    """A question about a model that has no answer: an unknown rule or layer, or a text that cannot be explained."""


def setting_error(error: "ValidationError") -> ExperimentError:
    """Say in one line which setting is wrong, what its value is, and what it must be."""
    first = error.errors()[0]
    name = str(first["loc"][0]).replace("_", "-")
    message = first["msg"].removeprefix("Value error, ")
    return ExperimentError(f"setting {name!r} is {_shown(first['input'])}: {message}")


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python spells out no numbers of more than 4,300 digits
        return "a number of thousands of digits"
    return text if len(text) <= 200 else f"{text[:200]}..."
