"""A transformer as teacher: it learns a treebank, and says of each subword of any text what a tagger is to answer."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from transformers import AutoModel, PreTrainedModel, TrainingArguments, set_seed

from ...environment import choose_precision
from ...errors import ExperimentError
from ...model.count_positions import count_positions
from ...model.load_weights import load_weights
from ...model.model_source import ModelSource
from ...tagging.subwords.network import OUTPUTS
from ...tagging.subwords.pieces import CUES
from ..watched_trainer import WatchedTrainer, training_arguments
from .lessons import NO_LESSON, Lessons
from .losses import lesson_loss, likelihoods

_LENGTH: Final[int] = 254  # subwords at most that it reads together; longer texts are read in parts
_EPOCHS: Final[int] = 3
_BATCH: Final[int] = 48
_READ: Final[int] = 256  # parts that it reads in a batch
_RATE: Final[float] = 2e-4
_RISING: Final[float] = 0.1  # of all steps


class Reader(nn.Module):
    """A transformers model over subwords and their cues; its answers are those of a `TagNetwork`."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.cues = nn.Embedding(CUES, model.config.hidden_size)
        self.answer = nn.Linear(model.config.hidden_size, OUTPUTS)
        nn.init.normal_(self.cues.weight, std=0.02)

    @property
    def length(self) -> int:
        """How many subwords it reads together."""
        return min(_LENGTH, count_positions(self.model) or _LENGTH)

    def answers(self, input_ids: Tensor, cues: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the answers (texts, length, OUTPUTS)."""
        found = self.model.get_input_embeddings()(input_ids) + self.cues(cues)
        read = self.model(inputs_embeds=found, attention_mask=attention_mask).last_hidden_state
        answers: Tensor = self.answer(read).float()
        return answers

    def forward(
        self, input_ids: Tensor, cues: Tensor, attention_mask: Tensor, tags: Tensor, begins: Tensor
    ) -> dict[str, Tensor]:
        """Return how far the answers are from the lessons, as Trainer asks."""
        answers = self.answers(input_ids, cues, attention_mask)
        return {"loss": lesson_loss(answers.flatten(0, 1), tags.flatten(), begins.flatten())}


def teach_reader(source: ModelSource, lessons: Lessons, seed: int) -> Reader:
    """Fine-tune a model on lessons; raises `ModelError`, and `ExperimentError` where it diverges."""
    set_seed(seed)
    reader = Reader(load_weights(AutoModel, source.location, new="pooler", **source.pinned).model)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = WatchedTrainer(
            _diverged, shows_bars=True, model=reader, args=_arguments(seed, scratch), data_collator=_collate,
            train_dataset=_Parts(lessons, reader.length),
        )  # fmt: skip
        with closing(trainer):
            trainer.train()
    return reader.eval()


@torch.inference_mode()
def read_lessons(reader: Reader, lessons: Lessons) -> NDArray[np.float16]:
    """Return what a reader holds likely for each subword: float16 (pieces, OUTPUTS), the tags and a beginning."""
    parts = _Parts(lessons, reader.length)
    device = reader.answer.weight.device
    is_narrow = choose_precision("auto") == "bfloat16"
    said = np.zeros((lessons.size, OUTPUTS), dtype=np.float16)
    order = np.argsort([end - start for start, end in parts.bounds], kind="stable")
    for first in range(0, len(order), _READ):
        numbers = order[first : first + _READ]
        batch = _collate([parts[number] for number in numbers])
        with torch.autocast(device.type, torch.bfloat16, enabled=is_narrow):
            answers = reader.answers(*(batch[name].to(device) for name in ("input_ids", "cues", "attention_mask")))
        for number, row in zip(numbers, likelihoods(answers).half().cpu().numpy(), strict=True):
            start, end = parts.bounds[number]
            said[start:end] = row[: end - start]
    return said


class _Parts(Dataset[dict[str, Tensor]]):
    """The texts of lessons, long ones in parts, as Trainer reads them; `bounds` say which subwords are whose."""

    def __init__(self, lessons: Lessons, length: int) -> None:
        self.columns = torch.from_numpy(lessons.columns)
        self.bounds = [
            (start, min(start + length, int(end)))
            for begin, end in zip(lessons.bounds[:-1], lessons.bounds[1:], strict=True)
            for start in range(int(begin), int(end), length)
        ]

    def __len__(self) -> int:
        return len(self.bounds)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        start, end = self.bounds[number]
        return dict(zip(("input_ids", "cues", "tags", "begins"), self.columns[:, start:end], strict=True))


def _collate(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    fills = {"input_ids": 0, "cues": 0, "tags": NO_LESSON, "begins": NO_LESSON, "attention_mask": 0}
    rows = [{**part, "attention_mask": torch.ones_like(part["input_ids"])} for part in parts]
    return {
        name: pad_sequence([row[name] for row in rows], batch_first=True, padding_value=fill)
        for name, fill in fills.items()
    }


def _arguments(seed: int, scratch: str) -> TrainingArguments:
    return training_arguments(
        scratch, precision=choose_precision("auto"), seed=seed, num_train_epochs=_EPOCHS,
        per_device_train_batch_size=_BATCH, learning_rate=_RATE, warmup_steps=_RISING,
        group_by_length=True, save_strategy="no", logging_strategy="no",
    )  # fmt: skip


def _diverged(what: str) -> ExperimentError:
    return ExperimentError(f"the model that is to teach diverged: {what} NaN or infinite; try another --seed")
