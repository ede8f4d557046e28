"""`python run.py table=NAME`: run the cells of a table that have no record yet, on any Hydra launcher, then print it.

Found by Hydra because of its folder's name; the folder must have no __init__.py, which would hide other plugins.
"""

from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class TableSweeperConfig:
    _target_: str = "hydra_plugins.table_sweeper.TableSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="table", node=TableSweeperConfig, provider="dcft")


class TableSweeper(Sweeper):
    """Hands the table's cells to the launcher that `hydra/launcher=` names."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.sources = config.hydra.runtime.config_sources
        self.launcher_name = config.hydra.runtime.choices["hydra/launcher"]
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from dcft.sweep import command, request  # loads pandas: Hydra imports this file for each cell, too

        command.run(
            request.read(arguments, self._folders()),
            lambda jobs: self.launcher.launch(jobs, initial_job_idx=0),
            retry=self.launcher_name != "submitit_slurm",  # a job that waits in the queue looks like one that died
        )

    def _folders(self) -> list[Path]:
        """The folders that --config-dir and hydra.searchpath name."""
        from dcft.errors import UserError

        named = [one for one in self.sources if one.provider == "command-line" or "searchpath" in one.provider]
        for one in named:
            if one.schema != "file":
                raise UserError(f"hydra.searchpath={one.schema}://{one.path}: a table reads folders only; give one")
        return list(dict.fromkeys(Path(one.path).absolute() for one in named))
