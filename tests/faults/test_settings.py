"""Hostile and odd values of every setting, of a table's settings and of the scripts' arguments."""

import math
import os
import random
from pathlib import Path

from dcft.cli import explain
from dcft.config.flatten import flatten
from dcft.training.run import run_cell
from tests.conftest import SHORT, composer, configure
from tests.faults.conftest import ALL

PROMISE = "Bad settings are one line; nothing is written elsewhere"
CELLS = {"cls": ["task=toy_cls"], "qa": ["task=toy_qa"], "sora": ["task=toy_cls", "method=sora"], "rte": ["task=rte"]}
VALUES = [
    *(
        "../x",
        "/abs/x",
        "a/b",
        "a b",
        r"'q\"q'",
        '"a\nb"',
        '"\x1b[31m"',
        "'\x00'",
        "'\ud800'",
        "''",
        "' '",
        ".",
        "..",
        "-x",
    ),
    *(
        "${seed}",
        "${oc.env:HOME}",
        "${oc.env:NOPE}",
        "${nope}",
        "${recipe:nope}",
        "${train}",
        "???",
        "'a=b'",
        "*",
        "%s",
    ),
    *("nan", "inf", "-inf", "1e400", "null", "[]", "[1,2]", "{}", "{a:1}", "[[[1]]]", "true", "false"),
    *("0", "1", "-1", "1.5", "8.0", "1e-300", "99999999999999999999", "4294967296", "9" * 400, "9" * 5000),
    *("x" * 300, "x" * 5000),
]
LIMITS = {  # what a finished record may have; other numbers only have to be finite
    **dict.fromkeys(["train.lr", "train.clip", "train.epochs"], (1e-320, 1e300)),
    **dict.fromkeys(["train.warmup", "train.weight_decay", "method.orthogonality.coefficient"], (0, 1e300)),
    **dict.fromkeys(["method.sparsity.penalty", "task.doc_stride"], (0, 1e300)),
    **dict.fromkeys(["train.batch_size", "train.max_steps", "eval.every", "eval.batch_size"], (1, 2**31)),
    **dict.fromkeys(["data.max_train", "data.max_length", "kernel", "stride", "rank"], (1, 2**31)),
    **dict.fromkeys(["task.n_best", "task.max_answer_length"], (1, 2**31)),
    "data.max_eval": (2, 2**31),
    "train.cls_dropout": (0, 0.999999),
    "seed": (0, 2**32 - 1),
}


def keys(*overrides):
    """Every setting of a composed cell, and every group of settings."""
    leaves = list(flatten({key: value for key, value in composer()(list(overrides)).items() if key != "recipe"}))
    return leaves + sorted({key.rsplit(".", depth)[0] for key in leaves for depth in range(1, key.count(".") + 1)})


def pairs():
    """Each setting of some cell with each value; in the default suite a choice of them."""
    known = {}
    for base in CELLS.values():
        for key in keys(*base, "model=tiny-bert"):
            known.setdefault(key, base)
    every = [(base, key, value) for key, base in known.items() for value in VALUES]
    return every if ALL else random.Random(0).sample(every, 250)


def one_line(text):
    return text.isprintable() and 0 < len(text) < 500


def meaningless(config):
    """What an accepted configuration has that no run should; None if there is nothing."""
    places = {config.record_path: Path(config.results.dir, "runs"), config.work_dir: Path(config.outputs.dir, "runs")}
    for place, folder in places.items():
        if Path(os.path.normpath(folder)) not in Path(os.path.normpath(place)).parents:
            return f"{place} leaves {folder}"
        if len(place.name) > 250:
            return f"{place} has a name too long for a file"
    for key, value in flatten(vars_of(config)).items():
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, str) and any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in entry):
                return f"{key}={entry!r}"
            if isinstance(entry, float) and not math.isfinite(entry):
                return f"{key}={entry}"
        low, high = LIMITS.get(key, (-math.inf, math.inf))
        if key in LIMITS and value is not None and (isinstance(value, bool) or not low <= value <= high):
            return f"{key}={value}"
    return None


def vars_of(config):
    return {
        key: vars_of(value) if hasattr(value, "__dataclass_fields__") else value for key, value in vars(config).items()
    }


def test_every_setting_takes_a_sensible_value_or_says_why_not(tally):
    lost, trials = [], pairs()
    for base, key, value in trials:
        try:
            problem = meaningless(configure(*base, "model=tiny-bert", f"{key}={value}"))
        except Exception as error:
            line = explain(error)
            problem = (
                f"{type(error).__name__}: {error}"[:300] if line is None else None if one_line(line) else line[:300]
            )
        if problem:
            lost.append(f"{' '.join(base)} {key}={value[:40]!r}: {problem}")
    tally(PROMISE, "a hostile value of a setting, checked", len(trials), lost)


RUNS = [  # accepted, or refused only when the run begins
    *("results.dir=" + "x" * 300, "outputs.dir=/dev/null/x", "results.dir=/dev/null/x"),
    *("results.dir='a b'", "outputs.dir='*'", "method.tag=8.0", "task.name=1.5", "train.lr=1e-300", "train.lr=1e300"),
    *("train.clip=1e-300", "train.weight_decay=1e300", "train.warmup=1000000000", "train.epochs=1e-300", "stride=1"),
    *("data.max_length=1", "train.batch_size=1000000000", "eval.batch_size=1000000000", "eval.every=1000000000"),
    *(
        "task.labels=[]",
        "task.labels=[1,2]",
        "task.score=[1,2]",
        "task.metric='*'",
        "task.files.dev=..",
        "task.kind=span",
    ),
    *(
        "task.columns.text='*'",
        "model.matrices.query='*'",
        "model.head=[]",
        "model.head=[x]",
        "method.peft.scaling=...",
    ),
    *("method.peft.scaling=0", "method.peft.scaling=true", "method.peft.scaling=null", "method.peft.rank=1.5"),
    *("method.peft.init=x", "method.peft.peft_type=x", "method.peft=null", "model.random.hidden_size=-1"),
    *(
        "model.random.hidden_size=x",
        "model.random.model_type=..",
        "model.random=null",
        "tracker.name=x",
        "method.module=..",
    ),
    *(
        "method.freeze=['']",
        "method.trainable=[]",
        "method.optimizer=x",
        "data.max_train=1",
        "train.cls_dropout=0.999999",
    ),
]


def test_runs_with_odd_settings_end_with_a_record_or_one_line(tally, tmp_path, monkeypatch):
    chosen, lost = RUNS if ALL else random.Random(0).sample(RUNS, 5), []
    for number, override in enumerate(chosen):
        folder = tmp_path / str(number) / "here"
        folder.mkdir(parents=True)
        monkeypatch.chdir(folder)
        key = override.split("=")[0]
        short = [setting for setting in SHORT if not setting.startswith(f"{key}=")]
        problem = None
        try:
            run_cell(configure("task=toy_cls", "model=tiny-bert", *short, override))
        except Exception as error:
            line = explain(error)
            if line is None or not one_line(line) or "traceback in" in line:
                problem = line or f"{type(error).__name__}: {error}"
        if len(list(folder.parent.iterdir())) > 1 or len(list(folder.iterdir())) > 2:
            problem = f"left {[path.name for path in folder.iterdir()]}"
        if problem:
            lost.append(f"{override}: {problem[:300]}")
    tally(PROMISE, "a run with an odd setting", len(chosen), lost)


COMMANDS = [
    *(
        ["run", f"task={value}"]
        for value in ("3", "null", "[a,b]", "../task/rte", "''", "'a\tb'", "x" * 300, "9" * 5000)
    ),
    *(
        ["run", "table=demo", "model=tiny-bert", "dry=true", setting]
        for setting in (
            *(
                "seeds=-1",
                "seeds=0",
                "seeds=1.5",
                "seeds=x",
                "seeds=[]",
                "seeds=[6,6]",
                "seeds=null",
                "seeds=99999999999999999999",
            ),
            *(
                "seeds='a\nb'",
                "only=x",
                "only=[[toy_cls]]",
                "only={a:1}",
                "only='\x1b[31m'",
                "methods=3",
                "methods=''",
                "dry=2",
            ),
            *(
                "dry=null",
                "table=demo",
                "table.rows=[]",
                "results.dir=''",
                "seed=-1",
                "train.lr=nan",
                "train.lr=[1]",
                "kernel=x",
            ),
            *(
                "hydra/launcher=nope",
                "hydra.launcher.n_jobs=0",
                "hydra.launcher.n_jobs=x",
                "hydra.nope=1",
                "=",
                "a=b=c",
                "@",
                "~task",
            ),
            *(
                "results.dir=" + "x" * 300,
                "hydra.searchpath=[/nowhere]",
                "hydra.searchpath=3",
                "++x.y=1",
                "data.root=" + "x" * 300,
            ),
        )
    ),
    *(
        ["run", "table=demo", "dry=true", *flag]
        for flag in (["--config-dir", "/nowhere"], ["--config-name", "x"], ["--cfg", "x"])
    ),
    *(
        ["run", f"table={value}", "dry=true"]
        for value in ("null", "3", "../table/demo", "''", "[demo,table1]", "x" * 300)
    ),
    *([name, "--results", value] for name in ("tables", "figures", "report") for value in ("/dev/null/x", "x" * 300)),
    *(["tables", name] for name in ("../table1", "x\ny", "", "x" * 300)),
    *(
        ["tables", "table1", f"--{option}", value]
        for option in ("view", "protocol", "baseline")
        for value in ("../x", "a\nb", "")
    ),
    *(["tables", "table7", "--data-root", value] for value in ("/nowhere", "", "x" * 300)),
    *(["figures", value] for value in ("../x", "a\nb", "")),
    *(["figures", "--cost", "x"], ["records", "x"], ["records", "check", "--results", "x" * 300]),
    *(["records", "show", value] for value in ("../x", "a\nb", "", "*", "x" * 300 + ".json")),
    *(["records", "list", value] for value in ("x", "x=1", "task=3", "=", "~task", "seed='\x1b'")),
    *(
        ["records", "export", *place]
        for place in (["--csv", "/dev/null/x"], ["--parquet", "x" * 300], ["--csv", "x" * 300])
    ),
    *(["audit", "--paper", "/nowhere"], ["audit", "--paper", "x" * 300], ["audit", "--out", "/dev/null/x"]),
    *(["dashboard", "--results", "/dev/null/x"], ["dashboard", "--project", "../x"]),
]


def test_commands_with_hostile_arguments_end_with_one_line(script, tally, tmp_path):
    chosen, lost = COMMANDS if ALL else random.Random(0).sample(COMMANDS, 8), []
    for name, *arguments in chosen:
        try:
            ended = script(name, *arguments)
        except Exception as error:
            lost.append(f"{name} {arguments}: {type(error).__name__}: {error}"[:300])
            continue
        line = ended.stderr.strip().split("\n")[-1]
        if ended.returncode and not (line.startswith(("error: ", f"{name}.py: error: ")) and one_line(line)):
            lost.append(f"{name} {arguments}: status {ended.returncode}, {ended.stderr[-300:]!r}")
    odd = {path.name for path in tmp_path.iterdir()} - {"results", "outputs"}
    tally(PROMISE, "a hostile argument of a command", len(chosen), lost + [f"left {name}" for name in odd])
