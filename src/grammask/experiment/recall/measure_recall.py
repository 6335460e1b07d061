"""Recall of facts in given texts, and the loss of what follows a context, for each method and text."""

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any, Final

from transformers import PreTrainedModel

from ...grammar.grammar import Grammar
from ...grammar.tags import TAG_IDS
from ...model.eval_mode import eval_mode
from ...tagging.annotate import Annotator
from .cache_share import heads_of, kept_share
from .methods import FullMethod, GrammarMethod, Method, Reading
from .passages import Passage
from .peers.peer_methods import peer_methods
from .recall_settings import RecallSettings
from .score import ReadContext
from .store import Store
from .tasks import NamedText, TextTask, make_task

_NAME: Final[int] = TAG_IDS["PROPN"]


def methods_of(grammars: Sequence[Grammar], settings: RecallSettings) -> list[Method]:
    """Return full, every grammar, and the peers; raises `ExperimentError` for peers that cannot be run."""
    guided = [GrammarMethod(grammar.name, "masked", grammar) for grammar in grammars]
    return [FullMethod("full", "masked"), *guided, *peer_methods(settings.peers, seed=settings.seed)]


def measure_recall(
    model: PreTrainedModel,
    annotate: Annotator,
    texts: Sequence[NamedText],
    grammars: Sequence[Grammar],
    settings: RecallSettings,
    store: Store,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Return a record for each text and method, and keep each in the store as soon as it is made.

    Peers keep as many keys of a context as the first grammar does. Raises `InputError` for a text that is too short.
    """
    methods = methods_of(grammars, settings)
    records = []
    for number, text in enumerate(texts):
        keys = {method.id: f"{number:03}.{method.id}" for method in methods}
        missing = [method for method in methods if store.get(keys[method.id]) is None]
        if missing:
            task = make_task(annotate, text, settings, number)
            with eval_mode(model):
                for method, record in _measure(model, task, missing, grammars, settings):
                    store.put(keys[method.id], {"text": text.name, **record})
                    progress(f"{text.name} {method.id}")
        records += [found for key in keys.values() if (found := store.get(key)) is not None]
    return records


def _measure(
    model: PreTrainedModel,
    task: TextTask,
    missing: Sequence[Method],
    grammars: Sequence[Grammar],
    settings: RecallSettings,
) -> Iterator[tuple[Method, dict[str, Any]]]:
    """Yield the record of each method, all from one reading of the stock model."""
    keep_states = any(method.reads_states for method in missing)
    heads = heads_of(model)

    def reading(context: Passage) -> Reading:
        share = kept_share(grammars[0], context, heads) if grammars else settings.share
        return Reading(model, context, keep_states=keep_states, share=share)

    asked, read_on = reading(task.context), reading(task.beginning)
    for method in missing:
        start = perf_counter()
        with method.read(asked) as read:
            record: dict[str, Any] = {
                "name": method.name,
                "moment": method.moment,
                "share": read.share,
                "answers": _answers(read, task),
            }
        if method.reads_on:
            with method.read(read_on) as read:
                record["continuation"] = _continuation(read, task)
        yield method, {**record, "seconds": perf_counter() - start}


def _answers(read: ReadContext, task: TextTask) -> list[dict[str, Any]]:
    answers = []
    for question in task.questions:
        scores = read.read_on(question.passage, question.scored)
        answers.append({
            "kind": question.kind,
            "target": question.target,
            "distance": question.distance,
            "exact": bool(scores.right.all()),
            "loss": float(scores.losses.mean()),
        })  # fmt: skip
    return answers


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
