"""Two answers to which keys later tokens may read are one: what is counted, and what a cache keeps."""

from dataclasses import replace

import torch
from helpers.batches import left_padded, random_batch, with_new_words
from helpers.strategies import grammars
from hypothesis import given, settings
from hypothesis import strategies as st

from grammask.attention.inputs import Annotation
from grammask.attention.kept.patterns import compile_patterns
from grammask.attention.kept.slots import Run, Tokens, may_be_read
from grammask.attention.later_keys import later_keys
from grammask.attention.position_mask import PositionMask
from grammask.grammar.tables import compile_layers
from grammask.grammar.tags import NEW

LAYERS, HEADS, LENGTH = 3, 6, 40
without_sentences = grammars.map(
    lambda grammar: replace(grammar, rules=tuple(rule for rule in grammar.rules if rule.reach.kind != "sentence"))
)


@given(
    without_sentences, st.integers(0, 99), st.sampled_from([0.0, 0.3]), st.sampled_from([1, 2, 3, 6]),
    st.none() | st.integers(0, LENGTH), st.booleans(),
)  # fmt: skip
@settings(max_examples=60)
def test_what_is_counted_is_what_a_cache_keeps(grammar, seed, new, key_heads, left, padded_before):
    """A new word is kept until it gets its tag, which no count knows of."""
    batch = with_new_words(random_batch((LENGTH, 23, 2), seed=seed), new, seed=seed)
    tags, words, _ = (left_padded(batch) if padded_before else batch).annotation.values()
    position = PositionMask(causal=True, window=None if left is None else (left, 0))
    tables = compile_layers(grammar, layers=LAYERS, heads=HEADS)
    patterns = compile_patterns(tables, HEADS, key_heads)
    text = Tokens.of(tags, words, grammar.sink_tokens)
    near = torch.arange(LENGTH) >= LENGTH - (LENGTH if left is None else left)
    for layer, own in enumerate(tables):
        counted = later_keys(own, Annotation(tags, words, None), key_heads=key_heads, position=position)
        for head in range(key_heads):
            run = Run(patterns.of[layer][head], left)
            kept = may_be_read(patterns, run, text, LENGTH, text.words.amax(1, keepdim=True))
            assert torch.equal(kept, counted[:, head] | ((tags == NEW) & near))
