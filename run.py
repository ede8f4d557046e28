"""The one entrypoint: train one cell, or every cell of a table. See `python run.py --help`."""

import os

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from dcft.cli import explain, pipe
from dcft.config import arguments
from dcft.config.build import build
from dcft.config.conf import TABLE_FILE
from dcft.errors import RunFailed, UserError
from dcft.training import distributed


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def cell(cfg: DictConfig) -> float | None:
    """Run one cell and print the path of its record; returns its score, for which a sweeper can tune."""
    os.chdir(HydraConfig.get().runtime.cwd)  # a sweep's folder: Ray's workers start in that of their node
    try:
        if "table" in cfg:  # its file has not made this a sweep
            raise UserError(f"table={HydraConfig.get().runtime.choices['table']}: {TABLE_FILE}")
        config = build(cfg, HydraConfig.get().overrides.task)
        config.require_data()
        from dcft.results import records
        from dcft.training.run import run_cell  # loads torch: only after every check that does without it

        path = run_cell(config)
    except (UserError, RunFailed) as error:
        if OmegaConf.is_missing(HydraConfig.get().job, "num"):  # a cell of its own, not one of a sweep
            distributed.stop(f"error: {error}")
        raise type(error)(str(error)) from None  # without a cause, so that it travels through any launcher
    score = None
    if distributed.is_first():
        print(path, flush=True)
        score = records.read(path).score
    distributed.leave()
    return score


def main() -> None:
    show_traceback = "HYDRA_FULL_ERROR" in os.environ
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors over instead of printing its own pages
    try:
        with pipe():
            arguments.parse(get_args_parser().parse_known_args()[0].overrides)
            cell()
    except KeyboardInterrupt as stop:
        distributed.interrupt(str(stop) or "interrupted; the same command goes on from the last checkpoint")
    except Exception as error:
        line = explain(error)
        if line is None or show_traceback:
            raise
        distributed.stop(f"error: {line}")


if __name__ == "__main__":
    main()
