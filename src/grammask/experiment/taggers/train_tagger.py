"""From settings to a tagger, with what it scores on held-out texts."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoModel, PreTrainedTokenizerBase

from ...files.write import dump, read_lines
from ...grammar.tags import TAGS
from ...model.load_weights import load_weights
from ...model.model_source import ModelSource
from ...model.named_models import find_model, load_tokenizer
from ...tagging.align import Aligner
from ...tagging.load_tagger import load_tagger
from ...tagging.subwords.network import TagLayers
from ...tagging.subwords.pieces import plain_tokenizer
from ...tagging.subwords.saved_network import SubwordSettings, TaggerFiles, pack_network
from ...tagging.subwords.subword_tagger import SubwordTagger
from .learner import Learner
from .lessons import Lessons, make_lessons
from .reader import teach_reader
from .reader_lessons import reader_lessons
from .score_tagger import Score, score_tagger
from .spelling import spelling_table
from .tagged_texts import TaggedTexts, teach_texts, treebank_texts
from .tagger_config import HELD_OUT, TaggerConfig
from .teach import teach

STEPS: Final[tuple[int, ...]] = (1, 1, 1)  # how far each layer looks to both sides
_DROPOUT: Final[float] = 0.4
_DROPOUT_BY_MODEL: Final[float] = 0.1  # what a model says of much text is hard to learn by heart
_FORGET: Final[float] = 0.2


@dataclass(frozen=True)
class TrainedTagger:
    """A tagger, and what it scores on held-out texts, by what they are."""

    tagger: SubwordTagger
    scores: dict[str, Score]


def train_tagger(config: TaggerConfig, say: Callable[[str], None]) -> TrainedTagger:
    """Train a tagger; raises `ModelError`, `InputError`, `TaggingError` and `ExperimentError`."""
    source = find_model(config.model)
    tokenizer = load_tokenizer(source)
    sources, held_out = _texts(config, say)
    torch.manual_seed(config.seed)
    learner = _learner(source, tokenizer, config)
    plain = plain_tokenizer(tokenizer.backend_tokenizer)
    taught = [make_lessons(plain, texts) for texts in sources]
    if config.model_teaches:
        taught = [_by_model(config, source, plain, taught[0], say)]
    for lessons in taught:
        say(f"teaching {len(lessons):,} texts of {lessons.size:,} subwords")
        for epoch, loss in enumerate(teach(learner, lessons, epochs=config.epochs, seed=config.seed), 1):
            say(f"epoch {epoch} of {config.epochs}: loss {loss:.4f}")
    tagger = SubwordTagger(_files(learner, tokenizer, config, {}))
    scores = {name: score_tagger(tagger, texts) for name, texts in held_out.items()}
    sizes = {"texts": sum(map(len, taught)), "subwords": sum(lessons.size for lessons in taught)}
    facts = {**sizes, "model_sha256": source.sha256}
    scored = {name: asdict(score) for name, score in scores.items()}
    return TrainedTagger(SubwordTagger(_files(learner, tokenizer, config, {**facts, "held_out": scored})), scores)


def _texts(config: TaggerConfig, say: Callable[[str], None]) -> tuple[list[TaggedTexts], dict[str, TaggedTexts]]:
    """Return the sources to learn from, the treebank last, and the texts that are held out, by what they are."""
    sources, held_out = list[TaggedTexts](), dict[str, TaggedTexts]()
    if config.text is not None and config.teacher is not None:
        say(f"tagging {config.text.name} by {config.teacher}")
        found = teach_texts(config.text, load_tagger(config.teacher), config.limit)
        found, held_out[f"{config.text.name} by {config.teacher}, every {HELD_OUT}th"] = found.split(HELD_OUT)
        sources.append(found)
    if config.conllu is not None:
        found = treebank_texts(config.conllu, config.limit)
        if config.held_out is None:
            found, held_out[f"{config.conllu.name}, every {HELD_OUT}th"] = found.split(HELD_OUT)
        sources.append(found)
    if config.held_out is not None:
        held_out[config.held_out.name] = treebank_texts(config.held_out, None)
    return sources, held_out


def _by_model(
    config: TaggerConfig, source: ModelSource, tokenizer: Tokenizer, treebank: Lessons, say: Callable[[str], None]
) -> Lessons:
    """Let the whole model learn a treebank, and return the lessons that it gives, of the treebank and of texts."""
    assert config.text is not None  # noqa: S101 - as its settings were checked
    texts = read_lines(config.text)[: config.limit]
    say(f"{source.name} learns {len(treebank):,} texts, and tags {len(texts):,} others")
    reader = teach_reader(source, treebank, config.seed)
    return reader_lessons(reader, treebank, texts, tokenizer)


def _learner(source: ModelSource, tokenizer: PreTrainedTokenizerBase, config: TaggerConfig) -> Learner:
    vectors = _vectors(source)
    size = max(len(tokenizer), len(vectors))
    vectors = torch.cat([vectors, vectors.new_zeros(size - len(vectors), vectors.shape[1])])
    dropout = _DROPOUT_BY_MODEL if config.model_teaches else _DROPOUT
    layers = TagLayers(config.inside, config.width, STEPS, dropout)
    return Learner(spelling_table(tokenizer.get_vocab(), size), vectors, layers, config.inside, _FORGET)


def _vectors(source: ModelSource) -> Tensor:
    """Return what the model reads for each subword."""
    model = load_weights(AutoModel, source.location, new="pooler", **source.pinned).model
    weight = model.get_input_embeddings().get_parameter("weight")
    return weight.detach().float()


def _files(
    learner: Learner, tokenizer: PreTrainedTokenizerBase, config: TaggerConfig, facts: dict[str, Any]
) -> TaggerFiles:
    structure = {str(token): TAGS[tag] for token, tag in Aligner(tokenizer).structural.items()}
    chosen = {name: value.name if isinstance(value, Path) else value for name, value in config.model_dump().items()}
    made = {"settings": chosen, **facts, "versions": {name: version(name) for name in ("grammask", "torch")}}
    settings = SubwordSettings.model_validate(
        {"name": config.name, "steps": STEPS, "structure": structure, "taught": made}
    )
    return TaggerFiles(
        settings=dump(settings.model_dump(mode="json")).encode(),
        weights=pack_network(learner.learnt()),
        tokenizer=tokenizer.backend_tokenizer.to_str().encode(),
    )
