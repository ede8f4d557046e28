"""From encoded rows to padded batches: which rows go together, which process gets them, and what padding costs."""

import math
from collections.abc import Iterable, Sequence
from itertools import islice

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import PreTrainedTokenizerBase

PADDING = 0.045  # of an evaluation: computed tokens that are padding, for each real one
BATCHES_PER_GROUP = 50  # rows are sorted by length within so many batches: more need less padding and mix rows less


class Rows(Dataset):
    """Encoded rows in memory. A batch is cut out and padded on the right.

    Cutting and padding a batch takes about 0.1 ms. `datasets` and `tokenizer.pad` take 1 to 4 ms, a large part of a
    small model's step on a GPU (`scripts/bench/tokens.py` measures both).

    Args:
        data: encoded rows; a column holds one of the model's inputs, a number or a list a row. All lists of a row have
            the same length.
        tokenizer: gives the ids of the padding.
        multiple: tokens; the length of a batch is a multiple of it.
    """

    def __init__(self, data: datasets.Dataset, tokenizer: PreTrainedTokenizerBase, multiple: int = 1):
        self.multiple = multiple
        padding = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}
        self._tokens, self._numbers = {}, {}
        for name, column in zip(data.column_names, data.with_format("arrow")[:].itercolumns(), strict=True):
            column = column.combine_chunks()
            if pa.types.is_list(column.type):
                self.lengths = pc.list_value_length(column).to_numpy()  # tokens of each row
                self._tokens[name] = (column.flatten().to_numpy(), padding.get(name, 0))
            else:
                self._numbers[name] = column.to_numpy()
        self._starts = np.cumsum(self.lengths, dtype=np.int64) - self.lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitems__(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """These rows as one batch, `rows x length`: the longest row, rounded up to `multiple`."""
        lengths = self.lengths[rows]
        position = np.arange(_padded(lengths.max(), self.multiple))
        inside = position < lengths[:, None]
        index = np.where(inside, self._starts[rows][:, None] + position, 0)
        tokens = {name: np.where(inside, values[index], pad) for name, (values, pad) in self._tokens.items()}
        numbers = {name: values[rows] for name, values in self._numbers.items()}
        batch = {name: torch.from_numpy(values) for name, values in (tokens | numbers).items()}
        return {name: part.float() if part.is_floating_point() else part.long() for name, part in batch.items()}


class LengthGroupedSampler(Sampler[int]):
    """The order of the rows: batches of rows of similar length, in random order.

    Two differences from transformers' sampler of this name. The order depends on seed and epoch alone, so a resumed run
    goes on with the same batches. Batches are shuffled after sorting, so long and short ones alternate at
    random. If all lengths are equal, the order of the rows is random.

    A row counts more in a short batch, so all rows must be in it equally often, whatever their length. Its rows are
    neighbours in the last group, as in any other batch. They begin at a random place of the group, whose longest row
    has the shortest one as its neighbour. The short batch is shuffled with the others.

    Args:
        lengths: tokens of each row.
        batch_size: rows of a batch.
        seed: of the order, together with the epoch.
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

    @property
    def short_batch(self) -> int:
        """Index of the batch in the epoch that is short, if one is."""
        return int(torch.randint(math.ceil(len(self) / self.batch_size), (), generator=self._generator("place")))

    def __iter__(self):
        generator = self._generator("rows")
        order = torch.randperm(len(self), generator=generator)
        groups = [g[self.lengths[g].argsort(stable=True)] for g in order.split(BATCHES_PER_GROUP * self.batch_size)]
        last = groups[-1]
        start = torch.randint(len(last), (), generator=generator)
        left_over = torch.zeros(len(last), dtype=torch.bool)
        left_over[(start + torch.arange(len(self) % self.batch_size)) % len(last)] = True
        groups[-1], short = last[~left_over], last[left_over]
        batches = torch.cat(groups).view(-1, self.batch_size)
        batches = list(batches[torch.randperm(len(batches), generator=generator)])
        if len(short):
            batches.insert(self.short_batch, short)
        return iter(torch.cat(batches).tolist())

    def _generator(self, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(2 * (1_000_003 * self.seed + self.epoch) + (purpose == "place"))


class ProcessBatches(Sampler[list[int]]):
    """The rows of each batch that one of n processes computes: every n-th row. Processes differ by at most one row.

    With `parts` a batch comes in so many micro-batches, one after the other, as if each were a process's. Indices count
    the micro-batches.

    All processes take every step. A micro-batch without a row, in the short batch, gets that batch's first row, which
    `rows` and `weight` do not count.

    Args:
        sampler: the order of all rows; a list if the order is the same in every epoch. A list's last batch is short.
        batch_size: rows of a batch, or of each batch, over all processes and parts.
        process: index of this process, from 0.
        processes: number of processes.
        parts: micro-batches of a batch.
    """

    def __init__(
        self,
        sampler: Sampler[int] | Sequence[int],
        batch_size: int | list[int],
        process: int,
        processes: int,
        parts: int = 1,
    ):
        self.sampler = sampler
        self.batch_size = batch_size
        self.process = process
        self.parts = parts
        self.shares = processes * parts
        self.batches = len(batch_size) if isinstance(batch_size, list) else math.ceil(len(sampler) / batch_size)

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return self.batches * self.parts

    def __iter__(self):
        rows = iter(self.sampler)
        for size in map(self._size, range(self.batches)):
            batch = list(islice(rows, size))
            for part in range(self.parts):
                yield batch[self._first(part) :: self.shares] or batch[:1]

    def rows(self, index: int) -> int:
        """Number of rows that this process computes of a micro-batch, by its index in the epoch."""
        batch, part = divmod(index, self.parts)
        return len(range(self._first(part), self._size(batch), self.shares))

    def weight(self, index: int) -> float:
        """Factor on a micro-batch's mean loss, so that the mean over parts and processes is that over the rows."""
        return self.rows(index) * self.shares / self._size(index // self.parts)

    def _first(self, part: int) -> int:
        return self.process * self.parts + part

    def _size(self, batch: int) -> int:
        if isinstance(self.batch_size, list):
            return self.batch_size[batch]
        last = self.batches - 1
        short = getattr(self.sampler, "short_batch", last)
        return len(self.sampler) - last * self.batch_size if batch == short else self.batch_size


def by_length(rows: Rows, most: int) -> tuple[list[int], int | list[int]]:
    """The batches of an evaluation: all rows in the order of their lengths, and the rows of a batch, or of each batch.

    Args:
        rows: the data.
        most: rows of the largest batch.
    """
    order = rows.lengths.argsort(kind="stable")
    # A compiled layer is compiled for each shape, so all batches but the last keep their number of rows.
    return order.tolist(), most if rows.multiple > 1 else cut(rows.lengths[order], most)


def cut(lengths: np.ndarray, most: int) -> list[int]:
    """Cut rows into few batches with little padding: at most `PADDING`, or what batches of one length each leave.

    The cut is the cheapest one if a batch costs as much as so many tokens. That price begins high, which gives the
    fewest batches, and is lowered until the padding is small enough.

    Args:
        lengths: tokens of each row as it is computed, in ascending order.
        most: rows of the largest batch.

    Returns:
        The number of rows of each batch, in order.
    """
    price = most * lengths.mean()
    while True:
        starts = _cheapest(lengths, most, price)
        sizes = np.diff([*starts, len(lengths)])
        computed = (sizes * lengths[np.cumsum(sizes) - 1]).sum()
        if computed <= (1 + PADDING) * lengths.sum() or price < 1:
            return sizes.tolist()
        price *= 0.75


def _cheapest(lengths: np.ndarray, most: int, price: float) -> list[int]:
    """Where the batches of the cheapest cut begin: by dynamic programming over the end of the last batch."""
    costs, begins = np.zeros(len(lengths) + 1), np.zeros(len(lengths) + 1, dtype=int)
    for end in range(1, len(lengths) + 1):
        candidates = np.arange(max(0, end - most), end)
        totals = costs[candidates] + (end - candidates) * lengths[end - 1]
        begins[end] = candidates[totals.argmin()]
        costs[end] = totals.min() + price
    starts = [int(begins[len(lengths)])]
    while starts[0]:
        starts.insert(0, int(begins[starts[0]]))
    return starts


def loader(rows: Rows, batches: Iterable[list[int]], pin_memory: bool) -> DataLoader:
    """A loader of padded batches. With `pin_memory` a GPU copies the next batch while it computes."""
    return DataLoader(rows, batch_sampler=batches, collate_fn=_identity, pin_memory=pin_memory)


def _identity(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return batch


def _padded(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def typical(rows: Rows, batches: Iterable[list[int]]) -> dict[str, Tensor]:
    """The batch whose computed tokens are nearest to the mean over all batches; of several, the first.

    Args:
        rows: the data.
        batches: the rows of each batch.
    """
    listed = list(batches)
    computed = np.array([len(batch) * _padded(rows.lengths[batch].max(), rows.multiple) for batch in listed])
    return rows.__getitems__(listed[np.abs(computed - computed.mean()).argmin()])


def count_tokens(
    lengths: np.ndarray,
    order: Sampler[int] | Sequence[int],
    batch_size: int | list[int],
    processes: int = 1,
    multiple: int = 1,
) -> dict[str, int]:
    """Tokens of one epoch: `real`, and `computed`, which includes padding.

    Args:
        lengths: tokens of each row.
        order: of the rows; a sampler gives the order of its current epoch.
        batch_size: rows of a batch, or of each batch, over all processes.
        processes: number of processes; each pads its own rows of a batch.
        multiple: tokens; the length of a batch is a multiple of it.
    """
    samplers = [ProcessBatches(order, batch_size, process, processes) for process in range(processes)]
    computed = sum(len(rows) * _padded(lengths[rows].max(), multiple) for sampler in samplers for rows in sampler)
    return {"real": int(lengths.sum()), "computed": int(computed)}
