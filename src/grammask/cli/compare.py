"""`grammask compare`: the main job."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ExperimentError
from ..experiment.adaptations import ADAPTATIONS
from ..experiment.controls.registry import CONTROLS
from .compare_run import report_comparison, run_comparison, run_grid_file
from .lists import split, whole_numbers
from .places import check_folder

# With 6,000 texts MiniLM is a good model, and four runs end within six minutes on two cores.
_BUILT_IN_TRAIN_SIZE = 6000
_BUILT_IN = "film-reviews"
_BESIDE_GRID = ("grid", "out", "resume", "keep_models", "report_only")


def compare_command(
    context: typer.Context,
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
        typer.Option(
            help=f"Controls of hard grammars, with commas: any of {', '.join(CONTROLS)}. NAME:controls limits them to "
            "a grammar; see docs/compare.md."
        ),
    ] = "",
    adapt: Annotated[
        str, typer.Option(help=f"Ways of training besides the plain one, with commas: any of {', '.join(ADAPTATIONS)}.")
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
    max_length: Annotated[
        int | None, typer.Option(help="Tokens after which a text is cut  [default: 128, or all that the model reads]")
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder for the results  [default: runs/<time>]")] = None,
    metric: Annotated[str, typer.Option(help="What differences are about: accuracy or matthews.")] = "accuracy",
    margin: Annotated[float, typer.Option(help="How much of it may be lost before a row is inferior.")] = 0.01,
    grid: Annotated[
        Path | None,
        typer.Option(help="A TOML file with tasks, rows and settings, in place of those here; see docs/compare.md."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the comparison in --out.")] = False,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Save the trained models in --out, for grammask explain.")
    ] = False,
    figures: Annotated[
        Path | None, typer.Option(help="A folder for every figure as SVG and PNG, and its numbers as CSV.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over figures in --figures.")] = False,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Run nothing: rebuild results and report of --out from finished runs.")
    ] = False,
) -> None:
    """Fine-tune and evaluate one model per strategy, and compare accuracy and cost."""
    if out is not None:
        check_folder(out, "--out")
    if figures is not None:
        check_folder(figures, "--figures", empty=not force)
    if grid is not None:
        _refuse_beside_grid(context)
        run_grid_file(grid, out, resume=resume, report_only=report_only, keep_models=keep_models)
        return
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
            "learning_rate": learning_rate, "precision": precision, "metric": metric, "margin": margin,
            **({} if max_length is None else {"max_length": max_length}),
        },
        out,
        resume=resume,
        keep_models=keep_models,
        figures=figures,
    )  # fmt: skip


def _refuse_beside_grid(context: typer.Context) -> None:
    """Raise for an option that stands in the grid file."""
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name not in _BESIDE_GRID and source is not None and source.name != "DEFAULT":
            raise ExperimentError(f"{parameter.opts[0]} and --grid exclude each other; the grid file says it")
