"""The guide of a model: turns each batch's tags into a plan and hands it to the layers."""

import inspect
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from ..attention.backends import DENSE, TABLE, check_backend
from ..attention.blocks.lookup import compile_lookup
from ..attention.inputs import Annotation, check_annotation, check_padding, check_vocabulary
from ..attention.mask_maker import MaskTransform
from ..attention.plan import Plan
from ..errors import GrammarError, InputError, ModelError
from ..grammar.grammar import Grammar
from ..grammar.rules import Strategy
from ..grammar.tables import compile_layers
from ..tagging.annotate import Annotator
from .adapters import check_adapters
from .cache_text import note_text
from .cached_call import cache_of, check_cache, check_whole_text
from .forward_pass import ForwardPass, Probe
from .interface import NAME
from .kept_cache import KeptCache
from .saved_grammar import CONFIG_KEY
from .strengths import strengths_of
from .support import Survey
from .wrappers import INPUTS


class Guide:
    """Holds the grammar of one model and runs before and after its every forward pass.

    `model` is the transformers model that was attached, whose base model this guides. Until `settle` it hands out
    `probe`, for the dry run. `annotator` tags the words that the model generates.
    """

    def __init__(
        self, model: PreTrainedModel, grammar: Grammar, strategy: Strategy, backend: str,
        annotator: Annotator | None = None,
    ) -> None:  # fmt: skip
        self.model = model
        self.grammar = grammar
        self.strategy = strategy
        self.backend = backend
        self.annotator = annotator
        self.mask_transform: MaskTransform | None = None
        self.probe: Probe | None = Probe()

    def settle(self, survey: Survey) -> None:
        """Compile the grammar for the model that the dry run saw; raises `GrammarError` when it doesn't fit."""
        self._names = tuple(inspect.signature(self.model.base_model.forward).parameters)
        self.layer_tables = compile_layers(self.grammar, layers=survey.layers, heads=survey.heads)
        # Compiled here, since a traced forward can compile nothing.
        self.lookups = tuple(compile_lookup(tables) for tables in self.layer_tables)
        if TABLE.get(self.backend, DENSE) is not DENSE:
            if self.strategy == "full":
                raise GrammarError(
                    f"strategy 'full' is the stock model and has no backend {self.backend!r}; leave it out"
                )
            for lookup in self.lookups:
                check_backend(self.backend, self.strategy, lookup.reaches, self.grammar.name)
        self.probe = None

    def before_forward(
        self, base: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Take the annotation out of the inputs of `base` and put the plan in."""
        check_adapters(self.model, base)
        self._check_implementation(base)
        given = {name: _flat(kwargs.pop(name, None)) for name in INPUTS}
        kwargs["grammar_pass"] = self.probe or self._pass(base, args, kwargs, given)
        return args, kwargs

    def after_forward(self, base: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: object) -> None:
        """Raise `ModelError` unless every layer attended under the grammar."""
        grammar_pass: ForwardPass = kwargs["grammar_pass"]
        grammar_pass.check_complete(len(grammar_pass.plan.layer_tables))
        if grammar_pass.cache is not None:
            grammar_pass.cache.end()

    def _check_implementation(self, base: nn.Module) -> None:
        implementation = base.config._attn_implementation  # type: ignore[union-attr]
        if implementation != NAME:
            raise ModelError(
                f"the attention implementation was switched to {implementation!r} on a model with a grammar, which "
                "would read everything; call grammask.detach(model) first. For attention maps ask a guided model "
                "itself: model(..., output_attentions=True)"
            )
        if self.probe is None and getattr(self.model.config, CONFIG_KEY, None) is None:
            raise ModelError(
                f"the config of this {type(self.model).__name__} was exchanged after it got its grammar, which would "
                "not be saved; exchange it before grammask.attach, or change single settings of model.config"
            )

    def _pass(
        self, base: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], given: dict[str, Any]
    ) -> ForwardPass:
        assert isinstance(base, PreTrainedModel)  # noqa: S101 - attach hooks nothing else
        arguments = dict(zip(self._names, args, strict=False)) | kwargs
        input_ids = arguments.get("input_ids")
        if isinstance(input_ids, Tensor):
            embedding: Any = base.get_input_embeddings()
            check_vocabulary(input_ids, embedding.weight.shape[0])
        need_weights = _asks_for_weights(base, kwargs)
        annotation, shape = None, _shape(arguments)
        if self.strategy != "full":
            annotation = self._annotation(arguments, given)
            shape = annotation.tag_ids.shape[0], annotation.tag_ids.shape[1]
        plan = Plan(
            annotation,
            strategy=self.strategy,
            layer_tables=self.layer_tables,
            learned=strengths_of(base),
            need_weights=need_weights,
            grammar=self.grammar,
            shape=shape,
            mask_transform=self.mask_transform,
            lookups=self.lookups,
        )
        cache = cache_of(arguments)
        if cache is not None and annotation is not None:
            note_text(cache, input_ids, annotation)
        if not isinstance(cache, KeptCache):
            return ForwardPass(plan, self.backend)
        cache.begin(plan, _shape(arguments)[1])
        return ForwardPass(plan, self.backend, cache)

    def _annotation(self, arguments: dict[str, Any], given: dict[str, Any]) -> Annotation:
        """Check the annotation of the whole text: the tokens that a cache holds, and those of the call."""
        (batch, length), cache, earlier = _shape(arguments), cache_of(arguments), 0
        if cache is not None:
            check_cache(cache)
            earlier = cache.get_seq_length()
            check_whole_text(given["tag_ids"], shape=(batch, length), earlier=earlier)
        annotation = check_annotation(
            **given,
            shape=(batch, earlier + length),
            device=_tokens(arguments).device,
            needs_sentences=self.grammar.needs_sentences,
        )
        check_padding(annotation, arguments.get("attention_mask"))
        return annotation


def _flat(annotation: Any) -> Any:
    """Turn (batch, choices, length) into (batch * choices, length), as multiple choice does with its own inputs."""
    return annotation.flatten(0, 1) if isinstance(annotation, Tensor) and annotation.dim() == 3 else annotation


def _asks_for_weights(base: PreTrainedModel, kwargs: dict[str, Any]) -> bool:
    """Tell whether a call, or else the model's config, asks for the attention weights."""
    asked = kwargs.get("output_attentions")
    return bool(base.config.output_attentions if asked is None else asked)


def _tokens(arguments: dict[str, Any]) -> Tensor:
    tokens = arguments.get("input_ids")
    if tokens is None:
        tokens = arguments.get("inputs_embeds")
    if not isinstance(tokens, Tensor):
        raise InputError("the model was called without input_ids or inputs_embeds; grammask.Annotator makes them")
    return tokens


def _shape(arguments: dict[str, Any]) -> tuple[int, int]:
    batch, length, *_ = _tokens(arguments).shape
    return batch, length
