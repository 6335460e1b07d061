"""The Annotator as a tokenizer: what is asked of one is answered by its own, but what must know of tags."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from transformers import BatchEncoding

from .align_chats import align_templates
from .annotator_state import AnnotatorState
from .make_batch import make_batch
from .padding import TAG_PADDING, pad_features

_OWN: Final[frozenset[str]] = frozenset({"tokenizer", "tagger", "coverage"})


class TokenizerLike(AnnotatorState):
    """Whatever has a tokenizer's name is the tokenizer's, to read and to set; `pad` and inputs' names know of tags."""

    # Trainer pads its batches only where it finds a tokenizer, and asks by `isinstance`.
    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(vars(self).get("tokenizer", self))

    @property
    def model_input_names(self) -> list[str]:
        """What a guided model reads: the tokenizer's names, and those of tags."""
        return [*self.tokenizer.model_input_names, *TAG_PADDING]

    def pad(
        self,
        encoded_inputs: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad annotated texts as the tokenizer's `pad` does, their tags, words and sentences too.

        Args:
            encoded_inputs: What calling gave, for several texts or a list of single ones.
            padding: True or "longest", "max_length", or False.
            max_length: The length of "max_length".
            pad_to_multiple_of: What the length is rounded up to.
            padding_side: "left" or "right"; None: the tokenizer's.
            return_attention_mask: Whether there is a mask; None: the tokenizer's wish.
            return_tensors: "pt", "np", or None for lists.
            verbose: Goes to the tokenizer.

        Returns:
            The columns, all of one length, in padding [PAD] and -1.

        Raises:
            InputError: For texts without tags, and for what the tokenizer cannot pad.
        """
        options = {
            "padding": padding, "max_length": max_length, "pad_to_multiple_of": pad_to_multiple_of,
            "padding_side": padding_side, "return_attention_mask": return_attention_mask,
            "return_tensors": return_tensors, "verbose": verbose,
        }  # fmt: skip
        return pad_features(self.tokenizer, encoded_inputs, options)

    def __len__(self) -> int:
        return len(self.tokenizer)

    def apply_chat_template(self, conversation: Any, tools: Any = None, **template: Any) -> Any:
        """Spell conversations as the tokenizer's `apply_chat_template` does, with tags for their tokens.

        Args:
            conversation: A list of {"role": ..., "content": ...}, or several such lists.
            tools: Goes to the template.
            **template: The tokenizer's own arguments. With tokenize=False, or return_dict=False, there is no place for
                tags, and the answer is the tokenizer's.

        Returns:
            The tokenizer's columns, and `tag_ids`, `word_ids` and `sentence_ids`, as `Annotator.chat` gives them: lists
            of one conversation alone, a row for each of several, or tensors.

        Raises:
            InputError: As `Annotator.chat` does, and for what the tokenizer cannot encode so.
            TaggingError: As `Annotator.chat` does.
            AlignmentError: As `Annotator.chat` does.
        """
        template["tools"] = tools
        if not (template.get("tokenize", True) and template.get("return_dict", True)):
            return self.tokenizer.apply_chat_template(conversation, **template)
        alone = not (isinstance(conversation, Sequence) and conversation and isinstance(conversation[0], list | tuple))
        several = [conversation] if alone else conversation
        encoded, aligned = align_templates(self.tokenizer, self.tagger, several, template)
        self._count(aligned)
        return make_batch(encoded, aligned, return_tensors=template.get("return_tensors"), alone=alone)

    def __getattr__(self, name: str) -> Any:
        # Copying and unpickling ask before there is a tokenizer; and no special method is another object's.
        if name.startswith("__") or "tokenizer" not in vars(self):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.tokenizer, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN or name.startswith("_") or not hasattr(vars(self).get("tokenizer"), name):
            object.__setattr__(self, name, value)
        else:
            setattr(self.tokenizer, name, value)
