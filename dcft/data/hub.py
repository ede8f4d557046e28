"""The Hugging Face Hub: whether a run needs it, whether it answers, and the errors if it does not.

Hugging Face's packages read HF_HUB_OFFLINE once, at their import. Functions here import them after it has been set.
"""

import os
import socket
import sys
import urllib.request
from urllib.parse import urlparse

from dcft.config.cell import RunConfig
from dcft.config.schema import Model, Task
from dcft.errors import UserError

HUB_TIMEOUT = 20.0  # seconds to wait for an answer


def needs_hub(config: RunConfig) -> bool:
    """Whether the data or the weights of this run come from the Hub."""
    model = config.model
    return not (config.task.toy or config.data_files) or not (model.path or model.package or model.random)


def prefer_cache_if_offline(timeout: float = 5.0) -> None:
    """Set HF_HUB_OFFLINE if the Hub does not answer: the local cache is then used without half a minute of retries.

    Behind a proxy, or if HF_HUB_OFFLINE is set already, nothing is tried.

    Args:
        timeout: seconds to wait for a connection.
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


def unreachable_model(model: Model) -> UserError:
    """The error for weights that are not in the cache while the Hub does not answer."""
    return UserError(
        f"model={model.name}: {model.hub.id} is neither in the local cache nor can the Hugging Face Hub be reached; "
        "give model.path=FOLDER of a saved model, or model=minilm-l6"
    )


def unreachable_data(task: Task) -> UserError:
    """The error for data that are not in the cache while the Hub does not answer."""
    return UserError(
        f"task={task.name}: {task.hub.path} is neither in the local cache nor can the Hugging Face Hub be reached; "
        "give data.root=PATH with the official files, or task=toy_cls"
    )


def require_model(config: RunConfig) -> None:
    """Make sure that the backbone can be loaded, without loading it.

    Raises:
        UserError: if the weights come from the Hub, are not in the cache, and the Hub does not answer or lacks them.
    """
    model = config.model
    if model.path or model.package or model.random:
        return
    prefer_cache_if_offline()
    from huggingface_hub import model_info, try_to_load_from_cache
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(try_to_load_from_cache(model.hub.id, "config.json", revision=model.hub.revision), str):
        return
    try:
        model_info(model.hub.id, revision=model.hub.revision, timeout=HUB_TIMEOUT)
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        repository = f"{model.hub.id} at revision {model.hub.revision}"
        advice = "give model.path=FOLDER of a saved model, or log in if it is not open to all"
        raise UserError(f"model={model.name}: the Hub does not give {repository}; {advice}") from error
    except Exception as error:  # without a connection the client raises errors of many types
        raise unreachable_model(model) from error


def require_data(config: RunConfig) -> None:
    """Make sure that the task's data can be loaded, without loading them.

    Raises:
        UserError: if the data come from the Hub, are not in the cache, and the Hub does not answer or lacks them.
    """
    task = config.task
    if task.toy or config.data_files:
        return
    prefer_cache_if_offline()
    from datasets import load_dataset_builder

    try:
        load_dataset_builder(task.hub.path, task.hub.name, revision=task.hub.revision)
    except Exception as error:  # without a connection the client raises errors of many types
        raise unreachable_data(task) from error
