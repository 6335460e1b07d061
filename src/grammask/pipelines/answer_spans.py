"""From a model's scores of where answers begin and end to the most likely answers of a text."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError

Floats = NDArray[np.float64]
_FIRST: Final[int] = 64  # pairs that are ranked first; more where these are the same characters


class Window(NamedTuple):
    """What a model says of a part of a context.

    `starts` and `ends` (tokens,) are its logits, and `places` (tokens, 2) the characters that tokens, or their words,
    have in the context. `nothing` are the two logits of the token that stands for no answer, if there may be none.
    """

    starts: Floats
    ends: Floats
    places: NDArray[np.int64]
    nothing: tuple[float, float] | None


class Span(NamedTuple):
    """An answer: how likely it is in its window, and its characters in the context."""

    score: float
    start: int
    end: int


def best_spans(windows: Iterable[Window], *, count: int, longest: int) -> list[Span]:
    """Return the most likely answers of at most `longest` tokens, the best first; one that windows share counts once.

    Where a window may hold no answer, "none" is one more span, without characters. It is as likely as the window that
    holds it least likely says. Raises `ModelError` where logits make no likelihoods.
    """
    found = dict[tuple[int, int], float]()
    nothing = list[float]()
    for window in windows:
        starts, ends, none = _likelihoods(window)
        nothing += [] if none is None else [none]
        if not len(starts):
            continue
        of_window = dict[tuple[int, int], float]()
        for score, first, last in _ranked(starts, ends, longest):
            of_window.setdefault((int(window.places[first, 0]), int(window.places[last, 1])), score)
            if len(of_window) == count:
                break
        for span, score in of_window.items():
            found[span] = max(found.get(span, 0.0), score)
    if nothing:
        found[0, 0] = min(nothing)
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [Span(score, *span) for span, score in ranked[:count]]


def _likelihoods(window: Window) -> tuple[Floats, Floats, float | None]:
    """Return how likely an answer begins and ends at each token of the window, and that there is none."""
    if window.nothing is None:
        return _softmax(window.starts), _softmax(window.ends), None
    starts, ends = (
        _softmax(np.append(logits, of_none))
        for logits, of_none in zip((window.starts, window.ends), window.nothing, strict=True)
    )
    return starts[:-1], ends[:-1], float(starts[-1] * ends[-1])


def _softmax(logits: Floats) -> Floats:
    largest = logits.max(initial=-np.inf)
    if len(logits) and not np.isfinite(largest):
        raise ModelError(
            f"the model's score of where an answer stands is {largest}, which is no number to compare; check its "
            "weights, or load it in a wider dtype: pipeline(..., dtype=torch.float32)"
        )
    powers: Floats = np.exp(logits - largest)
    powers /= powers.sum()
    return powers


def _ranked(starts: Floats, ends: Floats, longest: int) -> Iterator[tuple[float, int, int]]:
    """Yield how likely pairs of a first and a last token are, and these, the best first."""
    tokens = len(starts)
    scores = np.full((min(longest, tokens), tokens), -1.0)
    for length in range(len(scores)):
        scores[length, : tokens - length] = starts[: tokens - length] * ends[length:]
    flat, count, told = scores.ravel(), _FIRST, 0
    while told < flat.size:
        least = np.partition(flat, -count)[-count] if count < flat.size else -1.0
        best = np.flatnonzero(flat >= least)  # equal ones too, so that more of them go on where these end
        best = best[np.argsort(-flat[best], kind="stable")]
        for place in best[told:]:
            length, first = divmod(int(place), tokens)
            if first + length < tokens:
                yield float(flat[place]), first, first + length
        told, count = len(best), count * 8
