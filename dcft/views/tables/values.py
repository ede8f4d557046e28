"""The cells of a table from records: means and spreads over seeds, as text with their numbers and records."""

from dcft.results.outcomes import Outcomes
from dcft.results.statistics import Summary, summary
from dcft.results.sweeps import Column
from dcft.views.tables.grid import Part, Value, decimal
from dcft.views.time_units import HOURS, TimeUnit, unit_for

SMALLEST_TIME = 0.1  # in the unit shown: two digits of it are left


def time_unit(outcomes: Outcomes) -> TimeUnit:
    """The longest unit in which no mean training time of the sweep is below `SMALLEST_TIME`."""
    tasks = [column.task for column in outcomes.sweep.columns]
    means = [summary(outcomes.seconds(row, task)) for row in range(len(outcomes.sweep.rows)) for task in tasks]
    return unit_for(min((mean.mean for mean in means if mean), default=HOURS.seconds), SMALLEST_TIME)


def score(outcomes: Outcomes, row: int, column: Column) -> Value:
    """A row's cell under a task: mean and spread over seeds of each metric that is printed."""
    means = [(metric, summary(outcomes.series(row, column.task, metric))) for metric in column.metrics]
    separator = "/" if column.metrics == column.score else " / "  # as the paper prints MNLI's and SQuAD's pairs
    return _value(outcomes, row, column.task, means, separator)


def average(outcomes: Outcomes, row: int) -> Value:
    """A row's mean over tasks."""
    return _value(outcomes, row, "average", [("score", summary(outcomes.series(row, "average")))])


def time(outcomes: Outcomes, row: int, task: str, unit: TimeUnit) -> Value:
    """A row's training time on a task, or its mean over tasks ("average")."""
    times = [seconds and seconds / unit.seconds for seconds in outcomes.seconds(row, task)]
    return _value(outcomes, row, task, [("train_time", summary(times))], unit=unit.symbol)


def size(outcomes: Outcomes, row: int) -> Value:
    """The number of parameters that a row's method trains; blank if it is unknown or differs between tasks."""
    if (known := outcomes.adapter_size(row)) is None:
        return Value()
    number, path = known
    return Value([Part(f"{number:,}", number, name="adapter")], records=[path])


def _value(
    outcomes: Outcomes,
    row: int,
    task: str,
    means: list[tuple[str, Summary | None]],
    separator: str = "/",
    unit: str = "",
) -> Value:
    """A cell with one part for each metric; blank if a mean is missing."""
    if any(mean is None for _, mean in means):
        return Value()
    parts = []
    for metric, mean in means:
        spread = "" if mean.std is None else f"±{mean.std:.2f}"
        parts.append(Part(f"{decimal(mean.mean)}{spread}{unit}", mean.mean, mean.std, metric))
    return Value(parts, separator, means[0][1].n, outcomes.record_paths(row, task))
