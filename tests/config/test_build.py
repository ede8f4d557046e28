"""Every YAML composes, states its sources, and bad values are named in one line."""

import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf

from dcft.cli import explain
from dcft.config import build as config_module
from dcft.config.compose import Composer
from dcft.errors import UserError
from tests.conftest import MORE_METHODS, PAPER_METHODS, PAPER_MODELS, ROOT, TINY_MODELS, configure

TASKS = sorted(path.stem for path in (ROOT / "conf" / "task").glob("*.yaml"))
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
METHODS = sorted(path.stem for path in (ROOT / "conf" / "method").glob("*.yaml"))
PAPER_TASKS = ["cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "qnli", "rte", "squad_v1", "squad_v2"]


def test_the_contract_s_names_exist():
    """Others may be added."""
    assert set(PAPER_TASKS) | {"toy_cls", "toy_pair", "toy_sim", "toy_qa"} <= set(TASKS)
    assert set(PAPER_MODELS) | set(TINY_MODELS) | {"minilm-l6"} <= set(MODELS)
    assert set(PAPER_METHODS) | set(MORE_METHODS) <= set(METHODS)


def assert_complete(config):
    """Every training value is there and names its source, and says "inferred" if that is for another backbone."""
    training = {f"train.{name}" for name in vars(config.train)} | {"eval.every", "data.max_length"}
    assert training <= set(config.recipe_source)
    assert "not stated" not in config.recipe_source.values()
    assert config.task.title
    assert config.model.title
    for source in config.recipe_source.values():
        for start, (methods, models) in STATED_FOR.items():
            if source.startswith(start):
                assert config.method.name in methods, source
                assert config.model.name in models, source


BASE = ["deberta-v3-base"]
STATED_FOR = {  # methods and backbones for which a source states its values; anything else must be called inferred
    "Table 9": (["dcft"], PAPER_MODELS),
    "Table 10": (["dcft"], BASE),
    "Godz-z/DCFT NLU/scripts": (["dcft", "adalora"], BASE),
    "Godz-z/DCFT NLU/COMMANDL/": (["dcft"], ["roberta-large"]),
    "Godz-z/DCFT NLU/COMMANDXXL/": (["dcft"], ["deberta-v2-xxlarge"]),
    "Godz-z/DCFT NLU/src": (["dcft", "adalora"], MODELS),
    "huggingface/transformers": (["dcft"], ["roberta-large"]),
    "QingruZhang/AdaLoRA": (["adalora"], BASE),
    "AdaLoRA (Zhang et al., 2023)": (["adalora"], BASE),
    "TsinghuaC3I/SoRA scripts/run_glue_finetune.sh": (["full"], BASE),
    "TsinghuaC3I/SoRA scripts/run_glue_bitfit.sh": (["bitfit"], BASE),
    "TsinghuaC3I/SoRA scripts/run_glue_adapter.sh": ([], BASE),
    "TsinghuaC3I/SoRA scripts/run_glue_lora.sh": (["lora"], BASE),
    "TsinghuaC3I/SoRA scripts/run_glue_sora": (["sora"], BASE),
    "TsinghuaC3I/SoRA config": (["lora", "sora"], MODELS),
    "SoRA paper": (["lora"], BASE),
}


@pytest.mark.parametrize("method", PAPER_METHODS)
@pytest.mark.parametrize(
    "model", [PAPER_MODELS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in PAPER_MODELS[1:])]
)
def test_every_cell_of_the_paper_composes_and_states_its_sources(model, method):
    for task in PAPER_TASKS:
        config = configure(f"task={task}", f"model={model}", f"method={method}")
        assert_complete(config)
        assert config.cell.startswith(f"{task}.{model}.{method}")


@pytest.mark.parametrize("task", TASKS)
def test_every_task_composes_with_a_substitute(task):
    assert_complete(configure(f"task={task}", "model=minilm-l6"))


@pytest.mark.parametrize("model", MODELS)
def test_every_backbone_composes_with_spans(model):
    assert_complete(configure("task=squad_v1", f"model={model}"))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_composes_with_real_and_toy_data(method):
    assert configure("task=toy_qa", "model=tiny-bert", f"method={method}").preset == "toy"
    for preset in ("table9", "printed", "script"):
        config = configure("task=cola", f"method={method}", f"preset={preset}")
        assert_complete(config)
        assert config.preset == preset


@pytest.mark.parametrize("task", PAPER_TASKS)
def test_every_row_of_tables_9_and_10_is_there(task):
    config = configure(f"task={task}", "preset=table9")
    printed = {"squad_v1": "Table 10, row AQuAD v1.1", "squad_v2": "Table 10, row AQuAD v2.0"}
    for key in ("train.lr", "train.epochs", "train.batch_size", "method.orthogonality.coefficient"):
        assert config.recipe_source[key] == printed.get(task, f"Table 9, row {config.task.title}")


def test_values_of_one_row_stand_where_the_headings_belong():
    config = configure("task=rte")  # Table 9: 1.2e-3, 32, 50, "Dropout" 0.3, gamma 0.2; script: the rest
    assert (config.train.lr, config.train.epochs, config.train.batch_size) == (1.2e-3, 50, 32)
    assert config.method.orthogonality.coefficient == 0.3
    assert config.train.cls_dropout == 0.2
    assert (config.train.warmup, config.train.weight_decay, config.eval.every) == (200, 0.01, 100)
    assert config.method.peft["scaling"] == 16.0


@pytest.mark.parametrize(
    ("task", "lr", "epochs", "coefficient", "dropout"),
    [  # Table 9: task, learning rate, Epochs, "Dropout", gamma
        ("cola", 5e-4, 25, 0.5, 0.1),
        ("sst2", 8e-4, 24, 0.1, 0.0),
        ("mrpc", 1e-3, 30, 0.1, 0.0),
        ("qqp", 8e-4, 20, 0.1, 0.15),
        ("stsb", 2.2e-3, 25, 0.1, 0.2),
        ("mnli", 5e-4, 7, 0.1, 0.15),
        ("qnli", 1.2e-3, 6, 0.1, 0.1),
        ("rte", 1.2e-3, 50, 0.3, 0.2),
    ],
)
def test_presets_read_table_9_in_two_ways(task, lr, epochs, coefficient, dropout):
    right, printed = (configure(f"task={task}", f"preset={preset}") for preset in ("table9", "printed"))
    for config in (right, printed):
        assert (config.train.lr, config.train.epochs, config.train.batch_size) == (lr, epochs, 32)
    assert (right.method.orthogonality.coefficient, right.train.cls_dropout) == (coefficient, dropout)
    assert (printed.method.orthogonality.coefficient, printed.train.cls_dropout) == (dropout, coefficient)
    adalora = configure(f"task={task}", "method=adalora", "preset=printed").method.peft
    assert adalora["init_r"] == 8
    assert printed.method.peft["scaling"] == adalora["lora_alpha"] / 8


@pytest.mark.parametrize(("task", "epochs", "printed"), [("squad_v1", 10, 25), ("squad_v2", 12, 24)])
def test_presets_read_table_10_in_two_ways(task, epochs, printed):
    assert configure(f"task={task}").train.epochs == epochs
    assert configure(f"task={task}", "preset=printed").train.epochs == printed


def test_each_backbone_has_its_own_scripts():
    base, large, xxl, other = (
        configure("task=rte", f"model={model}", "preset=script") for model in [*PAPER_MODELS, "minilm-l6"]
    )
    assert [c.train.lr for c in (base, large, xxl)] == [1.2e-3, 1.2e-3, 2e-4]
    assert [c.train.batch_size for c in (base, large, xxl)] == [32, 32, 16]
    assert [c.method.peft["scaling"] for c in (base, large, xxl)] == [16, 4, 1]  # alpha / r: 32 / 2, 32 / 8, 8 / 8
    script = "Godz-z/DCFT NLU/{}/run_debertav3_rte.sh at 38f71d2".format
    sources = [c.recipe_source["train.lr"] for c in (base, large, xxl)]
    assert sources == [script("scripts"), script("COMMANDL"), script("COMMANDXXL")]
    assert other.recipe_source["train.lr"] == f"inferred: {script('scripts')} for deberta-v3-base"
    adalora = configure("task=rte", "model=roberta-large", "method=adalora")  # AdaLoRA's are for the base model
    assert adalora.recipe_source["train.lr"] == f"inferred: {script('COMMANDL')} for dcft"
    assert other.train == base.train


def test_baselines_train_as_their_authors_did():
    lora = configure("task=cola", "method=lora")
    assert (lora.preset, lora.train.lr, lora.train.epochs, lora.train.batch_size) == ("baseline", 8e-5, 20, 8)
    assert (lora.train.weight_decay, lora.train.warmup, lora.train.clip) == (0.1, 0.06, 0.1)
    paper = "SoRA paper (Ding et al., 2023), hyper-parameters of LoRA on CoLA"
    assert lora.recipe_source["train.lr"] == paper
    assert configure("task=rte", "method=lora").train.batch_size == 32  # "rte: 32; the other: 8"
    full = configure("task=mnli", "method=full")
    assert (full.train.lr, full.train.batch_size, full.train.epochs) == (5e-5, 80, 10)
    adalora = configure("task=rte", "method=adalora")
    peft = adalora.method.peft
    assert (peft["init_r"], peft["target_r"], peft["tinit"], peft["tfinal"], peft["deltaT"]) == (2, 1, 600, 1800, 1)
    sora, rte = (configure(f"task={task}", "method=sora") for task in ("stsb", "rte"))
    assert (sora.method.sparsity.penalty, sora.method.sparsity.thresholds) == (10, [3e-4])
    assert (rte.method.sparsity.penalty, rte.method.sparsity.thresholds[-1], rte.train.epochs) == (1e-3, 7e-4, 50)
    assert len(rte.method.sparsity.thresholds) == 7
    large = configure("task=cola", "method=lora", "model=roberta-large")
    assert large.recipe_source["train.lr"] == f"inferred: {paper} for deberta-v3-base"


def test_the_command_line_chooses_the_preset_last():
    assert configure("task=rte", "method=lora", "preset=table9").train.lr == 1.2e-3
    assert configure("task=toy_cls", "method=lora").train.lr == 2e-3


def test_the_command_line_is_named_as_a_source():
    assert configure("task=rte", "train.lr=1e-4").recipe_source["train.lr"] == "command line"
    assert configure("task=rte", "eval.batch_size=7").recipe_source["eval.batch_size"] == "command line"
    scaled = configure("task=rte", "method.peft.scaling=2").recipe_source
    assert (scaled["method.peft.scaling"], scaled["train.lr"]) == ("command line", "Table 9, row RTE")
    given = configure("task=rte", "method=sora", "method.sparsity.thresholds=[0.3]").recipe_source
    assert given["method.sparsity.thresholds"] == "command line"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["task=rt"], "task=rt: there is no such task; give one of cola, mnli"),
        (["method=lor"], "method=lor: there is no such method; give one of adalora, bitfit, dcft"),
        (["kernle=8"], "kernle is not a setting; did you mean kernel=?"),
        (["+kernle=8"], "kernle is not a setting; did you mean kernel=?"),
        (["+train.epoch=3"], "train.epoch is not a setting"),
        (["kernel=abc"], "kernel=abc: Input should be a valid integer"),
        (["kernel=8.0"], "kernel=8.0: Input should be a valid integer"),
        (["kernel=0"], "kernel=0: give at least 1"),
        (["train.lr=???"], "train.lr has no value; give train.lr=..."),
        (["method=ia3", "method.peft.target_modules=['${model.matrices.no}']"], "method.peft.target_modules[0]: "),
        (
            ["method=lora", "kernel=4"],
            "kernel is a setting of method=dcft, not of the chosen method; leave kernel= out",
        ),
        (["stride=9"], "stride=9: a stride above kernel=8"),
        (["method=full", "targets=qv"], "targets is a setting of method=adalora, dcft, "),
        (["method=bitfit", "rank=2"], "rank is a setting of method=adalora, "),
        (["method=lora", "bottleneck=2"], "bottleneck is a setting of method=hadapter, padapter, not of the chosen"),
        (["method.position_queries=none"], "method.position_queries=none: give adapted or base"),
        (["method=hadapter", "bottleneck=0"], "bottleneck=0: give at least 1"),
        (["preset=baseline"], "train.lr has no value: preset=baseline has none for task=rte with method=dcft"),
        (
            ["recipe.lr=1"],
            "recipe.lr is not a setting: a row of a recipe states its source's values; give train.lr=...",
        ),
        (["recipe.table9.lr=1"], "recipe.table9.lr is not a setting: a row of a recipe states its source's values"),
        (["train.lr=true"], "train.lr=True: Input should be a valid number"),
        (["train.lr=nan"], "train.lr=nan: give a number that is finite"),
        (["train.warmup=1.5"], "train.warmup=1.5: give a whole number of steps"),
        (["train.cls_dropout=1"], "train.cls_dropout=1: give a number below 1"),
        (["seed=4294967296"], "seed=4294967296: give a number below 4294967296"),
        (["method.tag=../x"], "method.tag=../x: give a name of letters, digits"),
        (["results.dir=''"], "results.dir=: give a text"),
        (["results.dir='a\nb'"], "results.dir='a\\nb': give text of one line"),
        (["task=3"], "task=3: give the name of one task"),
        (["seed=" + "9" * 5000], "'seed=999"),
        (["train.lr=fast"], "train.lr=fast: Input should be a valid number"),
        (["train.lr=-1"], "train.lr=-1: give a number above 0"),
        (["precision=fp16"], "precision=fp16: give fp32 or bf16"),
        (["attention=fast"], "attention=fast: give lean, plain or flash"),
        (["compile=true", "fsdp=true"], "compile=true: not together with fsdp=true"),
        (["targets=k"], "targets=k: give one of qk, qv, qkv, qkvo, all"),
        (["data.max_eval=1"], "data.max_eval=1: give at least 2"),
        (["data.root=/nowhere"], "/nowhere/glue/RTE/train.tsv does not exist; data.root=/nowhere"),
        (["model.path=/nowhere"], "model.path=/nowhere: no config.json there"),
        (["preset=table9", "task=toy_cls"], "train.lr has no value: preset=table9 has none for task=toy_cls"),
        (["task=squad_v2", "data.max_length=100"], "data.max_length=100: windows of a paragraph share"),
        (["train.lr"], "'train.lr' cannot be read: write key=value"),
        (["data.root=~/data"], "'data.root=~/data' cannot be read: write key=value, without ~"),
    ],
)
def test_bad_settings_are_one_line(overrides, line):
    with pytest.raises((UserError, HydraException)) as caught:
        configure(*overrides)
    explained = explain(caught.value)
    assert explained.startswith(line)
    assert "\n" not in explained


def test_text_may_be_a_number():
    config = configure("task=toy_pair", "outputs.dir=2024", "task.labels=[0,1]")
    assert (config.outputs.dir, config.task.labels) == ("2024", ["0", "1"])


def test_errors_that_are_not_the_user_s_are_not_explained():
    assert explain(RuntimeError("a bug")) is None


def test_schema_has_a_field_for_every_yaml_key():
    known = set(config_module.RunConfig.__dataclass_fields__)
    for name in METHODS:
        assert set(OmegaConf.load(ROOT / "conf" / "method" / f"{name}.yaml")) - {"defaults"} <= known


def test_what_one_cell_changes_another_does_not_see():
    compose, settings = Composer(), ["method=dcft", "kernel=4", "stride=1", "model=tiny-bert", "task=toy_cls"]
    assert config_module.build(compose(settings), settings).stride == 1
    other = ["method=dcft", "model=tiny-bert", "task=toy_cls"]
    assert config_module.build(compose(other), other) == configure(*other)
