"""GrammarCache: a key-value cache that holds what the grammar of a model lets later tokens read, and nothing else."""

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .attachment import guide_of
from .kept_cache import KeptCache


class GrammarCache(KeptCache):
    """A key-value cache that drops the keys which no later token may read; give it as `past_key_values`.

    What it keeps, for each layer and key-value head: sinks and `[UNK]`, keys whose tag a rule of document reach names
    for some head that shares them, keys within bounded reach of the last word, and generated words until they get their
    tag. The model's own sliding window holds too. Logits are those of the same guided model with a whole cache.
    Beams, batches with left padding, and several tokens a call are fine. Later tokens belong to the last word or to one
    after it. One that may read what was dropped, such as `[UNK]`, is an error; `generate` reads the special tokens of
    later turns of a conversation as words.

    Args:
        model: The guided model that the cache is for; see `attach`. Its strategy must be "hard", since soft rules let
            every key be read, and no rule may have sentence reach.

    Attributes:
        nbytes: The memory that keys and values take, in bytes, with room for 64 that follow: on a short text that
            is more than `nbytes_full`.
        nbytes_full: What they would take in a `DynamicCache`.
        share: The first as a share of what all keys would take with the same room; never above 1, and 1.0 while it is
            empty.

    Raises:
        ModelError: For a model without a grammar, soft or full strategies, and rules of sentence reach.

    Example:
        >>> from transformers import LlamaConfig, LlamaForCausalLM
        >>> config = LlamaConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, vocab_size=99)
        >>> model = grammask.attach(LlamaForCausalLM(config).eval(), "names-far")
        >>> cache = grammask.GrammarCache(model)
        >>> words = torch.arange(1000)[None]
        >>> tag_ids = torch.full((1, 1000), grammask.TAGS.index("VERB"))
        >>> logits = model(input_ids=words % 99, word_ids=words, tag_ids=tag_ids, past_key_values=cache).logits
        >>> cache.get_seq_length(), round(cache.share, 2)
        (1000, 0.31)
    """

    def __init__(self, model: nn.Module) -> None:
        guide = guide_of(model)
        if guide.strategy != "hard":
            raise ModelError(
                f"strategy {guide.strategy!r} lets every key be read, so a GrammarCache has nothing to drop; attach "
                'with strategy "hard", or take a DynamicCache'
            )
        if guide.grammar.needs_sentences:
            raise ModelError(
                f"grammar {guide.grammar.name!r} has rules of sentence reach, and nobody knows the sentence of a later "
                "word; give them a reach of words, or take a DynamicCache"
            )
        super().__init__(guide.grammar, guide.layer_tables)

    @property
    def nbytes(self) -> int:
        """The memory that keys and values take, in bytes."""
        return sum(layer.nbytes for layer in self.layers)

    @property
    def nbytes_full(self) -> int:
        """What they would take in a `DynamicCache`, in bytes."""
        return sum(layer.nbytes_of_token * self._tokens_of(layer) for layer in self.layers)

    @property
    def share(self) -> float:
        """The memory that keys and values take, as a share of what all of them would take with the same room."""
        every = sum(layer.nbytes_of_token * (self._tokens_of(layer) + self._room) for layer in self.layers)
        return self.nbytes / every if every else 1.0

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Go on with other texts: those of the beams that were chosen."""
        self._select(beam_idx)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Go on with each text `repeats` times."""
        self._select(torch.arange(self.texts).repeat_interleave(repeats))

    def batch_select_indices(self, indices: Tensor) -> None:
        """Go on with some of the texts."""
        self._select(torch.arange(self.texts, device=indices.device)[indices])

    def crop(self, tokens_to_remove: int) -> None:
        """Forget the last tokens, given as a number below 0; raises `ModelError` for more than are there as a whole."""
        if tokens_to_remove > 0:
            raise ModelError(f"crop counts the tokens to forget as a number below 0, but got {tokens_to_remove}")
        self._crop(-tokens_to_remove)

    def reset(self) -> None:
        """Forget all tokens."""
        self._forget()
