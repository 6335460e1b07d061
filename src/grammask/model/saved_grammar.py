"""The grammar in the config.json of a guided model: read back as it was saved, or an error."""

from dataclasses import dataclass
from typing import Any, Final

import transformers
from transformers import PreTrainedConfig, PreTrainedModel

from ..errors import GrammarError, ModelError
from ..grammar.file import grammar_from_dict
from ..grammar.grammar import Grammar
from ..grammar.rules import Strategy, check_strategy
from .strengths import LearnStrengths, check_learnable

CONFIG_KEY: Final[str] = "grammask"


@dataclass(frozen=True)
class SavedGrammar:
    """The grammar of a model, the strategy, and which strengths are learned."""

    grammar: Grammar
    strategy: Strategy
    learn_strengths: LearnStrengths | None

    def to_dict(self) -> dict[str, Any]:
        """Return what the config holds under `CONFIG_KEY`."""
        return {**vars(self), "grammar": self.grammar.to_dict()}


def read_saved_grammar(config: PreTrainedConfig, origin: str) -> SavedGrammar:
    """Read the grammar of a model's config; raises `ModelError`, naming `origin`, where it is missing or damaged."""
    saved = getattr(config, CONFIG_KEY, None)
    if saved is None:
        raise ModelError(f"{origin!r} was saved without a grammar; load it with transformers and call grammask.attach")
    where = f"{origin}: config.json, key {CONFIG_KEY!r}"
    if not isinstance(saved, dict) or not isinstance(saved.get("grammar"), dict):
        raise ModelError(f"{where} must hold a grammar, but is {str(saved)[:80]!r}; save the model again")
    try:
        grammar = grammar_from_dict(saved["grammar"], origin=where)
        strategy, learned = check_strategy(saved.get("strategy", "")), saved.get("learn_strengths")
        if learned is not None:
            check_learnable(grammar, strategy, learned)
    except GrammarError as error:
        raise ModelError(f"{where} is damaged: {error}") from error
    return SavedGrammar(grammar, strategy, learned)


def find_class(config: PreTrainedConfig, asked: Any, origin: str) -> type[PreTrainedModel]:
    """Return the class of a saved model: the one that is asked for, or transformers' class of the saved name."""
    if asked is not None:
        chosen: Any = asked._model_mapping.get(type(config), None) if hasattr(asked, "_model_mapping") else asked
        if not (isinstance(chosen, type) and issubclass(chosen, PreTrainedModel)):
            raise ModelError(f"model_class {asked!r} is no class of transformers models for {config.model_type}")
        return chosen
    names = config.architectures
    name = str(names[0]) if isinstance(names, list) and names else repr(names)
    found = getattr(transformers, name, None) if name.isidentifier() else None
    if not (isinstance(found, type) and issubclass(found, PreTrainedModel)):
        raise ModelError(
            f"{origin!r} was saved by {name!r}, which is no model of transformers; name the class: "
            "from_pretrained(..., model_class=...)"
        )
    return found
