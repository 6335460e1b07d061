"""A perplexity run: every row on every text. Each is recorded, so a run resumes where it was cut off."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from ...data.read_documents import Document, read_documents
from ...environment import check_device, environment
from ...grammar.grammar import Grammar
from ...model.count_positions import check_length
from ...model.model_source import ModelSource
from ...model.named_models import find_model, load_causal, load_tokenizer
from ...model.reading_under import reading_under
from ...tagging.annotate import Annotator
from ..folder import Folder, open_folder
from ..recall.measure_recall import RecallPlan
from ..recall.recall_results import check_recall
from ..recall.run_recall import facts_of as recall_facts
from ..recall.run_recall import plan_of, run_recall
from .config import PerplexityConfig
from .lookahead import warn_of_future
from .loss_record import read_record_of, write_record
from .loss_results import read_facts, write_perplexity
from .measure_row import measure_row
from .model_shape import CausalShape, find_shape
from .pair_counter import PairCounter
from .prepare_texts import Bar, PreparedText, prepare_texts
from .rows import Row, load_grammars, make_rows

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Run:
    """What all rows share."""

    folder: Path
    model: PreTrainedModel
    shape: CausalShape
    texts: Sequence[PreparedText]
    counter: PairCounter
    rows: Sequence[Row]

    def finished(self, row: Row, number: int) -> dict[str, Any] | None:
        """Return the record of a row on a text, None where there is none."""
        return read_record_of(self.folder, row.name, row.sha256, number, self.texts[number].document.sha256)


def run_perplexity(config: PerplexityConfig, out: Path, *, resume: bool, progress: Bar, say: Say) -> dict[str, Any]:
    """Measure what is missing of a run into the folder `out`, and return its results.

    Nothing is written before texts, model, tagger and grammars are loaded. Raises the errors of what it uses, and
    `ExperimentError` for a folder that holds something else.
    """
    check_device(config.device)
    grammars = load_grammars(config)
    documents = read_documents(config.text, config.limit)
    with open_folder(out, resume=resume) as folder:
        if resume:
            folder.check(config.shared)  # what differs there is told before anything is loaded
        source = find_model(config.model)
        annotate = Annotator(load_tokenizer(source), config.tagger)
        model: PreTrainedModel = load_causal(source).to(config.device, torch.float32)  # type: ignore[arg-type]
        model.train(False)
        shape = find_shape(model, [grammar for grammar, _ in grammars.values()])
        check_length(model, config.length, config.model)
        texts = prepare_texts(documents, annotate, config, progress)
        counter = PairCounter([text.text for text in texts], shape.layers, shape.heads, shape.positions)
        say(_sizes(texts, config))
        rows = make_rows(config, grammars, counter, tuple(text.tokens for text in texts), say)
        plan = plan_of(config, documents, annotate, rows, progress) if config.recall else None
        results = _plan_results(folder.path, _facts(config, source, shape, annotate, texts, rows), rows, plan)
        _begin(folder, config, source, annotate, documents, rows)
        _measure(_Run(folder.path, model, shape, texts, counter, rows), results, progress)
        if plan is not None:
            run_recall(model, plan, folder.path, progress, results.write)
        return results.write()


@dataclass(frozen=True)
class _Results:
    """What perplexity.json is made of, besides the records in the folder."""

    folder: Path
    facts: dict[str, Any]
    rows: Sequence[dict[str, Any]]

    def write(self) -> dict[str, Any]:
        """Write perplexity.json and the page with all that is finished, and return what the first holds."""
        return write_perplexity(self.folder, self.facts, self.rows)


def _plan_results(folder: Path, facts: dict[str, Any], rows: Sequence[Row], plan: RecallPlan | None) -> _Results:
    """Return the results of a run, with what an earlier one in the folder finished and this one doesn't name.

    Raises `ExperimentError` for recall that was measured otherwise.
    """
    before, found = read_facts(folder) or ({}, [])
    names = {row.name for row in rows}
    others = [row for row in found if row["name"] not in names]
    recall = before.get("recall")
    if plan is not None:
        now = recall_facts(plan)
        if recall is not None:
            check_recall(folder, recall, now)
        recall = now
    return _Results(
        folder, facts | ({} if recall is None else {"recall": recall}), [*(row.facts() for row in rows), *others]
    )


def _measure(run: _Run, results: _Results, progress: Bar) -> None:
    parts = [
        (place, number)
        for place, row in enumerate(run.rows)
        for number in range(len(run.texts))
        if run.finished(row, number) is None
    ]
    waiting = progress(parts, "reading texts", len(parts)) if parts else []
    for place, of_row in groupby(waiting, key=lambda part: part[0]):
        row = run.rows[place]
        with reading_under(run.model, row.grammar):
            for _, number in of_row:
                record = measure_row(
                    run.model, row, run.texts[number], number, run.counter, key_heads=run.shape.key_heads
                )
                write_record(run.folder, {**record, "environment": results.facts["environment"]})
        results.write()


def _begin(
    folder: Folder, config: PerplexityConfig, source: ModelSource, annotate: Annotator,
    documents: Sequence[Document], rows: Sequence[Row],
) -> None:  # fmt: skip
    """Write down what the run is, or check it against the one that is resumed."""
    texts = sha256("".join(document.sha256 for document in documents).encode()).hexdigest()
    tagger = annotate.tagger
    folder.begin({
        **config.shared,
        "kind": "perplexity",
        "texts_sha256": texts,
        "model_sha256": source.sha256,
        "tagger_version": f"{tagger.name} {tagger.version}",
    })  # fmt: skip
    for row in rows:
        if row.grammar is not None:
            folder.keep(row.grammar)


def _facts(
    config: PerplexityConfig, source: ModelSource, shape: CausalShape, annotate: Annotator,
    texts: Sequence[PreparedText], rows: Sequence[Row],
) -> dict[str, Any]:  # fmt: skip
    """Return what perplexity.json holds besides its rows."""
    return {
        "format": 1,
        "config": config.model_dump(mode="json"),
        "model": {"name": source.name, "sha256": source.sha256, **shape.facts()},
        "tagger": {"name": annotate.tagger.name, "version": annotate.tagger.version},
        "texts": [text.facts() for text in texts],
        "future": _future([row.grammar for row in rows if row.grammar and not row.control], shape),
        "environment": environment("float32", config.device),
        "planned": [row.name for row in rows],
    }


def _future(grammars: Sequence[Grammar], shape: CausalShape) -> dict[str, str]:
    """Return for each grammar how tags of the future decide what is read; it holds nothing where they don't."""
    found = {grammar.name: warn_of_future(grammar, layers=shape.layers, heads=shape.heads) for grammar in grammars}
    return {name: said for name, said in found.items() if said}


def _sizes(texts: Sequence[PreparedText], config: PerplexityConfig) -> str:
    """Say how much of the texts is read, and how much counts."""
    counted = sum(int(text.counted.sum()) for text in texts)
    short = sum(len(text.text) < config.length for text in texts)
    less = sum(text.skipped < config.skip for text in texts)
    parts = [f"{len(texts):,} texts of at most {config.length:,} tokens, {counted:,} of them count"]
    parts += [f"{short:,} are shorter and read whole"] if short else []
    parts += [f"in {less:,} only half is skipped, less than {config.skip:,} tokens"] if less else []
    return "; ".join(parts)
