"""The recall part of a perplexity run: planned before anything is written, and measured beside its rows."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ...data.read_documents import Document
from ...grammar.grammar import Grammar
from ...tagging.annotate import Annotator
from ..perplexity.config import PerplexityConfig, recall_settings
from ..perplexity.prepare_texts import Bar
from ..perplexity.rows import Row
from .measure_recall import RecallPlan, measure_recall, plan_recall
from .recall_results import RECALL
from .store import RecordFiles
from .tasks import make_task


def plan_of(
    config: PerplexityConfig, documents: Sequence[Document], annotate: Annotator, rows: Sequence[Row], bar: Bar
) -> RecallPlan:
    """Return what is measured; controls that are other tags have no part in it.

    Raises the errors of texts that are too short and of peers that cannot be run.
    """
    settings = recall_settings(config)
    grammars = [row.grammar for row in rows if row.grammar and row.tags is None]
    # Peers that cannot be run say so before texts are tagged.
    plan = plan_recall(settings, (), grammars, config.peers, reference=_reference(rows))
    numbered = bar(list(enumerate(documents)), "inserting facts", len(documents))
    tasks = [make_task(annotate, document, settings, number) for number, document in numbered]
    return replace(plan, tasks=tasks)


def _reference(rows: Sequence[Row]) -> Grammar | None:
    """Return the grammar whose cache the peers have: the first that has controls, else the first."""
    controlled = {row.of for row in rows}
    grammars = [row for row in rows if row.grammar and not row.control]
    chosen = [row for row in grammars if row.name in controlled] or grammars
    return chosen[0].grammar if chosen else None


def facts_of(plan: RecallPlan) -> dict[str, Any]:
    """Return what results hold of recall besides its rows; `recall_results.RecallFacts` is its schema."""
    return {
        "settings": plan.settings.to_dict(),
        "reference": None if plan.reference is None else plan.reference.name,
        "texts": [
            {"name": task.document.name, "tokens": len(task.context), "questions": len(task.questions)}
            for task in plan.tasks
        ],
        "planned": [method.id for method in plan.methods],
    }


def run_recall(
    model: PreTrainedModel, plan: RecallPlan, folder: Path, bar: Bar, finished: Callable[[], object]
) -> None:
    """Measure what is missing into a run's folder; `finished` is called behind each text."""
    measure_recall(model, plan, RecordFiles(folder / RECALL), bar, finished)
