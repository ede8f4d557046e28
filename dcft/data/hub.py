"""The Hugging Face Hub: whether a run needs it, whether it answers, and the errors if it does not.

Hugging Face's packages read HF_HUB_OFFLINE once, at their import. Functions here import them after it has been set.
"""

import os
import sys

from dcft.config.cell import RunConfig
from dcft.config.schema import Model, Task
from dcft.errors import UserError

HUB_TIMEOUT = 10.0  # seconds to wait for an answer; the Hub's clients by themselves would wait for ever


def needs_hub(config: RunConfig) -> bool:
    """Whether the data or the weights of this run come from the Hub."""
    model = config.model
    return not (config.task.toy or config.data_files) or not (model.path or model.package or model.random)


def prefer_cache_if_offline(timeout: float = HUB_TIMEOUT) -> None:
    """Set HF_HUB_OFFLINE if the Hub does not answer: the local cache is then used without minutes of retries.

    An answer is any HTTP status below 500. If HF_HUB_OFFLINE says so already, nothing is tried.

    Args:
        timeout: seconds to wait for a connection, and for an answer, here and in all later requests of this process
            that state no time of their own.
    """
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return
    session = get_session()
    session.timeout = timeout
    try:
        answers = session.head(constants.ENDPOINT).status_code < 500
    except Exception:  # the client raises errors of many types
        answers = False
    if not answers:
        os.environ["HF_HUB_OFFLINE"] = "1"
        for name in ("huggingface_hub.constants", "datasets.config"):  # both read the variable once, when imported
            if module := sys.modules.get(name):
                module.HF_HUB_OFFLINE = True


def unavailable_model(model: Model, error: Exception) -> UserError:
    """The error for weights that neither the cache nor the Hub gives."""
    return _unavailable(
        f"model={model.name}: {model.hub.id}", error, "give model.path=FOLDER of a saved model, or model=minilm-l6"
    )


def unavailable_data(task: Task, error: Exception) -> UserError:
    """The error for data that neither the cache nor the Hub gives."""
    advice = "give data.root=PATH with the official files, or task=toy_cls"
    return _unavailable(f"task={task.name}: {task.hub.path}", error, advice)


def _unavailable(what: str, error: Exception, advice: str) -> UserError:
    reason = _reason(error)
    if reason in ("status 401", "status 403", "status 404"):
        advice += ", or log in if it is not open to all"
    return UserError(
        f"{what} is not in the local cache, and the Hugging Face Hub does not give it ({reason}); {advice}"
    )


def _reason(error: BaseException) -> str:
    """Why the Hub gave nothing: the status of its answer, else the error that began it all, in one line."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "it cannot be reached"
    while True:
        if status := getattr(getattr(error, "response", None), "status_code", None):
            return f"status {status}"
        if not (cause := error.__cause__ or error.__context__):
            return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
        error = cause


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

    if isinstance(try_to_load_from_cache(model.hub.id, "config.json", revision=model.hub.revision), str):
        return
    try:
        model_info(model.hub.id, revision=model.hub.revision, timeout=HUB_TIMEOUT)
    except Exception as error:  # the client raises errors of many types
        raise unavailable_model(model, error) from error


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
    except Exception as error:  # the client raises errors of many types
        raise unavailable_data(task, error) from error
