"""What `generate` is asked for on a guided model: one line, before the first token, where it cannot be done."""

import inspect
from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor
from transformers import PreTrainedModel

from ..errors import GrammarError, InputError, ModelError
from ..grammar.tags import PAD
from ..printing import quoted
from .cached_call import cache_of

# Ways to generate that read several new tokens at once, read without tags, take code of others, or change the prompt
# behind its tags.
_UNGUIDED: Final[tuple[str, ...]] = (
    "assistant_model", "prompt_lookup_num_tokens", "assistant_early_exit", "use_mtp", "guidance_scale",
    "custom_generate", "penalty_alpha", "dola_layers", "num_beam_groups", "force_words_ids", "constraints",
    "token_healing",
)  # fmt: skip
_NEUTRAL: Final[tuple[str, ...]] = ("guidance_scale", "num_beam_groups")  # 1 asks for nothing
_DEFAULT: Final[int] = 20  # new tokens, where nobody says how many
_HOW: Final[str] = (
    'call model.generate(**annotate(prompt, return_tensors="pt")), with annotate = grammask.Annotator(...)'
)


class GenerateCall:
    """The arguments of one call of `generate`, by their names, with the settings that hold where they are silent."""

    def __init__(self, model: PreTrainedModel, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        bound = inspect.signature(type(model).generate).bind_partial(model, *args, **kwargs).arguments  # type: ignore[attr-defined]
        self.arguments: dict[str, Any] = {**bound, **bound.get("kwargs", {})}
        self._configs = self.arguments.get("generation_config"), model.generation_config

    def setting(self, name: str) -> Any:
        """Return an argument, or what the call's or the model's generation config says; None where nobody does."""
        values = [self.arguments.get(name), *(getattr(config, name, None) for config in self._configs)]
        return next((value for value in values if value is not None), None)

    @property
    def new_tokens(self) -> int | None:
        """The most tokens that may be generated; None where nobody says."""
        if (new := self.setting("max_new_tokens")) is not None:
            return int(new)
        longest = self.setting("max_length")
        return None if longest is None else max(int(longest) - self.arguments["tag_ids"].shape[1], 0)


def check_call(call: GenerateCall) -> None:
    """Raise `ModelError` or `InputError` for a way to generate, or for inputs, that a grammar cannot guide."""
    for name in _UNGUIDED:
        value = call.setting(name)
        if value and not (name in _NEUTRAL and value == 1):
            raise ModelError(f"generate({name}={quoted(value)}) cannot be guided by a grammar; leave it out")
    _check_cache(call)
    if call.arguments.get("inputs_embeds") is not None:
        raise ModelError("generate cannot be guided from inputs_embeds: new words need the text; give input_ids")
    text = call.arguments.get("input_ids", call.arguments.get("inputs"))
    for name in ("tag_ids", "word_ids"):
        ids = call.arguments.get(name)
        if ids is None:
            raise InputError(f"{name} is missing: {_HOW}")
        if not isinstance(ids, Tensor) or ids.dim() != 2:
            raise InputError(f"{name} must be an integer tensor (batch, length), but is {quoted(ids)}; {_HOW}")
        if isinstance(text, Tensor) and ids.shape != text.shape:
            raise InputError(
                f"{name} has shape {tuple(ids.shape)}, but input_ids has {tuple(text.shape)}: annotate the whole text "
                "anew, with what was generated, as in a conversation"
            )
    _check_ends(call.arguments["tag_ids"])


def _check_cache(call: GenerateCall) -> None:
    kind, cache = call.setting("cache_implementation"), cache_of(call.arguments)
    if kind not in (None, "dynamic"):
        raise ModelError(
            f"cache_implementation={quoted(kind)} cannot be guided by a grammar; leave it out, or give "
            "cache=grammask.GrammarCache(model)"
        )
    if cache is not None and call.setting("use_cache") is False:
        raise ModelError(
            f"use_cache=False reads the whole text at each step, so the {type(cache).__name__} has no use; leave one "
            "of the two out"
        )


def _check_ends(tag_ids: Tensor) -> None:
    """Raise `InputError` for a text without a token, and for padding where generation goes on."""
    empty = (tag_ids == PAD).all(1).nonzero().flatten().tolist()  # all of no tokens, too
    if empty:
        raise InputError(
            f"text {empty[0]} has no tokens, so there is nothing to go on from; give it a word, or the token that "
            "begins a text (tokenizer.bos_token)"
        )
    if bool((tag_ids[:, -1] == PAD).any()):
        raise InputError(
            'generation goes on at the right, where this batch has padding; set tokenizer.padding_side = "left" and '
            "annotate anew"
        )


def check_positions(call: GenerateCall, model: PreTrainedModel) -> None:
    """Raise `InputError` where the prompt and what may be generated are longer than the model's positions."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    prompt = int((call.arguments["tag_ids"] != PAD).sum(1).max())
    # Where nobody says how many, transformers stops at the last position.
    new = 1 if call.new_tokens is None else call.new_tokens
    if positions is not None and prompt + new > positions:
        raise InputError(
            f"a prompt of {prompt:,} tokens and {new:,} new ones are more than the {positions:,} positions of "
            f"{type(model).__name__}; shorten the prompt"
            + (f", or give max_new_tokens={positions - prompt} or fewer" if positions > prompt else "")
        )


def check_room(call: GenerateCall, room: int, grammar: str) -> None:
    """Raise `GrammarError` where words would need tags, and there is no annotator: after `room` new ones."""
    new = _DEFAULT if call.new_tokens is None else call.new_tokens
    if new > room:
        raise GrammarError(
            f"grammar {grammar!r} reads words by their tags, and after {room:,} new tokens the first of up to {new:,} "
            "would leave its bounded reach without one; give the tagger, "
            f"grammask.attach(grammask.detach(model), grammar, annotator=annotate), or max_new_tokens={room}"
        )
