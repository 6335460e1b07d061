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

from ..model.eval_mode import eval_mode
from .far_reads import FULL, NAMED, NEAR, READS, Choice, Floats, cells_of
from .long_texts import LongText
from .reading_attention import NAME, ReadingPass, register

_LOGITS: Final[int] = 512  # places


@dataclass(frozen=True, eq=False)
class HeadWorth:
    """What far reading takes off the loss, in nats a token: of `names` alone, and of everything; (layers, heads)."""

    names: Floats
    full: Floats


def head_worth(
    model: PreTrainedModel, texts: Sequence[LongText], *, window: int, progress: Callable[[int], None]
) -> HeadWorth:
    """Return what far reading is worth to each head: the mean over texts, and over two states of the model.

    In one all heads read everything, in the other their `window` of words and far names: a head that others stand in
    for looks worthless in the first alone. `progress` gets 1 for each state of each text.
    """
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    total = np.zeros((layers, heads, READS.shape[1]))
    with differentiated(model):
        for text in texts:
            for reading in (FULL, NAMED):
                total += changes(model, text, np.full((layers, heads), reading), window=window)
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


def changes(model: PreTrainedModel, text: LongText, choice: Choice, *, window: int) -> Floats:
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
        loss = _loss(model, hidden[0], text)
    loss.backward()  # type: ignore[no-untyped-call]
    return found.double().numpy()


def _loss(model: PreTrainedModel, hidden: Tensor, text: LongText) -> Tensor:
    """Return the mean loss of a text's tokens, by what they count."""
    head: nn.Module = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    targets, counts = text.input_ids[0, 1:], text.counts[0, 1:]
    losses = []
    # The logits of a whole text are large, so they are there for a few places at a time.
    for some in torch.split(counts.nonzero().flatten(), _LOGITS):
        of_places = F.cross_entropy(head(hidden[some]).float(), targets[some], reduction="none")
        losses.append((of_places * counts[some]).sum())
    return torch.stack(losses).sum() / counts.sum()
