"""Conversations as a tokenizer's chat template spells them: which of it is markup, and what the tagger reads.

Special tokens of the template are structure. The same tokens in what somebody says are text, without the rights of
structure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from ..errors import InputError
from ..printing import quoted, reason
from .new_text import special_tokens
from .overlap import Integers

Message = Mapping[str, str]


@dataclass(frozen=True)
class Chat:
    """A conversation as the template spells it; `spoken` are the places (start, end) of what people say in it.

    Those are only looked for where a message spells a special token.
    """

    text: str
    spoken: tuple[tuple[int, int], ...]

    def is_markup(self, start: int, end: int) -> bool:
        """Tell whether a special token at this place is the template's."""
        return not any(first <= start and end <= last for first, last in self.spoken)

    def without(self, places: Integers) -> str:
        """Return the text with line breaks in these places (tokens, 2), so that a tagger finds no words there."""
        text = self.text
        for start, end in places.tolist():
            text = text[:start] + "\n" * (end - start) + text[end:]
        return text


def render_chats(tokenizer: PreTrainedTokenizerBase, messages: Any, template: Mapping[str, Any]) -> list[Chat]:
    """Return one conversation, or several, as the tokenizer's template spells them; raises `InputError`."""
    if tokenizer.chat_template is None:
        raise InputError("the tokenizer has no chat template; give the text itself: annotate(prompt)")
    return [
        _render(tokenizer, one, template, f"conversation {number}") for number, one in enumerate(_checked(messages))
    ]


def _checked(messages: Any) -> list[list[Message]]:
    several = isinstance(messages, Sequence) and bool(messages) and isinstance(messages[0], list | tuple)
    chats = list(messages) if several else [messages]
    for number, chat in enumerate(chats):
        if not isinstance(chat, list | tuple) or not chat:
            raise InputError(
                'a conversation is a list of messages, such as {"role": "user", "content": "Hi"}, but is '
                f"{quoted(chat)}"
            )
        for place, message in enumerate(chat):
            if not isinstance(message, Mapping) or not all(
                isinstance(message.get(k), str) for k in ("role", "content")
            ):
                raise InputError(
                    f"message {place} of conversation {number} needs a role and a content, both text, but is "
                    f"{quoted(message)}"
                )
    return chats


def _render(tokenizer: PreTrainedTokenizerBase, chat: list[Message], template: Mapping[str, Any], name: str) -> Chat:
    options = {"add_generation_prompt": True, **template, "tokenize": False}
    try:
        text: Any = tokenizer.apply_chat_template([dict(message) for message in chat], **options)
        text.encode()
    except Exception as error:  # a template is a program of whoever made the model
        raise InputError(f"the tokenizer's chat template refuses {name}: {reason(error)}") from error
    return Chat(text, tuple(_spoken(text, chat, special_tokens(tokenizer), name)))


def _spoken(text: str, chat: list[Message], special: Iterable[str], name: str) -> Iterable[tuple[int, int]]:
    end = 0
    for place, message in enumerate(chat):
        content = message["content"].strip()
        found = next((token for token in special if token in content), None)
        if found is None:
            continue
        start = text.find(content, end)
        if start < 0:
            raise InputError(
                f"message {place} of {name} spells the special token {quoted(found)}, and the template changes the "
                "message, so it could be taken for the template's own; take it out"
            )
        end = start + len(content)
        yield start, end
