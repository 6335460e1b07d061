"""What a comparison writes down about itself: what makes it this one and no other, and what it was made with."""

from typing import Any

from ..environment import environment
from ..model.model_files import hash_files
from ..model.packaged_models import PACKAGED
from .label_line import write_label_line
from .prepare import Prepared
from .setup import Setup


def identity_of(setup: Setup) -> dict[str, Any]:
    """Return what config.json holds; a comparison that is resumed must have the same."""
    tagger = setup.annotator.tagger
    return {
        **setup.asked.shared,
        "task_sha256": setup.task.sha256,
        "model_sha256": setup.source.sha256,
        "tagger_version": f"{tagger.name} {tagger.version}",
        **_model_files(setup),
    }


def _model_files(setup: Setup) -> dict[str, str]:
    if setup.config.model in PACKAGED:  # its weights are checked, and its package is whole
        return {}
    names = setup.tokenizer.vocab_files_names.values()
    return {"model_files_sha256": hash_files(setup.source.location, names, **setup.source.pinned)}


def facts_of(setup: Setup, data: Prepared) -> dict[str, Any]:
    """Return what results.json begins with; `records.Facts` is its schema."""
    return {
        "format": 1,
        "config": setup.config.model_dump(mode="json"),
        "task": _task_facts(setup),
        "answers": write_label_line(setup.task.dev.labels),
        "model": _model_facts(setup),
        "tagger": _tagger_facts(setup, data),
        "environment": environment(setup.precision),
        "planned_runs": len(setup.specs),
        "planned": [spec.id for spec in setup.specs],
    }


def _task_facts(setup: Setup) -> dict[str, Any]:
    task = setup.task
    return {
        "name": task.name,
        "source": task.source,
        "note": task.note,
        "labels": list(task.label_names),
        "train_rows": len(task.train),
        "train_available": setup.available_train,
        "dev_rows": len(task.dev),
        "dev_available": setup.available_dev,
        "sha256": task.sha256,
    }


def _model_facts(setup: Setup) -> dict[str, Any]:
    return {
        "name": setup.source.name,
        "model_type": setup.model.model_type,
        "layers": setup.model.shape.layers,
        "heads": setup.model.shape.heads,
        "hidden_size": setup.model.hidden_size,
        "parameters": setup.model.parameters,
        "sha256": setup.source.sha256,
        "new_parameters": list(setup.model.new_parameters),
    }


def _tagger_facts(setup: Setup, data: Prepared) -> dict[str, Any]:
    tagger, coverage = setup.annotator.tagger, setup.annotator.coverage
    return {
        "name": tagger.name,
        "version": tagger.version,
        "word_coverage": coverage.word_share,
        "subword_coverage": coverage.subword_share,
        "unknown_share": coverage.unknown_share,
        "texts_tagged": data.texts_tagged,
        "texts_from_cache": data.texts_from_cache,
        "seconds": data.tagging_seconds,
    }
