"""The end-to-end level: from text to the model's output, tagging and planning included for our own attention."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from transformers import BatchEncoding, PreTrainedModel

from ...grammar.grammar import Grammar
from ...tagging.annotate import Annotator
from ..cases import Case
from ..contender import Contender, Outputs, Ready
from ..models import BenchModel
from ..race import race
from ..settings import FULL
from .batch_facts import batch_facts
from .steps import Step, make_step


def run_end_to_end(
    case: Case, *, model: BenchModel, annotator: Annotator, grammar: Grammar, texts: Sequence[str], seconds: float
) -> list[dict[str, Any]]:
    """Return the rows of a case. `annotator` must not cache; `text_seconds` is what comes before the model."""

    def tokenize() -> BatchEncoding:
        made: BatchEncoding = model.tokenizer(
            list(texts), padding=True, truncation=True, max_length=case.length, return_tensors="pt"
        )
        return made.to(model.device)

    def annotate() -> BatchEncoding:
        return annotator(list(texts), max_length=case.length, return_tensors="pt").to(model.device)

    def ready(loaded: PreTrainedModel, read: Callable[[], BatchEncoding]) -> Ready:
        return _from_text(make_step(loaded, case, causal=model.causal), read)

    contenders = [
        Contender(FULL, "full", lambda: ready(model.copy(case.weights_dtype), tokenize)),
        Contender("auto", "ours", lambda: ready(model.guided(grammar, case.strategy, case.weights_dtype), annotate)),
    ]
    facts = batch_facts(case, grammar, annotate(), model)
    rows = race(contenders, seconds=seconds, device=model.device)  # no ideal: words must be tagged in any case
    return [{**case.facts(), **facts, **_with_median(row)} for row in rows]


def _from_text(step: Step, read: Callable[[], BatchEncoding]) -> Ready:
    reading: list[float] = []

    def call() -> Outputs:
        start = time.perf_counter()
        batch = read()
        reading.append(time.perf_counter() - start)
        return step(batch)

    return Ready(call, facts={"text_seconds": reading})


def _with_median(row: dict[str, Any]) -> dict[str, Any]:
    """Replace the list of seconds by their median over the rounds; the first entry is the warm-up's."""
    reading = row.get("text_seconds")
    return row if reading is None else {**row, "text_seconds": median(reading[1:])}
