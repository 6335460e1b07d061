"""A language of few words, its tagger and tokenizer: sentences whose answer one rule decides."""

import random
import re
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

import grammask
from grammask.grammar.grammar import Grammar
from grammask.grammar.rules import Reach, Rule
from grammask.grammar.tags import TAG_IDS
from grammask.tagging.collate import Collator
from grammask.tagging.tagger import TaggedText

GOOD, BAD = ["kind", "fine", "warm", "fair"], ["cruel", "dull", "cold", "vile"]
WORDS = {
    "DET": ["the", "a"], "ADJ": GOOD + BAD, "NOUN": ["cat", "king", "film", "girl", "town"],
    "VERB": ["sees", "calls", "finds", "likes"], "ADV": ["often", "rarely", "now"], "PUNCT": ["."],
}  # fmt: skip
# The verb reads the subject's adjective by one rule, and the object's by another; [CLS] reads the verb.
DECIDED = Grammar(
    "decided",
    (
        Rule(("[CLS]",), ("VERB",)),
        Rule(("NOUN",), ("DET",), Reach("words", -2, -2)),
        Rule(("VERB",), ("ADJ",), Reach("words", -2, -2), name="the verb reads its subject's adjective"),
        Rule(("VERB",), ("ADJ",), Reach("words", 2, 3)),
        Rule(("VERB",), ("ADV",), Reach("words", 1, 1)),
        Rule(("DET",), ("NOUN",), Reach("words", 2, 2)),
    ),
    sinks=("[CLS]", "[SEP]"),
)
DECIDING = "the verb reads its subject's adjective"


class LexiconTagger:
    """Gives every word the tag under which it stands in WORDS, X where it doesn't."""

    name, version = "lexicon", "1"

    def tag(self, texts: Sequence[str]) -> Iterator[TaggedText]:
        tags = {word: tag for tag, words in WORDS.items() for word in words}
        for text in texts:
            found = list(re.finditer(r"\w+|[^\w\s]", text))
            spans = np.array([match.span() for match in found], dtype=np.int32).reshape(-1, 2)
            ids = [TAG_IDS[tags.get(match.group(), "X")] for match in found]
            yield TaggedText(spans[:, 0], spans[:, 1], np.array(ids, dtype=np.int32), np.zeros(len(ids), np.int32))


def annotator() -> grammask.Annotator:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(word for words in WORDS.values() for word in words)]
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        model_max_length=64,
    )  # fmt: skip
    return grammask.Annotator(fast, LexiconTagger(), cache=False)


def sentences(number: int, *, seed: int) -> tuple[list[str], list[int]]:
    """Return sentences and their labels: 1 where the subject's adjective is a good one, whatever the object's is."""
    draw = random.Random(seed)  # noqa: S311
    texts = []
    for _ in range(number):
        adverb = f" {draw.choice(WORDS['ADV'])}" if draw.random() < 0.5 else ""
        det, adjective, noun = ([draw.choice(WORDS[tag]) for _ in range(2)] for tag in ("DET", "ADJ", "NOUN"))
        verb = draw.choice(WORDS["VERB"])
        texts.append(f"{det[0]} {adjective[0]} {noun[0]} {verb}{adverb} {det[1]} {adjective[1]} {noun[1]} .")
    return texts, [int(text.split()[1] in GOOD) for text in texts]


def trained(annotate: grammask.Annotator) -> BertForSequenceClassification:
    """Return a small model that learned the sentences under the grammar; it learns them once a process."""
    model = _untrained(annotate)
    model.load_state_dict(_learned())
    return model.eval()


def _untrained(annotate: grammask.Annotator) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(annotate.tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1},
    )  # fmt: skip
    return grammask.attach(BertForSequenceClassification(config), DECIDED)


@cache
def _learned() -> dict[str, torch.Tensor]:
    annotate = annotator()
    model = _untrained(annotate)
    texts, labels = sentences(640, seed=1)
    encoded = annotate(texts)
    features = [{name: values[place] for name, values in encoded.items()} for place in range(len(texts))]
    collate = Collator(annotate.tokenizer)
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for epoch in range(6):
        for start in range(0, len(texts), 64):
            batch = collate(features[start : start + 64])
            loss = model(**batch, labels=torch.tensor(labels[start : start + 64])).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if epoch > 2 and loss < 0.01:
            break
    return model.state_dict()
