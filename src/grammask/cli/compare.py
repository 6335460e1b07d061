"""`grammask compare`: the main job."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ..errors import ExperimentError
from ..tagging.tagged import TaggedText
from .lists import split, whole_numbers
from .quiet import quieten

# With 6,000 texts MiniLM is a good model, and four runs end within six minutes on two cores.
_BUILT_IN_TRAIN_SIZE = 6000
_BUILT_IN = "film-reviews"


def compare_command(
    task: Annotated[
        str,
        typer.Option(help="film-reviews (built in), a file or folder (TSV, CSV, JSONL, Parquet), or a Hub dataset."),
    ] = _BUILT_IN,
    text_column: Annotated[
        str | None, typer.Option(help="Column of the text, where its name isn't a usual one.")
    ] = None,
    pair_column: Annotated[str | None, typer.Option(help="Column of the second text of sentence pairs.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    header: Annotated[bool, typer.Option(help="Whether files have a header; else columns are 0, 1, ...")] = True,
    model: Annotated[str, typer.Option(help="minilm (packaged), a local folder, or a Hub model.")] = "minilm",
    tagger: Annotated[str, typer.Option(help="A spaCy pipeline that gives UPOS tags.")] = "en_core_web_sm",
    sentences: Annotated[str, typer.Option(help="Where sentences come from: sentencizer or parser.")] = "sentencizer",
    grammar: Annotated[
        list[str] | None,
        typer.Option(
            help="Shipped name or file; NAME:hard or NAME:soft for one strategy only. Repeatable.  "
            "[default: paper, paper-sinks:hard]"
        ),
    ] = None,
    strategies: Annotated[str, typer.Option(help="Any of full,hard,soft, with commas.")] = "full,hard,soft",
    controls: Annotated[
        str,
        typer.Option(help="Controls of hard grammars, with commas; see docs/compare.md. NAME:controls limits them."),
    ] = "",
    adapt: Annotated[
        str, typer.Option(help="Ways of training beside the plain one: any of ramp,learn-layer,learn-head.")
    ] = "",
    seeds: Annotated[str, typer.Option(help="Seeds with commas.")] = "0",
    train_size: Annotated[
        int | None, typer.Option(help=f"Training texts  [default: {_BUILT_IN_TRAIN_SIZE} of film-reviews, else all]")
    ] = None,
    eval_size: Annotated[int | None, typer.Option(help="Evaluation texts  [default: all]")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Use all training and evaluation texts.")] = False,
    epochs: Annotated[float, typer.Option(help="Passes over the training texts.")] = 1.0,
    batch_size: Annotated[int, typer.Option(help="Texts in a batch.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Highest learning rate, falling linearly to 0.")] = 1e-4,
    max_length: Annotated[int, typer.Option(help="Tokens after which a text is cut.")] = 128,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder for the results  [default: runs/<time>]")] = None,
    metric: Annotated[str, typer.Option(help="What differences are about: accuracy or matthews.")] = "accuracy",
    margin: Annotated[float, typer.Option(help="How much of it may be lost before a row is inferior.")] = 0.01,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the comparison in --out.")] = False,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Save the trained models in --out, for grammask explain.")
    ] = False,
    figures: Annotated[
        Path | None, typer.Option(help="A folder for every figure as SVG and PNG, and its numbers as CSV.")
    ] = None,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Run nothing: rebuild results and report of --out from finished runs.")
    ] = False,
) -> None:
    """Fine-tune and evaluate one model per strategy, and compare accuracy and cost."""
    if report_only:
        report_comparison(out, figures)
        return
    if everything and (train_size is not None or eval_size is not None):
        raise ExperimentError("--all and a size exclude each other; leave one out")
    if train_size is None and task == _BUILT_IN and not everything:
        train_size = _BUILT_IN_TRAIN_SIZE
    run_comparison(
        {
            "task": task, "text_column": text_column, "pair_column": pair_column, "label_column": label_column,
            "header": header, "model": model, "tagger": tagger, "sentences": sentences,
            **({"grammars": tuple(grammar)} if grammar else {}),
            "strategies": split(strategies), "controls": split(controls), "adaptations": split(adapt),
            "seeds": whole_numbers(seeds, option="--seeds", example="0,1,2"),
            "train_size": train_size, "eval_size": eval_size, "epochs": epochs, "batch_size": batch_size,
            "learning_rate": learning_rate, "max_length": max_length, "precision": precision, "metric": metric,
            "margin": margin,
        },
        out,
        resume=resume,
        keep_models=keep_models,
        figures=figures,
    )  # fmt: skip


def run_comparison(
    settings: dict[str, Any],
    out: Path | None,
    *,
    resume: bool,
    keep_models: bool = False,
    figures: Path | None = None,
) -> None:
    """Run a comparison with progress on the terminal, print its table and say where everything is."""
    if resume and out is None:
        raise ExperimentError("--resume needs the folder to go on with: --out FOLDER")
    quieten()
    console = Console()
    with console.status("loading libraries"):
        from ..experiment.compare import compare
        from ..experiment.config import make_config

    config = make_config(**settings)
    folder = out or Path("runs") / datetime.now().strftime("%Y-%m-%d-%H%M%S")

    def progress(tagged: Iterable[TaggedText], description: str, length: int) -> Iterable[TaggedText]:
        return track(tagged, description, total=length, console=console)

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    try:
        results = compare(config, folder, resume=resume, progress=progress, say=say, keep_models=keep_models)
    except KeyboardInterrupt:
        raise ExperimentError(f"interrupted; go on with the same command and --resume --out {folder}") from None
    _conclude(console, results, folder, figures)


def report_comparison(out: Path | None, figures: Path | None) -> None:
    """Rebuild the results and the report of a folder from its finished runs."""
    if out is None:
        raise ExperimentError("--report-only needs the folder of a comparison: --out FOLDER")
    quieten()
    from ..experiment.finished import rebuild

    _conclude(Console(), rebuild(out), out, figures)


def _conclude(console: Console, results: dict[str, Any], folder: Path, figures: Path | None) -> None:
    """Print the table and where everything is, and write the figures where they are asked for."""
    from ..report.compare_page import write_compare_figures

    if figures is not None:
        write_compare_figures(results, figures)
    console.print(_table(results))
    written = [folder / name for name in ("report.html", "results.json", "predictions")]
    for path in [*written, *([figures] if figures else [])]:
        if path.exists():  # records may come without the predictions of earlier runs
            console.print(str(path), markup=False, highlight=False, soft_wrap=True)


def _table(results: dict[str, Any]) -> Table:
    """Return the summary as a table that fits 80 columns, intervals below their figures."""
    table = Table(
        box=None,
        padding=(0, 1, 0, 0),
        caption="Accuracy, density and FLOPs in %, differences in points, 95 % intervals below. FLOPs count allowed "
        "pairs only: short texts take the dense path, which computes every pair, so seconds need not fall with them.",
    )
    table.add_column("", no_wrap=True)
    for column in ("accuracy", "to full", "MCC", "density", "attn.\nFLOPs", "model\nFLOPs", "training\nseconds"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in results["summary"]:
        low, high = row["accuracy_interval"]
        difference = "-"
        if row["difference"] is not None:
            least, most = row["difference_interval"]
            difference = f"{100 * row['difference']:+.1f}\n{100 * least:+.1f}..{100 * most:+.1f}"
        table.add_row(
            f"{row['control'] or row['adaptation'] or row['strategy']}\n{row['grammar'] or ''}",
            f"{100 * row['accuracy']:.1f}\n{100 * low:.1f}..{100 * high:.1f}",
            difference,
            f"{row['matthews']:.3f}",
            f"{100 * row['density']:.1f}",
            f"{100 * row['attention_flops_relative']:.1f}",
            f"{100 * row['model_flops_relative']:.1f}",
            f"{row['training_seconds']:.0f}",
        )
    return table
