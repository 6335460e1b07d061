"""Grammar-guided sparse attention: parts of speech decide which tokens may read which.

Importing this package is light and changes nothing: each name is loaded when it is first used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .annotate import Annotator
    from .attention.dispatch import explain_dispatch
    from .attention.operator import grammar_attention
    from .collate import Collator
    from .errors import GrammaskError
    from .explaining.bertviz import to_bertviz
    from .explaining.explain import explain
    from .grammar import Grammar
    from .grammar_file import load_grammar
    from .model.attach import attach, attached, detach
    from .model.saved import from_pretrained
    from .planner import make_plan
    from .rules import Reach, Rule
    from .tags import TAGS

__version__ = version("grammask")
__all__ = [
    "TAGS",
    "Annotator",
    "Collator",
    "Grammar",
    "GrammaskError",
    "Reach",
    "Rule",
    "attach",
    "attached",
    "detach",
    "explain",
    "explain_dispatch",
    "from_pretrained",
    "grammar_attention",
    "load_grammar",
    "make_plan",
    "to_bertviz",
]

_HOMES = {
    "TAGS": ".tags",
    "Annotator": ".annotate",
    "Collator": ".collate",
    "Grammar": ".grammar",
    "GrammaskError": ".errors",
    "Reach": ".rules",
    "Rule": ".rules",
    "attach": ".model.attach",
    "attached": ".model.attach",
    "detach": ".model.attach",
    "explain": ".explaining.explain",
    "explain_dispatch": ".attention.dispatch",
    "from_pretrained": ".model.saved",
    "grammar_attention": ".attention.operator",
    "load_grammar": ".grammar_file",
    "make_plan": ".planner",
    "to_bertviz": ".explaining.bertviz",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
