"""Models with random weights, of the widths and depths that real ones have: their time is real, what they say isn't."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)


@dataclass(frozen=True)
class Shape:
    """The kind of a model, its sizes where they are not the defaults of that kind, and whose they are."""

    model_type: str
    like: str
    causal: bool = False
    sizes: Mapping[str, object] | None = None


SHAPES: Final[Mapping[str, Shape]] = {
    "bert": Shape("bert", "BERT base: 12 layers, 12 heads"),
    "modernbert": Shape("modernbert", "ModernBERT base: 22 layers, 12 heads, two of three layers in windows"),
    "llama": Shape(
        "llama",
        "SmolLM2-135M: 30 layers, 9 heads of queries, 3 of keys",
        causal=True,
        sizes={
            "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
            "num_key_value_heads": 3, "max_position_embeddings": 8192, "tie_word_embeddings": True,
        },
    ),
    "llama-1b": Shape(
        "llama",
        "Llama 3.2 1B: 16 layers, 32 heads of queries, 8 of keys",
        causal=True,
        sizes={
            "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
            "num_key_value_heads": 8, "max_position_embeddings": 8192, "tie_word_embeddings": True,
        },
    ),
}  # fmt: skip


def random_model(name: str, tokenizer: PreTrainedTokenizerBase, *, longest: int, seed: int) -> PreTrainedModel:
    """Draw the weights of a classifier, or of a causal language model, that reads up to `longest` of these tokens."""
    shape = SHAPES[name]
    config = AutoConfig.for_model(
        shape.model_type,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        **(shape.sizes or {}),
    )
    config.max_position_embeddings = max(config.max_position_embeddings, longest)
    kind: Any = AutoModelForCausalLM if shape.causal else AutoModelForSequenceClassification
    set_seed(seed)
    model: PreTrainedModel = kind.from_config(config)
    return model
