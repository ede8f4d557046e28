"""Hugging Face's Trainer with what a cell needs: reproducible batches of similar length, scores on dev and its halves,
a method's penalty, and an error at the first loss or score that is not finite."""

import math
import time
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from accelerate.data_loader import prepare_data_loader
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer, TrainerCallback, set_seed

from dcft.backbones import lean_attention
from dcft.data import batches
from dcft.data.batches import ProcessBatches
from dcft.errors import RunFailed
from dcft.results import protocols
from dcft.training import checkpoints, distributed
from dcft.training.answers import Keeper
from dcft.training.history import evaluations
from dcft.training.methods import Hooks
from dcft.training.outputs import per_row, together
from dcft.training.scoring import Scorer
from dcft.tuners.factored import merged


class CellTrainer(Trainer):
    """The Trainer of one cell, alone or as one of several processes.

    Args:
        scorer: turns the outputs on the dev set into metrics.
        hooks: the method's callbacks, penalty and optimiser.
        order: sampler of the training rows.
        work_dir: the cell's folder, for its checkpoints.
        keeper: keeps the answers of each evaluation; None: they are not kept, or another process keeps them.
        autocast: autocast to bfloat16; for FSDP, where accelerate would compute everything in bfloat16, even the loss.
    """

    def __init__(
        self,
        *args,
        scorer: Scorer,
        hooks: Hooks,
        order: Sampler[int],
        work_dir: Path,
        keeper: Keeper | None = None,
        autocast: bool = False,
        **kwargs,
    ):
        super().__init__(*args, optimizers=(hooks.optimizer, None), **kwargs)
        self.model_accepts_loss_kwargs = False  # the models' loss is the mean over the batch, whatever they accept
        set_seed(self.args.seed + self.args.process_index)  # no two processes draw the same dropout
        self.scorer = scorer
        self.penalty = hooks.penalty
        self.groups = hooks.groups
        self.order = order
        self.work_dir = work_dir
        self.keeper = keeper
        self.autocast = autocast
        self.clock = Clock()
        for callback in (self.clock, *hooks.callbacks):
            self.add_callback(callback)

    def get_train_dataloader(self) -> DataLoader:
        processes, parts = self.args.world_size, self.args.gradient_accumulation_steps
        batch_size = self.args.train_batch_size * processes * parts
        self.train_batches = ProcessBatches(self.order, batch_size, self.args.process_index, processes, parts)
        loader = batches.loader(self.train_dataset, self.train_batches, self.on_gpu)
        return prepare_data_loader(loader, num_processes=1, process_index=0)  # sets the epoch; rows are already split

    @property
    def on_gpu(self) -> bool:
        return self.args.device.type == "cuda"

    def _prepare_inputs(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        # With a blocking copy each step would begin only when the GPU has finished the step before.
        return {name: part.to(self.args.device, non_blocking=True) for name, part in inputs.items()}

    def floating_point_ops(self, inputs: dict[str, Tensor]) -> int:
        return 0  # no output shows them, and counting visits all modules in every step

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        if self.optimizer is not None:
            return self.optimizer
        optimizer = super().create_optimizer(model)
        for part, settings in self.groups.items():
            own = {p: None for name, p in (model or self.model).named_parameters() if part in name and p.requires_grad}
            for group in optimizer.param_groups:
                group["params"] = [parameter for parameter in group["params"] if parameter not in own]
            optimizer.add_param_group({"params": list(own), **settings})
        return optimizer

    def autocast_smart_context_manager(self, cache_enabled=True):
        if self.autocast:
            return torch.autocast(self.args.device.type, torch.bfloat16)
        return super().autocast_smart_context_manager(cache_enabled)

    def get_batch_samples(self, *args, **kwargs):
        """The micro-batches of the next step; their weights lie ready for `compute_loss`."""
        parts = self.args.gradient_accumulation_steps
        first = self.state.global_step * parts % len(self.train_batches)
        self.weights = iter([self.train_batches.weight(first + part) for part in range(parts)])
        return super().get_batch_samples(*args, **kwargs)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if model.training:
            loss = loss * next(self.weights)
            if self.penalty is not None:  # the Trainer takes the mean over the micro-batches, so it counts once a step
                loss = loss + self.penalty()
        return (loss, outputs) if return_outputs else loss

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval") -> dict:
        """Score the dev set. The result is logged, added to the state's history and returned."""
        started = time.perf_counter()
        loss, outputs = self._predict()
        scores = self.scorer(outputs)
        seconds = time.perf_counter() - started
        self.clock.exclude(seconds)
        entry = {
            "eval_score": scores.score,
            "eval_loss": loss,
            "eval_metrics": scores.metrics,
            "eval_metrics_halves": scores.metrics_halves,
            "eval_collapsed": scores.collapsed,
            "eval_s": seconds,
            "train_s": self.clock.train_s,
        }
        self.log(entry)
        if self.keeper:
            self.keeper(scores.answers, self.state.global_step)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, entry)
        return entry

    def _predict(self) -> tuple[float, np.ndarray | tuple]:
        """The mean loss and the outputs for all rows of the dev set, in their order, on every process.

        The model sees the rows in the order of their lengths, because batches of similar length need less padding.
        transformers' own loop repeats rows to fill the last batch, and counts them in the loss.
        """
        process_batches = self._share(self.args.process_index)
        loss_sum, outputs = 0.0, []
        self.model.eval()
        with merged(self.model), lean_attention.constant_weights(self.model):
            for batch, inputs in enumerate(batches.loader(self.eval_dataset, process_batches, self.on_gpu)):
                loss, logits, _ = self.prediction_step(self.model, inputs, prediction_loss_only=False)
                rows = process_batches.rows(batch)
                loss_sum += loss.item() * rows
                outputs += per_row(logits)[:rows]
        by_row = [None] * len(self.eval_dataset)
        gathered = distributed.gather((loss_sum, outputs))
        for process, (_, process_outputs) in enumerate(gathered):
            share = self._share(process)
            rows = [row for batch, batch_rows in enumerate(share) for row in batch_rows[: share.rows(batch)]]
            for row, output in zip(rows, process_outputs, strict=True):
                by_row[row] = output
        return sum(part for part, _ in gathered) / len(by_row), together(by_row)

    def _share(self, process: int) -> ProcessBatches:
        """The rows of each batch of an evaluation that one process computes."""
        return ProcessBatches(*self._evaluation_batches, process, self.args.world_size)

    @cached_property
    def _evaluation_batches(self) -> tuple[list[int], int | list[int]]:
        """The rows of the dev set in the order of their lengths, and the rows of a batch, or of each batch."""
        return batches.by_length(self.eval_dataset, self.args.eval_batch_size * self.args.world_size)

    def _run_epoch(self, *args, **kwargs) -> None:
        if self.state.global_step < self.state.max_steps:  # else a run that died after its last step takes one more
            super()._run_epoch(*args, **kwargs)

    def _save_checkpoint(self, model, trial) -> None:
        super()._save_checkpoint(model, trial)  # into `checkpoints.writing`
        if distributed.is_first():
            history = evaluations(self.state.log_history)
            best = protocols.choose(history, "best")
            answers = list(self.keeper.chosen(history).values()) if self.keeper else []
            checkpoints.publish(self.work_dir, self.state.global_step, best and best.step, answers)

    def load_weights(self, step: int) -> None:
        """Give the model the weights of a checkpoint."""
        self.state.best_model_checkpoint = str(checkpoints.place(self.work_dir, step))
        self._load_best_model()

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        logged = {"loss": self._tr_loss, "step": self._globalstep_last_logged, "train_s": self.clock.train_s}
        torch.save(logged, Path(output_dir) / f"since_log_{self.args.process_index}.pt")
        distributed.wait()  # what is written next marks the checkpoint as complete

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        if checkpoint is not None:  # which may lie between two logged losses
            own, first = (Path(checkpoint) / f"since_log_{process}.pt" for process in (self.args.process_index, 0))
            # A run that goes on with more processes than before has none of its own.
            logged = torch.load(own if own.is_file() else first, map_location="cpu", weights_only=True)
            self._tr_loss, self._globalstep_last_logged = logged["loss"].to(self.args.device), logged["step"]
            self.clock.before = logged["train_s"]

    def log(self, logs: dict, start_time: float | None = None) -> None:
        """Log the values.

        Raises:
            RunFailed: if a value is NaN or infinite.
        """
        for key, value in logs.items():
            if isinstance(value, float) and not math.isfinite(value):
                where = f"{key} is {value} at step {self.state.global_step}"
                raise RunFailed(f"{where}; try a smaller train.lr, a longer train.warmup, or precision=fp32")
        super().log(logs, start_time)


class Clock(TrainerCallback):
    """Seconds of training without evaluations, over all attempts at a cell."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.before = max((entry.get("train_s", 0.0) for entry in state.log_history), default=0.0)  # until it is loaded
        self.started = time.perf_counter()
        self.excluded = 0.0

    def exclude(self, seconds: float) -> None:
        """Do not count these seconds, which an evaluation took."""
        self.excluded += seconds

    @property
    def train_s(self) -> float:
        return self.before + time.perf_counter() - self.started - self.excluded
