"""The keys that are counted as kept are those that caches keep, with a model's own sliding windows."""

import pytest
import torch
from helpers.batches import Batch, random_batch
from helpers.own_mask_models import MODELS, build
from transformers import DynamicCache, MistralForCausalLM

import grammask
from grammask.attention.inputs import Annotation
from grammask.experiment.kept_keys import heads_of, keys_kept
from grammask.experiment.perplexity.model_shape import find_shape
from grammask.experiment.recall.cache_share import kept_share
from grammask.experiment.recall.passages import Passage
from grammask.grammar.tags import UPOS
from grammask.model import kept_parts

LENGTH, ROOM = 60, 64
NEAR = grammask.Grammar(
    "near",
    (grammask.Rule(UPOS, UPOS, [-4, 0]), grammask.Rule(UPOS, ("PROPN", "NUM"), layers=(1,), heads=(1,))),
    sink_tokens=2,
)
CAUSAL = [name for name in MODELS if name not in ("modernbert", "bert")]


@pytest.fixture(scope="module")
def text():
    batch = random_batch((LENGTH + 1,))
    return Batch(*({name: ids[:, :-1] for name, ids in part.items()} for part in vars(batch).values()))


@pytest.mark.parametrize("name", CAUSAL)
def test_what_is_counted_is_what_caches_keep(name, text, monkeypatch):
    monkeypatch.setattr(kept_parts, "_CALL", 0)  # no slot stays empty
    model, annotation = build(name), Annotation(**text.annotation)
    heads, full = heads_of(model), DynamicCache(config=model.config)
    with torch.no_grad():
        model(**text.inputs, past_key_values=full)
        with grammask.attached(model, NEAR):
            kept = grammask.GrammarCache(model)
            model(**text.everything, past_key_values=kept)
    assert keys_kept(None, annotation, heads) == [layer.keys.shape[2] * heads.key_heads for layer in full.layers]
    found = keys_kept(NEAR, annotation, heads)
    assert found == [layer.keys.shape[1] - ROOM * heads.key_heads for layer in kept.layers]
    passage = Passage({**text.everything}, tuple(range(LENGTH)))
    assert kept_share(NEAR, passage, heads) == sum(found) / (LENGTH * heads.layers * heads.key_heads)


def test_recall_and_perplexity_count_a_sliding_window_alike(text):
    model = build("mistral")
    heads = heads_of(model)
    passage = Passage({**text.everything}, tuple(range(LENGTH)))
    assert (
        kept_share(None, passage, heads) == kept_share(grammask.load_grammar("streaming"), passage, heads) == 4 / LENGTH
    )
    causal = MistralForCausalLM(model.config)
    assert find_shape(causal, []).positions == heads.positions
