"""How many tokens a model reads."""

from torch import nn
from transformers import PreTrainedModel


def count_positions(model: PreTrainedModel) -> int | None:
    """Return how many tokens a model reads, None where its config sets no limit."""
    positions = getattr(model.config, "max_position_embeddings", None)
    tables = [
        table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)  # RoBERTa's start behind it
        for name, table in model.base_model.named_modules()
        if name.split(".")[-1] == "position_embeddings" and isinstance(table, nn.Embedding)
    ]
    return min([*tables, *([positions] if isinstance(positions, int) and positions > 0 else [])], default=None)
