"""`python run.py table=NAME`: run the cells of a table that have no record yet, on any Hydra launcher, then print it.

Found by Hydra because of its folder's name; the folder must have no __init__.py, which would hide other plugins.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from dcft import records, tables
from dcft.plan import PlannedCell, plan


@dataclass
class TableSweeperConfig:
    _target_: str = "hydra_plugins.table_sweeper.TableSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="table", node=TableSweeperConfig, provider="dcft")


class TableSweeper(Sweeper):
    """Expands `table`, skips finished cells, launches the rest, and judges by the record store alone."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.loader = hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        table = OmegaConf.to_container(self.config.table, resolve=True)
        # A cell must not be a table again.
        overrides = [argument for argument in arguments if not argument.startswith("table=")]
        cells = plan(table, overrides, lambda cell: self.loader.load_sweep_config(self.config, cell))
        unique = {cell.config.cell: cell for cell in cells}  # rows may share a cell
        todo = [cell for cell in unique.values() if records.status(cell.config) != "done"]
        done = len(unique) - len(todo)
        print(f"table {table['name']}: {len(unique)} cells, {done} done, {len(todo)} to run", flush=True)
        if todo:
            self.launcher.launch([cell.overrides for cell in todo], initial_job_idx=0)
        self._report(table, cells, list(unique.values()))

    def _report(self, table: dict, cells: list[PlannedCell], unique: list[PlannedCell]) -> None:
        results = Path(cells[0].config.results.dir)
        view = tables.build(table, cells)
        tables.show(view)
        for path in tables.write(view, results):
            print(path)
        found = {cell.config.cell: records.status(cell.config) for cell in unique}
        print(", ".join(f"{count} {status}" for status, count in sorted(Counter(found.values()).items())))
        missing = [cell for cell in unique if found[cell.config.cell] != "done"]
        for cell in missing:
            path = cell.config.record_path
            reason = records.read(path)["error"] if path.is_file() else found[cell.config.cell]
            print(f"missing: {cell.command}\n         {reason}")
        if missing:
            raise SystemExit(1)
