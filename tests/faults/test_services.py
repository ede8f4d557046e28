"""Services that fail while real commands use them: the Hugging Face Hub and W&B, each played by a local server."""

import json
import os
import random
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from datasets import Dataset

from dcft.backbones import load
from dcft.results import records
from dcft.tracking import mirror
from tests.conftest import ROOT, SHORT, configure
from tests.faults import stand_in
from tests.faults.conftest import ALL
from tests.faults.stand_in import Reply, Request

pytestmark = pytest.mark.slow
HUB = "A failing Hub: one line, bounded waiting, nothing written, the same command goes on"
WANDB = "A failing W&B: the same record, bounded waiting, `wandb sync` uploads everything later"
NOBODY = "http://127.0.0.1:9"  # where no server listens
START = 120.0  # seconds that a command may take by itself, beside many others; alone it is 10 s
NEEDS = {  # what a cell needs of the Hub: its command, and the beginning of its error
    "backbone": (["task=toy_cls", "model=deberta-v3-base", "kernel=4", *SHORT], "error: model=deberta-v3-base: "),
    "data": (["task=rte", "model=tiny-bert", *SHORT], "error: task=rte: "),
}


@pytest.fixture(scope="module")
def repositories(tmp_path_factory) -> Path:
    """RTE's layout, and a tiny DeBERTa in the place of the large one, as a Hub has them."""
    root = tmp_path_factory.mktemp("hub")
    backbone = load.load_backbone(configure("task=toy_cls", "model=tiny-deberta"))
    for part in (backbone.model, backbone.tokenizer):
        part.save_pretrained(root / "models" / "microsoft" / "deberta-v3-base")
    glue = root / "datasets" / "nyu-mll" / "glue"
    (glue / "rte").mkdir(parents=True)
    for split, rows in (("train", 2490), ("validation", 277)):
        columns = [{"sentence1": f"p{i}", "sentence2": f"h{i}", "label": i % 2, "idx": i} for i in range(rows)]
        Dataset.from_list(columns).to_parquet(glue / "rte" / f"{split}-00000-of-00001.parquet")
    files = "".join(f"  - split: {split}\n    path: rte/{split}-*\n" for split in ("train", "validation"))
    (glue / "README.md").write_text(f"---\nconfigs:\n- config_name: rte\n  data_files:\n{files}---\n")
    return root


def start(arguments: list[str], folder: Path, **environment: str) -> tuple[subprocess.CompletedProcess, float]:
    """Run `python run.py ARGUMENTS` in a folder; returns what it did and its seconds."""
    folder.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "WANDB_"))}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        cwd=folder,
        env=kept | {"HF_HOME": f"{folder}-cache", "HOME": str(folder), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done, time.perf_counter() - began


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def record_of(folder: Path):
    (path,) = folder.glob("results/runs/*/*/*.json")
    return records.read(path)


def cut(answer):
    """The same Hub, whose files end in the middle."""

    def half(request: Request) -> Reply:
        reply = answer(request)
        reply.cut = request.method == "GET" and "/resolve/" in request.path
        return reply

    return half


def test_a_hub_that_fails_ends_a_cell_with_one_line(tmp_path, repositories, tally):
    faults = stand_in.FAULTS | {"a refused connection": None, "files that end early": cut(stand_in.hub(repositories))}
    cases = [(need, fault) for need in NEEDS for fault in faults]
    cases = cases if ALL else random.Random(0).sample(cases, 1)

    def trial(need: str, fault: str) -> str | None:
        folder = tmp_path / f"{need} {fault}"
        arguments, beginning = NEEDS[need]
        with stand_in.serving(faults[fault] or stand_in.html) as server:
            address = server.address if faults[fault] else NOBODY
            done, seconds = start(arguments, folder, HF_ENDPOINT=address, HF_HUB_OFFLINE="0")
        print(f"{need}, {fault}: {seconds:.0f} s")
        last = done.stderr.strip().rpartition("\n")[2]
        right = last.startswith(beginning) and "give " in last and "Traceback" not in done.stderr
        kept = files(folder)
        return (
            None if right and done.returncode == 1 and not kept and seconds < START + 40 else f"{fault}: {last} {kept}"
        )

    with ThreadPoolExecutor(4) as pool:
        lost = list(filter(None, pool.map(lambda case: trial(*case), cases)))
    tally(HUB, "the Hub fails before a cell", len(cases), lost)


@pytest.mark.parametrize("need", NEEDS if ALL else ["backbone"])
def test_the_same_command_goes_on_when_the_hub_is_back(tmp_path, repositories, need, tally):
    works, folder, (arguments, _) = stand_in.hub(repositories), tmp_path / "run", NEEDS[need]
    with stand_in.serving(cut(works)) as server:
        online = {"HF_ENDPOINT": server.address, "HF_HUB_OFFLINE": "0"}
        assert start(arguments, folder, **online)[0].returncode == 1
        server.answer = works
        done, _ = start(arguments, folder, **online)
        assert done.returncode == 0, done.stderr
        assert record_of(folder).done
        server.answer = stand_in.FAULTS["no answer"]
        done, seconds = start([*arguments, "seed=7"], folder, **online)
    lost = [] if done.returncode == 0 and seconds < START + 15 else [done.stderr]
    tally(HUB, "the Hub comes back, then hangs: the cache is used", 1, lost)


def test_a_table_says_before_its_first_cell_that_the_hub_fails(tmp_path, tally):
    def trial(fault: str) -> str | None:
        with stand_in.serving(stand_in.FAULTS[fault]) as server:
            online = {"HF_ENDPOINT": server.address, "HF_HUB_OFFLINE": "0"}
            done, seconds = start(["table=demo", "methods=lora", "model=deberta-v3-base"], tmp_path / fault, **online)
        last = done.stderr.strip().rpartition("\n")[2]
        right = last.startswith("error: nothing to run: model=deberta-v3-base: ") and seconds < START + 20
        return None if right and done.returncode == 1 and "runs" not in str(files(tmp_path / fault)) else last

    faults = list(stand_in.FAULTS) if ALL else ["no answer"]
    with ThreadPoolExecutor(4) as pool:
        lost = list(filter(None, pool.map(trial, faults)))
    tally(HUB, "the Hub fails before a table", len(faults), lost)


TRACKED = ["task=toy_cls", "model=tiny-bert", *SHORT]


def dying(address: str):
    """A W&B server that takes a run, and then breaks every connection."""
    works = stand_in.wandb(address)

    def answer(request: Request) -> Reply:
        begins = request.path == "/graphql" and b"createRunFiles" not in request.body
        return works(request) if begins else Reply(500)

    return answer


def uploaded(server: stand_in.Server, name: str) -> list[dict]:
    """The lines of a file, `history` or `summary`, that a server was sent."""
    bodies = [json.loads(request.body) for request in server.asked if request.path.endswith("file_stream")]
    sent = [
        body.get("files", {}).get(f"wandb-{name}.jsonl".replace("summary.jsonl", "summary.json")) for body in bodies
    ]
    return [json.loads(line) for part in sent if part for line in part["content"]]


def test_a_failing_wandb_costs_seconds_and_no_result(tmp_path, tally):
    faults = {name: stand_in.FAULTS[name] for name in ("status 401", "status 500", "no answer", "HTML for JSON")}
    faults |= {"a refused connection": None, "it dies during the run": dying}
    chosen = list(faults) if ALL else ["it dies during the run"]

    def trial(fault: str) -> str | None:
        folder = tmp_path / fault
        with stand_in.serving(stand_in.html) as server:
            answer = faults[fault]
            server.answer = answer(server.address) if answer is dying else answer or stand_in.html
            address = server.address if answer else NOBODY
            login = {"WANDB_BASE_URL": address, "WANDB_API_KEY": "0123456789" * 4}
            done, seconds = start([*TRACKED, "tracker=wandb"], folder, **login)
            print(f"W&B, {fault}: {seconds:.0f} s")
            said = re.search(r"note: W&B did not take .*later: wandb (sync .*)", done.stderr)
            if done.returncode or not said or "Traceback" in done.stderr:
                return f"{fault}: {done.stderr}"
            if seconds > START + mirror.INIT_TIMEOUT + mirror.FINISH_TIMEOUT:
                return f"{fault}: {seconds:.0f} s"
            server.answer, server.asked = stand_in.wandb(server.address), []
            synced = subprocess.run(
                [sys.executable, "-m", "wandb", *said[1].split()],
                cwd=folder,
                env=os.environ | login | {"WANDB_BASE_URL": server.address, "HOME": str(folder)},
                capture_output=True,
                text=True,
                timeout=100,
            )
            scores = {line["_step"]: line["dev/score"] for line in uploaded(server, "history") if "dev/score" in line}
            summary = uploaded(server, "summary")
        record = record_of(folder)
        if scores != {entry.step: entry.score for entry in record.history} or summary[-1]["score"] != record.score:
            return f"{fault}: {synced.stdout}{synced.stderr}{scores}{summary}"
        return None if same(record, plain) else f"{fault}: another result"

    done, _ = start(TRACKED, tmp_path / "plain")
    assert done.returncode == 0, done.stderr
    plain = record_of(tmp_path / "plain")
    with ThreadPoolExecutor(4) as pool:
        lost = list(filter(None, pool.map(trial, chosen)))
    tally(WANDB, "W&B fails from the beginning, or dies during the run", len(chosen), lost)


def same(one, other) -> bool:
    return (one.cell, one.score, one.losses) == (other.cell, other.score, other.losses) and [
        (entry.step, entry.loss, entry.metrics) for entry in one.history
    ] == [(entry.step, entry.loss, entry.metrics) for entry in other.history]
