"""Recall of facts in given texts, and the loss of what follows a context, for each method and text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from time import perf_counter
from typing import Any, Final

from transformers import PreTrainedModel

from ...errors import ExperimentError
from ...grammar.grammar import Grammar
from ...grammar.tags import TAG_IDS
from ...model.eval_mode import eval_mode
from ..kept_keys import heads_of
from ..perplexity.prepare_texts import Bar
from .cache_share import kept_share
from .methods import FULL, FullMethod, GrammarMethod, Method, Reading
from .passages import Passage
from .peers.peer_methods import peer_methods
from .recall_settings import RecallSettings
from .score import ReadContext
from .store import Store
from .tasks import TextTask

_NAME: Final[int] = TAG_IDS["PROPN"]


@dataclass(frozen=True)
class RecallPlan:
    """What is measured: every method on every text. Peers keep as many keys of a context as the `reference` does."""

    settings: RecallSettings
    tasks: Sequence[TextTask]
    reference: Grammar | None
    methods: Sequence[Method]

    def key(self, number: int, method: Method) -> str:
        """Return the key of a record, in which everything is that it depends on besides model and tagger."""
        task = self.tasks[number]
        reference = "" if self.reference is None else self.reference.sha256
        parts = (self.settings.sha256, task.sha256, method.identity, reference)
        return f"{number + 1:05d}.{method.id}.{sha256(' '.join(parts).encode()).hexdigest()[:12]}"


def plan_recall(
    settings: RecallSettings,
    tasks: Sequence[TextTask],
    grammars: Sequence[Grammar],
    peers: tuple[str, ...],
    *,
    reference: Grammar | None,
) -> RecallPlan:
    """Plan full attention, every grammar and the peers; raises `ExperimentError` for what cannot be run."""
    for grammar in grammars:
        if grammar.needs_sentences:
            raise ExperimentError(
                f"grammar {grammar.name!r} has rules of sentence reach, by which no cache can be kept; leave it or "
                "--recall out"
            )
    guided = [GrammarMethod(grammar.name, "before", grammar) for grammar in grammars]
    methods = [FullMethod(FULL, "never"), *guided, *peer_methods(peers, seed=settings.seed)]
    return RecallPlan(settings, tasks, reference, methods)


def measure_recall(
    model: PreTrainedModel, plan: RecallPlan, store: Store, bar: Bar, finished: Callable[[], object]
) -> None:
    """Keep a record for each text and method in the store as soon as it is made; `finished` is called behind a text."""
    parts = [
        (number, method)
        for number in range(len(plan.tasks))
        for method in plan.methods
        if store.get(plan.key(number, method)) is None
    ]
    waiting = bar(parts, "recalling facts", len(parts)) if parts else []
    with eval_mode(model):
        for number, of_text in groupby(waiting, key=lambda part: part[0]):
            task = plan.tasks[number]
            # Each context is read in full once, for all methods that start from it.
            readings = [_reading(model, plan, context) for context in (task.context, task.beginning)]
            for _, method in of_text:
                record = _measure(method, task, *readings)
                store.put(plan.key(number, method), {"text": task.document.name, **record})
            finished()


def _reading(model: PreTrainedModel, plan: RecallPlan, context: Passage) -> Reading:
    share = plan.settings.share
    if plan.reference is not None:
        share = kept_share(plan.reference, context, heads_of(model))
    return Reading(model, context, keep_states=any(method.reads_states for method in plan.methods), share=share)


def _measure(method: Method, task: TextTask, asked: Reading, read_on: Reading) -> dict[str, Any]:
    start = perf_counter()
    with method.read(asked) as read:
        record = {
            "name": method.name,
            "moment": method.moment,
            "share": read.share,
            "answers": list(_answers(read, task)),
        }
    if method.reads_on:
        with method.read(read_on) as read:
            record["continuation"] = _continuation(read, task)
    return {**record, "seconds": perf_counter() - start}


def _answers(read: ReadContext, task: TextTask) -> Iterator[dict[str, Any]]:
    for question in task.questions:
        scores = read.read_on(question.passage, question.scored)
        yield {
            "kind": question.kind,
            "target": question.target,
            "distance": question.distance,
            "exact": bool(scores.right.all()),
            "loss": float(scores.losses.mean()),
        }


def _continuation(read: ReadContext, task: TextTask) -> dict[str, Any]:
    scored = len(task.rest) - 1
    scores = read.read_on(task.rest, scored)
    names = task.rest.inputs["tag_ids"][0, -scored:] == _NAME
    return {
        "share": read.share,
        "tokens": scored,
        "loss": float(scores.losses.mean()),
        "name_tokens": int(names.sum()),
        "name_loss": float(scores.losses[names].mean()) if names.any() else None,
    }
