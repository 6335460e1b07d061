"""Teaching a network: AdamW with a rate that rises and falls once."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from ...errors import ExperimentError
from .learner import Learner
from .lessons import Lessons, Row, draw_rows
from .losses import lesson_loss, teacher_loss

LEAST, MOST = 1000, 4000  # subwords of a step
_STEPS: Final[int] = 700  # of an epoch, as far as these allow
_RATE: Final[float] = 3e-3
_RISING: Final[float] = 0.15  # of all steps
_DECAY: Final[float] = 0.01
_LARGEST_GRADIENT: Final[float] = 2.0


def teach(learner: Learner, lessons: Lessons, *, epochs: int, seed: int) -> Iterator[float]:
    """Teach a network, and yield the mean loss of each epoch; raises `ExperimentError` where it diverges."""
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=_RATE, weight_decay=_DECAY, betas=(0.9, 0.98))
    size = min(max(lessons.size // _STEPS, LEAST), MOST)
    steps = epochs * (lessons.size // size + 1)  # a row has a few more, so there are never more rows
    schedule = OneCycleLR(optimizer, _RATE, total_steps=steps + 1, pct_start=_RISING)
    gap = max(learner.layers.steps)
    for epoch in range(epochs):
        learner.train()
        losses = []
        for row in draw_rows(lessons, rng, size=size, gap=gap):
            loss = _loss(learner(row.ids, row.cues, row.real), row)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(learner.parameters(), _LARGEST_GRADIENT)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        mean = float(np.mean(losses))
        if not np.isfinite(mean):
            raise ExperimentError(f"teaching diverged in epoch {epoch + 1}: the loss is {mean}; try another --seed")
        yield mean
    learner.eval()


def _loss(answers: Tensor, row: Row) -> Tensor:
    if row.said is None:
        return lesson_loss(answers, row.tags, row.begins)
    return teacher_loss(answers[row.real], row.said[row.real])
