"""The loss of each token of a text under a causal language model, without the logits of the whole text at once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from ..errors import ModelError

_CHUNK: Final[int] = 256  # tokens whose logits are there at once: 50 MB of a vocabulary of 50,000


def token_losses(model: PreTrainedModel, inputs: Mapping[str, Tensor], first: int) -> NDArray[np.float64]:
    """Return the cross-entropy, in nats, of the tokens from `first` (at least 1) on, each after all before it.

    `inputs` are tensors (1, length). Raises `ModelError` for a model that answers with NaN or infinity.
    """
    given = {name: ids.to(model.device) for name, ids in inputs.items()}
    ids = given["input_ids"][0]
    losses = []
    with torch.inference_mode():
        output = model.base_model(**given, use_cache=False)
        for start in range(first, len(ids), _CHUNK):
            wanted = ids[start : start + _CHUNK]
            before = output.last_hidden_state[:, start - 1 : start - 1 + len(wanted)]
            logits = _logits(model, replace(output, last_hidden_state=before), wanted)
            losses.append(cross_entropy(logits.float(), wanted, reduction="none").double().cpu().numpy())
    found = np.concatenate(losses)
    if not np.isfinite(found).all():
        raise ModelError(f"{type(model).__name__} answers with NaN or infinity; its config.json or weights are damaged")
    return found


def _logits(model: PreTrainedModel, output: Any, ids: Tensor) -> Tensor:
    """Return the model's logits (tokens, vocabulary) of what its base model answered, by its own head."""
    with _base_that_answers(model, output):
        logits: Tensor = model(input_ids=ids[None], use_cache=False).logits[0]
    return logits


@contextmanager
def _base_that_answers(model: PreTrainedModel, output: Any) -> Iterator[None]:
    """Let a model go on from what its base model answered: heads may scale or bound the logits in their own ways."""
    name, base = model.base_model_prefix, model.base_model
    setattr(model, name, _Finished(output))
    try:
        yield
    finally:
        setattr(model, name, base)


class _Finished(nn.Module):
    """Stands for a base model that has run already."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self._output = output

    def forward(self, *_: Any, **__: Any) -> Any:
        """Return what it answered."""
        return self._output
