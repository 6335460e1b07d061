"""What each head reads, learned by descent: gates weigh its reads, and the loss and the price of pairs move them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from ..model.eval_mode import eval_mode
from .far_costs import FarCosts
from .far_reads import NAMED, READS, Choice, Windows
from .gated_attention import NAME, GatedPass, register
from .long_texts import LongText
from .tails import Tail, make_tails

_ANSWERS_COUNT: Final[float] = 0.15  # answers lose ten times as much as texts do
_RATE: Final[float] = 0.15
_COLDEST: Final[float] = 0.25  # the temperature at the end, at which nearly all of a head is in one read
# Nats for all pairs: at the start, by how much a step changes it for all pairs above the budget, and what these cost at
# once. Without the last the gates swing about the budget, and close for good where they swing low.
_PRICE, _PRICE_RATE, _EXCESS = 0.2, 0.3, 5.0
_STEPS: Final[int] = 100  # of which these are the rates; more steps are smaller, so that what they draw averages out

Bar = Callable[[Iterable[Any], str], Iterable[Any]]  # what is walked through, and a word on it


def learn_gates(
    model: PreTrainedModel, long_texts: Sequence[LongText], costs: FarCosts, *, windows: Windows, budget: float,
    names: bool, steps: int, bar: Bar,
) -> Choice:  # fmt: skip
    """Return what each head of a model is to read, within about a `budget` of causal pairs: (layers, heads).

    Each step reads the tail of one text and the questions behind another, and moves the gates by the gradient of
    their loss and of the pairs' price, which rises while the gates are above the budget. Gates grow hard meanwhile.
    Without `names` no head may read far names. `bar` wraps what is walked through, and is told what is done with it.
    """
    of_texts, of_questions = make_tails(model, bar(long_texts, "reading texts"), windows)
    draw = np.random.default_rng(0)
    texts, questions = _endless(of_texts, draw), _endless(of_questions, draw)
    shape = model.config.num_hidden_layers, model.config.num_attention_heads, READS
    barred = torch.tensor([0.0 if names or read not in NAMED else -torch.inf for read in range(READS)])
    of_reads = torch.from_numpy(costs.of_reads(windows)).float()
    barred, of_reads = barred.to(model.device), of_reads.to(model.device)
    logits = torch.zeros(shape, device=model.device, requires_grad=True)
    pace = min(1.0, (_STEPS / steps) ** 0.5)
    optimizer, price = torch.optim.Adam([logits], lr=pace * _RATE, betas=(0.9, 0.99)), _PRICE
    with _gated(model):
        for step in bar(range(steps), "learning what heads read"):
            gates = torch.softmax((logits + barred) / max(_COLDEST, 1 - 0.9 * step / steps), -1)
            loss = _loss(model, next(texts), gates) + _ANSWERS_COUNT * _loss(model, next(questions), gates)
            pairs = (gates @ of_reads).mean()
            excess = pairs.item() - budget
            (loss + max(0.0, price + _EXCESS * excess) * pairs).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            price = max(0.0, price + pace * _PRICE_RATE * excess)
    return (logits + barred).argmax(-1).cpu().numpy()


def _loss(model: PreTrainedModel, tail: Tail, gates: Tensor) -> Tensor:
    """Return the mean loss of a tail's tokens, by what they count."""
    places = torch.arange(tail.start, tail.start + len(tail.input_ids), device=gates.device)[None]
    gated_pass = GatedPass(gates, tail.reads, tail.keys)
    output = model(input_ids=tail.input_ids[None], position_ids=places, use_cache=False, gated_pass=gated_pass)
    losses = cross_entropy(output.logits[0, :-1].float(), tail.input_ids[1:], reduction="none")
    return (losses * tail.counts).sum() / tail.counts.sum().clamp(min=1)


def _endless(tails: Sequence[Tail], draw: np.random.Generator) -> Iterator[Tail]:
    while True:
        for number in draw.permutation(len(tails)):
            yield tails[number]


@contextmanager
def _gated(model: PreTrainedModel) -> Iterator[None]:
    """Let a model attend by gates, in eval mode and without gradients of its weights."""
    register()
    implementation: Any = model.config._attn_implementation
    learns = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.set_attn_implementation(NAME)
    for parameter in learns:
        parameter.requires_grad_(False)
    try:
        with eval_mode(model):
            yield
    finally:
        model.set_attn_implementation(implementation)
        for parameter in learns:
            parameter.requires_grad_(True)
