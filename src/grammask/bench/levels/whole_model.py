"""The model level: a step of a whole model on ragged batches of real text."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from ...attention.backends import BackendName
from ...grammar.grammar import Grammar
from ...model.wrappers import INPUTS
from ..cases import Case
from ..contender import Contender, Ready
from ..models import BenchModel
from ..race import race
from ..settings import FULL, BenchConfig
from .batch_facts import batch_facts
from .steps import make_step

# A model whose attention mixes nothing: no attention can make a whole model faster.
FLOOR: Final[str] = "no attention"
_NAME: Final[str] = "grammask_floor"


def run_model(
    case: Case, *, model: BenchModel, grammar: Grammar, batch: Mapping[str, Tensor], config: BenchConfig
) -> list[dict[str, Any]]:
    """Return the rows of a case: the stock model, one without attention, and the guided one, planning included.

    On a GPU the guided one is timed by each backend that runs there.
    """
    moved = {name: tensor.to(config.device) for name, tensor in batch.items()}
    plain = {name: tensor for name, tensor in moved.items() if name not in INPUTS}

    def stock() -> PreTrainedModel:
        return model.copy(case.weights_dtype)

    def guided(backend: BackendName) -> Ready:
        return _ready(
            case, model.guided(grammar, case.strategy, case.weights_dtype, backend), moved, causal=model.causal
        )

    backends: tuple[BackendName, ...] = ("auto",) if config.device == "cpu" else ("dense", "flex")
    contenders = [
        Contender(FULL, "full", lambda: _ready(case, stock(), plain, causal=model.causal)),
        Contender(FLOOR, "floor", lambda: _ready(case, without_attention(stock()), plain, causal=model.causal)),
        *(Contender(backend, "ours", partial(guided, backend)) for backend in backends),
    ]
    facts = batch_facts(case, grammar, batch, model)
    rows = race(contenders, seconds=config.seconds, device=config.device, memory=config.memory)
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
    groups = query.shape[1] // value.shape[1]
    output = 0.0 * query + (value + 0.0 * key).repeat_interleave(groups, dim=1)
    return output.transpose(1, 2).contiguous(), None


def _ready(case: Case, model: PreTrainedModel, batch: Mapping[str, Tensor], *, causal: bool) -> Ready:
    step = make_step(model, case, causal=causal)
    return Ready(lambda: step(batch))
