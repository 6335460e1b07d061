"""The built-in long texts: always the same, long enough, and names come back far later."""

import re
from hashlib import sha256

from grammask.data.chronicles import COUNT, chronicles

SHA256 = "cf35450029d2db0b660b70a2ed67eb278164e629591f3651917390aeb818708c"


def test_they_are_always_the_same_and_each_is_another():
    texts = chronicles()
    assert texts == chronicles()
    assert len(set(texts.values())) == len(texts) == COUNT
    assert sha256("".join(texts.values()).encode()).hexdigest() == SHA256, "figures of the docs are of other texts"


def test_each_is_long_enough_and_tells_names_and_sums_again_far_later():
    for text in chronicles().values():
        words = text.split()
        assert len(words) > 3_500
        assert "{" not in text
        sums = [place for place, word in enumerate(words) if re.fullmatch(r"\d+,\d{3}", word)]
        again = [place - words.index(words[place]) for place in sums if words.index(words[place]) < place]
        assert sum(distance > 500 for distance in again) > 15
