"""Which sentence of each minimal pair a language model holds for likelier, under each row, with intervals."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...data.minimal_pairs import PHENOMENA
from ...environment import check_device, environment
from ...errors import ModelError
from ...grammar.grammar import Grammar
from ...model.attach import detach
from ...model.load_masked import load_masked
from ...model.model_files import read_config
from ...model.model_source import ModelSource, may_be_causal
from ...model.named_models import find_model, load_causal, load_tokenizer
from ...model.sentence_scores import causal_scores, masked_scores
from ...tagging.annotate import Annotator
from ...tagging.collate import Collator
from ...tagging.padding import pads_right
from ..config import make_config
from ..controls.apply import Controlled, apply_control
from ..plan_runs import RunSpec, plan_runs
from ..prepare import Splits
from .config import PairsConfig
from .pair_rows import Preferences, pair_rows
from .prepare_pairs import PreparedPairs, Sentences, prepare_pairs

Bar = Callable[[Iterable[RunSpec], str, int], Iterable[RunSpec]]


def run_pairs(config: PairsConfig, *, progress: Bar) -> dict[str, Any]:
    """Score all pairs under all rows, and return what the JSON record holds.

    Raises `ModelError` for a model that predicts neither masked nor next words, `ExperimentError` for a device that is
    not there, and what grammars and taggers raise.
    """
    check_device(config.device)
    made_by = environment("float32", config.device)  # now: the checkout may change while this runs
    specs, grammars = plan_runs(
        make_config(
            grammars=config.grammars, strategies=config.strategies, controls=config.controls, seeds=(config.seed,)
        )
    )
    source = find_model(config.model)
    tokenizer = load_tokenizer(source)
    model = _load(source, tokenizer, config.device)
    annotator = Annotator(tokenizer, config.tagger)
    pairs = prepare_pairs(config, annotator)
    found = {
        spec: _preferences(spec, grammars, model, tokenizer, pairs, config)
        for spec in progress(specs, "scoring pairs", len(specs))
    }
    tagger = annotator.tagger
    return {
        "format": 1,
        "config": config.model_dump(mode="json"),
        "model": {"name": source.name, "sha256": source.sha256, "model_type": model.config.model_type},
        "scores": "likelihood" if may_be_causal(model.config) else "pseudo-likelihood",
        "tagger": {"name": tagger.name, "version": tagger.version},
        "pairs_sha256": pairs.sha256,
        "phenomena": _phenomena(pairs),
        "rows": pair_rows(found, pairs.phenomena),
        "environment": made_by,
    }


def _load(source: ModelSource, tokenizer: PreTrainedTokenizerBase, device: str) -> PreTrainedModel:
    config = read_config(source.location, **source.pinned)
    model: PreTrainedModel = load_causal(source) if may_be_causal(config) else load_masked(source)
    if not may_be_causal(config) and tokenizer.mask_token_id is None:
        raise ModelError(f"the tokenizer of model {source.name!r} has no token for what is masked; take another model")
    model.train(False)
    model.to(device=device, dtype=torch.float32)  # type: ignore[call-arg]
    return model


def _preferences(
    spec: RunSpec, grammars: dict[str, Grammar], model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase,
    pairs: PreparedPairs, config: PairsConfig,
) -> Preferences:  # fmt: skip
    """Return for each pair by how many nats its grammatical sentence has the higher score under a row."""
    grammar = None if spec.grammar is None else grammars[spec.grammar]
    # Numbered alike on both sides, so that what a control draws for a pair is the same for its two sentences.
    good, bad = (_controlled(spec, grammar, side.features, model) for side in (pairs.good, pairs.bad))
    good.guide(model, spec.strategy)
    try:
        good_scores, bad_scores = [
            _score(model, tokenizer, replace(side, features=controlled.train), config, guided=good.grammar is not None)
            for side, controlled in ((pairs.good, good), (pairs.bad, bad))
        ]
    finally:
        if good.grammar is not None:
            detach(model)
    ahead: Preferences = np.array(good_scores) - np.array(bad_scores)
    return ahead


def _controlled(spec: RunSpec, grammar: Grammar | None, features: Dataset, model: PreTrainedModel) -> Controlled:
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    return apply_control(spec, grammar, Splits(features, features), layers=layers, heads=heads)


def _score(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, side: Sentences, config: PairsConfig, *, guided: bool
) -> list[float]:
    pad, left_out = Collator(pads_right(tokenizer)), () if guided else ("tag_ids", "word_ids", "sentence_ids")

    def collate(features: list[Any]) -> dict[str, torch.Tensor]:
        return {name: column for name, column in pad(features).items() if name not in left_out}

    sentences: Sequence[Any] = list(side.features)
    if may_be_causal(model.config):
        return causal_scores(model, sentences, side.places, collate, batch_size=config.batch_size)
    return masked_scores(
        model, sentences, side.places, collate, mask_id=tokenizer.mask_token_id, batch_size=config.batch_size
    )


def _phenomena(pairs: PreparedPairs) -> dict[str, Any]:
    """Return what each phenomenon is, an example, and the share of its pairs whose tags are those of both sides."""
    names = np.array(pairs.phenomena)
    return {
        name: {
            "meaning": PHENOMENA[name][0],
            "pairs": int((names == name).sum()),
            "example": [(first := pairs.pairs[int(np.argmax(names == name))]).good, first.bad],
            "scored": first.scored or "the sentence",
            "equal_tags": float(np.array(pairs.alike)[names == name].mean()),
        }
        for name in dict.fromkeys(pairs.phenomena)
    }
