"""attach, attached, detach: switching a grammar on in a transformers model, and off again without a trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from torch import nn

from ..attention.backends import check_name
from ..attention.calibration.calibrate import calibrate_once, is_wanted
from ..attention.mask_maker import MaskTransform
from ..errors import InputError, ModelError
from ..grammar.file import load_grammar
from ..grammar.grammar import Grammar
from ..grammar.rules import Strategy, check_strategy
from ..printing import quoted
from ..tagging.annotate import Annotator
from .attachment import attach_guide, detach_guide, guide_of
from .guide import Guide
from .sentence_wrapping import annotate_sentences, check_sentences, free_sentences
from .strengths import LearnStrengths, check_learnable
from .wrappers import inner_model

Model = TypeVar("Model", bound=nn.Module)


def attach(
    model: Model,
    grammar: Grammar | str | Path,
    strategy: str = "hard",
    *,
    learn_strengths: LearnStrengths | None = None,
    backend: str = "auto",
    calibrate: bool | None = None,
    annotator: Annotator | None = None,
) -> Model:
    """Guide a model's attention by a grammar, in place; its weights are untouched.

    From here on the model's forward takes `tag_ids`, `word_ids` and, for sentence reach, `sentence_ids`: integer
    tensors (batch, length), which `Annotator` makes from texts. Strategy "full" is the stock model and needs none of
    them. The grammar is saved with the model; see `from_pretrained`.

    Args:
        model: A transformers model, or what holds exactly one, such as a `PeftModel` or a `SentenceTransformer`.
        grammar: The name of a shipped grammar, the path of a grammar file, or a `Grammar`.
        strategy: "hard" reads allowed pairs only, "soft" adds the rules' strengths to the scores, "full" changes
            nothing.
        learn_strengths: For "soft" only: makes the strengths a parameter, one tag x tag table for each "layer" or each
            "head", starting from the grammar's own. None keeps them fixed.
        backend: How attention is computed. "auto" chooses for every call, see `explain_dispatch`; any other (see the
            table in docs/kernels.md) is obeyed or refused. All are exact.
        calibrate: Whether "auto" may measure, for a few seconds and only where nothing was measured yet, what
            attention costs on this machine; see docs/kernels.md. None: unless the environment variable
            GRAMMASK_CALIBRATE is 0. Without, defaults of this kind of processor hold.
        annotator: The annotator of the model's prompts, which tags the words that `model.generate` makes; see
            docs/generation.md. `model.save_pretrained` saves it with the model; see `load`. A `SentenceTransformer`
            annotates its texts by it; see `SentenceModule`.

    Returns:
        The object that was given as `model`.

    Raises:
        ModelError: For an architecture that cannot be guided, or a model that already has a grammar.
        GrammarError: For a grammar that cannot be read or doesn't fit the model, an unknown strategy or backend, and
            strengths that cannot be learned.
        InputError: For a `calibrate` or a GRAMMASK_CALIBRATE that says neither yes nor no, and an `annotator` that
            is none.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> model = BertModel(BertConfig(hidden_size=24, num_hidden_layers=2))
        >>> model = grammask.attach(model, "paper-sinks", "hard")
        >>> tag_ids = torch.tensor([[grammask.TAGS.index(tag) for tag in ("[CLS]", "DET", "NOUN", "[SEP]")]])
        >>> inputs = {"input_ids": torch.tensor([[101, 1996, 2143, 102]]), "tag_ids": tag_ids}
        >>> model(**inputs, word_ids=torch.tensor([[-1, 0, 1, -1]])).last_hidden_state.shape
        torch.Size([1, 4, 24])
    """
    inner, measures = inner_model(model), is_wanted(calibrate)
    if learn_strengths is not None and inner is not model:
        raise ModelError(
            f"{type(model).__name__} would not know of strengths that are learned: call grammask.attach(..., "
            "learn_strengths=...) on the model inside, and wrap it then"
        )
    if annotator is not None and not isinstance(annotator, Annotator):
        raise InputError(f"annotator must be a grammask.Annotator, but is {quoted(annotator)}")
    if annotator is not None:
        check_sentences(model)
    guide = Guide(inner, load_grammar(grammar), check_strategy(strategy), check_name(backend), annotator)
    if learn_strengths is not None:
        check_learnable(guide.grammar, guide.strategy, learn_strengths)
    attach_guide(inner, guide, learn_strengths)
    annotate_sentences(model, annotator)
    if measures and backend == "auto" and guide.strategy != "full" and inner.device.type == "cpu":
        calibrate_once(inner.dtype)
    return model


def detach(model: Model) -> Model:
    """Undo `attach`, in place: the model's outputs are bit-identical to those before.

    Learned strengths are dropped with the grammar.

    Args:
        model: What was given to `attach`.

    Returns:
        The object that was given as `model`.

    Raises:
        ModelError: When the model has no grammar.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> model = BertModel(BertConfig(hidden_size=24, num_hidden_layers=2))
        >>> model = grammask.detach(grammask.attach(model, "paper-sinks"))
        >>> model(input_ids=torch.tensor([[101, 1996, 2143, 102]])).last_hidden_state.shape
        torch.Size([1, 4, 24])
    """
    detach_guide(inner_model(model))
    free_sentences(model)
    return model


def set_mask_transform(model: nn.Module, mask_transform: MaskTransform | None) -> None:
    """Let an attached model read what `mask_transform` makes of its grammar's masks, None for the masks; see `Plan`.

    For controls, for ways of training, and for switching off a rule.

    Raises `ModelError` when the model has no grammar.
    """
    guide_of(model).mask_transform = mask_transform


def grammar_of(model: nn.Module) -> tuple[Grammar, Strategy]:
    """Return the grammar and the strategy of an attached model; raises `ModelError` when it has none."""
    guide = guide_of(model)
    return guide.grammar, guide.strategy


@contextmanager
def attached(
    model: Model, grammar: Grammar | str | Path, strategy: str = "hard", *, backend: str = "auto",
    annotator: Annotator | None = None,
) -> Iterator[Model]:  # fmt: skip
    """Guide a model within a `with` block; the grammar goes with the block, even after an error.

    Args:
        model: As for `attach`.
        grammar: As for `attach`.
        strategy: As for `attach`.
        backend: As for `attach`.
        annotator: As for `attach`.

    Yields:
        The object that was given as `model`.

    Raises:
        ModelError: As `attach` does.
        GrammarError: As `attach` does.

    Example:
        >>> from transformers import BertConfig, BertModel
        >>> model = BertModel(BertConfig(hidden_size=24, num_hidden_layers=2))
        >>> with grammask.attached(model, "paper-sinks") as guided:
        ...     guided.config._attn_implementation
        'grammask'
        >>> model.config._attn_implementation
        'sdpa'
    """
    attach(model, grammar, strategy, backend=backend, annotator=annotator)
    try:
        yield model
    finally:
        detach(model)
