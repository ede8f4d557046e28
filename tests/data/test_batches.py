"""Batches: every row once an epoch, padded as the tokenizer would, counted, and scored in the order of the rows."""

import math
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import BertConfig, BertForQuestionAnswering, BertForSequenceClassification, DataCollatorWithPadding

from dcft.backbones import load
from dcft.data.batches import LengthGroupedSampler, ProcessBatches, Rows, count_tokens, cut, loader
from dcft.results import records
from dcft.training import distributed, prepare, run
from dcft.training.methods import Hooks
from dcft.training.trainer import CellTrainer
from tests.conftest import configure


@pytest.fixture(scope="module")
def tokenizer():
    return load.load_tokenizer(configure("model=tiny-bert").model)


def lengths_of(rows, seed=0):
    """As uneven as in RTE: most are short, a few long."""
    return np.random.default_rng(seed).gamma(2, 30, size=rows).astype(int) + 5


def encoded(rows, span=False):
    """Random rows of uneven lengths, as `encode` leaves them."""
    rng, lengths = np.random.default_rng(1), np.minimum(lengths_of(rows), 60)
    columns = {
        "input_ids": [rng.integers(5, 90, size=n).tolist() for n in lengths],
        "token_type_ids": [(np.arange(n) > n // 2).astype(int).tolist() for n in lengths],
        "attention_mask": [[1] * n for n in lengths],
    }
    if span:
        labels = {"start_positions": [1] * rows, "end_positions": rng.integers(1, 5, size=rows).tolist()}
    else:
        labels = {"labels": rng.integers(0, 2, size=rows).tolist()}
    return Dataset.from_dict(columns | labels)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 1003])
@pytest.mark.parametrize("batch_size", [1, 8, 16])
def test_an_epoch_has_every_row_once_and_one_batch_at_most_is_short(rows, batch_size):
    for epoch in (0, 1):
        sampler = LengthGroupedSampler(lengths_of(rows), batch_size, seed=6)
        sampler.set_epoch(epoch)
        batches = list(ProcessBatches(sampler, batch_size, 0, 1))
        assert sorted(sum(batches, [])) == list(range(rows))
        sizes = sorted(len(batch) for batch in batches)
        assert sizes == [rows % batch_size or batch_size] + [batch_size] * (math.ceil(rows / batch_size) - 1)


def short_batches(lengths, batch_size, epochs):
    """The place and the rows of the short batch in each of many epochs."""
    sampler = LengthGroupedSampler(lengths, batch_size, seed=6)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        ((place, rows),) = [
            (i, b) for i, b in enumerate(ProcessBatches(sampler, batch_size, 0, 1)) if len(b) < batch_size
        ]
        assert place == sampler.short_batch
        yield place, rows


@pytest.mark.parametrize("lengths", [np.arange(53) ** 2, np.zeros(53)], ids=["uneven", "equal"])
def test_no_row_counts_more_than_another_in_expectation(lengths):
    """A row weighs 8 / 5 in the short batch, else 1; so all must be in it equally often: in 5 of 53 epochs."""
    places, rows = zip(*short_batches(lengths, 8, epochs := 4000), strict=True)
    for seen, share in (
        (np.bincount(np.concatenate(rows), minlength=53), 5 / 53),
        (np.bincount(places, minlength=7), 1 / 7),
    ):
        z = (seen - epochs * share) / np.sqrt(epochs * share * (1 - share))
        assert abs(z).max() < 4
        assert abs(np.square(z).mean() - 1) < 0.8, "neither uneven nor a fixed turn"


def test_the_longest_rows_of_many_groups_are_in_the_short_batch_as_often_as_others():
    rows = [row for _, batch in short_batches(lengths_of(1003), 8, 3000) for row in batch]
    tenth = np.argsort(lengths_of(1003))[-100:]
    expected, deviation = len(rows) * 100 / 1003, 3 * np.sqrt(3000 * 0.1 * 0.9)  # three neighbours an epoch
    assert abs(np.isin(rows, tenth).sum() - expected) < 4 * deviation


def test_rows_of_the_short_batch_have_similar_lengths():
    lengths = np.sort(lengths_of(2490))
    spread = [np.ptp(lengths[rows]) for _, rows in short_batches(lengths, 32, 200)]
    assert np.median(spread) < 0.1 * np.ptp(lengths)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_weights_make_the_mean_of_each_batch_wherever_the_short_one_is(processes):
    losses = np.random.default_rng(0).random(53)
    sampler = LengthGroupedSampler(np.arange(53), 12, seed=6)
    for epoch in range(12):
        sampler.set_epoch(epoch)
        whole = list(ProcessBatches(sampler, 12, 0, 1))
        shares = [ProcessBatches(sampler, 12, process, processes) for process in range(processes)]
        for batch, parts in enumerate(zip(*shares, strict=True)):
            counted = [part[: share.rows(batch)] for share, part in zip(shares, parts, strict=True)]
            assert sorted(sum(counted, [])) == sorted(whole[batch])
            weighted = [share.weight(batch) * losses[part].mean() for share, part in zip(shares, parts, strict=True)]
            assert np.mean(weighted) == pytest.approx(losses[whole[batch]].mean())


@pytest.mark.parametrize("stop", [None, 4, 7])
def test_each_step_is_weighted_by_its_own_batch(cell, monkeypatch, stop):
    """Over three epochs of three steps, also when the run was interrupted within an epoch and goes on."""
    config = cell("task=toy_cls", "model=tiny-bert", "data.max_train=17", "data.max_eval=8", "train.batch_size=8")
    config.train.epochs, config.eval.every, sizes = 3, 1, {}
    compute_loss = CellTrainer.compute_loss

    def watched(trainer, model, inputs, **kwargs):
        if model.training:
            step = trainer.state.global_step
            if stop == step and stop not in sizes:
                sizes[stop] = None
                raise KeyboardInterrupt
            sizes[step] = len(inputs["labels"])
            assert trainer.train_batches.rows(step % 3) == sizes[step]
        return compute_loss(trainer, model, inputs, **kwargs)

    monkeypatch.setattr(CellTrainer, "compute_loss", watched)
    if stop:
        with pytest.raises(KeyboardInterrupt):
            run.run_cell(config)
    run.run_cell(config)
    epochs = [[sizes[3 * epoch + i] for i in range(3)] for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [[1, 8, 8]] * 3
    assert len({epoch.index(1) for epoch in epochs}) > 1, "the short batch is at the same place: nothing was tested"


def test_batches_group_lengths_and_follow_seed_and_epoch_alone():
    lengths = np.random.default_rng(0).integers(5, 300, size=1003)
    sampler = LengthGroupedSampler(lengths, batch_size=16, seed=6)
    order = list(sampler)
    assert list(LengthGroupedSampler(lengths, 16, 6)) == order
    assert list(LengthGroupedSampler(lengths, 16, 7)) != order
    sampler.set_epoch(1)
    assert list(sampler) != order
    first, second = lengths[order[: len(order) // 2]].mean(), lengths[order[len(order) // 2 :]].mean()
    assert abs(first - second) < 60, "lengths come in order"


@pytest.mark.parametrize("rows", [300, 2490, 9000])
@pytest.mark.parametrize("batch_size", [8, 32, 100])
def test_little_is_padding_where_lengths_are_as_uneven_as_in_rte(rows, batch_size):
    lengths = lengths_of(rows)
    grouped = count_tokens(lengths, LengthGroupedSampler(lengths, batch_size, 6), batch_size)
    plain = count_tokens(lengths, LengthGroupedSampler(np.zeros(rows), batch_size, 6), batch_size)
    assert grouped["real"] == plain["real"] == lengths.sum()
    assert plain["computed"] > 1.5 * lengths.sum()
    if rows > 20 * batch_size:  # with few batches, the one that lacks the short batch's rows in its middle shows
        assert grouped["computed"] < (1.1 if rows > 30 * batch_size else 1.12) * lengths.sum()


@pytest.mark.parametrize(("rows", "fewest"), [(1, 1), (277, 5), (2490, 39)])
def test_an_evaluation_has_little_padding_and_few_batches(rows, fewest):
    lengths = np.sort(lengths_of(rows))
    sizes = cut(lengths, 64)
    assert (sum(sizes), max(sizes) <= 64, min(sizes) > 0) == (rows, True, True)
    assert count_tokens(lengths, range(rows), sizes)["computed"] < 1.05 * lengths.sum()
    assert fewest <= len(sizes) <= max(4 * fewest, 1)
    assert len(cut(np.full(rows, 9), 64)) == -(-rows // 64), "rows of one length need no more batches"


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("multiple", [1, 8])
def test_tokens_are_those_of_the_batches(tokenizer, grouped, processes, multiple):
    data = encoded(101)
    rows = Rows(data, tokenizer, multiple)
    sampler = LengthGroupedSampler(rows.lengths if grouped else np.zeros(101), 12, seed=6)
    shares = [ProcessBatches(sampler, 12, process, processes) for process in range(processes)]
    batches = [batch for share in shares for batch in loader(rows, share, pin_memory=False)]
    counted = count_tokens(rows.lengths, sampler, 12, processes, multiple)
    assert all(batch["input_ids"].shape[1] % multiple == 0 for batch in batches)
    assert counted["computed"] == sum(batch["input_ids"].numel() for batch in batches)
    assert counted["real"] == sum(map(len, data["input_ids"]))


@pytest.mark.parametrize("span", [False, True])
def test_batches_are_padded_as_the_tokenizer_would(tokenizer, span):
    data = encoded(40, span)
    rows, collate = Rows(data, tokenizer), DataCollatorWithPadding(tokenizer)
    for batch in ([3], [0, 39, 7, 7], list(range(40))):
        ours, theirs = rows.__getitems__(batch), collate([data[i] for i in batch])
        assert ours.keys() == theirs.keys()
        for name, part in theirs.items():
            assert torch.equal(ours[name], part), name
            assert ours[name].dtype == part.dtype


def test_what_pads_is_the_tokenizer_s_choice():
    tokenizer = SimpleNamespace(pad_token_id=7, pad_token_type_id=3)
    lists = {"input_ids": [[1, 2, 3], [4]], "token_type_ids": [[0, 1, 1], [0]]}
    batch = Rows(Dataset.from_dict(lists | {"labels": [0.5, 1.0]}), tokenizer).__getitems__([1, 0])
    assert batch["input_ids"].tolist() == [[4, 7, 7], [1, 2, 3]]
    assert batch["token_type_ids"].tolist() == [[0, 3, 3], [0, 1, 1]]
    assert batch["labels"].dtype == torch.float32


@pytest.mark.parametrize("span", [False, True])
@pytest.mark.parametrize("processes", [1, 3])
def test_outputs_are_those_of_each_row_and_little_is_padding(tokenizer, processes, span, cell, monkeypatch):
    """Processes run one after the other here; the last one hears what the others have said."""
    config = cell("task=toy_qa" if span else "task=toy_cls", "model=tiny-bert", "eval.batch_size=4")
    torch.manual_seed(0)
    small = BertConfig(vocab_size=100, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    model = (BertForQuestionAnswering if span else BertForSequenceClassification)(small).eval()
    rows, computed, said = Rows(encoded(31, span), tokenizer), [], []
    args = prepare.arguments(config, "BertLayer")
    trainer = CellTrainer(
        model=model, args=args, eval_dataset=rows, scorer=None, hooks=Hooks(), order=None, work_dir=None
    )
    model.register_forward_pre_hook(lambda *_: computed.append(_[2]["input_ids"].shape), with_kwargs=True)

    def gather(value):
        said.append(value)
        assert len(said) == processes, "the others are yet to come"
        return said[::-1]

    monkeypatch.setattr(distributed, "gather", gather)
    monkeypatch.setattr(type(args), "world_size", processes)
    for process in reversed(range(processes)):
        monkeypatch.setattr(type(args), "process_index", process)
        try:
            loss, outputs = trainer._predict()
        except AssertionError:
            continue
    assert max(batch for batch, _ in computed) <= 4
    assert sum(batch * length for batch, length in computed) < (1.05 if processes == 1 else 1.2) * rows.lengths.sum()
    with torch.no_grad():
        alone = [model(**rows.__getitems__([i])) for i in range(31)]
    if not span:  # the loss of a span counts padding among the places where an answer may begin or end
        assert loss == pytest.approx(np.mean([float(row.loss) for row in alone]), rel=1e-5)
    names = ["start_logits", "end_logits"] if span else ["logits"]
    for part, name in zip(outputs if span else [outputs], names, strict=True):
        for ours, theirs in zip(part, alone, strict=True):
            expected = theirs[name][0].numpy()
            assert ours[: len(expected)] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("grouped", ["true", "false"])
def test_the_record_has_the_tokens_of_an_epoch(cell, tmp_path, monkeypatch, grouped):
    for split, n in (("train", 43), ("dev", 9)):
        words = [f"{i}\t{'lamp ' * (i * 7 % 40)}red\tblue\tentailment" for i in range(n)]
        path = tmp_path / "glue" / "RTE" / f"{split}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["index\tsentence1\tsentence2\tlabel", *words]) + "\n")
    seen = {"real": 0, "computed": 0}
    step = CellTrainer.training_step

    def counting(trainer, model, inputs, *rest):
        seen["real"] += int(inputs["attention_mask"].sum())
        seen["computed"] += inputs["input_ids"].numel()
        return step(trainer, model, inputs, *rest)

    monkeypatch.setattr(CellTrainer, "training_step", counting)
    settings = [f"data.root={tmp_path}", "train.epochs=1", "train.batch_size=4", f"train.group_by_length={grouped}"]
    record = records.read(run.run_cell(cell("task=rte", "model=tiny-bert", *settings)))
    assert asdict(record.tokens) == seen
    assert (seen["computed"] < 1.2 * seen["real"]) is (grouped == "true")
