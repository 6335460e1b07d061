"""The tagger: a tokenizer and a network, for texts or for the tokens of a batch."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import torch
from tokenizers import Tokenizer
from torch import Tensor

from ...errors import InputError, TaggingError
from ...grammar.tags import TAG_IDS
from ...printing import quoted, reason
from ..annotator_settings import TRAINED, TaggerSettings
from ..overlap import NO_WORD
from ..shipped_taggers import tagger_folder
from ..tagger import TaggedText
from .network import TagNetwork
from .pieces import find_pieces, plain_tokenizer
from .saved_network import Find, TaggerFiles, read_settings, unpack_network
from .tagged import read_answers
from .token_tags import tag_tokens
from .word_answers import SENTENCE_ENDS

KIND: Final[str] = "subwords"
_VERSION: Final[str] = "1"  # of what is made of a network's answers
_TEXTS: Final[int] = 256  # that are read together
_CHARACTERS: Final[int] = 1 << 18  # of texts that are read together, if not of one alone


class SubwordTagger:
    """Words, UPOS tags and sentences from a network over subwords, as `grammask tagger train` makes it.

    The network runs on `device`. Raises `TaggingError`, naming `origin`, for damaged files.
    """

    def __init__(self, files: TaggerFiles, *, origin: str = "the tagger", device: torch.device | str = "cpu") -> None:
        self._files = files
        self._settings = read_settings(files.settings, origin=f"{origin}: {TRAINED}")
        self._tokenizer = _read_tokenizer(files.tokenizer, origin)
        self._network = unpack_network(files.weights, self._settings.steps, origin=origin).to(device)
        self._known = self._network.pieces.num_embeddings
        highest = max([*self._tokenizer.get_vocab().values(), *self._settings.structure, -1])
        if highest >= self._known:
            raise TaggingError(
                f"{origin}: it names subword {highest}, but its network knows 0 to {self._known - 1}; train the tagger "
                "again"
            )

    @classmethod
    def load(cls, name: str | Path) -> Self:
        """Load a shipped tagger by its name, or one from its folder or a model's; raises `TaggingError`."""
        place = tagger_folder(str(name))
        return cls.found(lambda name: path if (path := place / name).exists() else None, quoted(str(name)))

    @classmethod
    def found(cls, find: Find, origin: str) -> Self:
        """Load a tagger from files that are found by their names; raises `TaggingError`, naming `origin`."""
        return cls(TaggerFiles.read(find, origin), origin=origin)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._files,)

    @property
    def name(self) -> str:
        """What the tagger was called when it was trained."""
        return self._settings.name

    @cached_property
    def version(self) -> str:
        """All that tags depend on."""
        return f"{KIND} {_VERSION} {self._files.fingerprint}"

    @cached_property
    def settings(self) -> TaggerSettings:
        """What identifies the tagger."""
        return TaggerSettings(kind=KIND, name=self.name, version=_VERSION, fingerprint=self._files.fingerprint)

    @property
    def taught(self) -> dict[str, Any]:
        """How the tagger was made."""
        return dict(self._settings.taught)

    @property
    def tokenizer(self) -> Tokenizer:
        """What splits texts into subwords."""
        return self._tokenizer

    @property
    def network(self) -> TagNetwork:
        """The network, for programs that run it in their own way."""
        return self._network

    def save_beside(self, folder: Path) -> None:
        """Write the tagger's files into a folder, such as a model's."""
        self._files.write(folder)

    def tag(self, texts: Sequence[str]) -> Iterator[TaggedText]:
        """Tag texts lazily, in order; see `TaggedText`."""
        for some in _together(texts):
            pieces = find_pieces(self._tokenizer, some)
            device = self._network.cues.weight.device
            columns = (torch.from_numpy(column).to(device) for column in (pieces.ids, pieces.cues, pieces.texts))
            yield from read_answers(some, pieces, self._network.read_texts(*columns).cpu())

    def tag_tokens(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> dict[str, Tensor]:
        """Return `tag_ids`, `word_ids` and `sentence_ids` of tokens (batch, length), on the device where they are.

        The tokens are those of the tokenizer that the tagger was trained for. Spaces and capitals that ids don't tell
        are not known, so tags of texts are better. Raises `InputError` for what are no tokens.
        """
        mask = _check_tokens(input_ids, attention_mask, self._known)
        self._network.to(input_ids.device)
        structure, ends = (table.to(input_ids.device) for table in self._tables)
        found = tag_tokens(self._network, structure, ends, input_ids.long(), mask)
        return dict(zip(("tag_ids", "word_ids", "sentence_ids"), found, strict=True))

    @cached_property
    def _tables(self) -> tuple[Tensor, Tensor]:
        """What is known of each token: its tag where it is structural, -1 else; and whether it ends a sentence."""
        structure = torch.full((self._known,), NO_WORD)
        for token, tag in self._settings.structure.items():
            structure[token] = TAG_IDS[tag]
        spelled = self._tokenizer.decode_batch([[number] for number in range(self._known)], skip_special_tokens=False)
        return structure, torch.tensor([text.strip() in SENTENCE_ENDS for text in spelled])


def _read_tokenizer(content: bytes, origin: str) -> Tokenizer:
    try:
        return plain_tokenizer(Tokenizer.from_buffer(content))
    except Exception as error:  # its own library raises bare ones
        raise TaggingError(
            f"{origin}: its tokenizer cannot be read: {reason(error)}; train the tagger again"
        ) from error


def _together(texts: Sequence[str]) -> Iterator[list[str]]:
    some, size = list[str](), 0
    for text in texts:
        if some and (len(some) == _TEXTS or size + len(text) > _CHARACTERS):
            yield some
            some, size = [], 0
        some.append(text)
        size += len(text)
    if some:
        yield some


def _check_tokens(ids: Any, given: Any, known: int) -> Tensor:
    """Return the mask of tokens, ones where none is given; raises `InputError`."""
    for name, tensor in (("input_ids", ids), *(() if given is None else [("attention_mask", given)])):
        if not isinstance(tensor, Tensor):
            raise InputError(
                f'{name} must be a tensor (batch, length), as return_tensors="pt" gives it, but is {quoted(tensor)} '
                f"({type(tensor).__name__})"
            )
    mask = torch.ones_like(ids) if given is None else given
    if ids.dim() != 2 or ids.is_floating_point() or ids.shape != mask.shape:
        raise InputError(
            "input_ids and attention_mask must be whole numbers (batch, length), but have dtype "
            f"{ids.dtype} and shapes {tuple(ids.shape)} and {tuple(mask.shape)}"
        )
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < known:
        raise InputError(f"input_ids hold {int(ids.min())} to {int(ids.max())}, but the tagger knows 0 to {known - 1}")
    return mask
