"""Trackers that mirror a run. The record is the result: a tracker that is offline or broken does not affect it."""

import contextlib
import functools
import io
import logging
import os
import re
from typing import Any

from transformers import TrainerCallback

from dcft.config.cell import RunConfig
from dcft.errors import UserError, printable
from dcft.results.record import Record
from dcft.tracking import names

log = logging.getLogger(__name__)

INIT_TIMEOUT = 20  # seconds to wait for the server before the run is mirrored offline
FINISH_TIMEOUT = 30  # seconds that uploads may take at the end of a run; what is left stays on disk


class NoTracker(TrainerCallback):
    """Mirrors nothing."""

    def finish(self, record: Record) -> None:
        """Called once, when the cell has its record."""


def never_fails(method):
    """Decorator of a tracker's methods: the first failure is a warning, and turns the tracker off for this run."""

    @functools.wraps(method)
    def guarded(self, *args, **kwargs):
        if self.broken:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # the run goes on, whatever a tracker raises
            self.broken = True
            log.warning("note: %s failed and is off for this run: %s", type(self).__name__, _line(error))

    return guarded


def _line(error: Exception) -> str:
    """An error in one line, without the secret that trackio's addresses carry."""
    return re.sub(r"(write_token=)[^&\s'\"]+", r"\1...", printable(" ".join(str(error).split())))


class Tracker(NoTracker):
    """One tracker's run per cell, under the cell's name, so that a resumed or repeated cell continues its run.

    `dcft.tracking.names` defines the names and values that are logged. Only the first of several processes logs.
    """

    def __init__(self, config: RunConfig, settings: dict[str, Any]):
        self.config, self.settings = config, settings
        self.run = None
        self.broken = False

    def start(self, **arguments) -> Any:
        """Open the run and return it; `arguments` are common to all trackers."""
        raise NotImplementedError

    def end(self, record: Record) -> None:
        """Log the record's summary of the run, and close the run."""
        raise NotImplementedError

    @never_fails
    def on_train_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            self.run = self.start(
                project=self.config.tracker.project,
                name=self.config.cell,
                group=self.config.tracker.group,
                config=names.config(self.settings),
                resume="allow",
            )

    @never_fails
    def on_log(self, args, state, control, logs=None, **kwargs):
        values = names.training(logs or {})
        if self.run is not None and values:
            self.run.log(values, step=state.global_step)

    @never_fails
    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        if self.run is not None:
            self.run.log(names.evaluation(metrics), step=state.global_step)

    @never_fails
    def finish(self, record: Record) -> None:
        if self.run is not None:
            self.end(record)


class WandbTracker(Tracker):
    """Weights & Biases; offline without a key or a server.

    W&B gets the configuration and the values that are logged, and nothing else: it would add the command line, the
    address of git's remote and the user's name, and those may hold secrets.
    """

    def start(self, **arguments):
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when wandb is imported
        import wandb

        folder = self.config.work_dir
        folder.mkdir(parents=True, exist_ok=True)
        arguments |= {
            "entity": self.config.tracker.entity,
            "id": self.config.cell.replace(".", "-"),
            "job_type": self.config.method.name,
            "tags": names.tags(self.settings),
            "dir": str(folder),
            "settings": wandb.Settings(
                init_timeout=INIT_TIMEOUT,
                finish_timeout=FINISH_TIMEOUT,
                finish_timeout_raises=True,
                silent=True,
                reinit="finish_previous",  # a run that a failed cell left open must not receive the next cell's values
                disable_git=True,
                disable_code=True,
                x_disable_meta=True,
            ),
        }
        mode = os.environ.get("WANDB_MODE", "online")
        if mode == "online" and not wandb.login(prompt=False, verify=False):
            mode = "offline"  # no key: asking would block a sweep
        try:
            run = wandb.init(mode=mode, **arguments)
        except wandb.errors.Error as error:
            wandb.teardown()  # else the half-open run keeps its id
            run = wandb.init(mode="offline", **arguments)
            log.warning("note: W&B did not take the run (%s); later: wandb sync %s", _line(error), _folder(run))
        run.define_metric(f"{names.DEV}*", summary="max,last")
        run.define_metric(names.DEV_LOSS)  # the default: the last value
        return run

    def end(self, record: Record) -> None:
        self.run.summary.update(names.summary(record))
        try:
            self.run.finish(exit_code=0 if record.done else 1)
        except TimeoutError:
            log.warning(
                "note: W&B did not take all of the run in time; later: wandb sync --no-skip-online %s",
                _folder(self.run),
            )


def _folder(run) -> str:
    """The folder of a W&B run, which `wandb sync` uploads."""
    return os.path.relpath(os.path.dirname(run.settings.sync_file))


class TrackioTracker(Tracker):
    """trackio: a database in its own folder (TRACKIO_DIR), without an account or a network.

    trackio has no summary, so the record's summary of the run is logged at the last step.
    """

    def __init__(self, config: RunConfig, settings: dict[str, Any]):
        super().__init__(config, settings)
        try:
            import trackio  # noqa: F401
        except ImportError as error:
            raise UserError("tracker=trackio needs the package trackio; pip install trackio") from error

    def start(self, **arguments):
        import trackio

        with contextlib.redirect_stdout(io.StringIO()):  # trackio greets, but a run's last line is its record
            return trackio.init(embed=False, **arguments)

    def end(self, record: Record) -> None:
        import trackio

        self.run.log(names.flat(names.summary(record)), step=record.last and record.last.step)
        with contextlib.redirect_stdout(io.StringIO()):
            trackio.finish()


TRACKERS = {"wandb": WandbTracker, "trackio": TrackioTracker}


def create_tracker(config: RunConfig, settings: dict[str, Any]) -> NoTracker:
    """The tracker that `tracker=` names; `settings` is the record's configuration.

    Raises:
        UserError: if there is no such tracker, or its package is missing.
    """
    name = config.tracker.name
    if name == "none":
        return NoTracker()
    if name not in TRACKERS:
        raise UserError(f"tracker.name={name}: there is no such tracker; give one of none, {', '.join(TRACKERS)}")
    return TRACKERS[name](config, settings)
