"""Every method on three architectures and three kinds of task: what trains, what is saved, reloaded and merged."""

import pytest
import torch
from peft import PeftConfig, PeftModel
from torch import nn
from transformers import set_seed

from dcft.backbones import lean_attention, load
from dcft.data import encode
from dcft.errors import UserError
from dcft.results import records
from dcft.training import methods, prepare, run
from dcft.training.trainer import CellTrainer
from tests.conftest import MORE_METHODS, PAPER_METHODS, configure

OTHER_MODELS = ["tiny-roberta", "tiny-bert"]  # tested too, by CI
TWO_STEPS = ["train.max_steps=2", "eval.every=2", "train.warmup=0", "train.lr=1e-2", "train.batch_size=8"]
TWO_STEPS += ["data.max_train=16", "data.max_eval=8"]
NEEDED = {"adalora": ["method.peft.tinit=0", "method.peft.tfinal=1"]}  # its schedule must fit into two steps
NOT_LINEAR = {"hadapter", "padapter"}


def train(config, monkeypatch):
    """Run a cell; gives its record, its trainer, and every parameter as it was before."""
    kept = {}

    class Kept(CellTrainer):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            kept["trainer"] = self
            kept["before"] = {name: p.detach().clone() for name, p in self.model.named_parameters()}

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "CellTrainer", Kept)
        record = records.read(run.run_cell(config))
    return record, kept["trainer"], kept["before"]


def reload(config) -> nn.Module:
    """The saved model on a fresh backbone, as a user would load it."""
    set_seed(config.seed)  # a random backbone is drawn anew
    backbone = load.load_backbone(config).model
    folder = config.work_dir / "model"
    if config.method.peft is None:
        model = type(backbone).from_pretrained(folder)
        lean_attention.use(model, config.attention)
        return model
    return PeftModel.from_pretrained(backbone, folder)


def outputs(model: nn.Module, config) -> torch.Tensor:
    """What the model says about the first rows of dev, in evaluation mode."""
    tokenizer = load.load_tokenizer(config.model)
    rows = encode.prepare(config, tokenizer).dev.select_columns(["input_ids", "attention_mask"]).to_dict()
    with torch.no_grad():
        out = model.eval()(**tokenizer.pad(rows, return_tensors="pt"))
    return out.logits if config.task.kind != "span" else torch.stack([out.start_logits, out.end_logits])


def check(config, monkeypatch):
    record, trainer, before = train(config, monkeypatch)
    assert record.status == "done"
    params = record.params
    trainable = {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}
    assert params.trainable == sum(p.numel() for p in trainable.values()) == params.adapter + params.head
    changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed <= set(trainable), "a frozen parameter has changed"
    assert {name for name in set(trainable) - changed if "lora_E" not in name} == set(), "not everything trained"

    expected = outputs(trainer.model, config)
    again = reload(config)
    assert torch.equal(outputs(again, config), expected), "the reloaded model is another one"
    if config.method.peft is not None and config.method.name not in NOT_LINEAR:
        for name, parameter in again.named_parameters():
            if again.base_model.prefix in name:
                nn.init.normal_(parameter)  # two steps change too little to see whether merging does anything
        free = outputs(again, config)
        with again.disable_adapter():
            effect = (outputs(again, config) - free).abs().max()
        again.merge_adapter()
        assert (outputs(again, config) - free).abs().max() < 1e-3 * effect
        assert effect > 1e-3


@pytest.mark.parametrize("task", ["toy_pair", "toy_sim", "toy_qa"])
@pytest.mark.parametrize("model", ["tiny-deberta", *(pytest.param(m, marks=pytest.mark.slow) for m in OTHER_MODELS)])
@pytest.mark.parametrize("method", PAPER_METHODS)
def test_methods_of_the_paper_train_save_reload_and_merge(method, model, task, cell, monkeypatch):
    check(cell(f"task={task}", f"model={model}", f"method={method}", *TWO_STEPS, *NEEDED.get(method, [])), monkeypatch)


@pytest.mark.parametrize("method", MORE_METHODS)
def test_methods_that_are_only_a_file_train_save_reload_and_merge(method, cell, monkeypatch):
    check(cell("task=toy_pair", "model=tiny-deberta", f"method={method}", *TWO_STEPS), monkeypatch)


def prepared(*overrides: str) -> methods.Prepared:
    config = configure("task=toy_cls", "model=tiny-deberta", *overrides)
    torch.manual_seed(0)
    return methods.prepare(load.load_backbone(config).model, config)


def test_a_saved_adapter_names_the_weights_it_was_trained_on(tmp_path):
    config = configure("task=toy_cls", "model=tiny-deberta", "method=lora")
    model = load.load_backbone(config).model
    config.model.random, config.model.hub.id, config.model.hub.revision = None, "someone/deberta", "8ccc9b6"
    model.name_or_path = config.model.hub.id  # as from_pretrained sets it
    methods.prepare(model, config).model.save_pretrained(tmp_path)
    saved = PeftConfig.from_pretrained(tmp_path)
    assert (saved.base_model_name_or_path, saved.revision) == ("someone/deberta", "8ccc9b6")


def trained_names(*overrides: str) -> set[str]:
    return {name for name, p in prepared(*overrides).model.named_parameters() if p.requires_grad}


def test_bitfit_trains_every_bias_and_the_head():
    names = trained_names("method=bitfit")
    model = load.load_backbone(configure("task=toy_cls", "model=tiny-deberta")).model
    biases = {name for name, _ in model.named_parameters() if name.endswith("bias")}
    assert names == biases | {"pooler.dense.weight", "classifier.weight"}
    assert any("LayerNorm.bias" in name for name in names)


@pytest.mark.parametrize("optimizer", ["null", "lorafa"])
def test_lora_fa_never_trains_a(optimizer, cell, any_device, monkeypatch):
    config = cell("task=toy_cls", "model=tiny-bert", "method=lora_fa", f"method.optimizer={optimizer}", *TWO_STEPS)
    record, trainer, before = train(config, monkeypatch)
    changed = {name for name, p in trainer.model.named_parameters() if not torch.equal(p, before[name])}
    assert any("lora_B" in name for name in changed)
    assert not any("lora_A" in name for name in changed)
    assert type(trainer.optimizer.optimizer).__name__ == {"null": "AdamW", "lorafa": "LoraFAOptimizer"}[optimizer]
    lora = prepared("model=tiny-bert", "method=lora").params.adapter
    assert record.params.adapter == lora - sum(p.numel() for n, p in before.items() if "lora_A" in n)


def test_sora_s_gates_have_no_decay_and_another_epsilon_and_its_matrices_do_not(cell, monkeypatch):
    config = cell("task=toy_cls", "model=tiny-bert", "method=sora", "train.weight_decay=0.1", *TWO_STEPS)
    _, trainer, _ = train(config, monkeypatch)
    names = {id(p): name for name, p in trainer.model.named_parameters()}
    groups = {names[id(p)]: group for group in trainer.optimizer.param_groups for p in group["params"]}
    assert set(groups) == {name for name, p in trainer.model.named_parameters() if p.requires_grad}
    for part, decay, epsilon in (
        ("sora_gate", 0.0, 1e-6 / (1 - 0.999**2) ** 0.5),  # of the second step
        ("sora_A", 0.1, 1e-8),
        ("sora_B", 0.1, 1e-8),
        ("default.weight", 0.1, 1e-8),
        ("default.bias", 0.0, 1e-8),
    ):
        ((found_decay, found_epsilon),) = {
            (group["weight_decay"], group["eps"]) for name, group in groups.items() if part in name
        }
        assert (found_decay, found_epsilon) == (decay, pytest.approx(epsilon)), part
    assert len({group["lr"] for group in groups.values()}) == 1


def test_sora_prunes_and_counts_what_is_left(cell, monkeypatch):
    config = cell("task=toy_cls", "model=tiny-bert", "method=sora", "method.sparsity.thresholds=[0.3]", *TWO_STEPS)
    record, trainer, _ = train(config, monkeypatch)
    gates = {name: p for name, p in trainer.model.named_parameters() if "sora_gate" in name}
    closed = sum(int((p == 0).sum()) for p in gates.values())
    assert 0 < closed < sum(p.numel() for p in gates.values())
    lost = sum(
        int((p == 0).sum()) * (module.in_features + module.out_features + 1)
        for name, p in gates.items()
        for module in [trainer.model.get_submodule(name.rpartition(".sora_gate")[0])]
    )
    assert record.params.kept == record.params.adapter - lost


def test_adalora_ends_within_its_budget(cell, monkeypatch):
    steps = ["train.max_steps=6", "eval.every=6", "method.peft.tinit=1", "method.peft.tfinal=2", "method.peft.deltaT=1"]
    config = cell("task=toy_cls", "model=tiny-bert", "method=adalora", *TWO_STEPS[2:], *steps)
    record, trainer, _ = train(config, monkeypatch)
    values = torch.cat([p.flatten() for name, p in trainer.model.named_parameters() if "lora_E" in name])
    assert len(values) == 2 * 12  # two layers of six matrices, initial rank 2
    assert (values != 0).sum() == 12  # the only evaluation comes after the last cut
    assert record.params.kept < record.params.adapter


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["method=adalora", "rank=2"], "method.peft.init_r=2: AdaLoRA cuts ranks down to rank=2; give at least 3"),
        (["method=adalora", "method.peft.tfinal=0"], "method.peft.tfinal=0: AdaLoRA's last cut comes so many steps"),
        (["method=lora_fa", "method.optimizer=sgd"], "method.optimizer=sgd: give lorafa"),
        (
            ["method=adalora", "+method.optimizer=lorafa"],
            "method.optimizer is a setting for method.peft.peft_type=LORA",
        ),
        (["method=bitfit", "+method.optimizer=lorafa"], "method.optimizer is a setting for method.peft.peft_type=LORA"),
        (["method=lora", "+method.orthogonality={coefficient: 1.0}"], "method.orthogonality is a setting for"),
        (["method=lora", "+method.sparsity={penalty: 1.0, thresholds: [0.1]}"], "method.sparsity is a setting for"),
        (["method=sora", "method.sparsity.thresholds=[]"], "method.sparsity.thresholds=[]: give at least 1"),
        (
            ["method=sora", "method.sparsity.thresholds=[-1]"],
            "method.sparsity.thresholds.0=-1: give at least 0",
        ),
        (["method=sora", "method.sparsity.penalty=-1"], "method.sparsity.penalty=-1: give at least 0"),
        (["method=dcft", "method.peft.scaling=true"], "method.peft.scaling=True: Input should be a valid number"),
        (["method=dcft", "method.peft.scaling=0"], "method=dcft: scaling=0: the update would be zero"),
        (["method=dcft", "model.matrices.query=q"], "model=tiny-deberta has no module q to adapt"),
        (["method=lora", "+method.peft.alpha=3"], "method.peft.alpha is not a setting of LoraConfig"),
        (["method=lora", "method.peft.peft_type=LOR"], "method.peft.peft_type=LOR: PEFT has no such method"),
        (["method=padapter", "method.peft.non_linearity=glu8"], "method=padapter: non_linearity='glu8'"),
    ],
)
def test_what_does_not_fit_a_method_is_one_line(overrides, line):
    with pytest.raises(UserError) as caught:
        prepared(*overrides)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_a_run_too_short_for_adalora_says_what_to_give_and_leaves_nothing(cell, tmp_path):
    config = cell("task=toy_cls", "model=tiny-bert", "method=adalora", "train.max_steps=20")
    line = r"50 steps before.* 100 after, the run has 20; give method.peft.tinit=3 method.peft.tfinal=6"
    with pytest.raises(UserError, match=line):
        run.run_cell(config)
    assert not config.work_dir.exists()
    assert not (tmp_path / "results").exists()


def test_lokr_has_exactly_dcft_s_count():
    """C (x) (B A) and (B A) (x) C: the nearest relative in PEFT."""
    assert prepared("method=lokr").params.adapter == prepared("method=dcft").params.adapter


@pytest.mark.parametrize(
    ("method", "coefficient"), [("adalora", "method.peft.orth_reg_weight"), ("sora", "method.sparsity.penalty")]
)
def test_a_method_s_penalty_is_part_of_the_training_loss(method, coefficient, cell):
    """PEFT drops AdaLoRA's silently if the task's type is not given."""
    settings = ["task=toy_cls", "model=tiny-bert", f"method={method}", *TWO_STEPS, *NEEDED.get(method, [])]
    losses = [
        records.read(run.run_cell(cell(*settings, f"{coefficient}={value}", "train.lr=1e-9"))).losses[0][1]
        for value in (0.0, 100.0)
    ]
    assert losses[1] - losses[0] > 10
