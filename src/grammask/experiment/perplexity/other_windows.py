"""Controls that know no tags: a longer window, and some heads that read everything."""

from dataclasses import replace

import numpy as np

from ...grammar.grammar import Grammar
from ...grammar.rules import Reach, Rule
from ...grammar.tags import UPOS
from .equal_pairs import match_size
from .pair_counter import near_part
from .perplexity_control import ControlInputs, MadeControl, equal_control, heads_where


@equal_control("longer-window", "every word reads the words before it, in all heads equally far", needs_tags=False)
def longer_window(inputs: ControlInputs) -> MadeControl:
    """Return one window for all heads."""
    grammar, words = _matched(inputs, [], inputs.wanted)
    return MadeControl(grammar, note=f"a window of {words:,} words")


@equal_control(
    "split-heads",
    "the heads that read most far words in the grammar read everything, all others one window; no tags",
    needs_tags=False,
)
def split_heads(inputs: ControlInputs) -> MadeControl:
    """Return as many full heads as the far pairs pay for, beside a window that costs what the near ones do."""
    counter, everything = inputs.counter, inputs.counter.everything
    near = counter.by_head(near_part(inputs.grammar))
    far = counter.by_head(inputs.grammar) - near
    window = counter.share(_matched(inputs, [], float(near.mean() / everything))[0])
    count = round((inputs.wanted - window) / max(1 - window, 1e-9) * far.size)
    # Ties are broken by the seed.
    order = np.lexsort((np.random.default_rng(inputs.seed).permutation(far.size), -far.ravel()))
    full = np.zeros(far.size, dtype=bool)
    full[order[: max(1, min(count, far.size - 1))]] = True
    grammar, words = _matched(inputs, heads_where(full.reshape(far.shape), UPOS), inputs.wanted)
    how = "drawn by the seed, since the grammar's heads are alike" if (far == far.flat[0]).all() else "by the grammar"
    return MadeControl(
        grammar, note=f"{full.sum()} of {far.size} heads read everything ({how}), the others {words:,} words"
    )


def _matched(inputs: ControlInputs, rules: list[Rule], wanted: float) -> tuple[Grammar, int]:
    """Return the bare grammar with these rules and a window that gives it the wanted share of pairs."""

    def build(words: float) -> Grammar:
        window = Rule(UPOS, UPOS, Reach("words", -int(words), 0))
        return replace(inputs.bare, rules=(*inputs.bare.rules, window, *rules))

    longest = max(int(text.words.max()) for text in inputs.counter.texts) + 1
    words = match_size(lambda size: inputs.counter.share(build(size)), wanted, low=0, high=longest, whole=True)
    return build(words), int(words)
