"""`grammask pretrain`: masked language modelling on raw text, for models that compare trains on."""

import math
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ..experiment.pretraining.config import PretrainConfig
from .compare_report import require_out
from .console import PlainConsole
from .options import Sentences, Tagger, setting
from .outputs import check_folder
from .signals import advising

_DEFAULTS: Final[PretrainConfig] = PretrainConfig()
_WORSE_THAN_GUESSING: Final[float] = 20.0  # nats, in any vocabulary; a perplexity may be too large for a float


def pretrain_command(
    model: Annotated[str, setting(PretrainConfig, "model")] = _DEFAULTS.model,
    text: Annotated[str | None, setting(PretrainConfig, "text", metavar="PATH")] = None,
    task: Annotated[str | None, setting(PretrainConfig, "task")] = None,
    text_column: Annotated[str | None, setting(PretrainConfig, "text_column", default="found by its name")] = None,
    limit: Annotated[int | None, setting(PretrainConfig, "limit", default="all")] = None,
    vocabulary: Annotated[int | None, setting(PretrainConfig, "vocabulary", default="the model's own")] = None,
    grammar: Annotated[str | None, setting(PretrainConfig, "grammar", default="full attention")] = None,
    strategy: Annotated[str, setting(PretrainConfig, "strategy")] = _DEFAULTS.strategy,
    control: Annotated[str | None, setting(PretrainConfig, "control", default="none")] = None,
    tagger: Tagger = _DEFAULTS.tagger,
    sentences: Sentences = _DEFAULTS.sentences,
    masked: Annotated[float, setting(PretrainConfig, "masked")] = _DEFAULTS.masked,
    epochs: Annotated[float, setting(PretrainConfig, "epochs")] = _DEFAULTS.epochs,
    batch_size: Annotated[int, setting(PretrainConfig, "batch_size")] = _DEFAULTS.batch_size,
    learning_rate: Annotated[float, setting(PretrainConfig, "learning_rate")] = _DEFAULTS.learning_rate,
    max_length: Annotated[int, setting(PretrainConfig, "max_length")] = _DEFAULTS.max_length,
    group_by_length: Annotated[bool, setting(PretrainConfig, "group_by_length")] = _DEFAULTS.group_by_length,
    precision: Annotated[str, setting(PretrainConfig, "precision")] = _DEFAULTS.precision,
    seed: Annotated[int, setting(PretrainConfig, "seed")] = _DEFAULTS.seed,
    save_every: Annotated[int, setting(PretrainConfig, "save_every")] = _DEFAULTS.save_every,
    out: Annotated[Path | None, typer.Option(help="Folder for the model.", show_default="runs/<time>")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the pretraining in --out.")] = False,
) -> None:
    """Train a masked language model on raw text, under full attention or a grammar, to fine-tune it with compare."""
    if out is not None:
        check_folder(out, "--out")
    if resume:
        require_out(out, "--resume", "pretraining")
    console = PlainConsole()
    with console.loading():
        from ..experiment.pretraining.config import make_pretrain_config
        from ..experiment.pretraining.run_pretraining import pretrain
        from ..model.model_source import MODEL_FOLDER

    config = make_pretrain_config(
        model=model, text=text, task=task, text_column=text_column, limit=limit, vocabulary=vocabulary,
        grammar=grammar, strategy=strategy, control=control, tagger=tagger, sentences=sentences, masked=masked,
        epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, max_length=max_length,
        group_by_length=group_by_length, precision=precision, seed=seed, save_every=save_every,
    )  # fmt: skip
    folder = out or Path("runs") / datetime.now().strftime("pretrain-%Y-%m-%d-%H%M%S")
    with advising(lambda: _how_to_go_on(folder)):
        record = pretrain(config, folder, resume=resume, progress=console.progress, say=console.say)
    console.say(_result(record))
    console.say(f"grammask compare --model {folder / MODEL_FOLDER} trains on from it")


def _result(record: dict[str, Any]) -> str:
    loss = record["held_out_loss"]
    learned = f" (a perplexity of {math.exp(loss):.1f})" if loss < _WORSE_THAN_GUESSING else ""
    return (
        f"{record['steps']:,} steps; on {record['texts']['held_out']:,} held-out texts a masked token costs {loss:.3f} "
        f"nats{learned}"
    )


def _how_to_go_on(folder: Path) -> str:
    from ..experiment.folder import CONFIG

    begun = (folder / CONFIG).is_file()
    return f"go on with the same command and --resume --out {folder}" if begun else "nothing was begun"
