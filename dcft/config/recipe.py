"""The rows of a recipe (conf/recipe): training values, each with the source that its own row states. No torch here.

A row is a dictionary of values with their `source`. Rows may hold rows, which lie below them. Of the rows that have a
value the last one wins, so a value and its source come from the same row. `${recipe:NAME}` is the value of a name,
`${recipe:NAME/OTHER}` the quotient of two.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError

STEPS = ("warmup", "eval_every", "tinit", "tfinal", "delta_t")  # counted in steps of the row's batch size
INFERRED = "inferred: "  # begins the source of a value that no source states for this task, backbone and method
NOTES = ("source", "sources", "stated_for")  # what a row says about its values


@dataclass(frozen=True)
class TrainingValue:
    value: Any
    source: str


class Recipe:
    """The training values of one composed configuration."""

    def __init__(self, config: dict[str, Any]):
        """Read the rows.

        Args:
            config: composed; its `recipe` and the names of its task, model and method are read.
        """
        self._rows = list(_rows(config["recipe"]))
        self._cell = {kind: config[kind]["name"] for kind in ("task", "model", "method")}

    def find(self, name: str) -> TrainingValue | None:
        """A value of the last row that has it, or the quotient of two ("lora_alpha/init_rank"); None if no row has it.

        A count of steps is for the batch size that was in force at its row. Where a later row changes the batch size,
        the count is converted so that it covers as many samples, and the source says so.
        """
        if "/" in name:
            dividend, divisor = (self.find(part) for part in name.split("/"))
            return dividend and divisor and _quotient(name, dividend, divisor)
        last = self._last(name, len(self._rows))
        if last is None:
            return None
        value, source = self._rows[last][name], self._source(self._rows[last], name)
        if name in STEPS and value is not None and value >= 1:
            stated, final = self._batch_size(last + 1), self._batch_size(len(self._rows))
            if stated is not None and stated != final:
                source += f"; {value} steps of batch {stated} converted to batch {final}"
                value = max(1, round(value * stated / final))
        return TrainingValue(value, source)

    def _last(self, name: str, end: int) -> int | None:
        """Which of the rows before `end` is the last to have a value."""
        return max((index for index, row in enumerate(self._rows[:end]) if name in row), default=None)

    def _batch_size(self, end: int) -> int | None:
        last = self._last("batch_size", end)
        return None if last is None else self._rows[last]["batch_size"]

    def _source(self, row: dict[str, Any], name: str) -> str:
        """The source that a row states for its value: inferred if that is for another task, backbone or method."""
        source = row.get("sources", {}).get(name) or row.get("source", "not stated")
        others: list[str] = []
        for kind, name_here in self._cell.items():
            stated = row.get("stated_for", {}).get(kind, [name_here])
            if name_here not in stated:
                others += ["other tasks"] if kind == "task" else stated
        return source if source.startswith(INFERRED) or not others else f"{INFERRED}{source} for {', '.join(others)}"


def _rows(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All rows of a recipe, the lowest first."""
    for key, value in node.items():
        if isinstance(value, dict) and key not in NOTES:
            yield from _rows(value)
    yield node


def _quotient(name: str, dividend: TrainingValue, divisor: TrainingValue) -> TrainingValue:
    value, sources = dividend.value / divisor.value, (dividend.source, divisor.source)
    if len(set(sources)) == 1:
        return TrainingValue(value, sources[0])
    parts = [
        f"{part} by {source.removeprefix(INFERRED)}" for part, source in zip(name.split("/"), sources, strict=True)
    ]
    inferred = any(source.startswith(INFERRED) for source in sources)
    return TrainingValue(value, (INFERRED if inferred else "") + "; ".join(parts))


def _resolve(name: str, *, _root_: DictConfig) -> Any:
    found = Recipe(cast(dict[str, Any], OmegaConf.to_container(_root_))).find(name)
    if found is None:
        raise InterpolationKeyError(f"the recipe has no {name} for preset={_root_.preset}")
    return OmegaConf.create(found.value) if isinstance(found.value, list) else found.value


OmegaConf.register_new_resolver("recipe", _resolve, replace=True)
