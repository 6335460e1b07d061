"""The density of a grammar on tagged texts, without a model: each word is one token, between [CLS] and [SEP]."""

from collections.abc import Iterable
from typing import Final

import numpy as np
import torch

from ..errors import InputError
from ..grammar.grammar import Grammar
from ..grammar.masks import PairCounts, count_pairs
from ..grammar.tables import compile_layers
from ..grammar.tags import CLS, SEP
from ..tagging.tagger import TaggedText
from .dense import dense_mask
from .inputs import Annotation

MOST_WORDS: Final[int] = 5_000  # in a text: time and memory grow with the square


def measure_density(grammar: Grammar, texts: Iterable[TaggedText], *, layers: int, heads: int) -> PairCounts:
    """Count the pairs that `grammar` allows, over all layers and heads of a model of this size.

    Raises `InputError` for a text of more than `MOST_WORDS` words.
    """
    compiled = compile_layers(grammar, layers=layers, heads=heads)
    total = PairCounts()
    for number, text in enumerate(texts, start=1):
        if len(text) > MOST_WORDS:
            raise InputError(
                f"text {number} has {len(text):,} words, but all their pairs are counted, of at most {MOST_WORDS:,} "
                "words a text; split it into lines"
            )
        tag_ids = torch.from_numpy(np.concatenate([[CLS], text.tag_ids, [SEP]]).astype(np.int64))[None]
        word_ids = torch.from_numpy(np.concatenate([[-1], np.arange(len(text)), [-1]]).astype(np.int64))[None]
        sentence_ids = torch.from_numpy(np.concatenate([[-1], text.sentence_ids, [-1]]).astype(np.int64))[None]
        annotation = Annotation(tag_ids, word_ids, sentence_ids)
        counted: dict[int, PairCounts] = {}
        for tables in compiled:
            if id(tables) not in counted:
                counted[id(tables)] = count_pairs(dense_mask(tables, annotation), tag_ids=tag_ids, word_ids=word_ids)
            total += counted[id(tables)]
    return total
