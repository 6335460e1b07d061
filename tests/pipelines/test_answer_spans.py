"""The best answers are those of all pairs of tokens, ranked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grammask.pipelines import answer_spans
from grammask.pipelines.answer_spans import Window, best_spans

logits = st.integers(-6, 6).map(lambda number: number / 2)  # equal ones are frequent


@st.composite
def windows(draw, may_be_none):
    tokens = draw(st.integers(0, 12))
    first = draw(st.integers(0, 5))
    starts, ends = (np.array(draw(st.lists(logits, min_size=tokens, max_size=tokens)), dtype=float) for _ in "ab")
    places = np.array([(3 * (first + token), 3 * (first + token) + 2) for token in range(tokens)]).reshape(-1, 2)
    words = np.array([draw(st.sampled_from([-1, (first + token) // 3])) for token in range(tokens)], dtype=int)
    return Window(starts, ends, places, words, (draw(logits), draw(logits)) if may_be_none else None)


def by_hand(given_, longest, *, whole_words):
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
                one, end = first, last
                words = window.words
                while whole_words and one and words[one] != -1 and words[one - 1] == words[one]:
                    one -= 1
                while whole_words and end + 1 < len(words) and words[end] != -1 and words[end + 1] == words[end]:
                    end += 1
                span = (window.places[one, 0], window.places[end, 1])
                found[span] = max(score, found.get(span, 0))
    if nothing:
        found[0, 0] = min(nothing)
    return found


@given(
    st.booleans().flatmap(lambda may_be_none: st.lists(windows(may_be_none), min_size=1, max_size=3)),
    st.integers(1, 40), st.integers(1, 14), st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_they_are_those_by_hand(given_, count, longest, whole_words):
    expected = by_hand(given_, longest, whole_words=whole_words)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answer_spans, "_FIRST", 3)
        found = best_spans(given_, count=count, longest=longest, whole_words=whole_words)
    best = sorted(expected.values(), reverse=True)[:count]
    np.testing.assert_allclose([span.score for span in found], best, rtol=1e-9)
    assert len({span[1:] for span in found}) == len(found)
    for score, start, end in found:
        assert score == pytest.approx(expected[start, end], rel=1e-9)
