"""A tiny causal language model in a folder, and texts for it."""

import torch
import transformers
from helpers.tokenizers_for_tests import tokenizer

from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tags import UPOS

SIZES = {
    "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 3,
    "intermediate_size": 32, "max_position_embeddings": 256,
}  # fmt: skip
TEXTS = {
    "a.txt": "Ada met Bo in 1901. The old sailor told Ada that 77 letters had come from Bo, and not one was hers. " * 3,
    "b.txt": "Nobody reads the well-known letters of Cora. Cora wrote 12 of them, and the sailor lost all of them. "
    * 3,
    "c.txt": "it rained. it rained again. the sea was calm and nobody came. it rained, and then it rained again. " * 2,
}
NEAR = Rule(UPOS, UPOS, Reach("words", -6, 0))
FAR = Grammar("far", (NEAR, Rule(UPOS, ("PROPN", "NUM"))), sink_tokens=2)
# Each head its own window and far tags, as grammars are that follow what a model's heads do.
BY_HEAD = Grammar(
    "by-head",
    tuple(
        rule
        for layer in range(3)
        for head in range(6)
        for rule in (
            Rule(UPOS, UPOS, Reach("words", -4 - layer - head, 0), layers=(layer,), heads=(head,)),
            Rule(UPOS, (("PROPN",), ("NOUN", "NUM"), UPOS)[layer], layers=(layer,), heads=(head // 2,)),
        )
    ),
    sink_tokens=2,
)


def causal_model(model_type="llama", **changes):
    """Return a random model whose logits differ from token to token."""
    torch.manual_seed(0)
    made = tokenizer("bytes")
    config = transformers.AutoConfig.for_model(
        model_type, vocab_size=len(made), pad_token_id=made.pad_token_id, bos_token_id=None, eos_token_id=None,
        **{**SIZES, **changes},
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def save_causal_model(folder, **changes):
    causal_model(**changes).save_pretrained(folder)
    tokenizer("bytes").save_pretrained(folder)


def write_texts(folder, texts=TEXTS):
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
