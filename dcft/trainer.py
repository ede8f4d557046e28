"""Hugging Face's Trainer with what a cell needs: reproducible batches of similar length, scores on dev and its halves,
a method's penalty, and a run that ends as soon as a number is not one."""

import math
import time
from collections.abc import Sequence

import numpy as np
import torch
from accelerate.data_loader import prepare_data_loader
from datasets import Dataset
from torch.utils.data import BatchSampler, DataLoader, Sampler, SequentialSampler
from transformers import Trainer, TrainerCallback, set_seed

from dcft import attention, distributed
from dcft.errors import RunFailed
from dcft.methods import Hooks
from dcft.scoring import Scorer
from dcft.tuners import merged

BATCHES_PER_GROUP = 50  # batches among which lengths are sorted: the larger, the less padding and the less mixing


class LengthGroupedSampler(Sampler[int]):
    """Batches of similar length in random order, the same for the same seed and epoch.

    If all lengths are equal, the order is plainly random.

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


class Share(Sampler[list[int]]):
    """One process's rows of each batch: every n-th, so that all get equally many, and of similar length, but for one.

    Steps are taken together, so nobody may be left out of one: a process without a row in a short batch gets the first,
    which `rows` and `weight` do not count.

    Args:
        sampler: the order of all rows.
        batch_size: rows of a batch, over all processes.
        process, processes: the number of this process, from 0, and of all.
    """

    def __init__(self, sampler: Sampler[int], batch_size: int, process: int, processes: int):
        self.sampler = sampler
        self.batch_size = batch_size
        self.process = process
        self.processes = processes

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return math.ceil(len(self.sampler) / self.batch_size)

    def __iter__(self):
        for batch in BatchSampler(self.sampler, self.batch_size, drop_last=False):
            yield batch[self.process :: self.processes] or batch[:1]

    def rows(self, batch: int) -> int:
        """This process's rows of an epoch's batch of that number."""
        return len(range(self.process, self._size(batch), self.processes))

    def weight(self, batch: int) -> float:
        """Factor that makes the mean over processes of their mean losses the mean over all rows of the batch."""
        return self.rows(batch) * self.processes / self._size(batch)

    def _size(self, batch: int) -> int:
        return min(self.batch_size, len(self.sampler) - batch * self.batch_size)


class CellTrainer(Trainer):
    """The Trainer of one cell, alone or as one of several processes.

    Args:
        scorer: turns the outputs on the dev set into metrics.
        hooks: the method's callbacks, penalty and optimiser.
        lengths: tokens of each training row, to group batches by.
        autocast: to bfloat16, for FSDP: with it accelerate does not, but computes all in bfloat16, loss included.
    """

    def __init__(self, *args, scorer: Scorer, hooks: Hooks, lengths: Sequence[int], autocast: bool = False, **kwargs):
        super().__init__(*args, optimizers=(hooks.optimizer, None), **kwargs)
        self.model_accepts_loss_kwargs = False  # whatever the models accept, their loss is the mean over the batch
        set_seed(self.args.seed + self.args.process_index)  # no two processes draw the same dropout
        self.scorer = scorer
        self.penalty = hooks.penalty
        self.no_decay = hooks.no_decay
        self.lengths = lengths
        self.autocast = autocast
        self.clock = Clock()
        for callback in (self.clock, *hooks.callbacks):
            self.add_callback(callback)

    def get_train_dataloader(self) -> DataLoader:
        batch_size = self.args.train_batch_size * self.args.world_size
        sampler = LengthGroupedSampler(self.lengths, batch_size, self.args.seed)
        self.share = Share(sampler, batch_size, self.args.process_index, self.args.world_size)
        loader = self._loader(self.train_dataset, self.share)
        return prepare_data_loader(loader, num_processes=1, process_index=0)  # counts epochs; it has been shared out

    def _loader(self, rows: Dataset, share: Share) -> DataLoader:
        on_gpu = self.args.device.type == "cuda"
        return DataLoader(rows, batch_sampler=share, collate_fn=self.data_collator, pin_memory=on_gpu)

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
        """The mean loss and the outputs for all rows of the dev set, in order, on every process.

        transformers' loop shards as well, but fills up the last batch with rows that it has seen, loss included.
        """
        order, size = SequentialSampler(self.eval_dataset), self.args.eval_batch_size * self.args.world_size
        share = Share(order, size, self.args.process_index, self.args.world_size)
        loss_sum, mine = 0.0, []
        self.model.eval()
        with merged(self.model), attention.constant_weights(self.model):
            for batch, inputs in enumerate(self._loader(self.eval_dataset, share)):
                loss, logits, _ = self.prediction_step(self.model, inputs, prediction_loss_only=False)
                loss_sum += loss.item() * share.rows(batch)
                columns = [part.float().cpu().numpy() for part in (logits if isinstance(logits, tuple) else (logits,))]
                mine += list(zip(*columns, strict=True))[: share.rows(batch)]
        rows = [None] * len(self.eval_dataset)
        shares = distributed.gather((loss_sum, mine))
        for process, (_, theirs) in enumerate(shares):
            rows[process :: len(shares)] = theirs
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
