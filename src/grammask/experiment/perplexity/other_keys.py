"""Controls that keep the windows of a grammar and exchange the far words that its heads read."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ...attention.causal_pairs import CausalText, Counts
from ...grammar.grammar import Grammar
from ...grammar.rules import MAX_OFFSET, Reach, Rule
from ...grammar.tables import compile_layers
from ...grammar.tags import UPOS
from .equal_pairs import match_size
from .pair_counter import far_shares
from .perplexity_control import ControlInputs, MadeControl, bounded_rules, equal_control, heads_where

_CLASSES: Final[int] = len(UPOS)


@equal_control("shuffled-tags", "the tags are dealt out anew over the words of each text, each to as many tokens")
def shuffled_tags(inputs: ControlInputs) -> MadeControl:
    """Return the grammar under shuffled tags; a lean to early or late words gives each text its pairs."""
    grammar = replace(inputs.grammar, name=inputs.bare.name, source=inputs.bare.source)
    counter, rng = inputs.counter, np.random.default_rng([inputs.seed, 1])
    first = _tags_by_far_pairs(inputs)
    tags: list[Counts] = []
    missing = 0.0
    for number, text in enumerate(counter.texts):
        noise = rng.random(len(np.unique(text.words)))

        def deal(lean: float, text: CausalText = text, noise: NDArray[np.float64] = noise) -> Counts:
            return _dealt(text, noise, lean, first)

        def pairs(lean: float, number: int = number, deal: Callable[[float], Counts] = deal) -> float:
            return float(counter.retagged({number: deal(lean)}).of_text(grammar, number).mean())

        wanted = float(counter.of_text(grammar, number).mean()) + missing
        lean = match_size(pairs, wanted, low=-1.0, high=1.0)
        missing = wanted - pairs(lean)
        tags.append(deal(lean))
    return MadeControl(grammar, tuple(tags), "tags shuffled over words")


def _tags_by_far_pairs(inputs: ControlInputs) -> Counts:
    """Return the tags of words in the order of how many heads read them at any distance, the most first."""
    tables = compile_layers(inputs.grammar, layers=inputs.counter.layers, heads=inputs.counter.heads)
    read = sum(found[0].allowed[:, : len(UPOS), : len(UPOS)].double().mean((0, 1)) for found in tables)
    return np.argsort(-np.asarray(read), kind="stable")


def _dealt(text: CausalText, noise: NDArray[np.float64], lean: float, first: Counts) -> Counts:
    """Return tags that are dealt out to words in the order of `noise`; the lean gives early words the first tags.

    Each tag goes to as many tokens as it had, to within a word: names have more tokens than articles.
    """
    word = text.words >= 0
    _, own, sizes = np.unique(text.words[word], return_inverse=True, return_counts=True)
    order = np.argsort(noise[: len(sizes)] + lean * np.arange(len(sizes)) / max(len(sizes), 1))
    middles = sizes[order].cumsum() - sizes[order] / 2
    ends = np.bincount(text.tags[word], minlength=len(UPOS))[first].cumsum()
    dealt = np.empty(len(sizes), dtype=np.int64)
    dealt[order] = first[np.searchsorted(ends, middles, side="left")]
    tags = text.tags.copy()
    tags[word] = dealt[own]
    return tags


@equal_control("random-keys", "each head reads as many far words, drawn at random for it, in place of those by tags")
def random_keys(inputs: ControlInputs) -> MadeControl:
    """Return the grammar's windows and random classes of words, as many for each head as its tags had."""
    rng = np.random.default_rng([inputs.seed, 2])
    tags = tuple(_classes_of_words(text, rng) for text in inputs.counter.texts)
    shares = far_shares(inputs.grammar, inputs.counter)
    layers = len(shares) if inputs.grammar.varies_by_layer else 1
    order = np.stack([[rng.permutation(_CLASSES) for _ in row] for row in shares[:layers]])

    def build(scale: float) -> Grammar:
        counts = _rounded(shares[:layers] * scale * _CLASSES).clip(0, _CLASSES)
        rules = [
            Rule(UPOS, tuple(UPOS[tag] for tag in order[layer, head, :count]), heads=(head,),
                 layers=(layer,) if layers > 1 else None)
            for (layer, head), count in np.ndenumerate(counts)
            if count
        ]  # fmt: skip
        return replace(inputs.bare, rules=(*inputs.bare.rules, *bounded_rules(inputs.grammar), *rules))

    counter = inputs.counter.retagged(tags)
    scale = match_size(lambda size: counter.share(build(size)), inputs.wanted, low=0.0, high=3.0)
    return MadeControl(build(scale), tags, "words in random classes, some of which each head reads")


def _classes_of_words(text: CausalText, rng: np.random.Generator) -> Counts:
    """Return a random class for each word, as a tag id."""
    classes = rng.integers(0, _CLASSES, int(text.words.max(initial=-1)) + 1)
    return np.where(text.words >= 0, classes[text.words], text.tags)


def _rounded(amounts: NDArray[np.float64]) -> Counts:
    """Round so that the sum stays: what one loses, the next gets."""
    totals = np.floor(amounts.cumsum() + 0.5).astype(np.int64)
    return np.diff(totals, prepend=0).reshape(amounts.shape)


@equal_control("rarest", "each head reads as many of the rarest tokens, by their count in the texts of the run")
def rarest(inputs: ControlInputs) -> MadeControl:
    """Return the grammar's windows and the rarest tokens; heads that read more far words read more of them."""
    counts = Counter(token for tokens in inputs.tokens for token in tokens.tolist())
    rng = np.random.default_rng([inputs.seed, 3])
    ranks = [_ranks(tokens, counts, rng) for tokens in inputs.tokens]
    shares = far_shares(inputs.grammar, inputs.counter)
    steps = np.unique(np.quantile(shares[shares > 0], np.linspace(0, 1, _CLASSES - 1), method="nearest"))
    level = np.searchsorted(steps, shares, side="left").clip(0, len(steps) - 1)
    rules = [
        rule for step in range(len(steps)) for rule in heads_where((level == step) & (shares > 0), UPOS[: step + 1])
    ]
    grammar = replace(inputs.bare, rules=(*inputs.bare.rules, *bounded_rules(inputs.grammar), *rules))

    def retag(scale: float) -> tuple[Counts, ...]:
        return tuple(
            np.where(text.tags < len(UPOS), np.searchsorted(steps * scale, rank, side="left"), text.tags)
            for text, rank in zip(inputs.counter.texts, ranks, strict=True)
        )

    scale = match_size(
        lambda size: inputs.counter.retagged(retag(size)).share(grammar), inputs.wanted, low=0.0, high=3.0
    )
    return MadeControl(grammar, retag(scale), "the rarest tokens of each text")


def _ranks(tokens: Counts, counts: Counter[int], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return for each token the share of the text's tokens that are rarer, ties in random order."""
    frequency = np.array([counts[token] for token in tokens.tolist()])
    order = np.lexsort((rng.permutation(len(tokens)), frequency))
    ranks = np.empty(len(tokens))
    ranks[order] = (np.arange(len(tokens)) + 0.5) / len(tokens)
    return ranks


@equal_control("separators", "heads that read far words read all punctuation instead; windows shrink or grow to fit")
def separators(inputs: ControlInputs) -> MadeControl:
    """Return punctuation at any distance, and the grammar's windows, all longer or shorter by one factor."""
    far = heads_where(far_shares(inputs.grammar, inputs.counter) > 0, ("PUNCT",))

    def build(scale: float) -> Grammar:
        near = [_scaled(rule, scale) for rule in bounded_rules(inputs.grammar)]
        return replace(inputs.bare, rules=(*inputs.bare.rules, *near, *far))

    reaches = [-rule.reach.lo for rule in bounded_rules(inputs.grammar) if rule.reach.lo < 0]
    longest = max(int(text.words.max()) for text in inputs.counter.texts) + 1
    most = max(longest / min(reaches, default=longest), 1.0)  # then every window holds the whole text
    scale = match_size(lambda size: inputs.counter.share(build(size)), inputs.wanted, low=0.0, high=most)
    return MadeControl(build(scale), note=f"all punctuation, and windows of {100 * scale:.0f} % of the grammar's")


def _scaled(rule: Rule, scale: float) -> Rule:
    if rule.reach.kind != "words":
        return rule
    lo, hi = max(round(rule.reach.lo * scale), 1 - MAX_OFFSET), rule.reach.hi
    return replace(rule, reach=Reach("words", min(lo, hi), hi))
