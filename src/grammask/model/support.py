"""Which models can be guided: a dry run checks that each layer's attention calls ours once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES

from ..errors import GrammaskError, ModelError
from ..grammar.tags import UPOS
from .eval_mode import eval_mode
from .forward_pass import LAYERS_ATTRIBUTE, LostGrammarError, Probe
from .model_mask import ModelMask

# Architectures that can be guided, each under a test. Others are tried out, see `survey`.
SUPPORTED: Final[tuple[str, ...]] = (
    "albert", "bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "esm", "eurobert", "gpt2",
    "gpt_neox", "granite", "jina_embeddings_v3", "layoutlm", "llama", "mistral", "mobilebert", "modernbert",
    "nomic_bert", "olmo2", "phi", "phi3", "qwen2", "qwen3", "roberta", "smollm3", "xlm-roberta", "xlm-roberta-xl",
)  # fmt: skip
_LOST: Final[str] = (
    "its attention isn't computed by transformers' AttentionInterface with the arguments of the call, so the grammar "
    "would be ignored"
)


@dataclass(frozen=True)
class Survey:
    """What a dry run found: the numbers of layers and of heads."""

    layers: int
    heads: int


def check_kind(model: PreTrainedModel) -> None:
    """Raise `ModelError` for a kind of model that cannot be guided."""
    if model.config.is_encoder_decoder:
        raise _refusal(model, "it is an encoder-decoder, and one grammar cannot say what a decoder reads")


def survey(model: PreTrainedModel, probe: Probe) -> Survey:
    """Run `model` on a few tokens under `probe`, number its attention modules, and return what was found.

    The model must already use our attention and hand `probe` to its layers. Raises `ModelError`, naming the
    architecture, unless each of its layers called us exactly once.
    """
    expected = getattr(model.config, "num_hidden_layers", None)
    with _dry_run(model):
        model(**_few_tokens(model))
    if len(probe.modules) != expected:
        raise _refusal(
            model,
            f"{len(probe.modules)} of its {expected} layers pass their attention and its inputs through transformers' "
            "AttentionInterface, so the grammar would be ignored",
        )
    if len(probe.heads) != 1:
        raise _refusal(model, f"its layers differ in their number of heads: {sorted(probe.heads)}")
    layers: dict[nn.Module, list[int]] = {}
    for layer, module in enumerate(probe.modules):
        layers.setdefault(module, []).append(layer)
    for module, numbers in layers.items():
        setattr(module, LAYERS_ATTRIBUTE, tuple(numbers))
    return Survey(len(probe.modules), probe.heads.pop())


def try_out(model: PreTrainedModel, *, annotated: bool) -> None:
    """Run `model` on a few tokens as it will be called from now on; raises what a real call would raise.

    `annotated` gives the tokens tags, words and sentences, which every strategy but "full" asks for.
    """
    inputs = _few_tokens(model)
    if annotated:
        places = torch.arange(inputs["input_ids"].shape[-1], device=model.device).expand_as(inputs["input_ids"])
        inputs |= {"tag_ids": places % len(UPOS), "word_ids": places, "sentence_ids": torch.zeros_like(places)}
    with _dry_run(model):
        model(**inputs)


def forget(model: PreTrainedModel) -> None:
    """Take away the layer numbers that `survey` gave."""
    for module in model.modules():
        if hasattr(module, LAYERS_ATTRIBUTE):
            delattr(module, LAYERS_ATTRIBUTE)


def _refusal(model: PreTrainedModel, why: str) -> ModelError:
    return ModelError(
        f"{model.config.model_type} ({type(model).__name__}) cannot be guided: {why}. Supported architectures: "
        f"{', '.join(SUPPORTED)}"
    )


def _few_tokens(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    # Padding ids change the position numbers of RoBERTa's family, so the tokens are any others.
    config = model.config
    tokens = [token for token in range(min(config.vocab_size, 8)) if token != getattr(config, "pad_token_id", None)][:4]
    input_ids = torch.tensor([tokens], device=model.device)
    # By name: the classes themselves would import every such architecture of transformers, for seconds.
    if type(model).__name__ in MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES.values():
        input_ids = input_ids[:, None]  # (batch, choices, length)
    return {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}


@contextmanager
def _dry_run(model: PreTrainedModel) -> Iterator[None]:
    """Run in eval mode without gradients; errors of a foreign model become refusals."""
    try:
        with eval_mode(model), torch.no_grad():
            yield
    except LostGrammarError as error:
        raise _refusal(model, _LOST) from error
    except ModelError as error:
        raise _refusal(model, str(error)) from error
    except GrammaskError:
        raise
    except Exception as error:  # a model that fails on plain tokens cannot be checked
        raise _refusal(model, _why(model, error)) from error


def _why(model: PreTrainedModel, error: Exception) -> str:
    if isinstance(getattr(error, "obj", None), ModelMask):
        return _LOST
    if not getattr(model.config, "return_dict", True):  # parts of many models name what other parts return
        return "its config says return_dict=False, with which it fails itself; set model.config.return_dict = True"
    return f"a dry run on a few tokens failed: {error}"
