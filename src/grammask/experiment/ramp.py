"""Training along a ramp: from full attention to the hard mask of a grammar."""

from typing import Any, Final

import torch
from torch import Tensor
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..attention.inputs import Annotation
from ..model.attach import set_mask_transform

_HIGHEST_PENALTY: Final[float] = 8.0  # logits: exp(-8) leaves a blocked pair a three-thousandth of its weight
_RAMP_SHARE: Final[float] = 0.5  # of the training steps


class Ramp(TrainerCallback):
    """Raises the penalty of blocked pairs step by step, then blocks them: a mask transform, see `Plan`."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._penalty = 0.0
        set_mask_transform(model, self._weaken)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Set the penalty of the coming step."""
        progress = state.global_step / (_RAMP_SHARE * state.max_steps)
        self._penalty = _HIGHEST_PENALTY * progress
        if progress >= 1:
            set_mask_transform(self._model, None)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Block what the grammar blocks, however short the training was."""
        set_mask_transform(self._model, None)

    def _weaken(self, allowed: Tensor, annotation: Annotation, number: int) -> Tensor:
        return torch.zeros(allowed.shape, device=allowed.device).masked_fill_(~allowed, -self._penalty)
