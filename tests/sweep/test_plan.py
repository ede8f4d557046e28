"""Plans of the paper's tables: which cells they have, which they share, and that nothing goes unnoticed."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
import yaml

from dcft.config.conf import CONF
from dcft.errors import UserError
from dcft.paper import printed as published
from dcft.results import sweeps
from dcft.sweep import plan, request
from tests.conftest import ROOT, configure

PAPER = ["table1", "table2", "table3", "table4", "table5", "table6"]
CELLS = {"table1": 128, "table2": 12, "table3": 10, "table4": 36, "table5": 16, "table6": 20}


def planned(table):
    return sweeps.read(ROOT / "results" / "sweeps" / f"{table}.json")


def asked(*arguments):
    return request.read(list(arguments))


@pytest.mark.parametrize("table", PAPER)
def test_the_committed_plans_are_those_of_conf(table):
    assert planned(table).digest == plan._digest(asked(f"table={table}")), "conf/ has changed: run make plans"
    assert len(planned(table).cells) == CELLS[table]
    if len(planned(table).cells) <= 20:  # the rest by samples, in the next test
        assert replace(plan.plan(asked(f"table={table}")), digest=planned(table).digest) == planned(table)


@pytest.mark.parametrize("table", PAPER)
def test_a_cell_of_a_plan_is_the_cell_that_its_command_runs(table):
    for cell in planned(table).cells[:: len(planned(table).cells) // 3]:
        config = configure(*cell.overrides)
        assert (config.cell, config.task.name, config.seed) == (cell.name, cell.task, cell.seed)
        assert str(config.record_path) == f"results/{cell.record}"


def test_tables_share_their_cells():
    """Table 4's d=8 and d=2, Table 5's stride 8 and Table 6's "all" are Table 1's rows."""
    names = {table: {cell.name for cell in planned(table).cells} for table in PAPER}
    assert len(names["table1"] & names["table4"]) == 3 * 6  # full fine-tuning, d=2 and d=8 on six tasks
    assert len(names["table1"] & names["table5"]) == 4
    assert len(names["table1"] & names["table6"]) == 4
    assert len(set.union(*names.values())) == sum(map(len, names.values())) - 18 - 4 - 4


@pytest.mark.parametrize(
    ("table", "knob", "values"),
    [
        ("table4", "kernel", [2, 4, 6, 8, 12]),
        ("table5", "stride", [1, 2, 4, 8]),
        ("table6", "targets", ["qk", "qv", "qkv", "qkvo", "all"]),
    ],
)
def test_the_sizes_of_the_paper(table, knob, values):
    assert [row.knobs[knob] for row in planned(table).rows if row.method == "dcft"] == values


@pytest.mark.parametrize("table", PAPER)
def test_every_row_reproduces_a_printed_row_and_every_printed_row_is_there(table):
    swept = planned(table)
    cells = published.cells(published.read())
    printed = cells[cells["table"] == table]
    ours = {(row.paper["model"], row.paper["label"]): row for row in swept.rows}
    assert len(ours) == len(swept.rows)
    assert set(ours) == set(zip(printed["model"], printed["label"], strict=True))
    for (model, label), row in ours.items():
        reading = printed[(printed["model"] == model) & (printed["label"] == label)].iloc[0]
        assert (row.model, row.method) == (reading["model"], reading["method"])
        for knob in ("kernel", "stride", "targets", "rank", "bottleneck"):
            if not pd.isna(reading[knob]):
                assert row.knobs[knob] == reading[knob], (label, knob)
    assert {column.task for column in swept.columns} == set(printed["task"]) - {"average"}


def test_seeds_are_the_official_one_and_those_that_follow(tmp_path):
    results = f"results.dir={tmp_path}"
    assert planned("table6").seeds == [6]
    many = plan.plan(asked("table=table6", "seeds=3", results))
    assert many.seeds == [6, 7, 8]
    assert len(many.cells) == 60
    assert {cell.name for cell in planned("table6").cells} < {cell.name for cell in many.cells}, "seed 6 is not reused"
    assert plan.plan(asked("table=table6", "seeds=[0,21]", results)).seeds == [0, 21]
    assert plan.plan(asked("table=table6", "seed=3", results)).seeds == [3]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["table=table9"], "table=table9: there is no such table; give one of .*demo, "),
        (["table=base/sweep"], "table=base/sweep: give the name of one table"),
        (["table=demo", "table=table6"], "table=table6: table is given twice"),
        (["table=table4", "dry=tru"], "dry=tru: give true or false"),
        (["table=table4", "dry=yes"], "dry=yes: give true or false"),
        (["table=table4", "~tracker"], "~tracker: a table's settings can be changed, not taken away"),
        (["table=table4", "train.lr=1e-3,1e-4"], "train.lr=1e-3,1e-4: a table takes one value for a setting"),
        (["table=table4", "seed=abc"], "seed=abc: give how many, such as seeds=5, or a list of whole numbers"),
        (["table=table4", "seeds=five"], "seeds=five: give how many, such as seeds=5, or a list of whole numbers"),
        (["table=table4", "seeds=0"], "seeds=0: give at least one seed"),
        (["table=table4", "seeds=-1"], "seeds=-1: give at least one seed"),
        (["table=table4", "seeds=[6,6]"], "seeds=6,6: give at least one seed, and each once"),
        (["table=table4", "seeds=5", "seed=3"], "seeds=5 and seed=3 contradict each other"),
        (["table=table4", "only=squad_v1"], "only=squad_v1 is not in this table; give some of sst2, cola"),
        (["table=table4", "methods=lora"], "methods=lora is not in this table; give some of dcft, full"),
    ],
)
def test_a_table_s_settings_are_checked(arguments, line):
    with pytest.raises(UserError, match=f"^{line}"):
        asked(*arguments)


@pytest.mark.parametrize(
    ("setting", "seeds", "only", "dry"),
    [
        ([], [6], None, False),
        (["seeds=null", "only=null", "dry=0"], [6], None, False),
        (["seeds=2", "only=rte", "dry=1"], [6, 7], ["rte"], True),
        (["seeds=[0, 21]", "only=[rte, cola]", "dry=true"], [0, 21], ["rte", "cola"], True),
        (["seeds=0,21", "only=rte,cola", "dry=False"], [0, 21], ["rte", "cola"], False),
        (["seed='3'"], None, None, False),
    ],
)
def test_a_table_s_settings_are_read_as_hydra_reads_them(setting, seeds, only, dry):
    if seeds is None:
        with pytest.raises(UserError, match="seed=3: give"):
            asked("table=table6", *setting)
        return
    found = asked("table=table6", *setting)
    assert (found.seeds, found.only, found.dry) == (seeds, only, dry)


def test_places_are_what_hydra_makes_of_them():
    assert str(asked("table=demo").place("results.dir")) == "outputs/demo"
    assert str(asked("table=table4").place("results.dir")) == "results"
    quoted = asked("table=table4", "results.dir='a b'", "outputs.dir=${results.dir}/out", "data.root=null")
    assert [str(quoted.place(key)) for key in ("results.dir", "outputs.dir")] == ["a b", "a b/out"]
    assert quoted.place("data.root") is None


def test_different_experiments_have_different_names():
    changes = [
        *(["seeds=3"], ["seeds=[0,21,42]"], ["seed=7"], ["train.batch_size=8"], ["eval.batch_size=8"]),
        *(["model.path=/a"], ["model.path=/b"], ["model=tiny-bert"], ["preset=script"], ["data.root=/a"], []),
        *(["train.lr=1e-3"], ["train.lr=1e-4"], ["train.lr=1e-3", "model=tiny-bert"], ["data.max_eval=9"]),
    ]
    names = [asked("table=table6", *change).name for change in changes]
    assert len(set(names)) == len(names)
    assert "/" not in "".join(names)
    same = [["train.lr=1e-3", "seeds=1"], ["train.lr=0.001"], ["results.dir=x", "train.lr=1e-3", "tracker=wandb"]]
    assert len({asked("table=table6", *change).name for change in same}) == 1
    assert asked("table=table6", "model=minilm-l6", "data.root=/a").name == "table6-minilm-l6-local"
    assert asked("table=demo", "model=minilm-l6").name == "demo", "the demo's own backbone is no change"
    assert len(asked("table=table6", *(f"train.{'x' * n}={'y' * 60}" for n in range(1, 9))).name) < 120


def test_a_row_that_the_command_line_changes_is_no_longer_the_paper_s(tmp_path):
    place = f"results.dir={tmp_path}"
    (row,) = plan.plan(asked("table=table5", "stride=2", place)).rows
    assert (row.title, row.paper["label"], row.knobs["stride"]) == ("DCFT (s=2)", "DCFT(step= 2)", 2)
    for row in plan.plan(asked("table=table6", "stride=4", place)).rows:
        assert (row.title, row.paper, row.knobs["stride"]) == ("DCFT (d=8)", None, 4)
    for row in plan.plan(asked("table=table6", "train.epochs=1", place)).rows:
        assert row.paper, "training values do not make another row"
    on_roberta = plan.plan(asked("table=table2", "model=roberta-large", place)).rows
    assert [row.paper for row in on_roberta] == [None] * 3, "RoBERTa's results beside the printed ones of XXL"


@pytest.mark.slow
def test_a_paper_s_backbone_keeps_its_own_printed_rows(tmp_path):
    rows = plan.plan(asked("table=table1", "model=roberta-large", f"results.dir={tmp_path}")).rows
    printed = {row.title: row.paper and row.paper["model"] for row in rows}
    assert printed["LoRA (r=8)"] == printed["DCFT (d=8)"] == printed["Fine-Tune"] == "roberta-large"
    assert printed["BitFit"] is None, "the paper has no BitFit on RoBERTa"


@pytest.mark.slow
def test_a_table_on_another_backbone_shows_equal_rows_once(tmp_path):
    swept = plan.plan(asked("table=table1", "model=tiny-bert", f"results.dir={tmp_path}", "data.max_train=9"))
    assert swept.name.startswith("table1-tiny-bert-max_train9-")
    assert len(swept.rows) == 10  # of RoBERTa's rows only LoRA r=8 on Q,V is not one of the base model's
    assert {row.model for row in swept.rows} == {"tiny-bert"}
    assert all(row.substitute for row in swept.rows)
    assert {cell.train_samples for cell in swept.cells if cell.task == "rte"} >= {450}  # 50 epochs of 9 rows


def test_a_plan_is_kept_until_something_changes(tmp_path, monkeypatch):
    (tmp_path / "data" / "glue").mkdir(parents=True)
    arguments = ["table=table6", "model=tiny-bert", f"results.dir={tmp_path}/results", f"data.root={tmp_path}/data"]
    first = plan.load_plan(asked(*arguments))
    assert all(cell.problem and not cell.name for cell in first.cells)
    with monkeypatch.context() as patch:
        patch.setattr(plan, "plan", lambda _: pytest.fail("it was planned again"))
        assert plan.load_plan(asked(*arguments)) == first
    rte = tmp_path / "data" / "glue" / "RTE"
    rte.mkdir()
    for split in ("train", "dev"):
        (rte / f"{split}.tsv").write_text("index\tsentence1\tsentence2\tlabel\n1\ta\tb\tentailment\n")
    second = plan.load_plan(asked(*arguments))
    assert {cell.task for cell in second.cells if cell.name} == {"rte"}
    (rte / "dev.tsv").write_text("index\tsentence1\tsentence2\tlabel\n1\ta\tc\tentailment\n")
    third = plan.load_plan(asked(*arguments))
    assert {c.name for c in third.cells}.isdisjoint({c.name for c in second.cells if c.name}), "other data, same cell"


def test_a_setting_that_a_table_has_anyway_changes_nothing():
    assert asked("table=table4", "model=deberta-v3-base") == asked("table=table4")
    kernels = asked("table=table5", "kernel=8", "stride=8")  # rows have strides of their own
    assert kernels.overrides == ["stride=8"]


def test_a_row_may_have_settings_of_one_task(tmp_path):
    table = tmp_path / "table" / "mine.yaml"
    table.parent.mkdir()
    text = """\
table:
  caption: Mine
  base: {model: tiny-bert, preset: toy, train.lr: 1e-3, by_task: {toy_sim: {train.lr: 2e-3}}}
  columns: [toy_cls, toy_sim]
  rows: [{method: dcft, kernel: 8}, {method: lora, rank: 1, by_task: {toy_cls: {train.lr: 3e-3}}}]
"""
    table.write_text(text)

    def rates(*arguments):
        cells = plan.plan(request.read(["table=mine", f"results.dir={tmp_path}", *arguments], [tmp_path])).cells
        return [configure(*cell.overrides).train.lr for cell in cells]

    assert rates() == [1e-3, 2e-3, 3e-3, 2e-3]
    assert rates("train.lr=4e-3") == [4e-3] * 4
    assert rates("train.lr=1e-3") == [1e-3] * 4, "it is the base's, and changes two cells"
    table.write_text(text.replace("toy_sim: {", "toy_smi: {"))
    with pytest.raises(UserError, match="by_task.toy_smi: the table has no column toy_smi"):
        rates()


def test_a_plan_depends_on_its_own_table_and_on_no_other(tmp_path, monkeypatch):
    conf = shutil.copytree(CONF, tmp_path / "conf")
    monkeypatch.setattr(plan, "CONF", conf)
    table5 = asked("table=table5")
    before = plan._digest(table5)
    (conf / "table" / "new.yaml").write_text("table: {}\n")
    assert plan._digest(table5) == before
    assert plan._digest(replace(table5, table=table5.table | {"caption": "another"})) != before
    (conf / "task" / "new.yaml").write_text("name: new\n")
    assert plan._digest(table5) != before


def test_a_plan_of_another_version_is_made_anew(tmp_path):
    demo = asked("table=demo", "model=tiny-bert", f"results.dir={tmp_path}")
    path = sweeps.path_of(demo.name, tmp_path)
    path.parent.mkdir()
    path.write_text('{"name": "demo"}')
    assert len(plan.load_plan(demo).cells) == 6
    assert sweeps.read(path).rows[0].title == "LoRA (r=1)"


def test_the_tracker_is_told_the_table(tmp_path):
    swept = plan.plan(asked("table=demo", "model=tiny-bert", "tracker=wandb", f"results.dir={tmp_path}"))
    assert swept.name == "demo-tiny-bert"
    assert configure(*swept.cells[0].overrides).tracker.group == "demo-tiny-bert"
    untracked = plan.plan(asked("table=demo", "model=tiny-bert", f"results.dir={tmp_path}"))
    assert [cell.name for cell in untracked.cells] == [cell.name for cell in swept.cells]


@pytest.mark.parametrize("table", PAPER)
def test_a_plan_is_shown_without_torch(table, tmp_path):
    results = tmp_path / "results"
    (results / "sweeps").mkdir(parents=True)
    (results / "sweeps" / f"{table}.json").write_bytes((ROOT / "results" / "sweeps" / f"{table}.json").read_bytes())
    anew = ["train.epochs=1"] if table == "table3" else []
    run = [sys.executable, "-X", "importtime", str(ROOT / "run.py"), f"table={table}", "dry=true", *anew]
    shown = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, env=os.environ, check=True)
    assert f"{CELLS[table]} cells, 0 done, {CELLS[table]} to run" in shown.stdout
    imported = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
    assert "dcft.sweep.command" in imported
    assert not {"torch", "transformers", "datasets", "peft"} & imported


def test_every_table_is_a_manifest_that_says_what_it_shows():
    for path in (ROOT / "conf" / "table").glob("*.yaml"):
        table = yaml.safe_load(path.read_text())["table"]
        assert {"caption", "columns", "rows"} <= set(table), path


def test_every_row_of_the_ablation_is_an_experiment_of_its_own(tmp_path):
    """On any backbone; all rows are DCFT with one choice changed."""
    for model in ("minilm-l6", "deberta-v3-base"):
        sweep = plan.load_plan(request.read(["table=ablation", f"model={model}", f"results.dir={tmp_path}"]))
        assert len({cell.name for cell in sweep.cells}) == len(sweep.cells) == 9 * 2
        assert len({row.title for row in sweep.rows}) == 9
