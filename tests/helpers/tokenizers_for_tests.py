"""Small tokenizers of the three families, trained on a few sentences, and a tagger that needs no model."""

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from grammask.grammar.tags import TAG_IDS
from grammask.tagging.tagger import TaggedText

CORPUS = [
    "The old sailor doesn't read the well-known letters that his daughter had written to him.",
    "Naïve café owners, co-operating happily, re-opened at 10:30; nobody complained!",
    "Unbelievably long words such as internationalisation are split into many pieces.",
    "She said: \"It's 3.14, isn't it?\" (He nodded.)",
] * 5
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@cache
def tokenizer(family: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of a family: wordpiece, bytes, trimmed, sentencepiece or spaces.

    `trimmed` is bytes with offsets that leave spaces out, as RoBERTa's; `spaces` knows whole strings between spaces.
    """
    if family == "wordpiece":
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer = normalizers.BertNormalizer(lowercase=True)
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=180, special_tokens=SPECIAL)
    elif family == "spaces":
        made = Tokenizer(models.WordLevel(unk_token="[UNK]"))
        made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        trainer = trainers.WordLevelTrainer(special_tokens=SPECIAL)
    elif family in ("bytes", "trimmed"):
        made = Tokenizer(models.BPE())
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=380, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
    else:
        made = Tokenizer(models.Unigram())
        made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=180, special_tokens=SPECIAL, unk_token="[UNK]")
    made.train_from_iterator(CORPUS, trainer)
    around = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, made.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    trim = processors.ByteLevel(trim_offsets=True)
    made.post_processor = processors.Sequence([trim, around]) if family == "trimmed" else around
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


FAMILIES = ("wordpiece", "bytes", "trimmed", "sentencepiece", "spaces")


class PatternTagger:
    """Tags runs of letters and digits as NOUN, other visible characters one by one as PUNCT; counts its texts."""

    name = "pattern"

    def __init__(self, version: str = "1") -> None:
        self.version = version
        self.seen: list[str] = []

    def tag(self, texts: Sequence[str]) -> Iterator[TaggedText]:
        for text in texts:
            self.seen.append(text)
            found = list(re.finditer(r"\w+|[^\w\s]", text))
            sentences = np.cumsum([0, *(match.group() in ".!?" for match in found)])[: len(found)]
            yield TaggedText(
                np.array([match.start() for match in found], dtype=np.int32),
                np.array([match.end() for match in found], dtype=np.int32),
                np.array([TAG_IDS["NOUN" if match.group().isalnum() else "PUNCT"] for match in found], dtype=np.int32),
                sentences.astype(np.int32),
            )


def save_padding(made, folder, side):
    """Save a tokenizer that pads on this side: setting it so isn't saved."""
    made.save_pretrained(folder)
    path = Path(folder) / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "padding_side": side}))
