"""Which share of a context's keys a grammar keeps: those that some later token may still read."""

from dataclasses import dataclass, replace

from transformers import PreTrainedModel

from ...attention.inputs import Annotation
from ...attention.later_keys import later_keys
from ...grammar.grammar import Grammar
from ...grammar.rules import Reach
from ...grammar.tables import compile_layers
from ...model.named_models import count_key_heads
from .passages import Passage


@dataclass(frozen=True)
class ModelHeads:
    """How many layers, heads and key-value heads a model has."""

    layers: int
    heads: int
    key_heads: int


def heads_of(model: PreTrainedModel) -> ModelHeads:
    """Return the heads that a model's config names."""
    config = model.config
    return ModelHeads(config.num_hidden_layers, config.num_attention_heads, count_key_heads(config))


def kept_share(grammar: Grammar, context: Passage, heads: ModelHeads) -> float:
    """Return the share of a context's keys that are kept, a mean over layers and key-value heads."""
    inputs = context.inputs
    annotation = Annotation(inputs["tag_ids"], inputs["word_ids"], inputs["sentence_ids"])
    layers = compile_layers(grammar, layers=heads.layers, heads=heads.heads)
    of_table = {
        id(tables): float(later_keys(tables, annotation, key_heads=heads.key_heads).float().mean()) for tables in layers
    }  # layers with the same rules share one object
    return sum(of_table[id(tables)] for tables in layers) / len(layers)


def fit_window(grammar: Grammar, context: Passage, heads: ModelHeads, *, share: float, name: str) -> Grammar:
    """Return a grammar whose bounded reaches keep at most this share of a context, but one word at least."""
    shortest, longest = 1, int(context.inputs["word_ids"].max()) + 1
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if kept_share(_with_window(grammar, middle, name), context, heads) <= share:
            shortest = middle
        else:
            longest = middle - 1
    return _with_window(grammar, shortest, name)


def _with_window(grammar: Grammar, words: int, name: str) -> Grammar:
    rules = tuple(
        replace(rule, reach=Reach("words", -words, 0)) if rule.reach.kind == "words" else rule for rule in grammar.rules
    )
    return replace(grammar, name=name, rules=rules)
