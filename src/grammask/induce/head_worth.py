"""What reading less or more far would change of a causal model's loss, head by head."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from ..errors import InputError
from ..grammar.tags import NAMES, TAG_IDS
from ..model.eval_mode import eval_mode
from .far_reads import FULL, NAMED, NEAR, READS, Choice, Floats, cells_of
from .reading_attention import NAME, ReadingPass, register

_LOGITS: Final[int] = 512  # places
# Names and numbers are few, and what far reading is for.
_NAMES_COUNT: Final[float] = 3.0


@dataclass(frozen=True, eq=False)
class LongText:
    """One annotated text: input_ids, tag_ids and word_ids, (1, length) each."""

    input_ids: Tensor
    tag_ids: Tensor
    word_ids: Tensor


@dataclass(frozen=True, eq=False)
class HeadWorth:
    """What far reading takes off the loss, in nats a token: of `names` alone, and of everything; (layers, heads)."""

    names: Floats
    full: Floats


def head_worth(
    model: PreTrainedModel, texts: Sequence[LongText], *, window: int, skip: int, progress: Callable[[int], None]
) -> HeadWorth:
    """Return what far reading is worth to each head: the mean over texts, and over two states of the model.

    In one all heads read everything, in the other their `window` of words and far names: a head that others stand in
    for looks worthless in the first alone. The first `skip` tokens don't count. `progress` gets 1 for each state of
    each text. Raises `InputError` for a text of no more tokens than `skip`.
    """
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    total = np.zeros((layers, heads, READS.shape[1]))
    with differentiated(model):
        for number, text in enumerate(texts, start=1):
            if text.input_ids.shape[1] <= skip + 1:
                raise InputError(
                    f"text {number} has {text.input_ids.shape[1]} tokens, but the first {skip} don't count; give "
                    "longer texts"
                )
            for reading in (FULL, NAMED):
                total += changes(model, text, np.full((layers, heads), reading), window=window, skip=skip)
                progress(1)
    total /= 2 * len(texts)
    return HeadWorth(total[..., NEAR] - total[..., NAMED], total[..., NEAR] - total[..., FULL])


@contextmanager
def differentiated(model: PreTrainedModel) -> Iterator[None]:
    """Let the model attend as `changes` asks, in eval mode and without gradients of its weights."""
    register()
    implementation = model.config._attn_implementation
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


def changes(model: PreTrainedModel, text: LongText, choice: Choice, *, window: int, skip: int) -> Floats:
    """Return what reading otherwise would change of a text's loss where heads read `choice`: (layers, heads, reads)."""
    found = torch.zeros(*choice.shape, READS.shape[1])
    reading_pass = ReadingPass(
        cells_of(text.tag_ids[0], text.word_ids[0], window), READS.T.bool()[torch.from_numpy(choice)].unbind(),
        found.unbind(),
    )  # fmt: skip
    # Gradients flow from the embeddings on, since weights take none.
    embedded = model.get_input_embeddings()(text.input_ids).requires_grad_()
    with torch.enable_grad():
        hidden = model.base_model(inputs_embeds=embedded, use_cache=False, reading_pass=reading_pass).last_hidden_state
        loss = _loss(model, hidden[0], text, skip)
    loss.backward()  # type: ignore[no-untyped-call]
    return found.double().numpy()


def _loss(model: PreTrainedModel, hidden: Tensor, text: LongText, skip: int) -> Tensor:
    """Return the mean loss of the tokens after the first `skip`, names and numbers counted `_NAMES_COUNT` times."""
    head: nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    targets = text.input_ids[0, skip + 1 :]
    names = torch.isin(text.tag_ids[0, skip + 1 :], torch.tensor([TAG_IDS[name] for name in NAMES]))
    counts = torch.where(names, _NAMES_COUNT, 1.0)
    # The logits of a whole text are large, so they are there for a few places at a time.
    places = hidden[skip:-1].split(_LOGITS), targets.split(_LOGITS), counts.split(_LOGITS)  # type: ignore[no-untyped-call]
    parts = zip(*places, strict=True)
    losses = [
        (F.cross_entropy(head(states).float(), of, reduction="none") * count).sum() for states, of, count in parts
    ]
    return torch.stack(losses).sum() / counts.sum()
