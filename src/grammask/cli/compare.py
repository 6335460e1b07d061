"""`grammask compare`: fine-tune, evaluate and compare under full attention and under grammars."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ..errors import ExperimentError
from ..experiment.config import Config
from .compare_report import report, report_grid_file
from .compare_run import run_comparison, run_grid_file
from .options import DEFAULTS, Figures, Sentences, Tagger, joined, refuse_others, setting, split, whole_numbers
from .outputs import check_folder

# With 6,000 texts MiniLM is a good model, and four runs take minutes: six on two cores with AVX-512.
_BUILT_IN_TRAIN_SIZE: Final[int] = 6000
_GRAMMARS: Final[list[str]] = list(DEFAULTS.grammars)
_FOUND: Final[str] = "found by its name"
_WITH_GRID: Final[tuple[str, ...]] = ("grid", "out", "resume", "keep_models", "report_only")
_WITH_REPORT: Final[tuple[str, ...]] = ("paths", "out", "figures", "force", "report_only")


def compare_command(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="With --report-only: folders of finished comparisons, or the grid.json of a page.", metavar="PATH"
        ),
    ] = None,
    task: Annotated[str, setting(Config, "task")] = DEFAULTS.task,
    text_column: Annotated[str | None, setting(Config, "text_column", default=_FOUND)] = DEFAULTS.text_column,
    pair_column: Annotated[str | None, setting(Config, "pair_column", default=_FOUND)] = DEFAULTS.pair_column,
    label_column: Annotated[str | None, setting(Config, "label_column", default=_FOUND)] = DEFAULTS.label_column,
    header: Annotated[bool, setting(Config, "header")] = DEFAULTS.header,
    model: Annotated[str, setting(Config, "model")] = DEFAULTS.model,
    tagger: Tagger = DEFAULTS.tagger,
    sentences: Sentences = DEFAULTS.sentences,
    grammar: Annotated[list[str], setting(Config, "grammars", several="by repeating the option")] = _GRAMMARS,
    strategies: Annotated[str, setting(Config, "strategies")] = joined(DEFAULTS.strategies),
    controls: Annotated[str, setting(Config, "controls", default="none")] = joined(DEFAULTS.controls),
    adapt: Annotated[str, setting(Config, "adaptations", default="none")] = joined(DEFAULTS.adaptations),
    attention: Annotated[str, setting(Config, "attention")] = DEFAULTS.attention,
    seeds: Annotated[str, setting(Config, "seeds")] = joined(DEFAULTS.seeds),
    train_size: Annotated[
        int | None, setting(Config, "train_size", default=f"{_BUILT_IN_TRAIN_SIZE} of {DEFAULTS.task}, else all")
    ] = DEFAULTS.train_size,
    eval_size: Annotated[int | None, setting(Config, "eval_size", default="all")] = DEFAULTS.eval_size,
    everything: Annotated[bool, typer.Option("--all", help="Use all training and evaluation texts.")] = False,
    epochs: Annotated[float, setting(Config, "epochs")] = DEFAULTS.epochs,
    batch_size: Annotated[int, setting(Config, "batch_size")] = DEFAULTS.batch_size,
    learning_rate: Annotated[float, setting(Config, "learning_rate")] = DEFAULTS.learning_rate,
    warmup: Annotated[float, setting(Config, "warmup")] = DEFAULTS.warmup,
    positions: Annotated[int | None, setting(Config, "positions", default="those of the model")] = DEFAULTS.positions,
    position_method: Annotated[str, setting(Config, "position_method")] = DEFAULTS.position_method,
    # None, for a length that was asked for is never cut to what the model reads, and the default is.
    max_length: Annotated[
        int | None,
        setting(Config, "max_length", default=f"--positions; else {DEFAULTS.max_length}, or all that the model reads"),
    ] = None,
    group_by_length: Annotated[bool, setting(Config, "group_by_length")] = DEFAULTS.group_by_length,
    precision: Annotated[str, setting(Config, "precision")] = DEFAULTS.precision,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.", show_default="runs/<time>")] = None,
    metric: Annotated[str, setting(Config, "metric")] = DEFAULTS.metric,
    margin: Annotated[float, setting(Config, "margin")] = DEFAULTS.margin,
    grid: Annotated[
        Path | None,
        typer.Option(help="A TOML file with tasks, rows and settings, instead of those here; see results/README.md."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the comparison in --out.")] = False,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Save the trained models in --out, for grammask explain.")
    ] = False,
    figures: Figures = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite figures in --figures.")] = False,
    report_only: Annotated[
        bool,
        typer.Option(
            "--report-only",
            help="Run nothing: rebuild the results and the report of PATH, or of --out, from its finished runs. With "
            "several PATHs, or PATH and --out, write one page of them into --out.",
        ),
    ] = False,
) -> None:
    """Fine-tune and evaluate one model for each run, and compare accuracy and cost."""
    if out is not None:
        check_folder(out, "--out")
    if figures is not None:
        check_folder(figures, "--figures", empty=not force)
    if grid is not None:
        refuse_others(context, _WITH_GRID, "--grid exclude each other; the grid file names tasks and settings")
        if report_only:
            report_grid_file(grid, out)
        else:
            run_grid_file(grid, out, resume=resume, keep_models=keep_models)
        return
    if report_only:
        refuse_others(context, _WITH_REPORT, "--report-only exclude each other; finished runs stay as they are")
        report(paths or [], out, figures)
        return
    if paths:
        raise ExperimentError(f"{paths[0]} is for --report-only; name a task with --task")
    if everything and (train_size is not None or eval_size is not None):
        raise ExperimentError("--all and a size exclude each other; leave one out")
    if train_size is None and task == DEFAULTS.task and not everything:
        train_size = _BUILT_IN_TRAIN_SIZE
    settings: dict[str, Any] = {
        "task": task, "text_column": text_column, "pair_column": pair_column, "label_column": label_column,
        "header": header, "model": model, "tagger": tagger, "sentences": sentences, "grammars": tuple(grammar),
        "strategies": split(strategies), "controls": split(controls), "adaptations": split(adapt),
        "attention": attention,
        "seeds": whole_numbers(seeds, option="--seeds", example="0,1,2"),
        "train_size": train_size, "eval_size": eval_size, "epochs": epochs, "batch_size": batch_size,
        "learning_rate": learning_rate, "warmup": warmup, "positions": positions, "position_method": position_method,
        "group_by_length": group_by_length, "precision": precision, "metric": metric, "margin": margin,
        **({} if max_length is None else {"max_length": max_length}),
    }  # fmt: skip
    run_comparison(settings, out, resume=resume, keep_models=keep_models, figures=figures)
