"""Grammar-guided sparse attention: parts of speech decide which tokens may read which.

Importing this package is light and changes nothing: each name is loaded when it is first used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attention.explain_dispatch import explain_dispatch
    from .attention.functional import grammar_attention
    from .attention.make_plan import make_plan
    from .data.corpus.batch_embedder import BatchEmbedder
    from .data.corpus.batch_tagger import BatchTagger
    from .errors import GrammaskError
    from .grammar.file import load_grammar
    from .grammar.grammar import Grammar
    from .grammar.rules import Reach, Rule
    from .grammar.tags import TAGS
    from .interpret.bertviz import to_bertviz
    from .interpret.explain import explain
    from .model.attach import attach, attached, detach
    from .model.cache import GrammarCache
    from .model.extend_positions import extend_positions
    from .model.from_pretrained import from_pretrained
    from .model.load import load
    from .model.sentence_module import SentenceModule
    from .tagging.annotate import Annotator
    from .tagging.collate import Collator
    from .tagging.coverage import Coverage

__version__ = version("grammask")
__all__ = [
    "TAGS",
    "Annotator",
    "BatchEmbedder",
    "BatchTagger",
    "Collator",
    "Coverage",
    "Grammar",
    "GrammarCache",
    "GrammaskError",
    "Reach",
    "Rule",
    "SentenceModule",
    "attach",
    "attached",
    "detach",
    "explain",
    "explain_dispatch",
    "extend_positions",
    "from_pretrained",
    "grammar_attention",
    "load",
    "load_grammar",
    "make_plan",
    "to_bertviz",
]

_HOMES = {
    "TAGS": ".grammar.tags",
    "Annotator": ".tagging.annotate",
    "BatchEmbedder": ".data.corpus.batch_embedder",
    "BatchTagger": ".data.corpus.batch_tagger",
    "Collator": ".tagging.collate",
    "Coverage": ".tagging.coverage",
    "Grammar": ".grammar.grammar",
    "GrammarCache": ".model.cache",
    "GrammaskError": ".errors",
    "Reach": ".grammar.rules",
    "Rule": ".grammar.rules",
    "SentenceModule": ".model.sentence_module",
    "attach": ".model.attach",
    "attached": ".model.attach",
    "detach": ".model.attach",
    "explain": ".interpret.explain",
    "explain_dispatch": ".attention.explain_dispatch",
    "extend_positions": ".model.extend_positions",
    "from_pretrained": ".model.from_pretrained",
    "grammar_attention": ".attention.functional",
    "load": ".model.load",
    "load_grammar": ".grammar.file",
    "make_plan": ".attention.make_plan",
    "to_bertviz": ".interpret.bertviz",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
