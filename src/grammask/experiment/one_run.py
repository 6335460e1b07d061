"""One run of a comparison: what its attention costs, how its model trains and answers, and the record of all that."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from ..data.task import Task
from ..files.csv_text import csv_text
from ..memory import PeakMemory
from ..tagging.collate import Collator
from ..tagging.padding import pads_right
from .controls.apply import Controlled
from .cost import Cost, measure_cost, measure_planning
from .label_line import write_label_line
from .metrics import classification_metrics
from .plan_runs import RunSpec
from .prepare import Prepared
from .processes import Processes
from .setup import Setup
from .train import train_and_evaluate


def run(
    setup: Setup, data: Prepared, spec: RunSpec, processes: Processes, *, keep: Path | None
) -> tuple[dict[str, Any], str]:
    """Train and evaluate; return the record of the run and its predictions as CSV.

    With `keep` the trained model is saved there, with its grammar and tokenizer.
    """
    controlled = setup.controlled(spec, data)
    training_planning, evaluation_cost = _costs(setup, spec, controlled)
    with PeakMemory() as memory:
        trained = train_and_evaluate(setup, spec, controlled, processes, keep=keep)
    probabilities = softmax(trained.logits, axis=1)
    predictions = [int(label) for label in probabilities.argmax(1)]
    planning = training_planning * setup.config.epochs + evaluation_cost.planning_seconds
    record = {
        "id": spec.id,
        **spec.model_dump(),
        **_scores(setup.task, predictions),
        **_cost_fields(evaluation_cost),
        "seconds": {
            "tagging": data.tagging_seconds,
            "planning": planning,
            "training": trained.training_seconds,
            "evaluation": trained.evaluation_seconds,
        },
        "peak_memory_bytes": memory.bytes,
        "training_loss": trained.training_loss,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "predictions": write_label_line(predictions),
    }
    return record, _predictions_csv(setup.task, predictions, probabilities)


def _costs(setup: Setup, spec: RunSpec, controlled: Controlled) -> tuple[float, Cost]:
    """Return how many seconds a pass over train plans, and what one over dev costs."""
    model = (Collator(pads_right(setup.tokenizer)), setup.model.shape)
    options: dict[str, Any] = {
        "grammar": controlled.grammar, "strategy": spec.strategy, "batch_size": setup.config.batch_size
    }  # fmt: skip
    planning = measure_planning(controlled.train, *model, **options, grouped=setup.config.group_by_length)
    return planning, measure_cost(controlled.dev, *model, **options)


def _scores(task: Task, predictions: list[int]) -> dict[str, Any]:
    metrics = classification_metrics(task.dev.labels, predictions, classes=len(task.label_names))
    return {
        "accuracy": metrics.accuracy,
        "accuracy_interval": list(metrics.accuracy_interval),
        "f1": metrics.f1,
        "matthews": metrics.matthews,
    }


def _cost_fields(cost: Cost) -> dict[str, Any]:
    return {
        "density": cost.counts.density,
        "word_density": cost.counts.word_density,
        "allowed_pairs": cost.counts.allowed,
        "pairs": cost.counts.pairs,
        "attention_flops": cost.attention_flops,
        "attention_flops_relative": cost.attention_flops_relative,
        "model_flops": cost.model_flops,
        "model_flops_relative": cost.model_flops_relative,
    }


def _predictions_csv(task: Task, predictions: list[int], probabilities: NDArray[np.float64]) -> str:
    table = pd.DataFrame({
        "id": task.dev.ids,
        "label": [task.label_names[label] for label in task.dev.labels],
        "prediction": [task.label_names[label] for label in predictions],
        **{f"probability {name}": probabilities[:, index] for index, name in enumerate(task.label_names)},
    })  # fmt: skip
    return csv_text(table)
