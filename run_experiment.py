"""The paper's experiment, under the command that its readers know: a thin door to `grammask compare`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from grammask.cli import run_command
from grammask.cli.compare_report import require_out
from grammask.cli.compare_run import run_comparisons
from grammask.cli.console import PlainConsole
from grammask.cli.options import whole_numbers

# Accuracy on SST-2 by the paper's table; by its released code, only full attention has pretrained weights.
_PAPER: Final[dict[str, float]] = {"full": 0.8200, "hard": 0.8200, "soft": 0.8165}
_ATTENTION: Final[tuple[str, ...]] = ("as-paper", "kept")


def paper(
    task: Annotated[str, typer.Option(help="A Hub dataset, or a local file or folder.")] = "stanfordnlp/sst2",
    model: Annotated[str, typer.Option(help="A Hub model, or a local folder.")] = "prajjwal1/bert-tiny",
    out: Annotated[Path | None, typer.Option(help="Folder for the results  [default: runs/<time>]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the comparisons in --out.")] = False,
    train_size: Annotated[int | None, typer.Option(help="Training texts  [default: all]")] = None,
    epochs: Annotated[float, typer.Option(help="The paper trains for 3.")] = 3.0,
    seeds: Annotated[str, typer.Option(help="Seeds of the runs, with commas.")] = "0",
) -> None:
    """Run the paper's protocol: SST-2, 3 epochs, batch 8, learning rate 2e-5, length 128, bert-tiny.

    It runs twice: with query, key and value weights that begin anew in hard and soft attention only, as the paper's
    released code has it, and with the model's own weights kept in all runs.
    """
    if resume:
        require_out(out, "--resume", "comparisons")
    console = PlainConsole()
    with console.loading():
        from grammask.experiment.config import make_config

    settings = {
        "task": task, "model": model, "grammars": ("paper",), "train_size": train_size, "epochs": epochs,
        "batch_size": 8, "learning_rate": 2e-5, "max_length": 128,
        "seeds": whole_numbers(seeds, option="--seeds", example="0,1,2"),
    }  # fmt: skip
    comparisons = [(attention, make_config(attention=attention, **settings)) for attention in _ATTENTION]
    summary = run_comparisons(console, comparisons, out, resume=resume)
    if summary is not None:
        console.print(_table(summary))


def _table(summary: Mapping[str, Any]) -> Table:
    """Return the accuracies of the paper's table, and ours with their intervals beside them."""
    table = Table(box=None, padding=(0, 2, 0, 0), caption="Accuracy, with 95 % intervals over the texts.")
    for column in ("", "the paper", *(task["name"] for task in summary["tasks"])):
        table.add_column(column, no_wrap=True)
    for strategy, accuracy in _PAPER.items():
        ours = [row for task in summary["tasks"] for row in task["rows"] if row["strategy"] == strategy]
        table.add_row(strategy, f"{accuracy:.4f}", *map(_figure, ours))
    return table


def _figure(row: Mapping[str, Any]) -> str:
    low, high = row["accuracy_interval"]
    return f"{row['accuracy']:.4f} [{low:.4f}, {high:.4f}]"


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(paper)
    run_command(lambda: app)
