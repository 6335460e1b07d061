"""What a benchmark measures: everything that its numbers depend on, checked when it is made."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from ..attention.backends import FOR_CPU, BackendName
from ..environment import LARGEST_SEED, Device
from ..errors import ExperimentError, setting_error
from ..grammar.file import load_grammar
from ..grammar.grammar import Grammar
from ..grammar.limits import MAX_LAYERS
from ..tagging.load_tagger import TAGGER_HELP
from ..tagging.spacy_tagger import DEFAULT_PIPELINE

Level = Literal["operator", "model", "end-to-end"]
Pass = Literal["forward", "training", "prefill"]
Guided = Literal["hard", "soft"]
Dtype = Literal["float32", "bfloat16", "bfloat16-weights"]
Peer = Literal["dense-masked", "flex", "longformer", "bigbird", "streaming"]
Size = Annotated[int, Field(ge=1, le=4096)]

FULL: Final[str] = "full"
NO_MASK: Final[str] = "none"
CAUSAL: Final[str] = "causal"
WINDOW: Final[str] = "window"
_MASK: Final = re.compile(f"{NO_MASK}|{CAUSAL}|({CAUSAL}-)?{WINDOW}-[1-9][0-9]{{0,6}}")


class BenchConfig(BaseModel):
    """The settings of one benchmark. `make_bench_config` builds one and raises our own errors.

    A grammar is a shipped name or a path. `threads` are PyTorch's, None for its default; `text` is a
    UTF-8 file, None for the built-in sentences; `seconds` is how long the rounds of one case last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    grammars: tuple[str, ...] = Field(
        default=("paper-sinks", "banded"), min_length=1, description="Shipped names or files."
    )
    strategies: tuple[Guided, ...] = Field(
        default=("hard", "soft"), min_length=1, description="Kinds of guided attention."
    )
    levels: tuple[Level, ...] = Field(
        default=("operator", "model", "end-to-end"),
        min_length=1,
        description="What is timed: one layer's attention (operator), a model, or a model from text on (end-to-end).",
    )
    passes: tuple[Pass, ...] = Field(
        default=("forward", "training"),
        min_length=1,
        description="Passes that are timed; prefill, a prompt up to the next token's logits, is of causal models.",
    )
    lengths: tuple[Annotated[int, Field(ge=8, le=1_048_576)], ...] = Field(
        default=(512, 1024, 2048, 4096), min_length=1, description="Tokens of a text."
    )
    batch_sizes: tuple[Size, ...] = Field(default=(1,), min_length=1, description="Texts in a batch.")
    heads: Size = Field(default=12, description="Heads at the operator level.")
    head_dim: Size = Field(default=64, description="Size of a head at the operator level.")
    key_heads: Size | None = Field(
        default=None, description="Heads of keys and values, each read by as many heads of queries."
    )
    layer: int = Field(default=0, ge=0, lt=MAX_LAYERS, description="The layer whose rules the operator level takes.")
    masks: tuple[str, ...] = Field(
        default=(NO_MASK,),
        min_length=1,
        description="The model's own masks at the operator level: none, causal, window-64 (tokens to either side) or "
        "causal-window-256 (tokens before).",
    )
    threads: tuple[Size, ...] | None = Field(default=None, min_length=1, description="PyTorch's threads.")
    dtypes: tuple[Dtype, ...] = Field(
        default=("float32",),
        min_length=1,
        description="What is computed in; for whole models, bfloat16 is autocast, bfloat16-weights a cast model.",
    )
    backends: tuple[BackendName, ...] = Field(
        default=FOR_CPU, description="Backends of grammask at the operator level."
    )
    peers: tuple[Peer, ...] = Field(
        default=("dense-masked", "flex", "longformer", "bigbird"),
        description="Other ways of attention at the operator level; full attention is always there.",
    )
    model: str = Field(
        default="minilm",
        description="minilm, smollm2 (packaged); bert, modernbert, llama, llama-1b (random weights); a local folder; "
        "a Hub name.",
    )
    tagger: str = Field(default=DEFAULT_PIPELINE, description=TAGGER_HELP)
    attention_dropout: float = Field(
        default=0.0, ge=0, lt=1, allow_inf_nan=False,
        description="Attention dropout in training steps; with any, PyTorch doesn't use its fused attention.",
    )  # fmt: skip
    text: str | None = Field(default=None, description="UTF-8 text.")
    seconds: float = Field(
        default=3.0,
        ge=0,
        le=86_400,
        allow_inf_nan=False,
        description="How long the rounds of one case go on; at least 3 rounds.",
    )
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED, description="Seed of tensors, texts and lengths.")
    padded: bool = Field(
        default=True, description="Whole models read texts of different lengths, padded to the longest."
    )
    memory: bool = Field(
        default=True, description="Measure peak memory too, at the largest length; on cuda, that of each call."
    )
    device: Device = Field(default="cpu", description="What is timed: cpu or cuda.")

    @property
    def attention_dtypes(self) -> tuple[str, ...]:
        """What attention computes in, each once: it makes no difference whether autocast or cast weights lead to it."""
        return tuple(dict.fromkeys(dtype.removesuffix("-weights") for dtype in self.dtypes))

    @field_validator(
        "grammars", "strategies", "levels", "passes", "lengths", "batch_sizes", "masks", "threads", "dtypes",
        "backends", "peers",
    )  # fmt: skip
    @classmethod
    def _distinct(cls, values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        if values is not None and len(set(values)) < len(values):
            raise ValueError("each value may be named once")
        return values

    @field_validator("masks")
    @classmethod
    def _known(cls, masks: tuple[str, ...]) -> tuple[str, ...]:
        for mask in masks:
            if not _MASK.fullmatch(mask):
                raise ValueError(
                    f"{mask!r} is no mask; masks are none, causal, window-N and causal-window-N, N from 1 to 9,999,999"
                )
        return masks

    @field_validator("key_heads", "layer", "masks")
    @classmethod
    def _is_used(cls, value: object, settings: ValidationInfo) -> object:
        levels = settings.data.get("levels", ("operator",))
        if "operator" not in levels and value != cls.model_fields[str(settings.field_name)].default:
            raise ValueError("only the operator level takes it, which isn't among the levels; models have their own")
        return value

    @field_validator("key_heads")
    @classmethod
    def _divides(cls, key_heads: int | None, settings: ValidationInfo) -> int | None:
        heads = settings.data.get("heads")
        if key_heads is not None and heads is not None and heads % key_heads:
            raise ValueError(f"{heads} heads of queries cannot share it evenly")
        return key_heads

    @property
    def one_layer(self) -> dict[str, int]:
        """The sizes of the operator level's attention, as its rows have them."""
        key_heads = self.key_heads or self.heads
        return {"heads": self.heads, "key_heads": key_heads, "head_dim": self.head_dim, "layer": self.layer}


def make_bench_config(**settings: object) -> BenchConfig:
    """Build a `BenchConfig`; raises `ExperimentError` naming the setting, its value and what it must be."""
    try:
        return BenchConfig.model_validate(settings)
    except ValidationError as error:
        raise setting_error(error) from error


def load_grammars(config: BenchConfig) -> dict[str, Grammar]:
    """Return the grammars by their own names.

    Raises `GrammarError` for one that cannot be read or doesn't fit, `ExperimentError` for two that share a name.
    """
    grammars: dict[str, Grammar] = {}
    for entry in config.grammars:
        grammar = load_grammar(entry)
        if grammars.setdefault(grammar.name, grammar) != grammar:
            raise ExperimentError(f"two different grammars are called {grammar.name!r}; rename one of them in its file")
        if "operator" in config.levels:
            grammar.check_fits(layers=max(config.layer + 1, grammar.layers_named), heads=config.heads)
    return grammars
