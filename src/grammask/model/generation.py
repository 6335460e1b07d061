"""`model.generate` on a guided model: each step gets the tags and word numbers of the whole text so far.

transformers hands what it is given for the prompt on to every step, and makes no longer tags of it. So two methods are
replaced in the model itself, not in its class: `generate`, which refuses what cannot be guided, and
`prepare_inputs_for_generation`.
"""

import inspect
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..grammar.new_words import check_sentences, room_for_new_words, tags_matter
from ..tagging.continuation import Continuation, Schedule, Writer
from ..tagging.new_text import NewText
from ..tagging.tag_cache import CachedTagger
from .cache_text import carry_on, note_tokens
from .cached_call import cache_of
from .generation_checks import GenerateCall, check_call, check_positions, check_room
from .guide import Guide
from .wrappers import own_signature, with_annotation

METHODS: Final[tuple[str, ...]] = ("generate", "prepare_inputs_for_generation")


def guide_generation(guide: Guide) -> None:
    """Replace the methods by which `guide`'s model generates, where it can."""
    if guide.model.can_generate():
        steps = GuidedSteps(guide)
        vars(guide.model).update(prepare_inputs_for_generation=steps, generate=GuidedGenerate(steps))


def free_generation(model: PreTrainedModel) -> None:
    """Undo `guide_generation`."""
    for name in METHODS:
        vars(model).pop(name, None)


class GuidedGenerate:
    """Replaces `model.generate`: checks a call before the model's own method runs."""

    def __init__(self, steps: "GuidedSteps") -> None:
        self._steps = steps

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Generate as the model's class does; raises a `GrammaskError` for what cannot be guided."""
        guide = self._steps.guide
        if guide.strategy != "full":
            call = GenerateCall(guide.model, args, kwargs)
            check_call(call)
            check_positions(call, guide.model)
            room = self._steps.room
            if guide.annotator is None and room is not None:
                check_room(call, room, guide.grammar.name)
            kwargs |= _carried_on(call)
        return type(guide.model).generate(guide.model, *args, **kwargs)  # type: ignore[attr-defined]

    @property
    def __signature__(self) -> inspect.Signature:
        """The signature of the model's own method."""
        return own_signature(self._steps.guide.model, "generate")


class GuidedSteps:
    """Replaces `model.prepare_inputs_for_generation`: adds the annotation of the whole text so far."""

    def __init__(self, guide: Guide) -> None:
        self.guide = guide
        self._prompts: tuple[Tensor, ...] = ()
        self._continuation: Continuation | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is kept only to be fast."""
        return {"guide": self.guide, "_prompts": (), "_continuation": None}

    @property
    def room(self) -> int | None:
        """How many new words a text may have before the first of them needs its tag; None: any number."""
        tables = self.guide.layer_tables
        check_sentences(self.guide.grammar)
        # The soft strategy blocks nothing, so no word is lost.
        room = room_for_new_words(self.guide.grammar, tables) if self.guide.strategy == "hard" else None
        if room is None and tags_matter(tables):
            schedule = Schedule.within(None)
            return schedule.every + schedule.ahead
        return room

    def __call__(
        self,
        *args: Any,
        tag_ids: Tensor | None = None,
        word_ids: Tensor | None = None,
        sentence_ids: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the inputs of a step, for a prompt of this annotation; no rule of it has sentence reach."""
        model = self.guide.model
        own: Any = type(model)
        inputs: dict[str, Any] = own.prepare_inputs_for_generation(model, *args, **kwargs)
        if tag_ids is None or word_ids is None or self.guide.strategy == "full":
            return inputs
        cache = cache_of(inputs)
        earlier = 0 if cache is None else cache.get_seq_length()
        text: Tensor = args[0] if args else kwargs["input_ids"]
        if cache is not None:
            note_tokens(cache, text)
        given = {"tag_ids": tag_ids, "word_ids": word_ids}
        return inputs | self._whole(text, given, earlier + inputs["input_ids"].shape[1])

    def _whole(self, text: Tensor, given: dict[str, Tensor], length: int) -> dict[str, Tensor]:
        """Return the annotation of the first `length` tokens; `text` ends with those that were generated."""
        generated = length - given["tag_ids"].shape[1]
        if generated <= 0:
            return {name: ids[:, :length] for name, ids in given.items()}
        prompts = text[:, :-generated], *given.values()
        found = self._after(prompts).after(_array(text[:, -generated:]))
        return {
            name: torch.cat([ids, torch.from_numpy(more).to(ids)], 1)
            for (name, ids), more in zip(given.items(), found, strict=True)
        }

    def _after(self, prompts: tuple[Tensor, ...]) -> Continuation:
        """Return what follows these prompts: that of the last step, where they are the same."""
        known = self._continuation
        same = len(self._prompts) == len(prompts) and all(map(torch.equal, self._prompts, prompts))
        if known is None or not same:
            known = Continuation(self._writer(), *map(_array, prompts))
            self._prompts, self._continuation = tuple(ids.clone() for ids in prompts), known
        return known

    def _writer(self) -> Writer | None:
        annotator = self.guide.annotator
        if annotator is None:
            return None
        room, kept = self.room, annotator.tagger
        # Pieces of generated text don't come again: they are not kept on disk.
        tagger = kept.inner if isinstance(kept, CachedTagger) else kept
        return Writer(NewText(annotator.tokenizer), tagger, None if room is None else Schedule.within(room))

    @property
    def __signature__(self) -> inspect.Signature:
        """The signature of the model's own method, with the annotation, by which transformers tells typos."""
        return with_annotation(own_signature(self.guide.model, "prepare_inputs_for_generation"))


def _carried_on(call: GenerateCall) -> dict[str, Tensor]:
    """Return the annotation of the prompts, whose beginnings a cache may have read."""
    given, cache = call.arguments, cache_of(call.arguments)
    ids = given.get("input_ids", given.get("inputs"))
    annotation = {name: given[name] for name in ("tag_ids", "word_ids")}
    return carry_on(cache, ids, **annotation) if cache is not None and isinstance(ids, Tensor) else annotation


def _array(ids: Tensor) -> "np.ndarray[Any, np.dtype[np.int64]]":
    return ids.to("cpu", torch.int64).numpy()
