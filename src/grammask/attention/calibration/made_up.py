"""Plans of made-up texts, and the making of their masks and blocks, to be timed."""

from functools import partial

import numpy as np
import torch
from torch import Tensor

from ...grammar.file import load_grammar
from ...grammar.rules import Strategy
from ...grammar.tags import TAGS
from ..blocks.sorted import FREQUENCY
from ..dense import heads_of
from ..inputs import Annotation, each_its_own_word
from ..make_plan import make_plan
from ..plan import Plan
from ..position_mask import FREE, PositionMask
from .count import mask_parts, plan_parts
from .parts import MaskParts, PlanParts, Probe


def mask_probes(dtype: torch.dtype) -> list[Probe[MaskParts]]:
    """Return the making of dense masks, of one head and of twelve, hard and soft, also under a model's own window."""
    made: list[tuple[str, Strategy, int, int, PositionMask]] = [
        ("paper", "hard", 32, 1, FREE), ("paper", "hard", 192, 1, FREE), ("mixed", "hard", 640, 1, FREE),
        ("paper", "soft", 32, 1, FREE), ("paper", "soft", 1024, 1, FREE), ("minilm-heads", "hard", 320, 12, FREE),
        ("minilm-heads", "soft", 320, 12, FREE), ("paper", "hard", 384, 1, PositionMask(window=(64, 64))),
    ]  # fmt: skip
    probes = []
    for grammar, strategy, length, heads, position in made:
        probes.append(mask_probe(made_up_plan(grammar, strategy, length, heads=heads), dtype, position))
    return probes


def mask_probe(plan: Plan, dtype: torch.dtype, position: PositionMask) -> Probe[MaskParts]:
    """Return the making of a plan's dense mask."""
    parts = mask_parts(plan, mask_heads=heads_of(plan.layer_tables[0]), position=position)
    return Probe(parts, partial(_mask_anew, plan, dtype, position))


def plan_probes() -> list[Probe[PlanParts]]:
    """Return the making of blocks, of short texts and long ones, with and without masks."""
    made: list[tuple[str, Strategy, int, int, PositionMask]] = [
        ("names", "soft", 64, 1, FREE), ("paper", "soft", 512, 1, FREE), ("paper", "hard", 64, 1, FREE),
        ("paper", "hard", 1024, 1, FREE), ("banded", "hard", 128, 1, FREE), ("mixed", "hard", 1024, 1, FREE),
        ("minilm-heads", "soft", 64, 12, FREE), ("minilm-heads", "soft", 256, 12, FREE),
        ("paper", "soft", 512, 1, PositionMask(window=(128, 128))),
        ("paper", "hard", 512, 1, PositionMask(window=(128, 128))),
    ]  # fmt: skip
    probes = []
    for grammar, strategy, length, heads, position in made:
        plan = made_up_plan(grammar, strategy, length, heads=heads)
        parts = plan_parts(plan.block_groups(0, position), strategy)
        probes.append(Probe(parts, partial(_blocks_anew, plan, position)))
    return probes


def _mask_anew(plan: Plan, dtype: torch.dtype, position: PositionMask) -> object:
    return unmade(plan).mask(0, None, dtype, position)


def _blocks_anew(plan: Plan, position: PositionMask) -> object:
    return unmade(plan).block_groups(0, position)


def unmade(plan: Plan, *, learned: Tensor | None = None) -> Plan:
    """Return a plan of the same batch from which nothing was made yet."""
    return Plan(
        plan.annotation, strategy=plan.strategy, layer_tables=plan.layer_tables, learned=learned, grammar=plan.grammar,
        shape=plan.shape,
    )  # fmt: skip


def made_up_plan(
    grammar: str, strategy: Strategy, length: int, *, heads: int = 1, batch: int = 1, device: str = "cpu"
) -> Plan:
    """Return the plan of texts of random words, tagged about as often as in English."""
    rules = load_grammar(grammar)
    layers = 1 + max((layer for rule in rules.rules for layer in rule.layers or ()), default=0)
    text = {name: ids.to(device).expand(batch, -1) for name, ids in vars(made_up_annotation(length)).items()}
    return make_plan(rules, **text, strategy=strategy, layers=layers, heads=heads)


def made_up_annotation(length: int) -> Annotation:
    """Return one text of random words, each token a word of its own or none, in sentences of 20."""
    drawn = np.random.default_rng(0).choice(len(TAGS), size=length, p=FREQUENCY / FREQUENCY.sum())
    tags = torch.from_numpy(drawn)[None]
    words = each_its_own_word(tags)
    assert words is not None  # noqa: S101 - the tags are integers
    return Annotation(tags, words, torch.arange(length, dtype=torch.int64, device="cpu")[None] // 20)
