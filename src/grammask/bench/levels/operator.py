"""The operator level: one layer's attention by itself, with the same tensors and tags for all contenders."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from torch import Tensor

from ...grammar.grammar import Grammar
from ..cases import Case
from ..contender import Contender, Ready
from ..operator_inputs import OperatorInputs, density, ideal_speedup, make_inputs
from ..ours import ours
from ..peers.bigbird import bigbird
from ..peers.flex_attention import flex
from ..peers.longformer import longformer
from ..peers.sdpa import dense_masked, full
from ..peers.streaming import streaming
from ..race import race
from ..settings import FULL, BenchConfig

_PEERS: Final[dict[str, Callable[[OperatorInputs, float], Ready]]] = {
    "dense-masked": lambda inputs, _: dense_masked(inputs),
    "flex": lambda inputs, _: flex(inputs),
    "longformer": longformer,
    "bigbird": bigbird,
    "streaming": streaming,
}


def run_operator(
    case: Case, config: BenchConfig, *, grammar: Grammar, annotation: Mapping[str, Tensor]
) -> list[dict[str, Any]]:
    """Return the rows of a case; `annotation` holds tag_ids, word_ids and sentence_ids (batch, length)."""
    inputs = make_inputs(
        annotation,
        grammar=grammar,
        strategy=case.strategy,
        training=case.work == "training",
        mask=case.mask,
        **config.one_layer,
        dtype=case.torch_dtype,
        seed=config.seed,
        device=config.device,
    )
    share = density(inputs)
    contenders = [
        Contender(FULL, "full", partial(full, inputs)),
        *(Contender(name, "peer", partial(_PEERS[name], inputs, share)) for name in config.peers),
        *(Contender(name, "ours", partial(ours, inputs, name)) for name in config.backends),
    ]
    rows = race(
        contenders,
        seconds=config.seconds,
        ideal=ideal_speedup(inputs, share),
        reference="dense-masked",
        device=config.device,
        memory=config.memory,
    )
    return [
        {
            **case.facts(), **config.one_layer, "density": share, **row, **_planning_share(row, rows),
        }
        for row in rows
    ]  # fmt: skip


def _planning_share(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return planning time relative to one layer's full attention; a model plans once for all its layers."""
    base = rows[0].get("median_seconds")
    planning = row.get("planning_seconds")
    return {} if planning is None or base is None else {"planning_share": planning / base}
