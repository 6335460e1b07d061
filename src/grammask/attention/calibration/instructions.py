"""Which instructions PyTorch computes with on this processor, as far as they change its speed."""

from functools import cache

import torch


@cache
def instructions() -> str:
    """Return PyTorch's name for them, such as "AVX2"; "AMX" where the processor multiplies bfloat16 matrices."""
    has_amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return "AMX" if has_amx() else torch.backends.cpu.get_cpu_capability()
