"""`grammask perplexity`: the loss of causal language models under grammars and controls of equal pairs."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ..errors import ExperimentError
from ..experiment.perplexity.config import PerplexityConfig
from .compare_report import require_out
from .console import PlainConsole
from .options import Figures, Tagger, joined, refuse_others, setting, split, whole_numbers
from .outputs import check_folder
from .signals import advising

_DEFAULTS: Final[PerplexityConfig] = PerplexityConfig()
_RECALL: Final[str | None] = PerplexityConfig.model_fields["recall"].description


_WITH_REPORT: Final[tuple[str, ...]] = ("path", "out", "figures", "force", "report_only")


def perplexity_command(
    context: typer.Context,
    path: Annotated[
        Path | None, typer.Argument(help="With --report-only: the folder of a run.", metavar="PATH")
    ] = None,
    model: Annotated[str, setting(PerplexityConfig, "model")] = _DEFAULTS.model,
    text: Annotated[
        str | None, setting(PerplexityConfig, "text", default="the built-in chronicles", metavar="PATH")
    ] = _DEFAULTS.text,
    limit: Annotated[int | None, setting(PerplexityConfig, "limit", default="all")] = _DEFAULTS.limit,
    length: Annotated[int, setting(PerplexityConfig, "length")] = _DEFAULTS.length,
    # None, for tokens that were asked for by name must leave something of the length.
    skip: Annotated[
        int | None, setting(PerplexityConfig, "skip", default=f"{_DEFAULTS.skip}, or half of a text")
    ] = None,
    near: Annotated[int, setting(PerplexityConfig, "near")] = _DEFAULTS.near,
    grammars: Annotated[str, setting(PerplexityConfig, "grammars")] = joined(_DEFAULTS.grammars),
    controls: Annotated[str, setting(PerplexityConfig, "controls")] = joined(_DEFAULTS.controls),
    recall: Annotated[bool, typer.Option("--recall", help=_RECALL)] = _DEFAULTS.recall,
    distances: Annotated[
        str, setting(PerplexityConfig, "distances", default="those of 500 to 3500 that --length has")
    ] = joined(_DEFAULTS.distances),
    peers: Annotated[str, setting(PerplexityConfig, "peers", default="none")] = joined(_DEFAULTS.peers),
    tagger: Tagger = _DEFAULTS.tagger,
    seed: Annotated[int, setting(PerplexityConfig, "seed")] = _DEFAULTS.seed,
    device: Annotated[str, setting(PerplexityConfig, "device")] = _DEFAULTS.device,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.", show_default="runs/<time>")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    figures: Figures = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite figures in --figures.")] = False,
    report_only: Annotated[
        bool,
        typer.Option(
            "--report-only",
            help="Run nothing: rebuild the results and the report of PATH, or of --out, from its finished rows.",
        ),
    ] = False,
) -> None:
    """Measure a causal language model's loss under grammars, by part of speech and distance, against controls."""
    if out is not None:
        check_folder(out, "--out")
    if figures is not None:
        check_folder(figures, "--figures", empty=not force)
    if report_only:
        refuse_others(context, _WITH_REPORT, "--report-only exclude each other; finished rows stay as they are")
        _report(path, out, figures)
        return
    if path is not None:
        raise ExperimentError(f"{path} is for --report-only; name texts with --text")
    if resume:
        require_out(out, "--resume", "run")
    console = PlainConsole()
    with console.loading():
        from ..experiment.perplexity.config import make_perplexity_config
        from ..experiment.perplexity.run_perplexity import run_perplexity

    config = make_perplexity_config(
        model=model, text=text, limit=limit, length=length, near=near, grammars=split(grammars),
        controls=split(controls), recall=recall, peers=split(peers), tagger=tagger, seed=seed, device=device,
        distances=whole_numbers(distances, option="--distances", example="500,1000"),
        **({} if skip is None else {"skip": skip}),
    )  # fmt: skip
    folder = out or Path("runs") / datetime.now().strftime("perplexity-%Y-%m-%d-%H%M%S")
    with advising(lambda: _how_to_go_on(folder)):
        results = run_perplexity(config, folder, resume=resume, progress=console.progress, say=console.say)
    _conclude(console, results, folder, figures)


def _report(path: Path | None, out: Path | None, figures: Path | None) -> None:
    """Write the results and the report of a folder anew from its records."""
    if path is not None and out is not None and out.resolve() != path.resolve():
        raise ExperimentError(f"{path} and --out {out} are two folders; name the one of the run")
    folder = path or require_out(out, "--report-only", "run")
    console = PlainConsole()
    with console.loading():
        from ..experiment.perplexity.loss_results import rebuild_perplexity

    _conclude(console, rebuild_perplexity(folder), folder, figures)


def _conclude(console: PlainConsole, results: dict[str, Any], folder: Path, figures: Path | None) -> None:
    """Print the tables and where everything is, and write the figures where they are asked for."""
    from ..experiment.folder import REPORT
    from ..experiment.perplexity.loss_results import RESULTS
    from ..report.perplexity_page import write_perplexity_figures
    from .perplexity_table import perplexity_table
    from .recall_table import recall_table

    if figures is not None:
        write_perplexity_figures(results, figures)
    console.print(perplexity_table(results))
    if "recall" in results:
        console.print(recall_table(results["recall"]))
    for path in (folder / REPORT, folder / RESULTS, *([figures] if figures else [])):
        console.say(str(path))


def _how_to_go_on(folder: Path) -> str:
    from ..experiment.folder import CONFIG

    begun = (folder / CONFIG).is_file()
    return f"go on with the same command and --resume --out {folder}" if begun else "nothing was begun"
