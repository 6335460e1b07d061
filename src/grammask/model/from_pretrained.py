"""from_pretrained: a saved model, or an adapter of one, comes back with its grammar."""

from pathlib import Path
from typing import Any

from ..errors import InputError, ModelError, TaggingError
from ..files.find_file import hub_arguments
from ..files.pin_revision import pin_revision
from ..printing import quoted
from ..tagging.annotate import Annotator
from ..tagging.saved_annotator import read_annotator
from . import interface
from .adapters import put_adapter
from .attachment import attach_guide, guide_of
from .guide import Guide
from .load_weights import Loaded, load_weights
from .model_files import ADAPTER, read_config, read_json
from .saved_grammar import CONFIG_KEY, find_class, read_saved_grammar
from .strengths import STRENGTHS, with_strengths


def from_pretrained(
    name_or_path: str | Path, *, model_class: Any = None, annotator: Annotator | bool = True, **kwargs: Any
) -> Any:
    """Load a model that was saved with a grammar, of the class that saved it, and attach the grammar again.

    Of an adapter the base model is loaded too, and the answer is a `PeftModel`.

    Args:
        name_or_path: A folder of `save_pretrained`, or a Hub name.
        model_class: Needed where the class is none of transformers' own; an Auto class gives another head.
        annotator: True loads the annotator that the model was saved with, where it was, so that `generate` tags new
            words; False loads none; an `Annotator` takes its place. See `load`.
        **kwargs: Go to the class's own `from_pretrained`. Those that say where files are (revision, subfolder,
            cache_dir, token and so on) reach every read. `is_trainable=True` lets an adapter train on.

    Returns:
        The guided model; with `output_loading_info=True` the pair that transformers gives.

    Raises:
        ModelError: When the model cannot be loaded whole or has no grammar, or when `attn_implementation` is given.
        TaggingError: When the saved annotator's tagger cannot be had; see `load`.

    Example:
        >>> import tempfile
        >>> from transformers import BertConfig, BertModel
        >>> model = grammask.attach(BertModel(BertConfig(hidden_size=24, num_hidden_layers=2)), "paper-sinks")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save_pretrained(folder)
        ...     again = grammask.from_pretrained(folder)
        >>> type(again).__name__, again.config._attn_implementation
        ('BertModel', 'grammask')
    """
    name = str(name_or_path)
    if "attn_implementation" in kwargs:
        raise ModelError("a guided model has its own attention implementation; leave attn_implementation out")
    wants_info = kwargs.pop("output_loading_info", False)
    hub = pin_revision(name, **hub_arguments(kwargs))
    kwargs.update(hub)
    adapter = read_json(name, ADAPTER, **hub)
    loaded = _load(name, model_class, kwargs) if adapter is None else _load_adapter(name, adapter, model_class, kwargs)
    guide_of(loaded.model).annotator = _annotator(annotator, name, hub)
    return (loaded.model, loaded.info) if wants_info else loaded.model


def _annotator(wanted: Annotator | bool, name: str, hub: dict[str, Any]) -> Annotator | None:
    if isinstance(wanted, Annotator):
        return wanted
    if not isinstance(wanted, bool):
        raise InputError(f"annotator must be True, False or a grammask.Annotator, but is {quoted(wanted)}")
    try:
        if not wanted or read_annotator(name, **hub) is None:
            return None
    except ModelError as error:  # it cannot be fetched
        raise ModelError(f"{error}; annotator=False loads the model alone") from error
    try:
        return Annotator.from_pretrained(name, **hub)
    except TaggingError as error:
        raise TaggingError(f"{error} (to grammask.load); annotator=False loads the model alone") from error


def _load(name: str, model_class: Any, kwargs: dict[str, Any]) -> Loaded:
    config = read_config(name, **hub_arguments(kwargs))
    if getattr(kwargs.get("config"), CONFIG_KEY, None) is not None:
        config = kwargs["config"]
    saved = read_saved_grammar(config, name)
    loading = found = find_class(config, model_class, name)
    interface.register()  # the config names it
    if saved.learn_strengths is not None:
        loading = with_strengths(found, saved.learn_strengths)
        # Once they were a parameter of the base model itself.
        renamed = {rf"{STRENGTHS}$": f"{STRENGTHS}.table", **(kwargs.get("key_mapping") or {})}
        kwargs = {**kwargs, "key_mapping": renamed}
    loaded = load_weights(loading, name, attn_implementation=None, **kwargs)
    if any(STRENGTHS in key.split(".") for key in loaded.info["unexpected_keys"]):
        raise ModelError(f"{name!r} holds learned strengths, but its config.json doesn't say so; it is damaged")
    loaded.model.__class__ = found
    attach_guide(loaded.model, Guide(loaded.model, saved.grammar, saved.strategy, "auto"), saved.learn_strengths)
    return loaded


def _load_adapter(name: str, adapter: dict[str, Any], model_class: Any, kwargs: dict[str, Any]) -> Loaded:
    """Load the base model of an adapter, its grammar from beside the adapter, and then the adapter."""
    trainable = kwargs.pop("is_trainable", False)
    hub = hub_arguments(kwargs)
    config = read_config(name, adapter=True, **hub)
    saved = read_saved_grammar(config, name)
    base = adapter.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise ModelError(f"{name!r}: {ADAPTER} names no base model (base_model_name_or_path)")
    elsewhere = {key: value for key, value in kwargs.items() if key not in ("revision", "subfolder")}
    if adapter.get("revision"):
        elsewhere["revision"] = adapter["revision"]
    loaded = load_weights(
        find_class(config, model_class, name), base, new="head", config=config, attn_implementation=None, **elsewhere
    )
    attach_guide(loaded.model, Guide(loaded.model, saved.grammar, saved.strategy, "auto"), saved.learn_strengths)
    return Loaded(put_adapter(loaded, name, trainable=trainable, **hub), loaded.new, loaded.info)
