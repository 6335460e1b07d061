"""One run: fine-tune a model under one strategy, evaluate it, say what it cost."""

import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from transformers import PreTrainedTokenizerBase, Trainer, TrainingArguments, set_seed
from transformers.trainer_callback import ProgressCallback

from ..data.task import Task, spell_labels
from ..errors import ExperimentError
from ..files.csv_text import csv_text
from ..grammar.grammar import Grammar
from ..memory import PeakMemory
from ..model.attach import attach, set_redraw
from ..model.load import ModelSource, load_classifier
from ..tagging.collate import Collator
from .adapting import Ramp, learned_strengths
from .config import Config, RunSpec
from .controls.apply import apply_control
from .cost import ModelShape, measure_cost
from .metrics import classification_metrics
from .prepare import Prepared


@dataclass(frozen=True)
class Bench:
    """All that the runs of one comparison share."""

    config: Config
    task: Task
    data: Prepared
    source: ModelSource
    tokenizer: PreTrainedTokenizerBase
    shape: ModelShape
    precision: str


def run(bench: Bench, spec: RunSpec, grammar: Grammar | None, *, keep: Path | None) -> tuple[dict[str, Any], str]:
    """Train and evaluate; return the record of the run and its predictions as CSV.

    With `keep` the trained model is saved there, with its grammar and tokenizer.
    """
    collator = Collator(bench.tokenizer)
    controlled = apply_control(spec, grammar, bench.data, bench.shape)
    costs = [
        measure_cost(
            split, collator, bench.shape, grammar=controlled.grammar, strategy=spec.strategy,
            batch_size=bench.config.batch_size,
        )
        for split in (controlled.train, controlled.dev)
    ]  # fmt: skip
    with PeakMemory() as memory, tempfile.TemporaryDirectory() as scratch, closing(_Bars()) as bars:
        set_seed(spec.seed)  # before the model: its head is random, and equal for all strategies of a seed
        model = load_classifier(bench.source, bench.task.label_names).model
        if controlled.grammar is not None:
            attach(model, controlled.grammar, spec.strategy, learn_strengths=learned_strengths(spec.adaptation))
        if controlled.redraw is not None:
            set_redraw(model, controlled.redraw)
        trainer = _Watched(
            spec.id,
            bench.config.learning_rate,
            model=model,
            args=_arguments(bench, spec.seed, scratch),
            train_dataset=controlled.train,
            data_collator=collator,
        )
        trainer.remove_callback(ProgressCallback)
        if sys.stderr.isatty():
            trainer.add_callback(bars)
        if spec.adaptation == "ramp":
            trainer.add_callback(Ramp(model))
        start = time.perf_counter()
        training_loss = trainer.train().training_loss
        trained = time.perf_counter()
        logits = trainer.predict(controlled.dev).predictions
        evaluated = time.perf_counter()
        if not np.isfinite(logits).all():
            raise _diverged(spec.id, "what the trained model answers is", bench.config.learning_rate)
        if keep is not None:
            model.save_pretrained(keep)
            bench.tokenizer.save_pretrained(keep)
    probabilities = softmax(np.asarray(logits, dtype=np.float64), axis=1)
    predictions = [int(label) for label in probabilities.argmax(1)]
    metrics = classification_metrics(bench.task.dev.labels, predictions, classes=len(bench.task.label_names))
    training, evaluation = costs
    record = {
        "id": spec.id,
        **spec.model_dump(),
        "accuracy": metrics.accuracy,
        "accuracy_interval": list(metrics.accuracy_interval),
        "f1": metrics.f1,
        "matthews": metrics.matthews,
        "density": evaluation.counts.density,
        "word_density": evaluation.counts.word_density,
        "allowed_pairs": evaluation.counts.allowed,
        "pairs": evaluation.counts.pairs,
        "attention_flops": evaluation.attention_flops,
        "attention_flops_relative": evaluation.attention_flops_relative,
        "model_flops": evaluation.model_flops,
        "model_flops_relative": evaluation.model_flops_relative,
        "seconds": {
            "tagging": bench.data.tagging_seconds,
            "planning": training.planning_seconds * bench.config.epochs + evaluation.planning_seconds,
            "training": trained - start,
            "evaluation": evaluated - trained,
        },
        "peak_memory_bytes": memory.bytes,
        "training_loss": training_loss,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "predictions": spell_labels(predictions),
    }
    return record, _predictions_csv(bench.task, predictions, probabilities)


class _Watched(Trainer):
    """A Trainer that stops at the first loss that is no number: what it trains afterwards means nothing."""

    def __init__(self, run_id: str, learning_rate: float, **settings: Any) -> None:
        super().__init__(**settings)
        self._run_id = run_id
        self._learning_rate = learning_rate

    def training_step(self, *given: Any, **named: Any) -> torch.Tensor:
        """Return the loss of a step; raises `ExperimentError` where it is NaN or infinite."""
        loss = super().training_step(*given, **named)
        if not bool(loss.isfinite().all()):
            step = f"the loss of step {self.state.global_step + 1} of {self.state.max_steps} is"
            raise _diverged(self._run_id, step, self._learning_rate)
        return loss


def _diverged(run_id: str, what: str, learning_rate: float) -> ExperimentError:
    return ExperimentError(
        f"run {run_id} diverged: {what} NaN or infinite; lower --learning-rate (it is {learning_rate:g}) with another "
        "--out, or take --precision float32. Runs that finished before are kept"
    )


class _Bars(ProgressCallback):
    """The Trainer's progress bars, without the figures that it prints between them."""

    def on_log(self, *_: Any, **__: Any) -> None:
        """Print nothing: the figures go into the record."""

    def close(self) -> None:
        """End the line of a bar that an error left behind."""
        for bar in (self.training_bar, self.prediction_bar):
            if bar is not None:
                bar.close()


def _arguments(bench: Bench, seed: int, scratch: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=scratch,
        num_train_epochs=bench.config.epochs,
        per_device_train_batch_size=bench.config.batch_size,
        per_device_eval_batch_size=bench.config.batch_size,
        learning_rate=bench.config.learning_rate,
        seed=seed,
        bf16=bench.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,  # the tags are among them
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
    )


def _predictions_csv(task: Task, predictions: list[int], probabilities: NDArray[np.float64]) -> str:
    table = pd.DataFrame({
        "id": task.dev.ids,
        "label": [task.label_names[label] for label in task.dev.labels],
        "prediction": [task.label_names[label] for label in predictions],
        **{f"probability {name}": probabilities[:, index] for index, name in enumerate(task.label_names)},
    })  # fmt: skip
    return csv_text(table)
