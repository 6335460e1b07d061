"""The folder of an experiment: it holds whole files only, of one experiment, and the records of finished runs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ..errors import ExperimentError
from ..files.lock import LOCK, is_unused, locked
from ..files.write import dump, write_whole
from ..grammar.file import load_grammar
from ..grammar.grammar import Grammar
from .config import ADDED
from .records import read_json, read_record

CONFIG: Final[str] = "config.json"
GRAMMARS: Final[str] = "grammars"
RESULTS: Final[str] = "results.json"
REPORT: Final[str] = "report.html"
KEPT: Final[str] = "finished runs are kept, continue with --resume"


class Folder:
    """One experiment on disk. Raises `ExperimentError` for a folder that holds anything else."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        self._resume = resume
        if path.exists() and not path.is_dir():
            raise ExperimentError(f"--out {path} is a file; name a folder")
        if resume and not (path / CONFIG).is_file():
            raise ExperimentError(f"--resume: {path} holds no experiment ({CONFIG} is missing)")
        if not resume:
            refuse_filled(path)

    def begin(self, identity: dict[str, Any]) -> None:
        """Write what the experiment is, or check that the experiment to resume is the same."""
        if self._resume:
            self.check(identity)
            return
        for left in self.path.glob(f"{GRAMMARS}/*.toml"):  # of an experiment that finished no run
            left.unlink()
        write_whole(self.path / CONFIG, dump(identity))

    def check(self, identity: dict[str, Any]) -> None:
        """Raise `ExperimentError` where the experiment on disk differs in one of the keys of `identity`."""
        before, now = {**ADDED, **read_json(self.path / CONFIG)}, json.loads(dump(identity))
        changed = [
            f"{key} was {_short(before.get(key))}, is {_short(now[key])}"
            for key in sorted(now)
            if key not in before or before[key] != now[key]
        ]
        if changed:
            raise ExperimentError(
                f"{self.path} holds another experiment ({'; '.join(changed)}); name another folder with --out"
            )

    def keep(self, grammar: Grammar) -> None:
        """Write a grammar, or check that the one on disk is the same."""
        path = self.path / GRAMMARS / f"{grammar.name}.toml"
        if not path.is_file():
            write_whole(path, grammar.to_toml())
        elif load_grammar(path) != grammar:
            raise _another(path)

    def finished(self, run_id: str, grammar_sha256: str | None) -> dict[str, Any] | None:
        """Return the record of a finished run, or None. A run is finished when its record is there: it is written last.

        Raises `ExperimentError` for one that was made with another grammar of the same name.
        """
        path = self.path / "runs" / f"{run_id}.json"
        if not path.is_file():
            return None
        record = read_record(path)
        if record["grammar_sha256"] != grammar_sha256:
            raise _another(path)
        return record

    def finish(self, run_id: str, record: dict[str, Any], predictions: str) -> None:
        """Write the predictions of a run, then the record that makes it finished."""
        write_whole(self.path / "predictions" / f"{run_id}.csv", predictions, kept=KEPT)
        write_whole(self.path / "runs" / f"{run_id}.json", dump(record), kept=KEPT)


@contextmanager
def open_folder(path: Path, *, resume: bool) -> Iterator[Folder]:
    """Open a folder and lock out other processes; raises `ExperimentError`, and then leaves the folder unchanged."""
    Folder(path, resume=resume)  # a folder that holds anything else isn't even locked
    with locked(path):
        yield Folder(path, resume=resume)  # again: another process may have filled it meanwhile


def refuse_filled(path: Path) -> None:
    """Raise `ExperimentError` for a folder that holds more than an experiment without a finished run."""
    if path.is_dir() and not _holds_no_run(path):
        raise ExperimentError(f"--out {path} isn't empty; continue it with --resume, or name another folder")


def _holds_no_run(path: Path) -> bool:
    """Tell whether a folder is unused, or all that an experiment wrote before its first run finished."""
    if is_unused(path):
        return True
    if {entry.name for entry in path.iterdir()} - {CONFIG, GRAMMARS, LOCK} or not (path / CONFIG).is_file():
        return False
    return not {"task_sha256", "texts_sha256"}.isdisjoint(read_json(path / CONFIG))


def _another(path: Path) -> ExperimentError:
    return ExperimentError(
        f"{path} belongs to another grammar of that name; rename the new grammar, or name another folder with --out"
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
