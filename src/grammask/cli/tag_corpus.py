"""`grammask tag --corpus`: the tags or annotations of a corpus, part by part, on Ray."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ExperimentError
from ..printing import quoted
from .console import PlainConsole
from .outputs import check_folder
from .signals import advising

if TYPE_CHECKING:
    from ..data.corpus.annotate_corpus import Summary
    from ..data.corpus.text_batches import TextBatches

AnnotateAs = Literal["tags", "annotation"]


def make_tagger(kind: str, column: str, tagger: str, sentences: Any, model: str | None) -> "TextBatches":
    """Return what tags batches, or annotates them with the tokenizer of a model; raises `GrammaskError`."""
    if kind not in ("tags", "annotation"):
        raise ExperimentError(f"--as must be tags or annotation, but is {quoted(kind)}")
    if (model is None) != (kind == "tags"):
        raise ExperimentError("--as annotation and --model belong together: the tokens are those of a model")
    from ..data.corpus.batch_tagger import BatchTagger
    from ..model.named_models import find_model, load_tokenizer
    from ..tagging.annotate import Annotator

    if model is None:
        return BatchTagger(tagger, column=column, sentences=sentences)
    tokenizer = load_tokenizer(find_model(model))
    return BatchTagger(Annotator(tokenizer, tagger, sentences=sentences, cache=False), column=column)


def run_corpus(
    make: Any, corpus: Path, out: Path, *, keep: tuple[str, ...], part_rows: int, address: str | None,
    workers: int | None,
) -> None:  # fmt: skip
    """Make what `make` returns of a corpus with progress on the terminal, and say what came of it."""
    check_folder(out, "--out")
    console = PlainConsole()
    with console.loading():
        _require_ray()
        from ..data.corpus.annotate_corpus import annotate_corpus
        from ..data.corpus.ray_run import RayRun

    with advising(lambda: "finished parts are kept, go on with the same command"):
        summary = annotate_corpus(
            corpus, out, make(), run=RayRun(address, workers, console.say), progress=console.progress, say=console.say,
            keep=keep, part_rows=part_rows,
        )  # fmt: skip
    _conclude(console, summary, out)


def _require_ray() -> None:
    """Raise `ExperimentError` where Ray is missing."""
    try:
        import ray.data  # noqa: F401 - takes seconds to import: only where it is used
    except ImportError as error:
        raise ExperimentError("a corpus needs Ray, which is missing: pip install 'grammask[scale]'") from error


def _conclude(console: PlainConsole, summary: "Summary", out: Path) -> None:
    from ..data.corpus.write_part import BAD_ROWS

    console.say(f"{summary.rows:,} rows in {out}")
    if summary.bad:
        console.say(f"{summary.bad:,} bad rows, with the reasons in {out / BAD_ROWS}")
    if summary.failed:
        raise ExperimentError(
            f"{len(summary.failed):,} of {summary.parts:,} parts could not be made, the others are kept; the first: "
            f"{summary.failed[0]}; call again to go on"
        )
