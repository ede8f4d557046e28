"""Hugging Face's Trainer with what a cell needs: reproducible batches of similar length, scores on dev and its halves,
a method's penalty, and a run that ends as soon as a number is not one."""

import math
import time

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
from dcft.training import distributed
from dcft.training.methods import Hooks
from dcft.training.scoring import Scorer
from dcft.tuners.factored import merged


class CellTrainer(Trainer):
    """The Trainer of one cell, alone or as one of several processes.

    Args:
        scorer: turns the outputs on the dev set into metrics.
        hooks: the method's callbacks, penalty and optimiser.
        order: of the training rows, epoch by epoch.
        autocast: to bfloat16, for FSDP: with it accelerate does not, but computes all in bfloat16, loss included.
    """

    def __init__(self, *args, scorer: Scorer, hooks: Hooks, order: Sampler[int], autocast: bool = False, **kwargs):
        super().__init__(*args, optimizers=(hooks.optimizer, None), **kwargs)
        self.model_accepts_loss_kwargs = False  # whatever the models accept, their loss is the mean over the batch
        set_seed(self.args.seed + self.args.process_index)  # no two processes draw the same dropout
        self.scorer = scorer
        self.penalty = hooks.penalty
        self.no_decay = hooks.no_decay
        self.order = order
        self.autocast = autocast
        self.clock = Clock()
        for callback in (self.clock, *hooks.callbacks):
            self.add_callback(callback)

    def get_train_dataloader(self) -> DataLoader:
        batch_size = self.args.train_batch_size * self.args.world_size
        self.share = ProcessBatches(self.order, batch_size, self.args.process_index, self.args.world_size)
        loader = batches.loader(self.train_dataset, self.share, self.on_gpu)
        return prepare_data_loader(loader, num_processes=1, process_index=0)  # counts epochs; it has been shared out

    @property
    def on_gpu(self) -> bool:
        return self.args.device.type == "cuda"

    def _prepare_inputs(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        # Without waiting for it: otherwise each step would begin only when the GPU has finished the one before.
        return {name: part.to(self.args.device, non_blocking=True) for name, part in inputs.items()}

    def floating_point_ops(self, inputs: dict[str, Tensor]) -> int:
        return 0  # nothing shows them, and counting goes through all modules in every step

    def get_decay_parameter_names(self, model) -> list[str]:
        names = super().get_decay_parameter_names(model)
        return [name for name in names if not any(part in name for part in self.no_decay)]

    def autocast_smart_context_manager(self, cache_enabled=True):
        if self.autocast:
            return torch.autocast(self.args.device.type, torch.bfloat16)
        return super().autocast_smart_context_manager(cache_enabled)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if model.training:
            loss = loss * self.share.weight(self.state.global_step % len(self.share))
            if self.penalty is not None:
                loss = loss + self.penalty()
        return (loss, outputs) if return_outputs else loss

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval") -> dict:
        """Score the dev set; the result is logged, kept in the state's history and returned."""
        started = time.perf_counter()
        loss, outputs = self._predict()
        evaluation = self.scorer(outputs)
        seconds = time.perf_counter() - started
        self.clock.evaluated(seconds)
        entry = {
            "eval_score": evaluation.score,
            "eval_loss": loss,
            "eval_metrics": evaluation.metrics,
            "eval_metrics_halves": evaluation.metrics_halves,
            "eval_collapsed": evaluation.collapsed,
            "eval_s": seconds,
            "train_s": self.clock.train_s,
        }
        self.log(entry)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, entry)
        return entry

    def _predict(self) -> tuple[float, np.ndarray | tuple]:
        """The mean loss and the outputs for all rows of the dev set, in their order, on every process.

        They are computed in the order of their lengths, as batches of similar length need less padding.

        transformers' loop shards as well, but fills up the last batch with rows that it has seen, loss included.
        """
        order = self.eval_dataset.lengths.argsort(kind="stable")
        size = self.args.eval_batch_size * self.args.world_size
        share = ProcessBatches(order.tolist(), size, self.args.process_index, self.args.world_size)
        loss_sum, mine = 0.0, []
        self.model.eval()
        with merged(self.model), lean_attention.constant_weights(self.model):
            for batch, inputs in enumerate(batches.loader(self.eval_dataset, share, self.on_gpu)):
                loss, logits, _ = self.prediction_step(self.model, inputs, prediction_loss_only=False)
                loss_sum += loss.item() * share.rows(batch)
                columns = [part.float().cpu().numpy() for part in (logits if isinstance(logits, tuple) else (logits,))]
                mine += list(zip(*columns, strict=True))[: share.rows(batch)]
        rows = [None] * len(order)
        shares = distributed.gather((loss_sum, mine))
        for process, (_, theirs) in enumerate(shares):
            for row, output in zip(order[process :: len(shares)], theirs, strict=True):
                rows[row] = output
        columns = tuple(zip(*rows, strict=True))
        return sum(part for part, _ in shares) / len(rows), columns if len(columns) > 1 else np.stack(columns[0])

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        distributed.wait()  # what is written next says that the checkpoint is complete

    def log(self, logs: dict, start_time: float | None = None) -> None:
        """Log, unless a loss or a score is not a number: then the run has failed."""
        for key, value in (*logs.items(), *logs.get("eval_metrics", {}).items()):
            if isinstance(value, float) and not math.isfinite(value):
                where = f"{key} is {value} at step {self.state.global_step}"
                raise RunFailed(f"{where}; try a smaller train.lr, a longer train.warmup, or precision=fp32")
        super().log(logs, start_time)


class Clock(TrainerCallback):
    """Seconds of training without evaluations, over all attempts at a cell."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.before = max((entry.get("train_s", 0.0) for entry in state.log_history), default=0.0)
        self.started = time.perf_counter()
        self.evaluating = 0.0

    def evaluated(self, seconds: float) -> None:
        """Take the seconds of an evaluation off the clock."""
        self.evaluating += seconds

    @property
    def train_s(self) -> float:
        return self.before + time.perf_counter() - self.started - self.evaluating
