"""Training a masked language model with transformers' Trainer, from its last whole checkpoint on."""

import math
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments

from ...errors import ExperimentError
from ..watched_trainer import WatchedTrainer, training_arguments
from .config import PretrainConfig
from .masked_collator import MaskedCollator

CHECKPOINTS: Final[str] = "checkpoints"
_STATE: Final[str] = "trainer_state.json"  # the Trainer writes it last
_POINTS: Final[int] = 200  # of the loss curve, at most


@dataclass(frozen=True)
class TrainedMasked:
    """The loss curve, of steps and mean losses since the step before; the held-out loss; steps and seconds."""

    curve: tuple[tuple[int, float], ...]
    held_out_loss: float
    steps: int
    seconds: float


def train_masked(
    config: PretrainConfig, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, train: Dataset,
    held_out: Dataset, folder: Path, precision: str,
) -> TrainedMasked:  # fmt: skip
    """Train `model` in place, from the last checkpoint in `folder` where there is one.

    Raises `ExperimentError` where it diverges. `seconds` are those since that checkpoint.
    """
    trainer = WatchedTrainer(
        lambda what: _diverged(what, config.learning_rate),
        shows_bars=True,
        model=model,
        args=_arguments(config, len(train), folder / CHECKPOINTS, precision),
        train_dataset=train,
        data_collator=MaskedCollator(tokenizer, config.masked, config.seed),
    )
    with closing(trainer):
        done = trainer.train(resume_from_checkpoint=last_checkpoint(folder))
        loss = float(trainer.evaluate(held_out)["eval_loss"])
    if not math.isfinite(loss):
        raise _diverged("the loss on held-out texts is", config.learning_rate)
    curve = tuple((int(entry["step"]), float(entry["loss"])) for entry in trainer.state.log_history if "loss" in entry)
    return TrainedMasked(curve, loss, trainer.state.global_step, float(done.metrics["train_runtime"]))


def last_checkpoint(folder: Path) -> str | None:
    """Return the last whole checkpoint, None where there is none; what a kill left half written is removed."""
    whole: dict[int, Path] = {}
    for path in (folder / CHECKPOINTS).glob("checkpoint-*"):
        if (path / _STATE).is_file():
            whole[int(path.name.rpartition("-")[2])] = path
        else:
            shutil.rmtree(path)
    return str(whole[max(whole)]) if whole else None


def _diverged(what: str, learning_rate: float) -> ExperimentError:
    return ExperimentError(
        f"the pretraining diverged: {what} NaN or infinite; lower --learning-rate (it is {learning_rate:g}) with "
        "another --out, or take --precision float32"
    )


def _arguments(config: PretrainConfig, texts: int, checkpoints: Path, precision: str) -> TrainingArguments:
    steps = math.ceil(config.epochs * math.ceil(texts / config.batch_size))
    return training_arguments(
        str(checkpoints),
        precision=precision,
        seed=config.seed,
        group_by_length=config.group_by_length,
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        warmup_steps=steps // 20,
        prediction_loss_only=True,
        save_strategy="steps",
        save_steps=config.save_every,
        save_total_limit=1,
        logging_strategy="steps",
        logging_steps=max(1, steps // _POINTS),
    )
