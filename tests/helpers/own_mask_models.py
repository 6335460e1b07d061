"""Tiny random models with masks of their own, causal or windowed, and ragged batches for them."""

import torch
import transformers
from helpers.batches import left_padded, random_batch

import grammask

COMMON = {
    "vocab_size": 120, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 1024, "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3,
}  # fmt: skip
GROUPED = {**COMMON, "num_key_value_heads": 2}
GPT2 = {
    "vocab_size": 120,
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "n_positions": 1024,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
MODELS = {
    "bert": {**COMMON, "is_decoder": True},
    "gpt2": GPT2,
    "gpt_neox": COMMON,
    "granite": GROUPED,
    "llama": GROUPED,
    "mistral": {**GROUPED, "sliding_window": 5, "head_dim": 8},
    "modernbert": {**COMMON, "local_attention": 8, "cls_token_id": 2, "sep_token_id": 3},
    "olmo2": GROUPED,
    "phi": COMMON,
    "phi3": {**GROUPED, "sliding_window": 9},
    "qwen2": {**GROUPED, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    "qwen3": {
        **GROUPED, "use_sliding_window": True, "sliding_window": 7, "head_dim": 8,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "smollm3": {**GROUPED, "use_sliding_window": True, "sliding_window": 6},
}  # fmt: skip
PADDED = {
    "right": random_batch((31, 17, 1)),
    "left": left_padded(random_batch((31, 17, 1))),
    "none": random_batch((31, 31)),
}


def build(name, **changes):
    """Return a small random model without a head, the same one at every call."""
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(name, **{**MODELS[name], **changes}))
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def guided_output(model, grammar, strategy, batch, *, backend="auto", **inputs):
    with grammask.attached(model, grammar, strategy, backend=backend):
        return model(**(inputs or batch.inputs), **batch.annotation)[0]


def real(states, batch):
    return states[batch.inputs["attention_mask"].bool()]


def close(found, expected, batch, atol=1e-4):
    torch.testing.assert_close(real(found, batch), real(expected, batch), atol=atol, rtol=0)


def loss(states, batch):
    """Return a sum whose gradients are far from zero: final norms leave plain sums, also of squares, as they are."""
    return (real(states, batch) * torch.linspace(-1, 1, states.shape[-1], dtype=states.dtype)).sum()
