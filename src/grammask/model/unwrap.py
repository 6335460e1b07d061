"""The transformers model inside of what other libraries wrap around it.

peft, DistributedDataParallel, torch.compile and SentenceTransformer keep the model as a submodule, each under a name of
its own. So it is found by what it is, not by where it is.
"""

from torch import nn
from transformers import PreTrainedModel

from ..errors import ModelError


def inner_model(model: object) -> PreTrainedModel:
    """Return the outermost transformers model in `model`; raises `ModelError` where there is none, or several."""
    if not isinstance(model, nn.Module):
        raise ModelError(f"this needs a transformers model (PreTrainedModel), but got {type(model).__name__}")
    outermost = _outermost(model)
    if not outermost:
        raise ModelError(
            f"this needs a transformers model (PreTrainedModel), but {type(model).__name__} is none and holds none"
        )
    if len(outermost) > 1:
        raise ModelError(
            f"{type(model).__name__} holds {len(outermost)} transformers models "
            f"({', '.join(type(one).__name__ for one in outermost)}); attach to one of them"
        )
    return outermost[0]


def _outermost(module: nn.Module) -> list[PreTrainedModel]:
    if isinstance(module, PreTrainedModel):
        return [module]
    # A dictionary: a wrapper may hold one model under two names.
    return list(dict.fromkeys(one for child in module.children() for one in _outermost(child)))
