"""How many tokens a model reads, and texts that are longer."""

from torch import nn
from transformers import PreTrainedModel

from ..errors import ModelError


def count_positions(model: PreTrainedModel) -> int | None:
    """Return how many tokens a model reads, None where its config sets no limit."""
    positions = getattr(model.config, "max_position_embeddings", None)
    tables = [
        table.num_embeddings - first_position(table)
        for name, table in model.base_model.named_modules()
        if name.split(".")[-1] == "position_embeddings" and isinstance(table, nn.Embedding)
    ]
    return min([*tables, *([positions] if isinstance(positions, int) and positions > 0 else [])], default=None)


def first_position(table: nn.Embedding) -> int:
    """Return the row of a text's first token: RoBERTa's begin behind the row of padding."""
    return 0 if table.padding_idx is None else table.padding_idx + 1


def check_length(model: PreTrainedModel, length: int, name: str) -> None:
    """Raise `ModelError` where `--length` is more than a model, known by its `name`, reads."""
    most = count_positions(model)
    if most is not None and length > most:
        raise ModelError(f"--length {length} is more than the {most} tokens that model {name!r} reads; take fewer")
