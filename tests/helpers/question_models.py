"""Small models that answer questions, what they answer by hand, and the pipelines that ask them."""

import numpy as np
import torch
from helpers.lexicon import annotator as lexicon_annotator
from transformers import BertConfig, BertForQuestionAnswering

import grammask
import grammask.pipelines

CONTEXT = "a cruel king likes the town . now the girl often calls a vile cat . "
QUESTION = "the kind cat ?"
SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def question_model(own=None, model_class=BertForQuestionAnswering, *, positions=40, **settings):
    """A guided model and its annotator: of the lexicon's words, or of a tokenizer."""
    torch.manual_seed(0)
    annotate = grammask.Annotator(own or lexicon_annotator().tokenizer, "en_core_web_sm", cache=False, **settings)
    config = BertConfig(
        **SIZES, vocab_size=len(annotate.tokenizer), initializer_range=0.5, max_position_embeddings=positions
    )
    return grammask.attach(model_class(config).eval(), "paper-sinks", annotator=annotate), annotate


def all_answers(model, annotate, question, context, *, length, stride, longest=15, none=None):
    """Scores of all answers by their characters, from the model's logits; `none` is the token of no answer, (0, 0)."""
    windows = annotate(
        [question], [context], truncation="only_second", max_length=length, stride=stride,
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    windows.pop("overflow_to_sample_mapping")
    offsets, found, nothing = windows.pop("offset_mapping"), {}, []
    for number, places in enumerate(offsets):
        with torch.no_grad():
            said = model(**{name: torch.tensor([rows[number]]) for name, rows in windows.items()})
        inside = [
            token
            for token, (side, (start, end)) in enumerate(zip(windows.sequence_ids(number), places, strict=True))
            if side == 1 and context[start:end].strip()
        ]
        read = inside if none is None else [none, *inside]
        starts, ends = (side[0, read].double().softmax(0).numpy() for side in (said.start_logits, said.end_logits))
        if none is not None:
            nothing.append(starts[0] * ends[0])
            starts, ends = starts[1:], ends[1:]
        scores = np.outer(starts, ends)
        allowed = np.tril(np.triu(np.ones_like(scores)), longest - 1)
        for first, last in zip(*allowed.nonzero(), strict=True):
            start, end = places[inside[first]][0], places[inside[last]][1]
            text = context[start:end]
            span = (start + len(text) - len(text.lstrip()), start + len(text.rstrip()))
            found[span] = max(found.get(span, 0.0), scores[first, last])
    return found | ({(0, 0): min(nothing)} if nothing else {})
