"""Training and evaluating the model of one run with transformers' Trainer."""

import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel, TrainingArguments, set_seed

from ..errors import ExperimentError
from ..model.projections import renew_projections
from ..tagging.collate import Collator
from ..tagging.padding import pads_right
from .adaptations import ADAPTATIONS
from .controls.apply import Controlled
from .load_model import load_model
from .plan_runs import RunSpec
from .processes import Processes
from .ramp import Ramp
from .setup import Setup
from .watched_trainer import WatchedTrainer, training_arguments


@dataclass(frozen=True)
class Trained:
    """What came of a training: the logits (texts, classes) of dev, the mean loss of the steps, and the seconds."""

    logits: NDArray[np.float64]
    training_loss: float
    training_seconds: float
    evaluation_seconds: float


def train_and_evaluate(
    setup: Setup, spec: RunSpec, controlled: Controlled, processes: Processes, *, keep: Path | None
) -> Trained:
    """Fine-tune a model under the strategy of a run and let it answer dev; raises `ExperimentError` where it diverges.

    All `processes` do so together, each with its share of every batch, and get the same answers. With `keep` the
    trained model is saved there, with its grammar and tokenizer.
    """
    with tempfile.TemporaryDirectory() as scratch:
        set_seed(spec.seed)  # before the model: its head is random, and equal for all strategies of a seed
        model = _load_model(setup, spec, controlled)
        made = _make_trainer(setup, spec, controlled, model, processes, scratch)
        with processes.together(), closing(made) as trainer:
            start = time.perf_counter()
            training_loss = processes.mean(trainer.train().training_loss)
            trained = time.perf_counter()
            # Or grouped texts are answered in an order of their own.
            trainer.args.train_sampling_strategy = "sequential"
            logits = np.asarray(trainer.predict(controlled.dev).predictions, dtype=np.float64)
            evaluated = time.perf_counter()
        if not np.isfinite(logits).all():
            raise _diverged(spec.id, "what the trained model answers is", learning_rate=setup.config.learning_rate)
        if keep is not None:
            model.save_pretrained(keep)
            setup.tokenizer.save_pretrained(keep)
    return Trained(logits, training_loss, trained - start, evaluated - trained)


def _load_model(setup: Setup, spec: RunSpec, controlled: Controlled) -> PreTrainedModel:
    """Load a model and put the grammar of the run into it."""
    model = load_model(setup.config, setup.task, setup.source, setup.tokenizer).model
    if spec.attention == "fresh":
        renew_projections(model, spec.seed)
    learned = ADAPTATIONS[spec.adaptation].learn_strengths if spec.adaptation else None
    controlled.guide(model, spec.strategy, learn_strengths=learned)
    return model


def _make_trainer(
    setup: Setup, spec: RunSpec, controlled: Controlled, model: PreTrainedModel, processes: Processes, scratch: str
) -> WatchedTrainer:
    trainer = WatchedTrainer(
        partial(_diverged, spec.id, learning_rate=setup.config.learning_rate),
        shows_bars=processes.is_main,
        model=model,
        args=_arguments(setup, spec.seed, processes.split(setup.config.batch_size), scratch),
        train_dataset=controlled.train,
        data_collator=Collator(pads_right(setup.tokenizer)),
    )
    if spec.adaptation == "ramp":
        trainer.add_callback(Ramp(model))
    return trainer


def _diverged(run_id: str, what: str, *, learning_rate: float) -> ExperimentError:
    return ExperimentError(
        f"run {run_id} diverged: {what} NaN or infinite; lower --learning-rate (it is {learning_rate:g}) with another "
        "--out, or take --precision float32. Runs that finished before are kept"
    )


def _arguments(setup: Setup, seed: int, batch_size: int, scratch: str) -> TrainingArguments:
    return training_arguments(
        scratch,
        precision=setup.precision,
        seed=seed,
        group_by_length=setup.config.group_by_length,
        num_train_epochs=setup.config.epochs,
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=batch_size,
        learning_rate=setup.config.learning_rate,
        warmup_steps=setup.config.warmup,  # below 1, so it is their share
        save_strategy="no",
        logging_strategy="no",
        average_tokens_across_devices=False,  # or a mean over texts would count once for each process
        log_level_replica="critical",  # what the other processes would say, the main one says
    )
