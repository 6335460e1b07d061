"""How a command ends: its exit code, and the one line that says why it failed."""

import errno
import os
import platform
import sys
import tempfile
import traceback
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import typer

from ..errors import GrammaskError
from .signals import Stopped

MISTAKE: Final[int] = 2
_FAULT: Final[int] = 1
_INTERRUPTED: Final[int] = 130
_PIPE_CLOSED: Final[int] = 141  # as if SIGPIPE had ended it
_PACKAGES: Final[tuple[str, ...]] = ("grammask", "torch", "transformers", "spacy", "numpy", "typer", "rich")


def ending(error: BaseException) -> tuple[int, str]:
    """Return the exit code for what ended a command, and what to say; nothing where nobody needs to be told."""
    if isinstance(error, Stopped):
        return error.code, _with_notes(error)
    if isinstance(interrupt := _cause(error), KeyboardInterrupt):
        return _INTERRUPTED, _with_notes(interrupt)
    if _is_closed_pipe(error):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains about what is left in it
        return _PIPE_CLOSED, ""
    if isinstance(error, SystemExit):
        return MISTAKE, ""  # of the parser of options, which has said what is wrong
    if hasattr(error, "format_message"):  # the parser's own errors, whose class typer keeps to itself
        return MISTAKE, _usage(error)
    if isinstance(error, ModuleNotFoundError):
        return MISTAKE, f"this command needs {error.name}, which isn't installed: pip install 'grammask[all]'"
    if isinstance(error, (GrammaskError, OSError)):
        return MISTAKE, str(error)
    return _FAULT, _unexpected(error)


def _usage(error: Any) -> str:
    """Say in one line what is wrong with the options, and where they are described."""
    said: str = error.format_message().strip()
    context = getattr(error, "ctx", None)
    if not said:  # the help was shown
        return ""
    return said.rstrip(".") + (f"; see {context.command_path} --help" if context is not None else "")


def _cause(error: BaseException) -> BaseException:
    """Return what typer made an exit of, when it was interrupted."""
    while isinstance(error, SystemExit | typer.Exit) and error.__context__ is not None:
        error = error.__context__
    return error


def _with_notes(error: BaseException) -> str:
    parts = (str(error) or "interrupted", *getattr(error, "__notes__", ()))
    return "; ".join(part for part in parts if part)


def _is_closed_pipe(error: BaseException) -> bool:
    """Tell whether the reader of our output went away; rich and typer make an exit of it."""
    cause = _cause(error)
    return isinstance(cause, OSError) and cause.errno == errno.EPIPE


def _unexpected(error: BaseException) -> str:
    """Write the traceback to a file that only the user can read, and say where it is."""
    first = traceback.format_exception_only(error)[-1].strip().splitlines()[0]
    try:
        handle, path = tempfile.mkstemp(prefix="grammask-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("\n".join([*_circumstances(), "", *traceback.format_exception(error)]))
    except OSError as reason:
        return f"unexpected {first}; its traceback could not be written: {reason}"
    return f"unexpected {first}; this is a fault of grammask: please report it with its traceback, {path}"


def _circumstances() -> list[str]:
    return [
        f"command: {sys.argv!r}",
        f"python {platform.python_version()} on {platform.platform()}",
        *(f"{name} {_version(name)}" for name in _PACKAGES),
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "isn't installed"
