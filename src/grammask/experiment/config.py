"""The settings of a comparison: everything that its numbers depend on, checked when they are made; and its runs."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..environment import LARGEST_SEED
from ..errors import ExperimentError, setting_error
from ..grammar.file import load_grammar
from ..grammar.grammar import Grammar
from ..grammar.rules import STRATEGIES, Strategy, check_strategy
from ..tagging.load_tagger import NAMES
from ..tagging.spacy_tagger import DEFAULT_PIPELINE, SentenceSource
from .adaptations import ADAPTATIONS, Adaptation
from .controls.registry import CONTROLS, find_control

GUIDED: Final[tuple[Strategy, ...]] = ("hard", "soft")
# Settings that choose the runs. All others are the same for all runs of a folder, except those of judgement.
CHOICES: Final[tuple[str, ...]] = ("grammars", "strategies", "controls", "adaptations", "seeds")
_MOST_TEXTS: Final[int] = 10**9
_JUDGED: Final[tuple[str, ...]] = ("metric", "margin")


class Config(BaseModel):
    """The settings of one comparison. `make_config` builds one and raises errors of this package.

    A grammar is a shipped name or a path. With `:hard` or `:soft` after it, only that strategy of it is run; with
    `:controls` it is run hard, and so is every control of it. Each of `adaptations` is run next to the plain strategy
    that it is for. Differences and tests are about `metric`; a row that loses less than `margin` of it is not inferior
    to full.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = Field(
        default="film-reviews",
        description="film-reviews (built in), a file or folder (TSV, CSV, JSONL, Parquet), or a Hub dataset.",
    )
    text_column: str | None = Field(default=None, description="Column of the text.")
    pair_column: str | None = Field(default=None, description="Column of the second text of sentence pairs.")
    label_column: str | None = Field(default=None, description="Column of the label.")
    header: bool = Field(default=True, description="Whether files have a header; without one, columns are 0, 1, ...")
    model: str = Field(default="minilm", description="minilm (packaged), a local folder, or a Hub model.")
    tagger: str = Field(default=DEFAULT_PIPELINE, description=NAMES)
    sentences: SentenceSource = Field(default="sentencizer", description="Where sentences come from.")
    grammars: tuple[str, ...] = Field(
        default=("paper", "paper-sinks:hard"),
        description="A shipped name or a file; NAME:hard or NAME:soft runs one strategy only.",
    )
    strategies: tuple[str, ...] = Field(
        default=STRATEGIES, min_length=1, description=f"Kinds of attention: {', '.join(STRATEGIES)}."
    )
    controls: tuple[str, ...] = Field(
        default=(),
        description=f"Controls of hard grammars: {', '.join(CONTROLS)}. NAME:controls is for one grammar only.",
    )
    adaptations: tuple[Adaptation, ...] = Field(default=(), description="Ways of training besides the plain one.")
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1, description="Seeds of the runs.")
    train_size: int | None = Field(default=None, ge=2, le=_MOST_TEXTS, description="Training texts.")
    eval_size: int | None = Field(default=None, ge=2, le=_MOST_TEXTS, description="Evaluation texts.")
    epochs: float = Field(
        default=1.0, gt=0, le=10_000, allow_inf_nan=False, description="Passes over the training texts."
    )
    batch_size: int = Field(default=32, ge=1, le=65_536, description="Texts in a batch.")
    learning_rate: float = Field(
        default=1e-4, gt=0, le=10, allow_inf_nan=False, description="Highest learning rate; it falls linearly to 0."
    )
    max_length: int = Field(default=128, ge=8, le=1_000_000, description="Tokens after which a text is cut.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(default="auto", description="What models compute in.")
    metric: Literal["accuracy", "matthews"] = Field(default="accuracy", description="What differences are measured in.")
    margin: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        allow_inf_nan=False,
        description="How much of the metric may be lost before a row is inferior.",
    )

    @property
    def shared(self) -> dict[str, Any]:
        """The settings that all runs of a folder share; grammars, strategies and seeds may be added to it later."""
        return self.model_dump(mode="json", exclude={*CHOICES, *_JUDGED})

    @field_validator("strategies")
    @classmethod
    def _known(cls, strategies: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(check_strategy(strategy) for strategy in strategies))

    @field_validator("controls")
    @classmethod
    def _controls(cls, controls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(find_control(name).name for name in controls))

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0 or max(seeds) > LARGEST_SEED:
            raise ValueError(f"seeds are distinct whole numbers from 0 to {LARGEST_SEED}")
        return seeds

    @field_validator("grammars")
    @classmethod
    def _once(cls, grammars: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(grammars)) < len(grammars):
            raise ValueError("each grammar may be named once")
        return grammars

    def check_steps(self, texts: int) -> None:
        """Raise `ExperimentError` where `texts` are too few for a single step of training."""
        batches = -(-texts // self.batch_size)
        if self.epochs * batches < 1:
            raise ExperimentError(
                f"--epochs {self.epochs:g} of {texts:,} texts in batches of {self.batch_size} is less than one step of "
                f"training; take at least {1 / batches:.2g}"
            )


def make_config(**settings: object) -> Config:
    """Build a `Config`; raises `ExperimentError` naming the setting, its value and what it must be."""
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise setting_error(error) from error


class RunSpec(BaseModel):
    """One run: a strategy under a grammar (None for full), with a seed.

    `control` names what is broken on purpose, `adaptation` a way of training; they are None where there is none.
    """

    model_config = ConfigDict(frozen=True)

    grammar: str | None
    strategy: Strategy
    control: str | None = None
    adaptation: Adaptation | None = None
    seed: int

    @property
    def id(self) -> str:
        """A name for files: paper-hard-seed0, paper-hard-random-seed0."""
        parts = (self.grammar, self.strategy, self.control, self.adaptation, f"seed{self.seed}")
        return "-".join(part for part in parts if part)


def plan_runs(config: Config) -> tuple[tuple[RunSpec, ...], dict[str, Grammar]]:
    """Return all runs of a comparison, one seed after the other, and its grammars by name.

    Raises `GrammarError` for a grammar that cannot be read and `ExperimentError` for two that share a name.
    """
    grammars: dict[str, Grammar] = {}
    wanted: dict[tuple[str | None, Strategy, str | None, Adaptation | None], None] = {}
    if "full" in config.strategies:
        wanted[None, "full", None, None] = None
    for entry in config.grammars:
        path, limit = _split(entry)
        grammar = load_grammar(path)
        if grammars.setdefault(grammar.name, grammar) != grammar:
            raise ExperimentError(f"two different grammars are called {grammar.name!r}; rename one of them in its file")
        for strategy in GUIDED:
            meant = limit in (None, strategy) or (limit == "controls" and strategy == "hard")
            if meant and strategy in config.strategies:
                if strategy == "soft" and not any(rule.strength for rule in grammar.rules):
                    raise ExperimentError(
                        f"grammar {grammar.name!r} gives no rule a strength, so soft attention under it is full "
                        f"attention; write strengths into its rules, or take {path}:hard"
                    )
                wanted[grammar.name, strategy, None, None] = None
                for adaptation in config.adaptations:
                    if ADAPTATIONS[adaptation].strategy == strategy:
                        wanted[grammar.name, strategy, None, adaptation] = None
        if "hard" in config.strategies and (limit == "controls" or (limit is None and not _any_limited(config))):
            wanted.update(dict.fromkeys((grammar.name, "hard", control, None) for control in config.controls))
    specs = tuple(
        RunSpec(grammar=name, strategy=strategy, control=control, adaptation=adaptation, seed=seed)
        for seed in config.seeds
        for name, strategy, control, adaptation in wanted
    )
    if not specs:
        raise ExperimentError(
            f"no run is left: strategies are {', '.join(config.strategies)}, grammars {config.grammars}"
        )
    used = {spec.grammar for spec in specs}
    return specs, {name: grammar for name, grammar in grammars.items() if name in used}


def _any_limited(config: Config) -> bool:
    """Tell whether the controls are for some of the grammars only."""
    return any(_split(entry)[1] == "controls" for entry in config.grammars)


def _split(entry: str) -> tuple[str, str | None]:
    path, colon, limit = entry.rpartition(":")
    return (path, limit) if colon and limit in (*GUIDED, "controls") else (entry, None)
