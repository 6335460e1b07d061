"""Tables of learned positions: where BERT-like models keep them, and how they are made longer."""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import PreTrainedModel

from ..errors import ModelError
from .count_positions import first_position
from .position_methods import PositionMethod

# Each is under a test.
EXTENDABLE: Final[tuple[str, ...]] = (
    "albert", "bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "esm", "layoutlm", "mobilebert",
    "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl",
)  # fmt: skip
_BUFFERS: Final[tuple[str, ...]] = ("position_ids", "token_type_ids")


@dataclass(frozen=True)
class PositionTable:
    """The table of a model, and the module that reads it; tokens have the rows from `first` on."""

    embeddings: nn.Module
    table: nn.Embedding
    first: int

    @property
    def tokens(self) -> int:
        """The most tokens of a text."""
        return self.table.num_embeddings - self.first

    def lengthen(self, tokens: int, method: PositionMethod) -> int:
        """Give the table rows for `tokens`, in place, and return how many it has then."""
        had = self.table.weight.detach()
        rows = torch.cat([had[: self.first], longer(had[self.first :], tokens, method)])
        # The module stays, and so do its hooks and its padding row.
        self.table.weight = nn.Parameter(rows, requires_grad=self.table.weight.requires_grad)
        self.table.num_embeddings = len(rows)
        numbers = torch.arange(len(rows), device=had.device)[None]
        for name, buffer in zip(_BUFFERS, (numbers, torch.zeros_like(numbers)), strict=True):
            if name in self.embeddings._buffers:
                setattr(self.embeddings, name, buffer)
        return len(rows)


def longer(rows: Tensor, count: int, method: PositionMethod) -> Tensor:
    """Return `count` rows made of fewer: repeated from the first one on, or with others in between."""
    if method == "tile":
        return rows[torch.arange(count, device=rows.device) % len(rows)]
    exact = rows.T[None].to(torch.promote_types(rows.dtype, torch.float32))
    return interpolate(exact, size=count, mode="linear", align_corners=True)[0].T.to(rows.dtype).contiguous()


def find_table(model: PreTrainedModel) -> PositionTable:
    """Return where a model keeps its positions; raises `ModelError`, with the reason, where it has no such table."""
    kind, embeddings = model.config.model_type, getattr(model.base_model, "embeddings", None)
    table: Any = getattr(embeddings, "position_embeddings", None)
    if kind not in EXTENDABLE or embeddings is None or not isinstance(table, nn.Embedding):
        raise _refusal(model, _reason(model))
    rows, said = table.num_embeddings, model.config.max_position_embeddings
    if rows != said:
        raise _refusal(model, f"its table of positions has {rows} rows, but its config says {said}")
    if table.weight.is_meta:
        raise _refusal(model, "its weights are not in memory; load it without offloading, extend it and save it")
    return PositionTable(embeddings, table, first_position(table))


def _reason(model: PreTrainedModel) -> str:
    if any("rotary" in type(module).__name__.lower() for module in model.modules()):
        return "its positions are rotary: they are computed, and no table of them ends"
    return f"its positions are no table that is known here; known are those of {', '.join(EXTENDABLE)}"


def _refusal(model: PreTrainedModel, why: str) -> ModelError:
    most = getattr(model.config, "max_position_embeddings", None)
    reads = f"{model.config.model_type} reads at most {most} tokens, and its" if most else f"{model.config.model_type}:"
    return ModelError(f"{reads} positions cannot be extended: {why}")
