"""Make a task that far names decide, from news articles.

    python scripts/prepare_far_names.py ARTICLES.tsv data/far-names

Was a name of the last sentence read before? ARTICLES.tsv has lines of a label, which isn't used, and an article. A
text of the task is a sentence of an article after those that lead to it, and just one of its names was read before, at
least 20 words back. Each text is there twice: as it was (label 1), and with that name replaced, in the last sentence
only, by the name of another text (label 0). So sentences, topics and names are the same on both sides. Every fifth
article is dev.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from spacy.tokens import Doc

from grammask.tagging.spacy_tagger import load_pipeline

GAP, MOST = 20, 120  # words between the two names at least; words of a text at most
Example = tuple[str, str, str]  # what stands before the name, the name, what stands after it


def examples(article: Doc) -> Iterator[Example]:
    """Yield an example for each sentence of which one name was read before, and that far off."""
    sentences = list(article.sents)
    for last in sentences:
        starts = (sentence.start for sentence in sentences if last.end - MOST <= sentence.start < last.start)
        start = next(starts, last.start)
        places = {token.text: token.i for token in article[start : last.start]}
        known = [token for token in last if token.pos_ == "PROPN" and token.text in places]
        if len(known) == 1 and known[0].text.isalpha() and known[0].i - places[known[0].text] >= GAP:
            name = known[0]
            after = article[name.i : last.end].text[len(name) :]
            yield article[start : name.i].text_with_ws, name.text, after


def lines(found: list[Example]) -> Iterator[str]:
    """Yield lines of label and text, each text with its own name and with the next text's that it doesn't hold."""
    found = [found[place] for place in np.random.default_rng(0).permutation(len(found))]
    for number, (before, name, after) in enumerate(found):
        others = (other for _, other, _ in found[number + 1 :] + found[:number] if other not in before + name + after)
        for label, word in ((1, name), (0, next(others))):
            yield f"{label}\t{' '.join((before + word + after).split())}"


def main(articles: Path, out: Path) -> None:
    """Write train.tsv and dev.tsv."""
    nlp = load_pipeline("en_core_web_sm", "sentencizer")
    texts = [line.split("\t", 1)[1] for line in articles.read_text(encoding="utf-8").splitlines()]
    splits: dict[str, list[Example]] = {"train": [], "dev": []}
    for number, article in enumerate(nlp.pipe(texts)):
        splits["dev" if number % 5 == 4 else "train"] += examples(article)
    out.mkdir(parents=True, exist_ok=True)
    for split, found in splits.items():
        (out / f"{split}.tsv").write_text("\n".join(["label\tsentence", *lines(found), ""]), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
