"""BatchTagger: tags, or whole annotations, of batches of texts."""

from hashlib import sha256
from typing import Any, Final

from ...grammar.tags import TAGS
from ...tagging.annotate import Annotator
from ...tagging.load_tagger import make_tagger
from ...tagging.spacy_tagger import DEFAULT_PIPELINE, SentenceSource
from ...tagging.tagger import TaggedText, Tagger
from .text_batches import TextBatches

_TAGS: Final[dict[str, str]] = {
    "words": "array<string>", "tags": "array<string>", "starts": "array<int>", "ends": "array<int>",
    "sentence_ids": "array<int>",
}  # fmt: skip


class BatchTagger(TextBatches):
    """Tags batches of texts: for `datasets.map(batched=True)`, Spark's `mapInPandas`, and `grammask tag --corpus`.

    With a tagger the added columns are `words`, `tags`, `starts`, `ends` (characters) and `sentence_ids`, a value a
    word; with an annotator they are `input_ids`, `tag_ids` and so on, a value a token. `problem` says why a row could
    not be tagged, and is "" where it was.

    Args:
        tagger: The name of a tagger, a tagger, or an `Annotator`.
        column: The column with the texts.
        sentences: For a name: where sentence numbers come from, as for `Annotator`.

    Raises:
        InputError: For a column that would be written over.
        TaggingError: For a tagger that is missing or unusable.

    Example:
        >>> tag = grammask.BatchTagger("en_core_web_sm")
        >>> tagged = tag({"text": ["Cats sleep.", None]})
        >>> tagged["tags"]
        [['NOUN', 'VERB', 'PUNCT'], []]
        >>> tagged["problem"]
        ['', 'there is no text']
    """

    def __init__(
        self,
        tagger: str | Tagger | Annotator = DEFAULT_PIPELINE,
        *,
        column: str = "text",
        sentences: SentenceSource = "sentencizer",
    ) -> None:
        self._annotator = tagger if isinstance(tagger, Annotator) else None
        self._tagger = tagger.tagger if isinstance(tagger, Annotator) else make_tagger(tagger, sentences, False)
        self._names = [] if self._annotator is None else [*self._annotator(["."])]
        super().__init__(column)

    @property
    def columns(self) -> dict[str, str]:
        """The columns that are added, but for `problem`, and their types as Spark spells them."""
        return dict.fromkeys(self._names, "array<int>") if self._names else _TAGS

    @property
    def settings(self) -> dict[str, Any]:
        """All that the answers depend on besides the texts."""
        if self._annotator is None:
            return {"tagger": self._tagger.settings.model_dump()}
        spelled = self._annotator.tokenizer.backend_tokenizer.to_str()
        limit = self._annotator.max_length or self._annotator.tokenizer.model_max_length
        return {
            **self._annotator.settings.model_dump(),
            "max_length": limit,
            "tokenizer": sha256(spelled.encode()).hexdigest(),
        }

    def _answer(self, texts: list[str]) -> list[tuple[Any, ...]]:
        if self._annotator is not None:
            made = self._annotator(texts)
            return list(zip(*(made[name] for name in self._names), strict=True))
        return [_row(text, tagged) for text, tagged in zip(texts, self._tagger.tag(texts), strict=True)]


def _row(text: str, tagged: TaggedText) -> tuple[list[Any], ...]:
    starts, ends = tagged.starts.tolist(), tagged.ends.tolist()
    words = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    return words, [TAGS[tag] for tag in tagged.tag_ids.tolist()], starts, ends, tagged.sentence_ids.tolist()
