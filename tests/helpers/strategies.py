"""Hypothesis strategies: random grammars and random annotated texts."""

from hypothesis import strategies as st

from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tags import NAMED

tag_lists = st.lists(st.sampled_from(NAMED), min_size=1, max_size=16, unique=True).map(tuple)
offsets = st.tuples(st.integers(-3, 3), st.integers(-3, 3)).map(sorted)
reaches = st.one_of(
    st.just(Reach("document")), st.just(Reach("sentence")), offsets.map(lambda bounds: Reach("words", *bounds))
)
indices = st.none() | st.lists(st.integers(0, 2), min_size=1, max_size=2).map(tuple)
rules = st.builds(
    Rule,
    query=tag_lists,
    key=tag_lists,
    reach=reaches,
    strength=st.sampled_from([0.0, -1.5, 0.5, 5.0]),
    allow=st.booleans(),
    layers=indices,
    heads=indices,
)
grammars = st.builds(
    Grammar,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}[A-Za-z0-9_-]", fullmatch=True),
    rules=st.lists(rules, max_size=6).map(tuple),
    sinks=st.lists(st.sampled_from(["[CLS]", "[SEP]", "[UNK]"]), max_size=3, unique=True).map(tuple),
    sink_tokens=st.sampled_from([0, 0, 1, 3, 40]),
    same_tag=st.booleans(),
    description=st.text(max_size=30),
    source=st.text(max_size=30),
)
# A call of attention: grammar, lengths of texts, seed, layer and strategy.
drawn_calls = (
    grammars, st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple), st.integers(0, 10_000),
    st.integers(0, 2), st.sampled_from(["hard", "soft"]),
)  # fmt: skip
