"""Whether a table's cells fit into a GPU: the memory of a step by formula, beside what nvidia-smi says."""

from dcft.config.cell import RunConfig
from dcft.config.schema import TARGETS, used_knobs
from dcft.errors import UserError
from dcft.paper import counts, memory
from dcft.results.sweeps import Cell, Sweep
from dcft.sweep import workers
from dcft.sweep.estimate import shape_of

GIGA = 1e9


def needed(config: RunConfig) -> int | None:
    """Bytes that a step of a cell needs in float32, if all its rows are as long as `data.max_length` allows.

    None if the backbone's sizes are unknown. A method that is not in the paper counts without its adapter.
    """
    if (shape := shape_of(config.model.name)) is None:
        return None
    span = config.task.kind == "span"
    head = counts.span_head(shape) if span else counts.head(shape, max(len(config.task.labels), 1))
    knobs = {name: value for name, value in used_knobs(vars(config), config.method.peft).items() if name != "targets"}
    try:
        trained = counts.of_method(shape, config.method.name, TARGETS[config.targets], knobs) or 0
    except (KeyError, ValueError):  # knobs that the run will refuse
        trained = 0
    train = config.train
    return memory.step(
        shape,
        trained + head,
        train.batch_size,
        config.data.max_length,
        train.accumulate,
        train.checkpoint_layers,
        added=head + (0 if config.method.name in ("full", "bitfit") else trained),
    )


def require_fit(config: RunConfig) -> None:
    """Check that DCFT's kernel covers the matrices of a backbone whose sizes are known.

    Raises:
        UserError: if it does not.
    """
    shape = shape_of(config.model.name)
    if shape and config.method.name == "dcft" and config.kernel and config.stride:
        try:
            counts.dcft(shape, TARGETS[config.targets], config.kernel, config.stride)
        except ValueError as error:
            raise UserError(f"kernel={config.kernel}: {error}; give another kernel or stride") from error


def _largest(sweep: Sweep, cells: list[Cell]) -> dict[str, Cell]:
    """The cell of each backbone that needs most, by the backbone's title."""
    found: dict[str, Cell] = {}
    for cell in sorted((cell for cell in cells if cell.memory), key=lambda cell: cell.memory):
        found[sweep.rows[cell.row].model_title] = cell
    return found


def lines(sweep: Sweep, cells: list[Cell]) -> list[str]:
    """A line for each backbone: the memory of its largest step."""
    return [
        f"memory of a step (fp32, by formula): {title} up to {float(f'{cell.memory / GIGA:.2g}'):g} GB "
        f"({sweep.rows[cell.row].title}, {cell.task})"
        for title, cell in _largest(sweep, cells).items()
    ]


def warning(cells: list[Cell]) -> str | None:
    """A line that says how many cells may not fit into the smallest GPU here; None if all fit or there is none."""
    sizes = [int(size) * 2**20 for size in workers.listed("memory.total") if size.isdigit()]
    large = [cell for cell in cells if sizes and cell.memory and cell.memory > min(sizes)]
    if not large:
        return None
    return (
        f"warning: {len(large)} of {len(cells)} cells may need more than the {min(sizes) / GIGA:.0f} GB of this GPU; "
        "train.checkpoint_layers=true or train.accumulate=N needs less"
    )
