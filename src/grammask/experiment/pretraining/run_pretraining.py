"""A pretraining: texts, tags, a model under a grammar or none, and a folder that holds the model and its record."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...environment import choose_precision, environment
from ...errors import ExperimentError
from ...files.write import dump, write_whole
from ...grammar.file import load_grammar
from ...grammar.grammar import Grammar
from ...model.attach import attach, detach
from ...model.model_source import MODEL_FOLDER, ModelSource
from ...tagging.annotate import Annotator
from ..controls.apply import Controlled, apply_control
from ..folder import Folder, open_folder
from ..plan_runs import RunSpec, check_strengths
from ..prepare import Splits
from ..processes import Processes
from ..records import read_json
from .begin_model import begin_model, begin_tokenizer, find_source
from .config import PretrainConfig
from .read_texts import RawTexts, read_raw_texts
from .train_masked import CHECKPOINTS, TrainedMasked, train_masked

RECORD: Final[str] = "pretraining.json"
TOKENIZER: Final[str] = "tokenizer"  # its own, among the checkpoints
_CHUNK: Final[int] = 1000
# Wraps an iterable in a progress bar: (iterable, description, length).
Bar = Callable[[Any, str, int], Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class _Begun:
    """What a pretraining has before it trains."""

    config: PretrainConfig
    texts: RawTexts
    source: ModelSource
    tokenizer: PreTrainedTokenizerBase
    annotator: Annotator
    model: PreTrainedModel
    grammar: Grammar | None
    precision: str


def pretrain(config: PretrainConfig, out: Path, *, resume: bool, progress: Bar, say: Say) -> dict[str, Any]:
    """Train, save the model in `out`/model and the record in `out`/pretraining.json, and return the record.

    Nothing is written before texts, tagger, model and grammar are loaded. With `resume` the last checkpoint in `out` is
    gone on from; one that is finished is only read. Raises the errors of what it uses, and `ExperimentError` for a
    folder that holds something else.
    """
    if Processes().count > 1:
        raise ExperimentError("grammask pretrain trains in one process; start it without torchrun or accelerate")
    precision = choose_precision(config.precision)
    with open_folder(out, resume=resume) as folder:
        begun = _begin(config, precision, out / CHECKPOINTS / TOKENIZER)
        folder.begin(_identity(begun))
        if (out / RECORD).is_file():
            say("finished before")
            return read_json(out / RECORD)
        if config.vocabulary is not None:
            begun.tokenizer.save_pretrained(out / CHECKPOINTS / TOKENIZER)
        say(_sizes(begun.texts))
        data = _annotate(begun, progress)
        record = _train(begun, data, folder)
        write_whole(out / RECORD, dump(record))
        shutil.rmtree(out / CHECKPOINTS)  # they are for going on, and there is nothing left to do
    return record


def _begin(config: PretrainConfig, precision: str, saved: Path) -> _Begun:
    """Load all that is needed, and try the grammar on the model."""
    grammar = None if config.grammar is None else load_grammar(config.grammar)
    if grammar is not None and config.strategy == "soft":
        check_strengths(grammar, "--strategy hard")
    texts = read_raw_texts(config)
    source = find_source(config)
    tokenizer = begin_tokenizer(config, source, texts.train, saved)
    annotator = Annotator(tokenizer, config.tagger, sentences=config.sentences)
    model = begin_model(config, source, tokenizer)
    if grammar is not None:
        detach(attach(model, grammar, config.strategy))
    return _Begun(config, texts, source, tokenizer, annotator, model, grammar, precision)


def _annotate(begun: _Begun, progress: Bar) -> Splits:
    train, held_out = (
        _dataset(texts, begun, progress, name)
        for texts, name in ((begun.texts.train, "tagging texts"), (begun.texts.held_out, "tagging held-out texts"))
    )
    return Splits(train, held_out)


def _dataset(texts: Sequence[str], begun: _Begun, progress: Bar, title: str) -> Dataset:
    """Annotate texts, and leave out those without a token to predict."""
    columns: dict[str, list[Any]] = {}
    starts = range(0, len(texts), _CHUNK)
    for start in progress(starts, title, len(starts)):
        features = begun.annotator(texts[start : start + _CHUNK], max_length=begun.config.max_length)
        kept = [number for number, words in enumerate(features["word_ids"]) if max(words) >= 0]
        for name, values in features.items():
            columns.setdefault(name, []).extend(values[number] for number in kept)
    if not columns["input_ids"]:
        raise ExperimentError(f"{title}: none of {len(texts):,} texts has a word that the tokenizer knows; give others")
    return Dataset.from_dict(columns)


def _train(begun: _Begun, data: Splits, folder: Folder) -> dict[str, Any]:
    """Train under the grammar, or its control, save the stock model, and return the record."""
    config, model = begun.config, begun.model
    controlled = _controlled(begun, data)
    if controlled.grammar is not None:
        folder.keep(controlled.grammar)
    controlled.guide(model, config.strategy)
    trained = train_masked(
        config, model, begun.tokenizer, controlled.train, controlled.dev, folder.path, begun.precision
    )
    if controlled.grammar is not None:
        detach(model)
    model.save_pretrained(folder.path / MODEL_FOLDER)
    begun.tokenizer.save_pretrained(folder.path / MODEL_FOLDER)
    return _record(begun, data, trained)


def _controlled(begun: _Begun, data: Splits) -> Controlled:
    config, model = begun.config, begun.model.config
    if begun.grammar is None:
        return Controlled(None, data.train, data.dev)
    spec = RunSpec(grammar=begun.grammar.name, strategy=config.strategy, control=config.control, seed=config.seed)
    layers, heads = model.num_hidden_layers, model.num_attention_heads
    return apply_control(spec, begun.grammar, data, layers=layers, heads=heads)


def _identity(begun: _Begun) -> dict[str, Any]:
    """Return what config.json holds; a pretraining that is gone on with must have the same."""
    tagger = begun.annotator.tagger
    return {
        **begun.config.shared,
        "kind": "pretraining",
        "texts_sha256": begun.texts.sha256,
        "model_sha256": begun.source.sha256,
        "tagger_version": f"{tagger.name} {tagger.version}",
        "grammar_sha256": None if begun.grammar is None else begun.grammar.sha256,
    }


def _record(begun: _Begun, data: Splits, trained: TrainedMasked) -> dict[str, Any]:
    model = begun.model
    return {
        "format": 1,
        "config": begun.config.model_dump(mode="json"),
        **{key: value for key, value in _identity(begun).items() if key.endswith(("sha256", "version"))},
        "tokenizer_sha256": sha256(begun.tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
        "texts": {"found": begun.texts.found, "train": len(data.train), "held_out": len(data.dev)},
        "model": {
            "model_type": model.config.model_type,
            "layers": model.config.num_hidden_layers,
            "heads": model.config.num_attention_heads,
            "parameters": model.num_parameters(),
            "vocabulary": len(begun.tokenizer),
        },
        "steps": trained.steps,
        "loss_curve": [[step, round(loss, 4)] for step, loss in trained.curve],
        "held_out_loss": trained.held_out_loss,
        "seconds": trained.seconds,
        "environment": environment(begun.precision),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _sizes(texts: RawTexts) -> str:
    left = texts.found - len(texts.train) - len(texts.held_out)
    return (
        f"learning from {len(texts.train):,} texts, measuring on {len(texts.held_out):,}"
        f"{f'; {left:,} are left out, which came twice or are beyond --limit' if left else ''}"
    )
