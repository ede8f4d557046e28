"""Whether a run needs the Hugging Face Hub, and what to do without a way to it. Imports nothing of Hugging Face."""

import os
import socket
import sys
import urllib.request
from urllib.parse import urlparse

from dcft.config import RunConfig


def needs_hub(config: RunConfig) -> bool:
    """Whether the data or the weights of this run come from the Hub."""
    model = config.model
    return not (config.task.toy or config.data_files) or not (model.path or model.package or model.random)


def prefer_cache_if_offline(timeout: float = 5.0) -> None:
    """Without a way to the Hub, use its local cache at once instead of after half a minute of retries.

    Behind a proxy nothing is tried.
    """
    if urllib.request.getproxies() or os.environ.get("HF_HUB_OFFLINE"):
        return
    endpoint = urlparse(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
    try:
        socket.create_connection((endpoint.hostname, endpoint.port or 443), timeout=timeout).close()
    except OSError:
        os.environ["HF_HUB_OFFLINE"] = "1"
        for name in ("huggingface_hub.constants", "datasets.config"):  # both read the variable once, when imported
            if module := sys.modules.get(name):
                module.HF_HUB_OFFLINE = True
