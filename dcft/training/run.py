"""One run: configuration in, record out."""

import gc
import shutil
import traceback
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from dcft.backbones import device
from dcft.config.cell import RunConfig
from dcft.errors import RunFailed, UserError
from dcft.results import predictions, protocols, provenance, records, starts, storage, updates
from dcft.results.record import Predictions, Record
from dcft.tracking import mirror
from dcft.training import answers, checkpoints, distributed, prepare, recording
from dcft.training.answers import Keeper
from dcft.training.history import evaluations
from dcft.training.preemption import Preemption
from dcft.training.quiet import quieten
from dcft.training.recording import Result


def run_cell(config: RunConfig) -> Path:
    """Train and evaluate one cell, or continue an interrupted run. A cell that has its record is not run again.

    Args:
        config: the cell.

    Returns:
        The path of the record.

    Raises:
        UserError: if the cell cannot be run as configured; nothing is written.
        RunFailed: if it was run and has no score; the record says why.
    """
    distributed.join()
    path = config.record_path
    if distributed.from_first(lambda: _is_done(config)):
        return path
    distributed.from_first(lambda: starts.require(config))
    prepare.check_processes(config)
    device.check(config)
    preemption = Preemption()
    with ExitStack() as stack:
        stack.enter_context(preemption.listening())
        # Of several processes that share a run, the first holds the cell for all.
        state = distributed.from_first(lambda: stack.enter_context(_claim(config)))
        if distributed.from_first(lambda: _is_done(config)):  # finished while we waited for the claim
            return path
        if not gc.get_freeze_count():
            gc.freeze()  # the Trainer collects garbage at each start, and would look at all that imports have made
        quieten()
        begun = recording.begin(config, state, distributed.processes())
        tracker = mirror.create_tracker(config, begun["config"]) if distributed.is_first() else mirror.NoTracker()
        try:
            result = _train(config, [tracker, preemption])
        except UserError:
            if distributed.is_first():
                shutil.rmtree(checkpoints.writing(config.work_dir), ignore_errors=True)
                with suppress(OSError):  # made by the Trainer; with checkpoints in it, it stays
                    checkpoints.folder(config.work_dir).rmdir()
            raise
        error = result.failure and _explain(result.failure)
        if distributed.is_first():
            record = recording.finish(begun, result, error, _write_predictions(config, result))
            _write(path, record)
            tracker.finish(record)
        if result.failure:
            raise _failed(config, result.failure, error)
        if distributed.is_first():
            _clear(config)
    return path


def _claim(config: RunConfig) -> AbstractContextManager[dict[str, Any]]:
    """Claim a cell where its results can be written."""
    for place in (config.record_path.parent, config.work_dir):
        storage.require_writable(place)
    return records.claim(config)


def _write(path: Path, record: Record) -> None:
    try:
        records.write(path, record)
    except OSError as error:
        storage.explain(error, path.parent)
        raise


def _write_predictions(config: RunConfig, result: Result) -> Predictions | None:
    """Move the answers that were kept into the results folder, and tell what they are; None for a failed run."""
    kept = {} if result.failure else Keeper(config.work_dir).read(evaluations(result.logs))
    try:
        return predictions.write(config.predictions_path, kept) if kept else None
    except OSError as error:
        storage.explain(error, config.predictions_path.parent)
        raise


def _clear(config: RunConfig) -> None:
    """Delete what only an unfinished cell needs: checkpoints, answers, and the errors of earlier attempts."""
    shutil.rmtree(checkpoints.folder(config.work_dir), ignore_errors=True)
    shutil.rmtree(answers.folder(config.work_dir), ignore_errors=True)
    for file in config.work_dir.glob("error*.txt"):
        file.unlink()


def _explain(failure: Exception) -> str:
    """A failure in one line."""
    text = " ".join(str(failure).split())
    return text if isinstance(failure, RunFailed) else f"{type(failure).__name__}: {text}"


def _failed(config: RunConfig, failure: Exception, error: str) -> RunFailed:
    """The error to raise; an unexpected one leaves its traceback in the cell's folder."""
    if isinstance(failure, RunFailed):
        return failure
    file = config.work_dir / ("error.txt" if distributed.is_first() else f"error-{distributed.process()}.txt")
    file.write_text("".join(traceback.format_exception(failure)), encoding="utf-8")
    return RunFailed(f"{error} (traceback in {file})")


def _is_done(config: RunConfig) -> bool:
    """Whether a cell has its result; deletes what a run left that was killed after it wrote its record."""
    if not config.record_path.is_file() or not records.read(config.record_path).done:
        return False
    if (config.work_dir / "lock").exists():
        with suppress(UserError), records.claim(config):  # another process may be about to
            _clear(config)
    return True


def _train(config: RunConfig, callbacks: list[TrainerCallback]) -> Result:
    """Train, and keep the best evaluation's adapter and head in the cell's folder.

    Raises:
        UserError: if the cell cannot be run as configured. Any other error is the result's `failure`.
    """
    try:
        cell = prepare.prepare(config, callbacks)
    except UserError:
        raise
    except Exception as error:  # the record keeps what happened, whatever it was
        storage.explain(error, config.work_dir)
        return Result(failure=error)
    failure = flops = resumed_from = None
    try:
        flops = prepare.count(config, cell)
        resumed_from = _fit(config, cell)
    except UserError:
        raise
    except Exception as error:
        storage.explain(error, config.work_dir)
        failure = error
    finally:
        cell.progress.close()
    kept = cell.model.hooks.kept
    return Result(
        failure=failure,
        params=replace(cell.model.params, kept=kept()) if kept and not failure else cell.model.params,
        tokens=cell.tokens,
        rows=cell.data.source.rows,
        complete=cell.data.source.complete,
        revision=cell.backbone.revision,
        logs=cell.trainer.state.log_history,
        samples=(cell.trainer.state.epoch or 0) * len(cell.trainer.train_dataset),
        disk_bytes=None if failure else checkpoints.kept_bytes(config.work_dir),
        flops=flops,
        resumed_from=resumed_from,
        updates=None if failure else updates.measure(config.work_dir / "model"),
    )


def _fit(config: RunConfig, cell: prepare.Prepared) -> int | None:
    """Train from the newest checkpoint, whose step is returned, and keep the best one's adapter and head.

    Raises:
        RunFailed: if no evaluation has a score.
    """
    trainer = cell.trainer
    provenance.reset_peak_memory()
    checkpoint = distributed.from_first(lambda: checkpoints.newest(config.work_dir))
    trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    best = protocols.choose(evaluations(trainer.state.log_history), "best")
    if best is None:
        metrics = ", ".join(config.task.score)
        raise RunFailed(f"{metrics} is undefined at every evaluation, as all predictions are equal; change train.lr")
    if cell.model.hooks.kept:  # the method counts what it has not pruned
        trainer.load_weights(best.step)
    if distributed.is_first():
        tokenizer = cell.backbone.tokenizer
        tokenizer.backend_tokenizer.no_truncation()  # set by tokenising, which a run that goes on does not do again
        tokenizer.backend_tokenizer.no_padding()
        tokenizer.save_pretrained(checkpoints.keep_model(config.work_dir, best.step))
    distributed.wait()  # all have read the best checkpoint
    return checkpoint and checkpoints.step_of(checkpoint)
