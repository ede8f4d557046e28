"""`python run.py table=NAME`: run the cells of a table that have no record yet, on any Hydra launcher, then print it.

Hydra finds this folder by its name, beside run.py. It is not installed: other Hydra applications do not see it. It
has no __init__.py, which would hide the plugins that are installed.
"""

from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


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

        on_slurm = self.launcher_name == "submitit_slurm"
        if on_slurm:
            from dcft.sweep import slurm  # loads submitit

            slurm.watch()
        command.run_table(
            request.read(arguments, self._folders()),
            lambda jobs: self.launcher.launch(jobs, initial_job_idx=0),
            retry=not on_slurm,  # a job that waits in the queue looks like one that died
        )

    def _folders(self) -> list[Path]:
        """The folders that --config-dir and hydra.searchpath name."""
        from dcft.errors import UserError

        sources = [s for s in self.sources if s.provider == "command-line" or "searchpath" in s.provider]
        for source in sources:
            if source.schema != "file":
                raise UserError(
                    f"hydra.searchpath={source.schema}://{source.path}: a table reads folders only; give one"
                )
        return list(dict.fromkeys(Path(source.path).absolute() for source in sources))
