"""Shared pieces: one tiny model per supported architecture, and annotated random batches."""

import os
from dataclasses import dataclass

import hypothesis

# One core a process, also in the processes that tests start: pytest itself runs in several.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tags import CLS, PAD, SEP, TAGS, UPOS

# What takes how long is not tested: machines differ.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

TINY = {
    "vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 80, "num_labels": 3,
}  # fmt: skip

# One list of architectures feeds every model test: (model type, what its config needs beyond the common sizes).
ARCHITECTURES: dict[str, dict[str, object]] = {
    "albert": {"embedding_size": 16},
    "bert": {},
    "camembert": {},
    "data2vec-text": {},
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48},
    "electra": {"embedding_size": 16},
    "ernie": {},
    "esm": {"pad_token_id": 1, "mask_token_id": 5, "position_embedding_type": "rotary", "token_dropout": False},
    "eurobert": {"num_key_value_heads": 2, "pad_token_id": 1},
    "jina_embeddings_v3": {"num_loras": 0},
    "layoutlm": {},
    # Its own norm does not normalise: random weights would make scores so large that gradients are no numbers.
    "mobilebert": {
        "embedding_size": 16,
        "true_hidden_size": 32,
        "intra_bottleneck_size": 32,
        "normalization_type": "layer_norm",
    },
    "modernbert": {"local_attention": 8, "pad_token_id": 1, "cls_token_id": 2, "sep_token_id": 3},
    "nomic_bert": {},
    "roberta": {},
    "xlm-roberta": {},
    "xlm-roberta-xl": {},
}


def tiny_model(model_type: str, **changes: object) -> PreTrainedModel:
    """Return a small random sequence classifier in eval mode, the same one at every call."""
    config = transformers.AutoConfig.for_model(model_type, **{**TINY, **ARCHITECTURES[model_type], **changes})
    torch.manual_seed(0)
    kind = transformers.AutoModelForSequenceClassification
    if type(config) not in kind._model_mapping:
        kind = transformers.AutoModel
    model: PreTrainedModel = kind.from_config(config)
    # Random weights as they come are so small that every key looks alike; a mask must be able to make a difference.
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@dataclass
class Batch:
    """A ragged batch: the model's inputs and the annotation, all (batch, length)."""

    inputs: dict[str, Tensor]
    annotation: dict[str, Tensor]

    @property
    def everything(self) -> dict[str, Tensor]:
        return {**self.inputs, **self.annotation}


def random_batch(lengths: tuple[int, ...] = (13, 7, 2, 1), *, seed: int = 0, pad_token_id: int = 1) -> Batch:
    """Return texts of these lengths: [CLS], words of one to three subwords in sentences of five words, [SEP]."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    longest = max(lengths)
    input_ids = torch.full((len(lengths), longest), pad_token_id)
    tag_ids = torch.full((len(lengths), longest), PAD)
    word_ids = torch.full((len(lengths), longest), -1)
    sentence_ids = torch.full((len(lengths), longest), -1)
    for row, length in enumerate(lengths):
        input_ids[row, :length] = torch.randint(8, 120, (length,), generator=generator)
        tag_ids[row, 0] = CLS
        word, left, tag = 0, 0, 0
        for column in range(1, length):
            if column == length - 1:
                tag_ids[row, column] = SEP
                break
            if left == 0:
                left, tag, word = draw(1, 4), draw(0, len(UPOS)), word + 1
            left -= 1
            tag_ids[row, column], word_ids[row, column] = tag, word - 1
            sentence_ids[row, column] = (word - 1) // 5
    inputs = {"input_ids": input_ids, "attention_mask": (tag_ids != PAD).long()}
    return Batch(inputs, {"tag_ids": tag_ids, "word_ids": word_ids, "sentence_ids": sentence_ids})


@pytest.fixture
def batch() -> Batch:
    return random_batch()


@pytest.fixture
def allow_all() -> Grammar:
    """A grammar under which hard attention is full attention."""
    readable = tuple(tag for tag in TAGS if tag != "[PAD]")
    return Grammar("all", rules=(Rule(readable, readable, Reach("document")),))
