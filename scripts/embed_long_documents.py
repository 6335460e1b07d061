"""Measure what embeddings of long documents tell: cut at 512 tokens, in parts, or whole, in full or by a grammar.

    python scripts/embed_long_documents.py ARTICLES.tsv --out results/long-embeddings.json

ARTICLES.tsv has lines of a label, 0 or 1, and a document. A model of sentence-transformers embeds each document, as it
is: nothing of it is trained. A logistic regression learns the labels from the embeddings; each document is tested once
for each draw of the folds, by one that learned from the other folds. How strongly it is held back is chosen within the
folds that it learns from. The arms embed the documents in turns, a tenth of them at a time, so their seconds compare if
nothing else runs.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
import torch
from long_documents import CUT, Documents, density, facts_of, read_documents, say, split_estimate
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoConfig

import grammask
from grammask.environment import environment
from grammask.experiment.controls.apply import tags_of_words
from grammask.experiment.controls.control import GrammarControl
from grammask.experiment.controls.other_grammars import control_grammar
from grammask.experiment.controls.registry import find_control
from grammask.files.write import dump, write_whole
from grammask.grammar.file import load_grammar
from grammask.grammar.grammar import Grammar
from grammask.model.model_source import ModelSource
from grammask.model.named_models import find_model, load_tokenizer
from grammask.resampling import Floats

Embeddings = NDArray[np.float32]
TURNS: Final[int] = 10
STRENGTHS: Final[list[float]] = [10.0**power for power in range(-5, 2)]  # C of the regression
AGAINST: Final[tuple[tuple[str, str], ...]] = (
    ("whole-full", "cut"), ("whole-grammar", "cut"), ("whole-grammar", "whole-full"), ("whole-grammar", "whole-window"),
    ("whole-grammar", "parts"), ("cut-grammar", "cut"),
)  # fmt: skip


class Arm:
    """A way to embed documents: whole ones, or cut ones, in full or by a grammar; or in `parts`, which are averaged."""

    def __init__(
        self, options: argparse.Namespace, *, whole: bool = False, grammar: Grammar | None = None, parts: bool = False
    ) -> None:
        self.length, self.grammar, self.parts = options.whole if whole else CUT, grammar, parts
        self._batch_size = options.batch_size
        self._model = SentenceTransformer(source_of(options.model).location, device="cpu")
        if whole:
            grammask.extend_positions(self._model, options.whole)
        self._model.max_seq_length = self.length
        if grammar is not None:
            annotate = annotator(options, self.length)
            grammask.attach(self._model, grammar, "hard", annotator=annotate)

    def __call__(self, texts: Sequence[str]) -> Embeddings:
        """Return the embeddings of texts (texts, width), each of length 1."""
        return self._of_parts(texts) if self.parts else self._embed(texts)

    def _embed(self, texts: Sequence[str]) -> Embeddings:
        made: Embeddings = self._model.encode(
            list(texts), batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return made

    def _of_parts(self, texts: Sequence[str]) -> Embeddings:
        """Embed all parts of the length that the model knows, and average those of a text by their tokens."""
        parts, texts_of, sizes = list[str](), list[int](), list[int]()
        tokenizer, room = self._model.tokenizer, CUT - self._model.tokenizer.num_special_tokens_to_add()
        for number, text in enumerate(texts):
            spans = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
            places = spans["offset_mapping"]
            for start in range(0, max(1, len(places)), room):  # a text without tokens is a part, too
                some = places[start : start + room]
                parts.append(text[some[0][0] : some[-1][1]] if some else "")
                texts_of.append(number)
                sizes.append(max(1, len(some)))
        embedded = self._embed(parts)
        sums: Embeddings = np.zeros((len(texts), embedded.shape[1]), dtype=np.float32)
        np.add.at(sums, texts_of, embedded * np.array(sizes, dtype=np.float32)[:, None])
        sums /= np.linalg.norm(sums, axis=1, keepdims=True)
        return sums


@cache
def source_of(model: str) -> ModelSource:
    """Find a model once, since all its weights are hashed for that."""
    return find_model(model)


def annotator(options: argparse.Namespace, length: int) -> grammask.Annotator:
    """Return an annotator of texts of so many tokens."""
    tokenizer = load_tokenizer(source_of(options.model))
    return grammask.Annotator(tokenizer, options.tagger, cache=False, max_length=length)


def main() -> None:
    """Embed, classify, and write the record."""
    options = read_options()
    torch.set_num_threads(options.threads)
    if options.out.is_dir() or options.draws < 1:
        raise SystemExit("--out must be a file, and --draws 1 or more")
    documents = read_documents(options.documents, options.model, folds=options.folds)
    annotations = annotate_all(documents, options)
    makers = arms_of(options, annotations)
    names = options.arms.split(",")
    if unknown := set(names) - set(makers):
        raise SystemExit(f"no arm {min(unknown)!r}; there are {', '.join(makers)}")
    arms = {name: makers[name]() for name in names}
    layers, heads = shape_of(options)
    embedded, seconds = embed(arms, documents)
    right = {name: right_of(embedded[name], documents, options) for name in names}
    write_whole(options.out, dump({
        "settings": {
            name: getattr(options, name)
            for name in ("model", "tagger", "grammar", "whole", "folds", "draws", "batch_size", "threads",
                         "shared_machine")
        } | {"position_method": "tile", "turns": TURNS, "strengths": STRENGTHS},
        "documents": facts_of(documents, options.whole),
        "model_sha256": source_of(options.model).sha256,
        "environment": environment("float32"),
        "arms": [
            {"name": name, "length": arms[name].length, "parts": arms[name].parts,
             "density": density(
                 arms[name].grammar, [_cut(text, arms[name].length) for text in annotations], layers=layers, heads=heads
             ),
             "seconds": sum(seconds[name]), "speedup_to_full": speedup(seconds, name),
             "accuracy": split_estimate(right[name].mean(0), documents),
             "accuracy_of_draws": right[name].mean(1).tolist()}
            for name in names
        ],
        "differences": [
            {"arm": one, "against": other, **split_estimate((right[one] - right[other]).mean(0), documents)}
            for one, other in AGAINST
            if one in right and other in right
        ],
    }))  # fmt: skip


def read_options() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("documents", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="minilm", help="of sentence-transformers")
    parser.add_argument("--tagger", default="english-subwords")
    parser.add_argument("--grammar", default="english-long")
    parser.add_argument("--arms", default="cut,parts,whole-grammar,whole-full,whole-window,cut-grammar")
    parser.add_argument("--whole", type=int, default=8192, help="tokens that a whole document has at most")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--draws", type=int, default=5, help="of the folds")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shared-machine", action="store_true", help="say that other work ran beside")
    return parser.parse_args()


def arms_of(options: argparse.Namespace, annotations: list[dict[str, list[int]]]) -> dict[str, Callable[[], Arm]]:
    """Return how the arms are made."""
    grammar = load_grammar(options.grammar)
    return {
        "cut": lambda: Arm(options),
        "parts": lambda: Arm(options, parts=True),
        "whole-grammar": lambda: Arm(options, whole=True, grammar=grammar),
        "whole-full": lambda: Arm(options, whole=True),
        "whole-window": lambda: Arm(options, whole=True, grammar=window_of(grammar, annotations, options)),
        "cut-grammar": lambda: Arm(options, grammar=grammar),
    }


def annotate_all(documents: Documents, options: argparse.Namespace) -> list[dict[str, list[int]]]:
    """Return the tags, words and sentences of each document."""
    made = annotator(options, options.whole)(documents.texts)
    return [
        {name: made[name][number] for name in ("tag_ids", "word_ids", "sentence_ids")}
        for number in range(len(documents.texts))
    ]


def _cut(text: dict[str, list[int]], length: int) -> dict[str, list[int]]:
    return {name: values[:length] for name, values in text.items()}


def window_of(grammar: Grammar, annotations: list[dict[str, list[int]]], options: argparse.Namespace) -> Grammar:
    """Return the control: the nearest words, as many as the grammar lets be read, and its sinks."""
    control, (layers, heads) = find_control("window-sinks"), shape_of(options)
    assert isinstance(control, GrammarControl)  # noqa: S101 - it is one
    words = [tags_of_words(annotation) for annotation in annotations]
    return control_grammar(control, grammar, words, layers=layers, heads=heads, seed=0)


def shape_of(options: argparse.Namespace) -> tuple[int, int]:
    """Return how many layers and heads the model has."""
    config = AutoConfig.from_pretrained(source_of(options.model).location)
    return config.num_hidden_layers, config.num_attention_heads


def embed(arms: dict[str, Arm], documents: Documents) -> tuple[dict[str, Embeddings], dict[str, list[float]]]:
    """Embed all documents with all arms, in turns; return embeddings (documents, width) and the seconds of turns."""
    by_length = np.argsort(documents.tokens, kind="stable")
    found: dict[str, list[Embeddings]] = {name: [] for name in arms}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for arm in arms.values():
        arm([documents.texts[number] for number in by_length[-2:]])  # warms up
    turns = min(TURNS, len(by_length))
    for turn in range(turns):
        texts = [documents.texts[number] for number in by_length[turn::turns]]
        for name, arm in arms.items():
            begun = time.perf_counter()
            found[name].append(arm(texts))
            seconds[name].append(time.perf_counter() - begun)
            say(f"turn {turn + 1} of {turns}, {name}: {seconds[name][-1]:.1f} s")
    order = np.argsort(np.concatenate([by_length[turn::turns] for turn in range(turns)]))
    return {name: np.concatenate(parts)[order] for name, parts in found.items()}, seconds


def speedup(seconds: dict[str, list[float]], name: str) -> float | None:
    """Return how many times as long as the arm full attention over whole documents took: the median of the turns."""
    if "whole-full" not in seconds:
        return None
    return median(full / own for full, own in zip(seconds["whole-full"], seconds[name], strict=True))


def right_of(embeddings: Embeddings, documents: Documents, options: argparse.Namespace) -> Floats:
    """Return 1 for each document that was told right, else 0, for each draw of the folds (draws, documents)."""
    labels, right = np.array(documents.labels), np.zeros((options.draws, len(documents.labels)))
    for draw in range(options.draws):
        for trained, tested in documents.folds(options.folds, seed=draw):
            regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000))
            chosen = GridSearchCV(regression, {"logisticregression__C": STRENGTHS}, cv=4)
            chosen.fit(embeddings[trained], labels[trained])
            right[draw, tested] = chosen.predict(embeddings[tested]) == labels[tested]
    return right


if __name__ == "__main__":
    main()
