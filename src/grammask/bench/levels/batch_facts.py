"""What the rows of a whole model say about their batch: its tokens, and how many of its pairs must be computed."""

from collections.abc import Mapping

from torch import Tensor

from ...attention.density import count_layers
from ...attention.inputs import Annotation
from ...attention.position_mask import FREE
from ...grammar.grammar import Grammar
from ...grammar.tables import compile_layers
from ...model.wrappers import INPUTS
from ..cases import Case
from ..model_masks import pairs_computed, pairs_within
from ..models import BenchModel


def batch_facts(case: Case, grammar: Grammar, batch: Mapping[str, Tensor], model: BenchModel) -> dict[str, float]:
    """Return the tokens of a batch, its density, and the share of full attention's pairs that must be computed.

    A pair must be allowed by the model's own mask too; soft blocks no other. Full attention computes all pairs of the
    padded batch, but in a causal layer without a window the half where there is no padding.
    """
    texts, length = batch["tag_ids"].shape
    tokens = batch["attention_mask"].sum(1).tolist()
    density = _hard(grammar, batch, model) if case.strategy == "hard" else _soft(tokens, model)
    padded = min(tokens) < length
    computed = [pairs_computed(FREE if padded else position, length) for position in model.positions]
    return {
        "tokens": sum(tokens),
        "density": density,
        "computed_share": density * sum(count**2 for count in tokens) * len(computed) / (texts * sum(computed)),
    }


def _hard(grammar: Grammar, batch: Mapping[str, Tensor], model: BenchModel) -> float:
    config = model.stock.config
    compiled = compile_layers(grammar, layers=config.num_hidden_layers, heads=config.num_attention_heads)
    return count_layers(compiled, Annotation(**{name: batch[name] for name in INPUTS}), model.positions).density


def _soft(tokens: list[int], model: BenchModel) -> float:
    read = sum(pairs_within(position, count) for position in model.positions for count in tokens)
    return read / (len(model.positions) * sum(count**2 for count in tokens))
