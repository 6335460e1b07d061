"""The setup of a comparison: its task, tagger, model and grammars, loaded and checked before anything is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from ..data.load_task import load_task
from ..data.task import Task
from ..grammar.grammar import Grammar
from ..model.model_source import ModelSource
from ..model.named_models import find_model, load_tokenizer
from ..tagging.annotate import Annotator
from .config import Config
from .controls.apply import Controlled, apply_control
from .plan_runs import RunSpec
from .prepare import Splits
from .scratch_model import scratch_source
from .scratch_shape import read_shape
from .try_model import TriedModel, try_model


@dataclass(frozen=True)
class Setup:
    """What all runs of one comparison share.

    `asked` holds the settings as they were asked for. In `config` the length is cut to what the model reads, and
    `task` holds the texts that were drawn out of `available_train` and `available_dev` texts.
    """

    asked: Config
    config: Config
    specs: Sequence[RunSpec]
    grammars: Mapping[str, Grammar]
    precision: str
    task: Task
    available_train: int
    available_dev: int
    source: ModelSource
    tokenizer: PreTrainedTokenizerBase
    annotator: Annotator
    model: TriedModel

    def grammar_of(self, spec: RunSpec) -> Grammar | None:
        """Return the grammar of a run, None for full attention."""
        return None if spec.grammar is None else self.grammars[spec.grammar]

    def controlled(self, spec: RunSpec, data: Splits) -> Controlled:
        """Return what a run takes, under its control where it has one."""
        shape = self.model.shape
        return apply_control(spec, self.grammar_of(spec), data, layers=shape.layers, heads=shape.heads)


def load_setup(config: Config, specs: Sequence[RunSpec], grammars: Mapping[str, Grammar], precision: str) -> Setup:
    """Load what the planned runs need; raises the error of what is missing, unreadable, or doesn't fit the rest."""
    everything = load_whole_task(config)
    task = _draw(everything, config)
    config.check_steps(len(task.train))
    source = find_model(config.model) if read_shape(config.model) is None else scratch_source(config.model)
    tokenizer = load_tokenizer(source)
    annotator = Annotator(tokenizer, config.tagger, sentences=config.sentences)
    fitted, model = try_model(config, task, source, tokenizer, grammars.values())
    return Setup(
        asked=config,
        config=fitted,
        specs=specs,
        grammars=grammars,
        precision=precision,
        task=task,
        available_train=len(everything.train),
        available_dev=len(everything.dev),
        source=source,
        tokenizer=tokenizer,
        annotator=annotator,
        model=model,
    )


def load_whole_task(config: Config) -> Task:
    """Load all texts of a comparison's task."""
    return load_task(
        config.task,
        text_column=config.text_column,
        pair_column=config.pair_column,
        label_column=config.label_column,
        header=config.header,
    )


def _draw(everything: Task, config: Config) -> Task:
    """Draw the texts to train and evaluate on. The draw ignores the seeds of the runs: all of them see these texts."""
    return replace(
        everything,
        train=everything.train.take(config.train_size, seed=0),
        dev=everything.dev.take(config.eval_size, seed=0),
    )
