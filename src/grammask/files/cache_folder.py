"""Where everything is kept that can be made again."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from .read import expand_home


def cache_folder() -> Path:
    """Return $GRAMMASK_CACHE if set, else this program's folder in the user's cache folder."""
    folder = os.environ.get("GRAMMASK_CACHE")
    return expand_home(folder) if folder else user_cache_path("grammask")
