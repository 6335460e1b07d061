"""A corpus becomes a folder of annotated parts; what is there already from an earlier call is kept."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import ExperimentError
from ...files.lock import is_unused, locked
from ...files.write import TEMPORARY
from ...printing import quoted
from .corpus_parts import Part, find_files, find_parts
from .manifest import MANIFEST, begin, write_manifest
from .text_batches import PROBLEM, TextBatches
from .write_part import Done, PartWriter, find_done

ROW = "row"


class Run(Protocol):
    """What runs a writer on parts, in any order and number of processes."""

    def __call__(self, write: PartWriter, parts: Sequence[Part]) -> Iterator[Done]:
        """Return what came of each part as it is done."""


class Progress(Protocol):
    """What shows how far an iteration is."""

    def __call__(self, waiting: Iterable[Done], description: str, length: int | None = None) -> Iterable[Done]:
        """Return what is waiting."""


@dataclass(frozen=True)
class Summary:
    """What came of a corpus: parts, those that were there before, rows, bad rows, and why parts failed."""

    parts: int
    before: int
    rows: int
    bad: int
    failed: tuple[str, ...]


def annotate_corpus(
    corpus: Path,
    out: Path,
    make: TextBatches,
    *,
    run: Run,
    progress: Progress,
    say: Callable[[str], None],
    keep: tuple[str, ...] = (),
    part_rows: int = 5000,
) -> Summary:
    """Annotate what is missing of a corpus in the folder `out`; raises `InputError` and `ExperimentError`.

    Each part is written whole, so a process that is killed, wherever it is, loses the parts that it was at and no more.
    """
    corpus, out = corpus.absolute(), out.absolute()
    _check_places(corpus, out)
    _check_columns(make, keep)
    files = find_files(corpus)
    settings = {
        "files": {name: file.stat().st_size for name, file in files.items()},
        "column": make.column, "keep": list(keep), "part_rows": part_rows, **make.settings,
    }  # fmt: skip
    wanted = (make.column, *keep)
    parts = [part for name, file in files.items() for part in find_parts(name, file, part_rows, wanted)]
    with locked(out):
        begin(out, settings)
        _sweep(out)
        done = {part.name: found for part in parts if (found := find_done(out, part.name)) is not None}
        before = len(done)
        say(f"{len(parts):,} parts of {len(files):,} files" + (f", {before:,} finished before" if before else ""))
        missing = [part for part in parts if part.name not in done]
        if missing:
            running = run(PartWriter(make, str(out), keep), missing)
            done.update((found.name, found) for found in progress(running, "parts", len(missing)))
        summary = _summarise(done.values(), before)
        if not summary.failed:
            write_manifest(out, settings, {"parts": summary.parts, "rows": summary.rows, "bad_rows": summary.bad})
    return summary


def _summarise(done: Iterable[Done], before: int) -> Summary:
    found = list(done)
    failed = tuple(part.failed for part in found if part.failed)
    return Summary(len(found), before, sum(part.rows for part in found), sum(part.bad for part in found), failed)


def _check_places(corpus: Path, out: Path) -> None:
    """Raise `ExperimentError` where what is written would be read as the corpus, or the folder is somebody else's."""
    if out.resolve() == corpus.resolve() or corpus.resolve() in out.resolve().parents:
        raise ExperimentError(f"--out {out} lies in the corpus; name a folder outside of it")
    if out.is_dir() and not (out / MANIFEST).is_file() and not is_unused(out):
        raise ExperimentError(f"--out {out} isn't empty and was not made by this command; name another folder")


def _check_columns(make: TextBatches, keep: tuple[str, ...]) -> None:
    taken = {ROW, PROBLEM, make.column, *make.columns}
    for number, name in enumerate(keep):
        if name in taken or name in keep[:number]:
            raise ExperimentError(f"--keep names {quoted(name)}, a column that is written anyway; leave it out")
    if make.column == ROW:
        raise ExperimentError(f"--column {quoted(ROW)} would be written over by the numbers of rows; rename it")


def _sweep(out: Path) -> None:
    """Remove what killed processes left half written."""
    for left in out.rglob(TEMPORARY):
        with suppress(OSError):
            left.unlink()
