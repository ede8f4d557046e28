"""Before a sweep's first launch: is every backbone and every data set to be had? Each is asked for once."""

from collections.abc import Callable

from dcft import hub
from dcft.compose import Composer
from dcft.config import RunConfig, build
from dcft.errors import UserError
from dcft.sweep import Cell


def check(cells: list[Cell]) -> dict[str, str]:
    """Ask for the source of each distinct backbone and task.

    Returns:
        Why a cell cannot run, by its command; cells that can are not in it.
    """
    compose = Composer()
    answers: dict[tuple[str, ...], str | None] = {}
    problems = {}
    for cell in cells:
        given = dict(override.split("=", 1) for override in cell.overrides)
        for check, *key in (
            (hub.require_model, "model", given["model"], given.get("model.path", "")),
            (hub.require_data, "task", given["task"], given.get("data.root", "")),
        ):
            key = tuple(key)
            if key not in answers:
                answers[key] = _ask(check, build(compose(cell.overrides)))
            if answers[key]:
                problems.setdefault(cell.command, answers[key])
    return problems


def _ask(check: Callable[[RunConfig], None], config: RunConfig) -> str | None:
    try:
        check(config)
    except UserError as error:
        return str(error)
    return None
