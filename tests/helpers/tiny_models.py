"""One tiny random model for each supported architecture."""

import torch
import transformers
from transformers import PreTrainedModel

TINY = {
    "vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 80, "num_labels": 3,
}  # fmt: skip


# Model types, and what the config of each needs beyond the common sizes.
ENCODERS: dict[str, dict[str, object]] = {
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
SHARED_KEYS: dict[str, object] = {"num_key_value_heads": 2, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
WINDOWED: dict[str, object] = {**SHARED_KEYS, "use_sliding_window": True, "sliding_window": 24}
DECODERS: dict[str, dict[str, object]] = {
    "gpt2": {
        "n_embd": 32,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 80,
        "pad_token_id": 1,
        "bos_token_id": 2,
        "eos_token_id": 3,
    },
    "gpt_neox": {"pad_token_id": 1},
    "granite": SHARED_KEYS,
    "llama": SHARED_KEYS,
    "mistral": {**SHARED_KEYS, "sliding_window": 24, "head_dim": 8},
    "olmo2": SHARED_KEYS,
    "phi": SHARED_KEYS,
    "phi3": SHARED_KEYS,
    "qwen2": {**WINDOWED, "max_window_layers": 1},
    "qwen3": {**WINDOWED, "max_window_layers": 2, "head_dim": 8},
    "smollm3": {**WINDOWED, "no_rope_layers": [1, 0, 1]},
}
# One list of architectures feeds every model test.
ARCHITECTURES = dict(sorted((ENCODERS | DECODERS).items()))
CLASSIFIERS = [name for name in ARCHITECTURES if name != "granite"]  # transformers has none of its


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
