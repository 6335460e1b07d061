"""Do the words that an explanation names matter to the model? Comprehensiveness and sufficiency.

DeYoung et al. (2020), ERASER: erase the words that are named most important, and see how far the probability of the
answer falls (comprehensiveness); or erase all others (sufficiency). Both at several shares of words; AOPC is the mean.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import ExplainError, ModelError
from ..model.eval_mode import eval_mode
from ..resampling import Floats, estimate
from ..tagging.annotate import Annotator
from ..tagging.collate import Collator
from ..tagging.overlap import NO_WORD
from ..tagging.padding import pads_right
from .answers import predicts_tokens
from .explain import explain
from .explanation import Explanation
from .word_positions import read_by

SHARES: Final[tuple[float, ...]] = (0.01, 0.05, 0.1, 0.2, 0.5)  # of words, as in ERASER
WAYS: Final[tuple[str, ...]] = ("rules", "gradients", "random")
MEASURES: Final[tuple[str, ...]] = ("comprehensiveness", "sufficiency")
_DRAWS: Final[int] = 5  # random orders of a text
_ROWS: Final[int] = 64

Row = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """AOPC of each text (texts, ways, measures), in probability from 0 to 1; the random way is a mean of 5."""

    scores: Floats

    def to_dict(self) -> dict[str, Any]:
        """Return means and differences to random, with bootstrap intervals over texts."""
        rows = []
        for way, name in enumerate(WAYS):
            row: dict[str, Any] = {"way": name}
            for place, measure in enumerate(MEASURES):
                scores = self.scores[:, way, place]
                row[measure] = _mean(scores)
                row[f"{measure}_to_random"] = _mean(scores - self.scores[:, WAYS.index("random"), place])
            rows.append(row)
        return {"texts": len(self.scores), "shares": list(SHARES), "rows": rows}


def measure_faithfulness(
    model: PreTrainedModel,
    annotate: Annotator,
    texts: Sequence[str],
    *,
    seed: int = 0,
    progress: Callable[[Sequence[str]], Iterable[str]] = lambda texts: texts,
) -> Faithfulness:
    """Measure how faithful word importance is: through rules, by integrated gradients, and in random order.

    Raises what `grammask.explain` does, `ModelError` for a language model, and `ExplainError` where no text has two
    words.
    """
    if predicts_tokens(model):
        raise ModelError(
            f"{type(model).__name__} predicts tokens, and without its words a text no longer asks for the same one; "
            "faithfulness is measured for classifiers of sequences"
        )
    rng = np.random.default_rng(seed)
    erased = _Erased(model, annotate)
    scores = []
    for text in progress(texts):
        (explained,) = explain(model, annotate, text)
        words = [word for word in explained.words if word.is_word]
        if len(words) < 2:
            continue
        orders = [
            [_order([word.through_rules for word in words])],
            [_order([word.importance for word in words])],
            [rng.permutation(len(words)) for _ in range(_DRAWS)],
        ]
        scores.append(erased.scores(text, explained, orders))
    if not scores:
        raise ExplainError("no text has two words, so there is nothing to erase")
    return Faithfulness(np.stack(scores))


class _Erased:
    """A model's answers to texts with words erased."""

    def __init__(self, model: PreTrainedModel, annotate: Annotator) -> None:
        self._model = model
        self._annotate = annotate
        self._collate = Collator(pads_right(annotate.tokenizer))

    def scores(self, text: str, explained: Explanation, orders: Sequence[Sequence[NDArray[np.int64]]]) -> Floats:
        """Return the AOPC (ways, measures) of one text under the orders of each way."""
        inputs = read_by(self._model, self._annotate, text).inputs
        numbers = torch.unique(inputs["word_ids"][inputs["word_ids"] >= 0]).numpy()
        rows: list[Row] = []
        for order in (order for way in orders for order in way):
            for share in SHARES:
                most = max(1, math.ceil(share * len(order)))
                named, others = numbers[order[:most]], numbers[order[most:]]
                rows += [erase(inputs, named.tolist()), erase(inputs, others.tolist())]
        label = list(explained.probabilities).index(explained.label)
        lost = explained.probabilities[explained.label] - self._answers(rows, label)
        by_order = lost.reshape(-1, len(SHARES), len(MEASURES)).mean(1)
        ends = np.cumsum([len(way) for way in orders])
        return np.stack([part.mean(0) for part in np.split(by_order, ends[:-1])])

    def _answers(self, rows: Sequence[Row], label: int) -> Floats:
        found: list[Tensor] = []
        with eval_mode(self._model), torch.no_grad():
            for start in range(0, len(rows), _ROWS):
                batch: Mapping[str, Tensor] = self._collate(rows[start : start + _ROWS])
                found.append(self._model(**batch).logits.double().softmax(-1)[:, label])
        answers: Floats = torch.cat(found).numpy()
        return answers


def erase(inputs: Mapping[str, Tensor], words: Sequence[int]) -> Row:
    """Return a text (1, length) without the subwords of these words, renumbered: each tensor (length,).

    The words that are left keep their tags from the whole text.
    """
    word_ids = inputs["word_ids"][0]
    kept = ~torch.isin(word_ids, torch.tensor(list(words), dtype=word_ids.dtype))
    left = {name: values[0][kept] for name, values in inputs.items()}
    numbers = torch.unique(left["word_ids"][left["word_ids"] != NO_WORD])
    renumbered = torch.searchsorted(numbers, left["word_ids"])
    left["word_ids"] = torch.where(left["word_ids"] == NO_WORD, NO_WORD, renumbered)
    return left


def _order(importance: Sequence[float]) -> NDArray[np.int64]:
    """Return the words, the one that adds most to the answer first."""
    return np.argsort(-np.array(importance), kind="stable")


def _mean(values: Floats) -> dict[str, Any]:
    return estimate(lambda times: times @ values / len(values), len(values))
