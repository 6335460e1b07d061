"""The best answers are those of all pairs of tokens, ranked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grammask.errors import ModelError
from grammask.pipelines import answer_spans
from grammask.pipelines.answer_spans import Window, best_spans

logits = st.integers(-6, 6).map(lambda number: number / 2)  # equal ones are frequent


@st.composite
def windows(draw, may_be_none):
    tokens = draw(st.integers(0, 12))
    first = draw(st.integers(0, 5))
    starts, ends = (np.array(draw(st.lists(logits, min_size=tokens, max_size=tokens)), dtype=float) for _ in "ab")
    places = np.array([(3 * (first + token), 3 * (first + token) + 2) for token in range(tokens)]).reshape(-1, 2)
    if draw(st.booleans()):  # tokens of a word have its characters
        places = np.stack([places[:, 0] // 9 * 9, places[:, 0] // 9 * 9 + 8], axis=1)
    return Window(starts, ends, places, (draw(logits), draw(logits)) if may_be_none else None)


def by_hand(given_, longest):
    found, nothing = {}, []
    for window in given_:
        starts, ends = (
            np.exp(np.append(side, [] if none is None else [none]))
            for side, none in zip(window[:2], window.nothing or (None, None), strict=True)
        )
        if window.nothing:
            nothing.append(starts[-1] / starts.sum() * ends[-1] / ends.sum())
        for first in range(len(window.starts)):
            for last in range(first, min(first + longest, len(window.starts))):
                score = starts[first] / starts.sum() * ends[last] / ends.sum()
                span = (window.places[first, 0], window.places[last, 1])
                found[span] = max(score, found.get(span, 0))
    if nothing:
        found[0, 0] = min(nothing)
    return found


@given(
    st.booleans().flatmap(lambda may_be_none: st.lists(windows(may_be_none), min_size=1, max_size=3)),
    st.integers(1, 40), st.integers(1, 14),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_they_are_those_by_hand(given_, count, longest):
    expected = by_hand(given_, longest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answer_spans, "_FIRST", 3)
        found = best_spans(given_, count=count, longest=longest)
    best = sorted(expected.values(), reverse=True)[:count]
    np.testing.assert_allclose([span.score for span in found], best, rtol=1e-9)
    assert len({span[1:] for span in found}) == len(found)
    for score, start, end in found:
        assert score == pytest.approx(expected[start, end], rel=1e-9)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_named(value, side):
    sides = [np.zeros(3), np.zeros(3)]
    sides[side][1] = value
    places = np.array([(0, 1), (2, 3), (4, 5)])
    with pytest.raises(ModelError, match=f"score of where an answer stands is {value}"):
        best_spans([Window(*sides, places, None)], count=1, longest=2)
    with pytest.raises(ModelError, match="which is no number to compare"):
        best_spans([Window(*sides, places, (value, 0.0))], count=1, longest=2)


def test_a_token_that_cannot_begin_an_answer_begins_none():
    window = Window(np.array([-np.inf, 1.0]), np.zeros(2), np.array([(0, 1), (2, 3)]), None)
    assert best_spans([window], count=1, longest=2)[0] == (0.5, 2, 3)
