"""The paper's experiment, under the command that its readers know: a thin door to `grammask compare`."""

from pathlib import Path
from typing import Annotated

import typer

from grammask.cli import run_command
from grammask.cli.compare_run import run_comparison


def paper(
    task: Annotated[str, typer.Option(help="A Hub dataset, or a local file or folder.")] = "stanfordnlp/sst2",
    model: Annotated[str, typer.Option(help="A Hub model, or a local folder.")] = "prajjwal1/bert-tiny",
    out: Annotated[Path | None, typer.Option(help="Folder for the results  [default: runs/<time>]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the comparison in --out.")] = False,
    train_size: Annotated[int | None, typer.Option(help="Training texts  [default: all]")] = None,
    epochs: Annotated[float, typer.Option(help="The paper trains for 3.")] = 3.0,
) -> None:
    """Run the paper's protocol: SST-2, 3 epochs, batch 8, learning rate 2e-5, length 128, bert-tiny."""
    run_comparison(
        {
            "task": task, "model": model, "grammars": ("paper",), "train_size": train_size, "epochs": epochs,
            "batch_size": 8, "learning_rate": 2e-5, "max_length": 128,
        },
        out,
        resume=resume,
    )  # fmt: skip


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(paper)
    run_command(lambda: app)
