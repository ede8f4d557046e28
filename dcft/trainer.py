"""Hugging Face's Trainer with what a cell needs: reproducible batches of similar length, scores on dev and its halves,
a method's penalty, and a run that ends as soon as a number is not one."""

import math
import time
from collections.abc import Sequence

import torch
from torch.utils.data import Sampler
from transformers import Trainer, TrainerCallback

from dcft.errors import RunFailed
from dcft.methods import Hooks
from dcft.scoring import Scorer

BATCHES_PER_GROUP = 50  # batches among which lengths are sorted: the larger, the less padding and the less mixing


class LengthGroupedSampler(Sampler[int]):
    """Batches of similar length in random order, the same for the same seed and epoch.

    Unlike transformers' sampler of this name its order is a function of seed and epoch alone, so that a resumed run
    sees the batches it would have seen, and batches are shuffled after sorting, so that lengths come in no order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        self.lengths = torch.tensor(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self):
        generator = torch.Generator().manual_seed(1_000_003 * self.seed + self.epoch)
        order = torch.randperm(len(self), generator=generator)
        groups = order.split(BATCHES_PER_GROUP * self.batch_size)
        order = torch.cat([group[self.lengths[group].argsort(descending=True, stable=True)] for group in groups])
        batches = list(order.split(self.batch_size))
        rest = [batches.pop()] if len(batches[-1]) < self.batch_size else []  # a short batch stays the last
        shuffled = [batches[i] for i in torch.randperm(len(batches), generator=generator)]
        return iter(torch.cat(shuffled + rest).tolist())


class CellTrainer(Trainer):
    """The Trainer of one cell.

    Args:
        scorer: turns the outputs on the dev set into metrics.
        hooks: the method's callbacks, penalty and optimiser.
        lengths: tokens of each training row, to group batches by; None for plain random order.
    """

    def __init__(self, *args, scorer: Scorer, hooks: Hooks, lengths: Sequence[int] | None, **kwargs):
        super().__init__(*args, optimizers=(hooks.optimizer, None), **kwargs)
        self.scorer = scorer
        self.penalty = hooks.penalty
        self.no_decay = hooks.no_decay
        self.lengths = lengths
        self.clock = Clock()
        for callback in (self.clock, *hooks.callbacks):
            self.add_callback(callback)

    def _get_train_sampler(self, train_dataset=None):
        if self.lengths is None:
            return super()._get_train_sampler(train_dataset)
        return LengthGroupedSampler(self.lengths, self.args.train_batch_size, self.args.seed)

    def get_decay_parameter_names(self, model) -> list[str]:
        names = super().get_decay_parameter_names(model)
        return [name for name in names if not any(part in name for part in self.no_decay)]

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch)
        if model.training and self.penalty is not None:
            loss = loss + self.penalty()
        return (loss, outputs) if return_outputs else loss

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval") -> dict:
        """Score the dev set; the result is logged, kept in the state's history and returned."""
        started = time.perf_counter()
        output = self.evaluation_loop(self.get_eval_dataloader(), "Evaluation", False, ignore_keys, metric_key_prefix)
        evaluation = self.scorer(output.predictions)
        seconds = time.perf_counter() - started
        self.clock.evaluated(seconds)
        entry = {
            "eval_score": evaluation.score,
            "eval_loss": output.metrics.get("eval_loss"),
            "eval_metrics": evaluation.metrics,
            "eval_metrics_halves": evaluation.metrics_halves,
            "eval_collapsed": evaluation.collapsed,
            "eval_s": seconds,
            "train_s": self.clock.train_s,
        }
        self.log(entry)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, entry)
        return entry

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
