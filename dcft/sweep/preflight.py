"""Before a sweep's first launch: can every backbone and every data set be loaded? Each is checked once."""

from collections.abc import Callable

from dcft.config.build import build
from dcft.config.cell import RunConfig
from dcft.config.compose import Composer
from dcft.data import hub
from dcft.errors import UserError
from dcft.results import starts
from dcft.results.sweeps import Cell

SOURCES = ((hub.require_model, ("model", "model.path")), (hub.require_data, ("task", "data.root")))


def check(cells: list[Cell]) -> dict[str, str]:
    """Check the source of each distinct backbone and task.

    Returns:
        Why a cell cannot run, by its command; cells that can are not in it.
    """
    compose = Composer()
    answers: dict[tuple[str, ...], str | None] = {}
    problems = {}
    for cell in cells:
        for require, settings in SOURCES:
            source = tuple(line for line in cell.overrides if line.lstrip("+").partition("=")[0] in settings)
            if source not in answers:
                answers[source] = _ask(require, build(compose(cell.overrides)))
            if answers[source]:
                problems.setdefault(cell.command, answers[source])
    return problems


def check_starts(cells: list[Cell]) -> dict[str, str]:
    """Check the weights that cells start from (`model.init_from`). No network is asked, so plans do it as well.

    Returns:
        Why a cell cannot run, by its command; cells that can are not in it.
    """
    compose = Composer()
    starting = [cell for cell in cells if any("model.init_from=" in line for line in cell.overrides)]
    answers = {cell.command: _ask(starts.require, build(compose(cell.overrides))) for cell in starting}
    return {command: problem for command, problem in answers.items() if problem}


def _ask(require: Callable[[RunConfig], None], config: RunConfig) -> str | None:
    try:
        require(config)
    except UserError as error:
        return str(error)
    return None
