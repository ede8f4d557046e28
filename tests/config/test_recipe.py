"""Training values and their sources come from the same row; step counts follow the batch size."""

import itertools
import re

import pytest
from omegaconf import OmegaConf

from dcft.config.build import build
from dcft.config.compose import Composer
from dcft.config.flatten import flatten
from dcft.config.recipe import Recipe
from dcft.config.recipe_sources import training_values
from dcft.errors import UserError
from tests.config.test_build import METHODS, MODELS, PAPER_TASKS, TASKS
from tests.conftest import PAPER_MODELS, ROOT, composer, configure

PRESETS = sorted(path.stem for path in (ROOT / "conf" / "preset").glob("*.yaml"))
XXL = "model=deberta-v2-xxlarge"
EXACT = re.compile(  # a file at a commit or a release, a row of a table, a section, or a value that says it is none
    r"[\w-]+/[\w-]+ [\w./-]+ at (\w{7}|v[\d.]+)(, .+)?|Table (9|10), row .+|AdaLoRA \(Zhang et al., 2023\), appendix D"
    r"|SoRA paper \(Ding et al., 2023\), hyper-parameters of LoRA on [\w-]+|toy: chosen by hand|inferred: .+"
)


def recipe(**rows):
    """A recipe for RTE with DCFT on DeBERTaV3-base."""
    cell = {"task": {"name": "rte"}, "model": {"name": "deberta-v3-base"}, "method": {"name": "dcft"}}
    return Recipe({"preset": "p", "recipe": rows, **cell})


def found(name, **rows):
    value = recipe(**rows).find(name)
    return value.value, value.source


def test_the_last_row_that_has_a_value_wins_with_its_source():
    low, high = {"source": "low", "lr": 1, "clip": 1, "cls_dropout": 0.1}, {"source": "high", "lr": 2}
    assert found("lr", low=low, high=high) == (2, "high")
    assert found("clip", low=low, high=high) == (1, "low"), "a row lends its source to no other row's value"
    assert found("cls_dropout", low=low, high=high | {"cls_dropout": None}) == (None, "high"), "null is a value"
    assert recipe(low=low).find("epochs") is None
    assert found("lr", row={"lr": 1}) == (1, "not stated")


def test_rows_within_a_row_lie_below_it():
    outer = {"inner": {"source": "inner", "lr": 1, "clip": 1}, "source": "outer", "lr": 2}
    assert found("lr", row=outer) == (2, "outer")
    assert found("clip", low={"source": "low", "clip": 3}, row=outer) == (1, "inner")


def test_a_source_of_one_value_goes_before_the_row_s():
    row = {"source": "row", "lr": 1, "clip": 1, "sources": {"clip": "own"}}
    assert (found("lr", row=row), found("clip", row=row)) == ((1, "row"), (1, "own"))


@pytest.mark.parametrize(
    ("stated_for", "source"),
    [
        ({"task": ["rte"], "model": ["deberta-v3-base"], "method": ["dcft"]}, "s"),
        ({"task": ["cola", "rte"]}, "s"),
        ({"task": ["cola"]}, "inferred: s for other tasks"),
        ({"model": ["roberta-large"], "method": ["lora", "sora"]}, "inferred: s for roberta-large, lora, sora"),
    ],
)
def test_values_for_something_else_are_inferred(stated_for, source):
    assert found("lr", row={"source": "s", "stated_for": stated_for, "lr": 1}) == (1, source)


def test_a_quotient_names_both_sources():
    alpha, rank = {"source": "a", "lora_alpha": 32}, {"source": "r", "init_rank": 3}
    name = "lora_alpha/init_rank"
    assert found(name, one=alpha | rank) == (32 / 3, "r")
    assert found(name, one=alpha, two=rank) == (32 / 3, "lora_alpha by a; init_rank by r")
    other = {"stated_for": {"task": ["cola"]}}
    assert found(name, one=alpha, two=rank | other)[1] == ("inferred: lora_alpha by a; init_rank by r for other tasks")
    assert recipe(one=alpha).find(name) is None


@pytest.mark.parametrize("name", ["warmup", "eval_every", "tinit", "tfinal", "delta_t"])
def test_a_count_of_steps_follows_a_later_row_s_batch_size(name):
    script, table = {"source": "script", "batch_size": 4, name: 800}, {"source": "table", "batch_size": 32}
    assert found(name, script=script) == (800, "script")
    assert found(name, script=script, table=table | {"batch_size": 4}) == (800, "script")
    assert found(name, script=script, table=table | {name: 7}) == (7, "table")
    assert found(name, script=script, table=table) == (100, "script; 800 steps of batch 4 converted to batch 32")
    above = {"source": "above", name: 50}
    assert found(name, script=script, above=above, table=table)[0] == 6, "50 steps of the batch below, 4, of 32: 6.25"
    assert found(name, script=script | {name: 3}, table=table)[0] == 1, "at least one"
    assert found(name, script={"source": "s", name: 9}, table=table) == (9, "s"), "of no batch size that is known"


def test_a_fraction_and_other_numbers_are_not_converted():
    script, table = {"source": "s", "batch_size": 4, "warmup": 0.1, "epochs": 5}, {"source": "t", "batch_size": 32}
    assert found("warmup", script=script, table=table) == (0.1, "s")
    assert found("epochs", script=script, table=table) == (5, "s")


@pytest.mark.parametrize(("task", "percent"), [("cola", 1.5), ("stsb", 2.2), ("qnli", 3.1), ("sst2", 0.5)])
def test_the_largest_backbone_s_schedule_is_its_script_s(task, percent):
    table, script = (configure(f"task={task}", XXL, f"preset={preset}") for preset in ("table9", "script"))
    assert table.train.batch_size == 32 > script.train.batch_size
    rows = script.task.rows["train"]
    for config in (table, script):  # in samples, over as many epochs
        share = config.train.warmup * config.train.batch_size / (rows * script.train.epochs)
        assert 100 * share == pytest.approx(percent, abs=0.05)
    samples = [config.eval.every * config.train.batch_size for config in (table, script)]
    assert samples[0] == pytest.approx(samples[1], abs=16)
    assert "steps of batch" not in "".join(script.recipe_source.values())
    given = configure(f"task={task}", XXL, "train.batch_size=64")
    assert (given.train.warmup, given.eval.every) == (table.train.warmup, table.eval.every)


def test_one_script_s_counts_stay_as_they_are():
    for task, method in itertools.product(("cola", "rte", "squad_v2"), ("full", "bitfit", "lora", "sora", "adalora")):
        assert "converted" not in "".join(configure(f"task={task}", f"method={method}").recipe_source.values())


@pytest.mark.parametrize("task", PAPER_TASKS[:8])
def test_the_printed_r_divides_each_script_s_alpha(task):
    for model in ("deberta-v3-base", "roberta-large", "deberta-v2-xxlarge"):
        alpha = (
            8 if (task, model) == ("rte", "deberta-v2-xxlarge") else {"mnli": 16, "qqp": 16, "sst2": 16}.get(task, 32)
        )
        config = configure(f"task={task}", f"model={model}", "preset=printed")
        assert config.method.peft["scaling"] == alpha / 8


def test_roberta_keeps_its_own_dropout_before_the_classifier():
    for preset in ("script", "table9"):
        config = configure("task=rte", "model=roberta-large", f"preset={preset}")
        assert config.train.cls_dropout is None
        assert "whose classifier uses hidden_dropout_prob" in config.recipe_source["train.cls_dropout"]
    printed = configure("task=rte", "model=roberta-large", "preset=printed")
    assert printed.train.cls_dropout == 0.3
    assert printed.recipe_source["train.cls_dropout"] == "Table 9, row RTE, as printed"


POINTER = re.compile(r"\$\{recipe:([\w/]+)\}")
SETTINGS = [ROOT / "conf" / "config.yaml", *(ROOT / "conf" / "method").glob("*.yaml")]
NAMES = {part for path in SETTINGS for name in POINTER.findall(path.read_text()) for part in name.split("/")}


def rows_of(node):
    """Every row of a composed recipe that states something."""
    inner = [value for key, value in node.items() if isinstance(value, dict) and key not in ("sources", "stated_for")]
    return [*([node] if "source" in node else []), *(row for child in inner for row in rows_of(child))]


def stated(rows, name, value, source):
    """Whether one row has the value and the source; a converted count is worked out again."""
    if match := re.fullmatch(r"(.*); (\d+) steps of batch (\d+) converted to batch (\d+)", source):
        source, steps, batch, final = match[1], *map(int, match.groups()[1:])
        assert value == max(1, round(steps * batch / final))
        value = steps
    assert EXACT.fullmatch(source), source
    return any(
        name in row and row[name] == value and row.get("sources", {}).get(name, row["source"]) in source for row in rows
    )


def check(task, model, method, preset):
    """Each value's source is exact, and its row holds that value; False if the preset has none for this."""
    config = composer()([f"task={task}", f"model={model}", f"method={method}", f"preset={preset}"])
    try:
        traced = training_values(config)
    except UserError:  # it says that there is no value
        return False
    rows, resolved = rows_of(config["recipe"]), OmegaConf.create(config)
    for row in rows:
        values = {key for key, value in row.items() if not isinstance(value, dict)} - {"source"}
        assert values <= NAMES, "a name that no setting reads"
        assert set(row.get("sources", {})) <= values, "a source of a value that the row does not have"
    pointers = flatten(config)
    for key, found in traced.items():
        value, source = found.value, found.source
        assert OmegaConf.select(resolved, key) == value, "`--cfg job --resolve` shows another"
        match = POINTER.fullmatch(str(pointers[key]))
        if not match:
            assert source == "conf/config.yaml"
        elif "/" in match[1]:
            parts, recipe = match[1].split("/"), Recipe(config)
            alpha, rank = (recipe.find(part) for part in parts)
            assert value == alpha.value / rank.value
            assert all(part.source.removeprefix("inferred: ") in source for part in (alpha, rank))
            assert all(stated(rows, part, *vars(recipe.find(part)).values()) for part in parts)
        else:
            assert stated(rows, match[1], value, source), (key, value, source)
    return True


def test_a_whole_configuration_with_a_list_is_resolved():
    config = OmegaConf.create(composer()(["task=stsb", "method=sora"]))
    OmegaConf.resolve(config)
    assert config.method.sparsity.thresholds == [3e-4]


@pytest.mark.parametrize("preset", PRESETS)
def test_each_value_is_its_source_s(preset):
    """Each task, backbone and method beside a few of the others."""
    method = "lora" if preset == "baseline" else "dcft"
    cells = {(task, "deberta-v3-base", method) for task in TASKS}
    cells |= {("qnli", model, method) for model in MODELS} | {("rte", "deberta-v2-xxlarge", name) for name in METHODS}
    assert sum(check(*cell, preset) for cell in cells) >= len([task for task in TASKS if task.startswith("toy")])


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("task", [*PAPER_TASKS, "toy_qa"])  # no other toy task has rows of its own
def test_each_value_is_its_source_s_in_every_composition(task, preset):
    for model, method in itertools.product([*PAPER_MODELS, "minilm-l6"], METHODS):  # no other has rows of its own
        check(task, model, method, preset)


@pytest.fixture
def folder(tmp_path):
    """A folder with a task of one's own, which only the official scripts' preset may know."""
    for name, text in {
        "task/own.yaml": "defaults: [cola@_here_, _self_]\nname: own\ntitle: Own\n",
        "recipe/script/own.yaml": "defaults: [cola@cola, _self_]\nsource: by hand\nlr: 0.003\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("method", "epochs"), [("dcft", "Godz-z/DCFT NLU/scripts/run_debertav3_cola.sh"), ("lora", "")]
)
def test_a_task_with_only_a_script_s_row_has_no_other_source(folder, method, epochs):
    search = f"hydra.searchpath=[{folder}]"
    for preset in ("table9", "printed", "script") if method == "dcft" else ("baseline",):
        config = build(composer()(["task=own", f"method={method}", f"preset={preset}", search]))
        assert (config.train.lr, config.recipe_source["train.lr"]) == (0.003, "by hand")
        assert config.recipe_source["train.epochs"].startswith(f"inferred: {epochs}")
        assert config.recipe_source["train.epochs"].endswith((" for other tasks", " for other tasks, dcft, adalora"))
        assert not re.search("Table|SoRA paper", " ".join(config.recipe_source.values()))


def test_a_task_without_a_row_is_one_line(folder):
    (folder / "recipe" / "script" / "own.yaml").unlink()
    for preset in ("table9", "printed", "script"):
        with pytest.raises(
            UserError, match=f"train.lr has no value: preset={preset} has none for task=own with method"
        ):
            build(Composer()(["task=own", f"preset={preset}", f"hydra.searchpath=[{folder}]"]))
