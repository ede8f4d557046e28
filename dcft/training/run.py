"""One run: configuration in, record out."""

import gc
import math
import shutil
import traceback
import warnings
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import numpy as np
import torch
import transformers
from transformers import PrinterCallback, TrainingArguments, set_seed

from dcft.backbones import compilation, device, load
from dcft.config.cell import RunConfig
from dcft.data import batches, encode, hub
from dcft.errors import RunFailed, UserError
from dcft.results import predictions, protocols, provenance, records
from dcft.results.record import Flops, Predictions, Tokens
from dcft.tracking import mirror
from dcft.training import answers, checkpoints, counting, distributed, methods, recording
from dcft.training.answers import Keeper
from dcft.training.history import evaluations
from dcft.training.progress import ProgressBar
from dcft.training.recording import Result
from dcft.training.scoring import Scorer
from dcft.training.trainer import CellTrainer

LOG_EVERY = 10  # steps between two logged losses, at most


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
    if distributed.from_first(lambda: _is_done(path)):
        return path
    _check_processes(config)
    device.check(config)
    with ExitStack() as stack:
        # Of several processes that share a run, the first holds the cell for all.
        state = distributed.from_first(lambda: stack.enter_context(records.claim(config)))
        if distributed.from_first(lambda: _is_done(path)):  # finished while we waited for the claim
            return path
        if not gc.get_freeze_count():
            gc.freeze()  # the Trainer collects garbage at each start, and would look at all that imports have made
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        datasets.disable_progress_bars()
        warnings.filterwarnings("ignore", message="A single label was found")  # the record says collapsed
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # its own calls
        begun = recording.begin(config, state, distributed.processes())
        tracker = mirror.create_tracker(config, begun["config"]) if distributed.is_first() else mirror.NoTracker()
        try:
            result = _train(config, tracker)
        except UserError:
            if distributed.is_first():
                with suppress(OSError):  # made by the Trainer; with checkpoints in it, it stays
                    checkpoints.folder(config.work_dir).rmdir()
            raise
        error = result.failure and _explain(result.failure)
        if distributed.is_first():
            record = recording.finish(begun, result, error, _write_predictions(config, result))
            records.write(path, record)
            tracker.finish(record)
        if result.failure:
            raise _failed(config, result.failure, error)
        if distributed.is_first():
            _clear(config)
    return path


def _write_predictions(config: RunConfig, result: Result) -> Predictions | None:
    """Move the answers that were kept into the results folder, and tell what they are; None for a failed run."""
    kept = {} if result.failure else Keeper(config.work_dir).read(evaluations(result.logs))
    return predictions.write(config.predictions_path, kept) if kept else None


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


def _is_done(path: Path) -> bool:
    return path.is_file() and records.read(path).done


def _check_processes(config: RunConfig) -> None:
    """Refuse a batch that cannot be split evenly among the processes, and `fsdp` for a single process."""
    processes = distributed.processes()
    if config.train.batch_size % processes:
        raise UserError(
            f"train.batch_size={config.train.batch_size} is the batch of all {processes} processes together; "
            f"give a multiple of {processes}, or torchrun another number of processes"
        )
    if config.fsdp and processes == 1:
        raise UserError("fsdp=true: one process cannot share its model; leave it out, or start several by torchrun")


@dataclass(frozen=True)
class Prepared:
    """A cell that is ready to train, and what is known of it."""

    trainer: CellTrainer
    progress: ProgressBar
    backbone: load.Backbone
    model: methods.Prepared
    data: encode.TaskData
    tokens: Tokens


def _train(config: RunConfig, tracker: mirror.NoTracker) -> Result:
    """Train, and keep the best evaluation's adapter and head in the cell's folder.

    Raises:
        UserError: if the cell cannot be run as configured. Any other error is the result's `failure`.
    """
    try:
        cell = _prepare(config, tracker)
    except UserError:
        raise
    except Exception as error:  # the record keeps what happened, whatever it was
        return Result(failure=error)
    failure = flops = None
    try:
        flops = _count(config, cell)
        _fit(config, cell)
    except UserError:
        raise
    except Exception as error:
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
    )


def _prepare(config: RunConfig, tracker: mirror.NoTracker) -> Prepared:
    if hub.needs_hub(config):
        hub.prefer_cache_if_offline()
    set_seed(config.seed)  # the new head and the adapter are drawn from it
    backbone = distributed.first_alone(lambda: load.load_backbone(config))
    layers = load.layers(backbone.model)
    model = methods.prepare(backbone.model, config)
    if config.compile:
        compilation.use(layers)
    if config.fsdp and model.hooks.callbacks:  # they hold parameters that FSDP replaces by its shards
        advice = "torchrun works without; leave fsdp= out"
        raise UserError(f"fsdp=true: FSDP shares out the parameters that this method changes after each step; {advice}")
    data = distributed.first_alone(lambda: encode.prepare(config, backbone.tokenizer))
    multiple = compilation.multiple(config.data.max_length) if config.compile else 1
    train, dev = (batches.Rows(rows, backbone.tokenizer, multiple) for rows in (data.train, encode.inputs(data.dev)))
    grouping = train.lengths if config.train.group_by_length else np.zeros_like(train.lengths)
    order = batches.LengthGroupedSampler(grouping, config.train.batch_size, config.seed)
    tokens = batches.count_tokens(train.lengths, order, config.train.batch_size, distributed.processes(), multiple)
    progress = ProgressBar(config.cell, config.task.score[0], tokens["computed"] / tokens["real"] - 1)
    trainer = CellTrainer(
        model=model.model,
        args=_arguments(config, type(layers[0]).__name__, load_best=model.hooks.kept is not None),
        train_dataset=train,
        eval_dataset=dev,
        callbacks=[progress, tracker] if distributed.is_first() else [],
        scorer=Scorer(config.task, data),
        hooks=model.hooks,
        order=order,
        keep_answers=Keeper(config.work_dir) if config.eval.keep_predictions and distributed.is_first() else None,
        autocast=config.precision == "bf16" and config.fsdp,
    )
    if config.fsdp and not trainer.is_fsdp_enabled:  # accelerate says nothing and trains without
        raise UserError("fsdp=true: accelerate shares a model between GPUs only, and there are none; leave it out")
    trainer.remove_callback(PrinterCallback)
    return Prepared(trainer, progress, backbone, model, data, Tokens(**tokens))


def _count(config: RunConfig, cell: Prepared) -> Flops | None:
    """The operations of a step and of a prediction, counted by the first process; None where they cannot be counted.

    FSDP shares a model out only in training, and one process might not hold it. Flash attention's kernels are opaque.
    """
    if config.fsdp or config.attention == "flash" or not distributed.is_first():
        return None
    trainer, processes = cell.trainer, distributed.processes()
    shares = batches.ProcessBatches(trainer.order, config.train.batch_size, 0, processes)
    step = trainer._prepare_inputs(batches.typical(trainer.train_dataset, shares))
    singles = [[row] for row in range(len(trainer.eval_dataset))]
    prediction = trainer._prepare_inputs(batches.typical(trainer.eval_dataset, singles))
    return Flops(
        step=processes * counting.of_step(trainer.model, step, trainer.penalty),
        prediction=counting.of_prediction(trainer.model, prediction),
    )


def _fit(config: RunConfig, cell: Prepared) -> None:
    """Train from the newest checkpoint, and keep the best one's adapter and head.

    Raises:
        RunFailed: if no evaluation has a score.
    """
    trainer = cell.trainer
    provenance.reset_peak_memory()
    trainer.train(resume_from_checkpoint=distributed.from_first(lambda: checkpoints.newest(config.work_dir)))
    best = protocols.choose(evaluations(trainer.state.log_history), "best")
    if best is None:
        metrics = ", ".join(config.task.score)
        raise RunFailed(f"{metrics} is undefined at every evaluation, as all predictions are equal; change train.lr")
    if distributed.is_first():
        cell.backbone.tokenizer.save_pretrained(checkpoints.keep_model(config.work_dir, best.step))
    distributed.wait()  # all have read the best checkpoint


def _arguments(config: RunConfig, layer: str, load_best: bool = False) -> TrainingArguments:
    span = config.task.kind == "span"
    arguments = TrainingArguments(
        output_dir=str(checkpoints.folder(config.work_dir)),
        learning_rate=config.train.lr,
        num_train_epochs=config.train.epochs,
        max_steps=config.train.max_steps or -1,
        per_device_train_batch_size=config.train.batch_size // distributed.processes(),
        per_device_eval_batch_size=config.eval.batch_size,
        warmup_steps=config.train.warmup,
        weight_decay=config.train.weight_decay,
        max_grad_norm=config.train.clip,
        optim="adamw_torch_fused",  # on every device; transformers' default from PyTorch 2.8 on
        lr_scheduler_type="linear",
        bf16=config.precision == "bf16" and not config.fsdp,
        use_cpu=not torch.accelerator.is_available(),  # else bf16 is refused on a machine without one
        seed=config.seed,
        eval_strategy="steps",
        eval_steps=config.eval.every,
        save_strategy="steps",
        save_steps=config.eval.every,
        save_total_limit=1,
        load_best_model_at_end=load_best,  # the model's file is kept as it is; some methods count in the best model
        metric_for_best_model="eval_score",
        greater_is_better=True,
        logging_steps=math.gcd(LOG_EVERY, config.eval.every),  # a resumed run logs the same means of the loss
        logging_nan_inf_filter=False,
        label_names=["start_positions", "end_positions"] if span else ["labels"],
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to="none",
        ddp_find_unused_parameters=False,  # every method uses all that it trains
        fsdp=config.fsdp,
        fsdp_config={"transformer_layer_cls_to_wrap": [layer], "state_dict_type": "FULL_STATE_DICT"},
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # one process, one GPU: else the Trainer would multiply the batch
    return arguments
