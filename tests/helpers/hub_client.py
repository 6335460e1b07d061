"""This process as a client of a Hub of our own: what libraries read from the environment at import."""

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import transformers
from helpers.hub_server import HubServer
from huggingface_hub import constants, file_download
from huggingface_hub.utils import _http


def use_hub(patch: pytest.MonkeyPatch, hub: HubServer, home: Path) -> None:
    """Ask this Hub, keep what comes below `home`, wait for no second try, and take files in small pieces."""
    transformers.utils.logging.disable_progress_bar()
    patch.setattr(constants, "ENDPOINT", hub.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(huggingface_hub.hf_api.api, "endpoint", hub.url)
    patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)
    patch.delenv("HF_TOKEN", raising=False)
    for module in (file_download, _http):
        patch.setattr(module, "time", SimpleNamespace(**{**vars(module.time), "sleep": lambda _: None}))
