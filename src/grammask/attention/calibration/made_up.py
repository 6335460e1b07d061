"""Plans of made-up texts, and the making of their masks and blocks, to be timed."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from ...grammar.file import load_grammar
from ...grammar.rules import Strategy
from ...grammar.tags import TAGS
from ..blocks.sorted import FREQUENCY
from ..make_plan import make_plan
from ..plan import Plan
from .count import mask_parts, plan_parts
from .parts import MaskParts, PlanParts, Probe


def mask_probes(dtype: torch.dtype) -> list[Probe[MaskParts]]:
    """Return the making of dense masks, of one head and of twelve."""
    made: list[tuple[str, Strategy, int, int]] = [
        ("paper", "hard", 32, 1), ("paper", "hard", 256, 1), ("mixed", "soft", 512, 1), ("mixed", "hard", 512, 1),
        ("minilm-heads", "hard", 128, 12),
    ]  # fmt: skip
    probes = []
    for grammar, strategy, length, heads in made:
        plan = made_up_plan(grammar, strategy, length, heads=heads)
        parts = mask_parts((1, length), mask_heads=heads)
        probes.append(Probe(parts, partial(_mask_anew, plan, dtype)))
    return probes


def plan_probes() -> list[Probe[PlanParts]]:
    """Return the making of blocks, of short texts and long ones, with and without masks."""
    made: list[tuple[str, Strategy, int]] = [
        ("paper", "hard", 64), ("paper", "hard", 2048), ("banded", "hard", 128), ("banded", "hard", 1024),
        ("mixed", "hard", 1024), ("paper", "soft", 512),
    ]  # fmt: skip
    plans = [made_up_plan(grammar, strategy, length) for grammar, strategy, length in made]
    return [Probe(plan_parts(plan.block_groups(0)), partial(_blocks_anew, plan)) for plan in plans]


def _mask_anew(plan: Plan, dtype: torch.dtype) -> object:
    return unmade(plan).mask(0, None, dtype)


def _blocks_anew(plan: Plan) -> object:
    return unmade(plan).block_groups(0)


def unmade(plan: Plan, *, learned: Tensor | None = None) -> Plan:
    """Return a plan of the same batch from which nothing was made yet."""
    return Plan(
        plan.annotation, strategy=plan.strategy, layer_tables=plan.layer_tables, learned=learned, grammar=plan.grammar,
        shape=plan.shape,
    )  # fmt: skip


def made_up_plan(grammar: str, strategy: Strategy, length: int, *, heads: int = 1) -> Plan:
    """Return the plan of one text of random words, tagged about as often as in English."""
    tags = np.random.default_rng(0).choice(len(TAGS), size=length, p=FREQUENCY / FREQUENCY.sum())
    rules = load_grammar(grammar)
    layers = 1 + max((layer for rule in rules.rules for layer in rule.layers or ()), default=0)
    sentences = torch.arange(length, dtype=torch.int64, device="cpu")[None] // 20
    return make_plan(
        rules,
        tag_ids=torch.from_numpy(tags)[None],
        sentence_ids=sentences,
        strategy=strategy,
        layers=layers,
        heads=heads,
    )
