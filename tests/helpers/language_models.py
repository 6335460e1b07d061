"""Tiny random causal language models, and tokenizers as such models have them."""

import copy

import torch
import transformers
from helpers.own_mask_models import MODELS
from helpers.tokenizers_for_tests import tokenizer
from tokenizers import processors
from transformers import PreTrainedModel, PreTrainedTokenizerFast

CAUSAL = tuple(name for name in MODELS if name != "modernbert")


def language_model(name: str, **changes: object) -> PreTrainedModel:
    """Return a small random language model, the same one at every call."""
    config = transformers.AutoConfig.for_model(
        name, **{**MODELS[name], "vocab_size": 400, "pad_token_id": 0, **changes}
    )
    torch.manual_seed(0)
    model: PreTrainedModel = transformers.AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def bare_tokenizer(**changes: object) -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer that puts nothing before or behind a text, as GPT-2's and SmolLM2's."""
    made = copy.deepcopy(tokenizer("bytes"))
    made.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    for name, value in changes.items():
        setattr(made, name, value)
    return made
