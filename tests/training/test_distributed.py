"""One run on several processes: the record of one process, whatever the method does, and everything once."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import SequentialSampler

from dcft.backbones import load
from dcft.data.batches import ProcessBatches
from dcft.errors import UserError
from dcft.results import records
from dcft.training import prepare, run
from tests.conftest import ADALORA_SHORT, ROOT, configure

# Two epochs of three steps; one batch of each has one row, so that one of two processes has none.
BASE = ["model=tiny-bert", "train.epochs=2", "data.max_train=17", "train.batch_size=8", "eval.every=2"]
BASE += ["data.max_eval=21", "eval.batch_size=5"]
NO_DROPOUT = [
    "train.cls_dropout=0",
    "+model.random.hidden_dropout_prob=0",
    "+model.random.attention_probs_dropout_prob=0",
]
SAME = {
    "full": ["task=toy_pair", "method=full"],
    "bitfit": ["task=toy_pair", "method=bitfit"],
    "lora": ["task=toy_pair", "method=lora"],
    "dcft": ["task=toy_pair", "method=dcft"],
    "adalora": ["task=toy_pair", "method=adalora", *ADALORA_SHORT],
    "sora": ["task=toy_pair", "method=sora", "method.sparsity.thresholds=[1e-3,0.3]", "train.lr=1e-2"],
    "spans": ["task=toy_qa", "method=dcft"],
    "plain order": ["task=toy_pair", "method=dcft", "train.group_by_length=false"],
}
SHARDED = {"fsdp": ["task=toy_pair", "method=dcft", "model=tiny-deberta"]}
STEERED = {
    "straight": ["task=toy_pair", "method=dcft"],
    "interrupted": ["task=toy_pair", "method=dcft"],
    "nan": ["task=toy_pair", "method=dcft", "train.lr=1e30", "train.warmup=0", "train.clip=1e30"],
}

# Runs all cells above in one session of torchrun, as starting it takes longest.
SESSION = textwrap.dedent(
    """
    import json, signal, sys
    sys.path.insert(0, {root!r})
    import torch
    from accelerate.state import DistributedType, PartialState
    from transformers import TrainerCallback
    from tests.conftest import configure
    from dcft.training import distributed, prepare, run as training

    class Watch(TrainerCallback):
        stop = None

        def on_step_end(self, args, state, control, model=None, **kwargs):
            if state.global_step == self.stop and distributed.process() == 1:
                signal.raise_signal(signal.SIGTERM)  # noticed after the next step, by both
            self.weights = {{n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}}

    watch = Watch()
    make, arguments = prepare.CellTrainer, prepare.arguments

    def watched(*args, **kwargs):
        trainer = make(*args, **kwargs)
        trainer.add_callback(watch)
        return trainer

    def as_on_gpus(*args, **kwargs):
        made = arguments(*args, **kwargs)
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU  # accelerate's only condition
        return made

    prepare.CellTrainer = watched
    cells = json.loads({cells!r})
    said = {{}}
    for name, overrides in cells.items():
        config = configure(*overrides)
        prepare.arguments = as_on_gpus if name == "fsdp" else arguments
        for watch.stop in (3, None) if name == "interrupted" else (None,):
            try:
                training.run_cell(config)
            except (Exception, KeyboardInterrupt) as error:
                said[name] = f"{{type(error).__name__}}: {{error}}"
        if name == "fsdp":
            said["sharded"] = type(next(iter(watch.weights.values()))).__name__
        else:
            torch.save(watch.weights, f"{{name}}-{{distributed.process()}}.pt")
    with open(f"said-{{distributed.process()}}.json", "w") as file:
        json.dump(said, file)
    distributed.leave()
    """
)


def torchrun(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


def overrides(cases, folder):
    """What every cell of `cases` is composed from; each has its own folder."""
    return {
        name: [
            *[value for value in BASE if value.partition("=")[0] not in {own.partition("=")[0] for own in values}],
            *values,
            *([] if name in ("straight", "interrupted") else NO_DROPOUT),
            *(["fsdp=true"] if name == "fsdp" and folder.name == "two" else []),
            f"results.dir={folder}/{name}/results",
            f"outputs.dir={folder}/{name}/outputs",
        ]
        for name, values in cases.items()
    }


def run_on_two(cases, parent):
    """Run cells on two processes; returns the folder that has everything."""
    folder = parent / "two"
    folder.mkdir()
    script = folder / "session.py"
    cells = overrides(cases, folder)
    script.write_text(SESSION.format(root=str(ROOT), cells=json.dumps(cells)), encoding="utf-8")
    ended = torchrun(folder, script)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return run_on_two(SAME | STEERED, tmp_path_factory.mktemp("session"))


def assert_same_record(ours, theirs):
    assert ours.cell == theirs.cell
    assert ours.params == theirs.params
    assert [step for step, _ in ours.losses] == [step for step, _ in theirs.losses]
    assert [loss for _, loss in ours.losses] == pytest.approx([loss for _, loss in theirs.losses], rel=1e-5)
    for mine, other in zip(ours.history, theirs.history, strict=True):
        assert (mine.step, mine.epoch) == (other.step, other.epoch)
        assert mine.loss == pytest.approx(other.loss, rel=1e-5)
        assert mine.metrics == pytest.approx(other.metrics)
        assert mine.metrics_halves == other.metrics_halves
    assert ours.score == theirs.score


def saved_weights(config):
    (file,) = (config.work_dir / "model").glob("*.safetensors")
    return load_file(file)


def assert_same_run(case, folder, tmp_path):
    """Run the only cell of `case` on one process, and compare with what two have left in `folder`."""
    ours, theirs = (configure(*values) for where in (tmp_path, folder) for values in overrides(case, where).values())
    alone = records.read(run.run_cell(ours))
    shared = records.read(theirs.record_path)
    assert_same_record(alone, shared)
    assert (alone.hardware["processes"], shared.hardware["processes"]) == (1, 2)
    weights = saved_weights(theirs)
    for key, tensor in saved_weights(ours).items():
        if key.rpartition(".")[2] == "bias" and ("key" in key or "qa_outputs" in key):
            continue  # softmax ignores them: their gradient is noise, which Adam scales up to whole steps
        assert torch.allclose(tensor, weights[key], atol=2e-5), key


INTERRUPTED = "Interrupted: interrupted at step 4; the same command goes on"


@pytest.mark.parametrize("name", SAME)
def test_two_processes_give_the_record_of_one(name, session, tmp_path):
    assert_same_run({name: SAME[name]}, session, tmp_path)


@pytest.mark.slow
def test_two_processes_that_share_the_model_too_give_the_record_of_one(tmp_path):
    folder = run_on_two(SHARDED, tmp_path)
    assert json.loads((folder / "said-0.json").read_text()) == {"sharded": "DTensor"}
    assert_same_run(SHARDED, folder, tmp_path)


@pytest.mark.parametrize("name", SAME)
def test_all_processes_have_the_same_weights(name, session):
    ours, theirs = (torch.load(session / f"{name}-{process}.pt") for process in (0, 1))
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():
        assert torch.equal(tensor, theirs[key]), key


def test_pruning_was_tested(session):
    for name in ("sora", "adalora"):
        (values,) = overrides({name: SAME[name]}, session).values()
        params = records.read(configure(*values).record_path).params
        assert params.kept < params.adapter


def test_an_interrupted_run_goes_on_and_is_the_same_run(session):
    """With dropout, which each process draws for itself."""
    cells = overrides({name: STEERED[name] for name in ("straight", "interrupted")}, session)
    straight, resumed = (records.read(configure(*values).record_path) for values in cells.values())
    assert (resumed.attempts, resumed.resumed_from) == (2, 4)
    assert resumed.losses == straight.losses
    assert [entry.loss for entry in resumed.history] == [entry.loss for entry in straight.history]
    for process in (0, 1):
        ours, theirs = (torch.load(session / f"{name}-{process}.pt") for name in ("straight", "interrupted"))
        for key, tensor in ours.items():
            assert torch.equal(tensor, theirs[key]), key


def test_a_loss_that_is_not_a_number_is_one_failed_record(session):
    (values,) = overrides({"nan": STEERED["nan"]}, session).values()
    record = records.read(configure(*values).record_path)
    assert record.status == "failed"
    for process in (0, 1):
        said = json.loads((session / f"said-{process}.json").read_text())
        assert said == {"interrupted": INTERRUPTED, "nan": f"RunFailed: {record.error}"}


@pytest.mark.slow
def test_the_command_writes_and_says_everything_once(tmp_path):
    command = [ROOT / "run.py", "task=toy_cls", *BASE]
    first = torchrun(tmp_path, *command)
    assert first.returncode == 0, first.stderr
    (path,) = tmp_path.glob("results/runs/*/*/*.json")
    *_, last = lines = first.stdout.splitlines()
    assert last == str(path.relative_to(tmp_path))
    assert len(lines) == 1 + 3 + 1  # its name, three evaluations, the path
    again = torchrun(tmp_path, *command)
    assert (again.returncode, again.stdout.splitlines()) == (0, [last])


@pytest.mark.slow
def test_bad_input_is_one_line_of_ours_and_leaves_no_cell(tmp_path):
    failed = torchrun(tmp_path, ROOT / "run.py", "task=toy_cls", *BASE, "kernel=7")
    assert failed.returncode != 0
    (line,) = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert "kernel_size=7" in line
    assert "Traceback" not in failed.stderr.partition("ChildFailedError")[0].partition("error: ")[0]
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_cannot_be_shared_out_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match=r"train.batch_size=8 .* give a multiple of 3"):
        prepare.check_processes(configure("task=toy_cls", *BASE))


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [1, 3, 12, 13, 23, 24])
def test_shares_are_the_batches_and_their_weights_make_the_mean(rows, processes):
    shares = [ProcessBatches(SequentialSampler(range(rows)), 12, process, processes) for process in range(processes)]
    losses = np.random.default_rng(0).random(rows)
    for batch, parts in enumerate(zip(*shares, strict=True)):
        whole = list(range(rows))[12 * batch : 12 * batch + 12]
        counted = [part[: share.rows(batch)] for share, part in zip(shares, parts, strict=True)]
        assert sorted(sum(counted, [])) == whole
        assert all(parts), "a process without a row would hang the others"
        weighted = [share.weight(batch) * losses[part].mean() for share, part in zip(shares, parts, strict=True)]
        assert np.mean(weighted) == pytest.approx(losses[whole].mean())
    assert {len(share) for share in shares} == {batch + 1}


def test_fsdp_wraps_the_layers_of_the_model_it_gets(cell):
    config = cell("task=toy_cls", "model=tiny-deberta", "fsdp=true", "precision=bf16")
    layer = type(load.layers(load.load_backbone(config).model)[0]).__name__
    plugin = prepare.arguments(config, layer).fsdp_plugin_args
    assert plugin["transformer_cls_names_to_wrap"] == "DebertaV2Layer"
    assert plugin["state_dict_type"] == "FULL_STATE_DICT"


def test_fsdp_does_not_change_the_cell():
    shared, alone = (configure("model=deberta-v2-xxlarge", *more) for more in (["fsdp=true"], []))
    assert shared.fsdp
    assert shared.cell == alone.cell


def test_one_process_cannot_share_a_model(cell, tmp_path):
    with pytest.raises(UserError, match="fsdp=true: one process"):
        run.run_cell(cell("task=toy_cls", "model=tiny-bert", "fsdp=true"))
    assert list(tmp_path.iterdir()) == []
