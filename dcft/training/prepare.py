"""From a configuration to a trainer: backbone, method, data and the Trainer's arguments."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PrinterCallback, TrainerCallback, TrainingArguments, set_seed

from dcft.backbones import compilation, load
from dcft.config.cell import RunConfig
from dcft.data import batches, encode, hub
from dcft.errors import UserError
from dcft.results import storage
from dcft.results.record import Flops, Tokens
from dcft.training import checkpoints, counting, distributed, initial, methods
from dcft.training.answers import Keeper
from dcft.training.progress import ProgressBar
from dcft.training.scoring import Scorer
from dcft.training.trainer import CellTrainer

LOG_EVERY = 10  # steps between two logged losses, at most


@dataclass(frozen=True)
class Prepared:
    """A cell that is ready to train, and what is known of it."""

    trainer: CellTrainer
    progress: ProgressBar
    backbone: load.Backbone
    model: methods.Prepared
    data: encode.TaskData
    tokens: Tokens


def prepare(config: RunConfig, callbacks: list[TrainerCallback]) -> Prepared:
    """Load the backbone, add the method, encode the data and make the trainer.

    Args:
        config: the cell.
        callbacks: of the trainer, beside the method's and the progress bar.

    Raises:
        UserError: if the cell cannot be run as configured.
    """
    if hub.needs_hub(config):
        hub.prefer_cache_if_offline()
    set_seed(config.seed)  # the new head and the adapter are drawn from it
    backbone = distributed.first_alone(lambda: load.load_backbone(config))
    layers = load.layers(backbone.model)
    model = methods.prepare(backbone.model, config)
    if config.model.init_from:
        initial.load(model.model, config)
    if config.compile:
        compilation.use(layers)
    if config.fsdp and model.hooks.callbacks:  # they hold parameters that FSDP replaces by its shards
        advice = "torchrun works without; leave fsdp= out"
        raise UserError(f"fsdp=true: FSDP shares out the parameters that this method changes after each step; {advice}")
    data = distributed.first_alone(lambda: encode.prepare(config, backbone.tokenizer))
    most = 3 * checkpoints.estimate(model.model)  # the best, the newest, and the one that is being written
    distributed.from_first(lambda: storage.require_room(config.work_dir, most))
    multiple = compilation.multiple(config.data.max_length) if config.compile else 1
    train, dev = (batches.Rows(rows, backbone.tokenizer, multiple) for rows in (data.train, encode.inputs(data.dev)))
    grouping = train.lengths if config.train.group_by_length else np.zeros_like(train.lengths)
    order = batches.LengthGroupedSampler(grouping, config.train.batch_size, config.seed)
    shares = distributed.processes() * config.train.accumulate
    tokens = batches.count_tokens(train.lengths, order, config.train.batch_size, shares, multiple)
    progress = ProgressBar(config.cell, config.task.score[0], tokens["computed"] / tokens["real"] - 1)
    trainer = CellTrainer(
        model=model.model,
        args=arguments(config, type(layers[0]).__name__),
        train_dataset=train,
        eval_dataset=dev,
        callbacks=[progress, *callbacks] if distributed.is_first() else callbacks,
        scorer=Scorer(config.task, data.dev_rows, data.dev),
        hooks=model.hooks,
        order=order,
        work_dir=config.work_dir,
        keeper=Keeper(config.work_dir) if config.eval.keep_predictions and distributed.is_first() else None,
        autocast=config.precision == "bf16" and config.fsdp,
    )
    if config.fsdp and not trainer.is_fsdp_enabled:  # accelerate says nothing and trains without
        raise UserError("fsdp=true: accelerate shares a model between GPUs only, and there are none; leave it out")
    trainer.remove_callback(PrinterCallback)
    return Prepared(trainer, progress, backbone, model, data, Tokens(**tokens))


def count(config: RunConfig, cell: Prepared) -> Flops | None:
    """The operations of a step and of a prediction, counted by the first process; None where they cannot be counted.

    FSDP shares a model out only in training, and one process might not hold it. Flash attention's kernels are opaque.
    The second forward pass of `train.checkpoint_layers` is left out, as it is from the MFU.
    """
    if config.fsdp or config.attention == "flash" or not distributed.is_first():
        return None
    trainer, shares = cell.trainer, distributed.processes() * config.train.accumulate
    share = batches.ProcessBatches(trainer.order, config.train.batch_size, 0, shares)
    step = trainer._prepare_inputs(batches.typical(trainer.train_dataset, share))
    singles = [[row] for row in range(len(trainer.eval_dataset))]
    prediction = trainer._prepare_inputs(batches.typical(trainer.eval_dataset, singles))
    return Flops(
        step=shares * counting.of_step(trainer.model, step, trainer.penalty),
        prediction=counting.of_prediction(trainer.model, prediction),
    )


def check_processes(config: RunConfig) -> None:
    """Refuse a batch that cannot be split evenly among processes and micro-batches, and `fsdp` for a single process."""
    processes, parts = distributed.processes(), config.train.accumulate
    if config.train.batch_size % processes:
        raise UserError(
            f"train.batch_size={config.train.batch_size} is the batch of all {processes} processes together; "
            f"give a multiple of {processes}, or torchrun another number of processes"
        )
    if config.train.batch_size // processes % parts:
        raise UserError(
            f"train.accumulate={parts}: a process has {config.train.batch_size // processes} rows of "
            f"train.batch_size={config.train.batch_size} in a step; give a divisor of that number"
        )
    if config.fsdp and processes == 1:
        raise UserError("fsdp=true: one process cannot share its model; leave it out, or start several by torchrun")


def arguments(config: RunConfig, layer: str) -> TrainingArguments:
    """The Trainer's arguments.

    Args:
        config: the cell.
        layer: class of the backbone's layers, which FSDP shares out.
    """
    span = config.task.kind == "span"
    made = TrainingArguments(
        output_dir=str(checkpoints.writing(config.work_dir)),
        learning_rate=config.train.lr,
        num_train_epochs=config.train.epochs,
        max_steps=config.train.max_steps or -1,
        per_device_train_batch_size=config.train.batch_size // distributed.processes() // config.train.accumulate,
        gradient_accumulation_steps=config.train.accumulate,
        gradient_checkpointing=config.train.checkpoint_layers,  # transformers 5.23 has another name, earlier ones not
        gradient_checkpointing_kwargs={"use_reentrant": False},  # else a frozen backbone's inputs would need gradients
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
    made._n_gpu = min(made.n_gpu, 1)  # one process, one GPU: else the Trainer would multiply the batch
    return made
