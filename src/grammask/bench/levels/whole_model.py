"""The model level: a whole encoder's forward pass, or a training step, on ragged batches of real text."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from ...attention.density import count_layers
from ...attention.inputs import Annotation
from ...grammar.grammar import Grammar
from ...grammar.tables import compile_layers
from ...model.guide import INPUTS
from ..cases import Case
from ..contender import Contender, Outputs, Ready
from ..encoder import Encoder
from ..race import race
from ..settings import FULL

# A model whose attention mixes nothing: no attention can make a whole model faster.
FLOOR: Final[str] = "no attention"
_NAME: Final[str] = "grammask_floor"


def run_model(
    case: Case, *, encoder: Encoder, grammar: Grammar, batch: Mapping[str, Tensor], seconds: float
) -> list[dict[str, Any]]:
    """Return the rows of a case: the stock model, one without attention, and the guided one, planning included."""
    plain = {name: tensor for name, tensor in batch.items() if name not in INPUTS}
    contenders = [
        Contender(FULL, "full", lambda: _ready(case, encoder.copy(), plain)),
        Contender(FLOOR, "floor", lambda: _ready(case, without_attention(encoder.copy()), plain)),
        Contender("auto", "ours", lambda: _ready(case, encoder.guided(grammar, case.strategy), batch)),
    ]
    facts = batch_facts(case, grammar, batch, encoder)
    rows = race(contenders, seconds=seconds)
    seconds_of = {row["contender"]: row.get("median_seconds") for row in rows}
    if seconds_of[FULL] is not None and seconds_of[FLOOR] is not None:
        ideal = ideal_speedup(seconds_of[FULL], seconds_of[FLOOR], facts["computed_share"])
        for row in rows:
            if row["kind"] != "floor" and "speedup" in row:
                row |= {"ideal": ideal, "share_of_ideal": row["speedup"] / ideal}
    return [{**case.facts(), **facts, **row} for row in rows]


def without_attention(model: PreTrainedModel) -> PreTrainedModel:
    """Let every token read itself only, in place. All projections stay, and all get gradients."""
    AttentionInterface.register(_NAME, _itself)
    model.set_attn_implementation(_NAME)
    return model


def ideal_speedup(full: float, floor: float, share: float) -> float:
    """Return the speed-up of a whole model whose attention takes `share` of full attention's time above the floor."""
    return full / (floor + share * max(full - floor, 0.0))


def _itself(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
    output = value + 0.0 * (query + key)
    return output.transpose(1, 2).contiguous(), None


def batch_facts(case: Case, grammar: Grammar, batch: Mapping[str, Tensor], encoder: Encoder) -> dict[str, float]:
    """Return the tokens of a batch, its density (1 under soft, which blocks nothing), and the share to compute.

    The share is of all pairs of the padded batch, since full attention computes all of them.
    """
    texts, length = batch["tag_ids"].shape
    config = encoder.stock.config
    compiled = compile_layers(grammar, layers=config.num_hidden_layers, heads=config.num_attention_heads)
    hard = case.strategy == "hard"
    density = count_layers(compiled, Annotation(**{name: batch[name] for name in INPUTS})).density if hard else 1.0
    tokens = batch["attention_mask"].sum(1)
    return {
        "tokens": int(tokens.sum()),
        "density": density,
        "computed_share": density * int((tokens**2).sum()) / (texts * length**2),
    }


def _ready(case: Case, model: PreTrainedModel, batch: Mapping[str, Tensor]) -> Ready:
    step = forward_step(model, case) if case.work == "forward" else training_step(model, case)
    return Ready(lambda: step(batch))


def forward_step(model: PreTrainedModel, case: Case) -> Callable[[Mapping[str, Tensor]], Outputs]:
    """Return a forward pass of the encoder without its head, in eval mode and without gradients."""
    base = model.base_model.eval()

    def step(batch: Mapping[str, Tensor]) -> Outputs:
        with torch.no_grad(), _autocast(case):
            return (base(**batch).last_hidden_state,)

    return step


def training_step(model: PreTrainedModel, case: Case) -> Callable[[Mapping[str, Tensor]], Outputs]:
    """Return a step of AdamW on the sequence classifier, in train mode."""
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def step(batch: Mapping[str, Tensor]) -> Outputs:
        labels = torch.arange(len(batch["input_ids"])) % 2
        with _autocast(case):
            loss = model(**batch, labels=labels).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        return (loss.detach(),)

    return step


def _autocast(case: Case) -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=case.dtype == "bfloat16")
