"""A trained tagger, measured on texts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...tagging.load_tagger import load_tagger
from ...tagging.subwords.subword_tagger import SubwordTagger
from .score_tagger import Score, Speed, measure_speed, score_tagger
from .tagged_texts import TaggedTexts, teach_texts, treebank_texts

_TIMED: Final[int] = 2000  # texts


@dataclass(frozen=True)
class TaggerCheck:
    """What a tagger scores on texts, by what they are, and its speed."""

    scores: dict[str, Score]
    speed: Speed


def check_tagger(
    name: str, *, conllu: Path | None, text: Path | None, teacher: str | None, limit: int | None
) -> TaggerCheck:
    """Measure a tagger on a treebank, or on texts that a teacher tags, or both.

    Raises `TaggingError` and `InputError`.
    """
    tagger = SubwordTagger.load(name)
    known = dict[str, TaggedTexts]()
    if conllu is not None:
        known[conllu.name] = treebank_texts(conllu, limit)
    if text is not None and teacher is not None:
        known[f"{text.name} by {teacher}"] = teach_texts(text, load_tagger(teacher), limit)
    scores = {name: score_tagger(tagger, texts) for name, texts in known.items()}
    return TaggerCheck(scores, measure_speed(tagger, next(iter(known.values())).texts[:_TIMED]))
