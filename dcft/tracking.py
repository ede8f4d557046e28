"""Mirrors of a run. The record is the result; a tracker may be offline or broken without hurting it."""

import functools
import logging
import os
from typing import Any

from transformers import TrainerCallback

from dcft.config import RunConfig

log = logging.getLogger(__name__)

INIT_TIMEOUT = 20  # seconds to wait for the server before the run is mirrored offline


class NoTracker(TrainerCallback):
    """Mirrors nothing."""

    def finish(self, record: dict[str, Any]) -> None:
        """Called once, when the cell has its record."""


def harmless(method):
    """A failing tracker warns once and is silent from then on."""

    @functools.wraps(method)
    def guarded(self, *args, **kwargs):
        if self.broken:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # whatever a tracker throws, the run goes on
            self.broken = True
            log.warning("note: %s failed and is off for this run: %s", type(self).__name__, error)

    return guarded


class WandbTracker(NoTracker):
    """A W&B run per cell: its id is the cell's, so that a resumed cell goes on with its run.

    Logged: `train/loss`, `train/lr`, `train/grad_norm`, and with every evaluation `dev/score`, `dev/loss`,
    `dev/METRIC`. The summary holds the record's score, counts and times.
    """

    def __init__(self, config: RunConfig, settings: dict[str, Any]):
        self.config, self.settings = config, settings
        self.run = None
        self.broken = False

    @harmless
    def on_train_begin(self, args, state, control, **kwargs):
        import wandb

        folder = self.config.work_dir
        folder.mkdir(parents=True, exist_ok=True)
        arguments = {
            "project": self.config.tracker.project,
            "entity": self.config.tracker.entity,
            "id": self.config.cell.replace(".", "-"),
            "name": self.config.cell,
            "resume": "allow",
            "dir": str(folder),
            "config": self.settings,
            "tags": [self.config.task.name, self.config.model.name, self.config.method.name],
            "settings": wandb.Settings(init_timeout=INIT_TIMEOUT, silent=True),
        }
        mode = os.environ.get("WANDB_MODE", "online")
        if mode == "online" and not wandb.login(prompt=False, verify=False):
            mode = "offline"  # no key: asking would block a sweep
        try:
            self.run = wandb.init(mode=mode, **arguments)
        except wandb.errors.Error:
            wandb.teardown()  # else the half-open run keeps its id
            self.run = wandb.init(mode="offline", **arguments)

    @harmless
    def on_log(self, args, state, control, logs=None, **kwargs):
        names = {"loss": "train/loss", "learning_rate": "train/lr", "grad_norm": "train/grad_norm"}
        values = {names[key]: value for key, value in (logs or {}).items() if key in names}
        if values:
            self.run.log(values, step=state.global_step)

    @harmless
    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        values = {f"dev/{name}": value for name, value in metrics["eval_metrics"].items()}
        values |= {"dev/score": metrics["eval_score"], "dev/loss": metrics["eval_loss"]}
        self.run.log({key: value for key, value in values.items() if value is not None}, step=state.global_step)

    @harmless
    def finish(self, record: dict[str, Any]) -> None:
        if self.run is None:
            return
        self.run.summary.update(
            {"status": record["status"], "score": record["score"], "params": record["params"], "time": record["time"]}
        )
        self.run.finish(exit_code=0 if record["status"] == "done" else 1)


def create(config: RunConfig, settings: dict[str, Any]) -> NoTracker:
    """The tracker that `tracker=` names; `settings` is the record's configuration."""
    return WandbTracker(config, settings) if config.tracker.name == "wandb" else NoTracker()
