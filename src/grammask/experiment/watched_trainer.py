"""transformers' Trainer as experiments use it: quiet but for bars, and stopped at the first loss that is no number."""

import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import torch
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_pt_utils import LengthGroupedSampler

from ..errors import ExperimentError

# From what diverged ("the loss of step 3 of 10 is") to the error that says so.
Diverged = Callable[[str], ExperimentError]
_EPOCHS: Final[int] = 20  # bits that count them


def training_arguments(
    scratch: str, *, precision: str, seed: int, group_by_length: bool, **own: Any
) -> TrainingArguments:
    """Return the arguments of a training: its `own` and those that all share. Checkpoints go into `scratch`."""
    return TrainingArguments(
        output_dir=scratch,
        seed=seed,
        train_sampling_strategy="group_by_length" if group_by_length else "random",
        bf16=precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,  # collators read tags, though the stock model doesn't
        report_to=[],
        **own,
    )


class WatchedTrainer(Trainer):
    """A Trainer that stops at the first loss that is no number: what it trains afterwards means nothing.

    With `shows_bars` it has bars on a terminal; it never prints figures between them.
    """

    def __init__(self, diverged: Diverged, *, shows_bars: bool, **settings: Any) -> None:
        super().__init__(**settings)
        self._diverged = diverged
        self._bars = _Bars()
        for callback in (ProgressCallback, PrinterCallback):
            self.remove_callback(callback)
        if sys.stderr.isatty() and shows_bars:
            self.add_callback(self._bars)

    def training_step(self, *given: Any, **named: Any) -> torch.Tensor:
        """Return the loss of a step; raises the error of `diverged` where it is NaN or infinite."""
        loss = super().training_step(*given, **named)
        if not bool(loss.isfinite().all()):
            raise self._diverged(f"the loss of step {self.state.global_step + 1} of {self.state.max_steps} is")
        return loss

    def _get_train_sampler(self, *given: Any) -> Any:
        """Group texts by length for the batches of all processes together, so that they are those of one process."""
        sampler = super()._get_train_sampler(*given)
        if isinstance(sampler, LengthGroupedSampler):
            return _GroupedSampler(sampler.batch_size * self.args.world_size, sampler.lengths, self.args.seed)
        return sampler

    def close(self) -> None:
        """End the line of a bar that an error left behind."""
        self._bars.close()


class _GroupedSampler(LengthGroupedSampler):
    """Texts of about one length beside each other; their order depends on the seed and the epoch alone.

    transformers' own draws from the state that a training happens to be in, which one that goes on in the midst of an
    epoch doesn't have.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int) -> None:
        super().__init__(batch_size, lengths=lengths)
        self._seed, self._epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of this epoch from now on."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.generator = torch.Generator().manual_seed((self._seed << _EPOCHS) + self._epoch)
        found: Iterator[int] = super().__iter__()  # type: ignore[no-untyped-call]
        return found


class _Bars(ProgressCallback):
    """The Trainer's progress bars, without the figures that it prints between them."""

    def on_log(self, *_: Any, **__: Any) -> None:
        """Print nothing: the figures go into the record."""

    def close(self) -> None:
        """End the line of a bar."""
        for bar in (self.training_bar, self.prediction_bar):
            if bar is not None:
                bar.close()
