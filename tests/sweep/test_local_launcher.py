"""The launcher beside the sweep: cells side by side, each process with its share. A script stands in for run.py."""

import io
import json
import sys
import textwrap

import joblib
import pytest
from hydra.core.utils import JobStatus
from rich.console import Console

from dcft.sweep import workers
from dcft.sweep.workers import Labelled, Worker
from hydra_plugins.local_launcher import LocalLauncher, _show_progress

# Writes what it sees; "meet" ends only beside another one, "die" is killed, "refuse" ends with an error.
SCRIPT = textwrap.dedent(
    """
    import json, os, signal, sys, time
    from pathlib import Path

    name, act = sys.argv[1].split("=")
    print(f"{name}: first")
    seen = {key: os.environ.get(key) for key in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")}
    Path(name).write_text(json.dumps(seen | {"pid": os.getpid()}))
    deadline = time.monotonic() + 60
    while act == "meet" and len(list(Path().glob("meet*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    if act == "meet" and time.monotonic() >= deadline:
        sys.exit("error: nobody came")
    if act == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "refuse":
        sys.exit("error: it cannot be run")
    print(f"{name}: last")
    """
)


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """Launch jobs NAME=ACT; returns what each returned, and what each saw."""
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "script.py")])
    monkeypatch.setattr(joblib, "cpu_count", lambda only_physical_cores: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")

    def run(n_jobs, *jobs):
        returns = LocalLauncher(n_jobs).launch([[job] for job in jobs], initial_job_idx=0)
        assert [list(job.overrides) for job in returns] == [[job] for job in jobs]
        errors = [str(job._return_value) if job.status == JobStatus.FAILED else None for job in returns]
        return errors, {job: json.loads((tmp_path / job.partition("=")[0]).read_text()) for job in jobs}

    return run


def test_cells_run_side_by_side_with_a_share_of_the_threads(launch, capfd):
    errors, seen = launch(2, "meet1=meet", "meet2=meet", "c=run")
    assert errors == [None] * 3
    assert len({place["pid"] for place in seen.values()}) == 2
    assert {place["OMP_NUM_THREADS"] for place in seen.values()} == {"4"}
    lines = capfd.readouterr().out.splitlines()
    for label, name in (("[1/3]", "meet1"), ("[2/3]", "meet2"), ("[3/3]", "c")):
        assert [line for line in lines if line.startswith(label)] == [f"{label} {name}: first", f"{label} {name}: last"]
    progress = [line for line in lines if not line.startswith("[")]
    assert [line.partition(" after ")[0] for line in progress] == ["1 of 3 cells ended", "2 of 3 cells ended"]
    assert len(lines) == 6 + 2


def test_one_at_a_time_is_one_process_with_all_threads(launch, capfd):
    errors, seen = launch(None, "a=run", "b=run")
    assert errors == [None] * 2
    assert seen["a=run"] == seen["b=run"]
    assert seen["a=run"]["OMP_NUM_THREADS"] == "8"
    before, _, after = capfd.readouterr().out.partition("1 of 2 cells ended after ")
    assert before == "\n[1/2]\na: first\na: last\n"
    assert after.split("\n", 1)[1] == "\n[2/2]\nb: first\nb: last\n"


@pytest.mark.parametrize(
    ("ended", "running", "left"),
    [(1, 0, "about 5 min left"), (2, 2, "about 60 s left"), (5, 1, "about 5 s left"), (6, 0, None)],
)
def test_the_rest_is_taken_to_go_on_at_the_pace_so_far(capsys, ended, running, left):
    """Of six cells after a minute; one that runs counts as half done."""
    _show_progress(ended, running, total=6, seconds=60)
    printed = capsys.readouterr().out
    assert printed == ("" if left is None else f"{ended} of 6 cells ended after 60 s; {left}\n")


def test_a_line_of_progress_is_one_write(monkeypatch):
    """Between two writes of an unbuffered stream, a line of another process could come."""
    written = []
    stream = io.StringIO()
    stream.write = written.append
    monkeypatch.setattr(sys, "stdout", stream)
    _show_progress(1, 1, total=6, seconds=60)
    assert [text for text in written if text] == ["1 of 6 cells ended after 60 s; about 3 min left\n"]


def test_a_death_takes_one_cell_and_leaves_its_place(launch, monkeypatch):
    """Both processes are there again after it, and both GPUs are in use."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    errors, seen = launch(2, "a=die", "b=refuse", "meet1=meet", "meet2=meet")
    assert errors == ["its process was ended by SIGKILL", "it cannot be run", None, None]
    assert len({place["pid"] for place in seen.values()}) == 4
    assert {seen[job]["CUDA_VISIBLE_DEVICES"] for job in ("meet1=meet", "meet2=meet")} == {"5", "7"}


def test_by_default_each_gpu_has_a_cell(launch, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    errors, seen = launch(None, "meet1=meet", "meet2=meet")
    assert errors == [None] * 2
    assert {place["CUDA_VISIBLE_DEVICES"] for place in seen.values()} == {"0", "1"}


def test_a_worker_that_nobody_listens_to_any_more_ends_quietly(launch, capfd):
    """As after Ctrl-C: its last answer is not read."""
    worker = Worker(workers.environment(0, 2, []), alone=False)
    worker.begin("[1/2]", ["a=run"])
    assert worker.connection.poll(60)
    worker.close()
    assert capfd.readouterr() == ("[1/2] a: first\n[1/2] a: last\n", "")


def test_shares(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(joblib, "cpu_count", lambda only_physical_cores: 8)
    assert [workers.environment(0, at_once, [])["OMP_NUM_THREADS"] for at_once in (1, 3, 8, 9)] == ["8", "2", "1", "1"]
    assert [workers.environment(n, 3, ["a", "b"])["CUDA_VISIBLE_DEVICES"] for n in range(3)] == ["a", "b", "a"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert workers.environment(0, 4, []) == {"OMP_NUM_THREADS": "5"}


@pytest.mark.parametrize(
    ("script", "found"),
    [("echo 0; echo 1", ["0", "1"]), ("echo 'NVIDIA-SMI has failed'; exit 9", []), (None, [])],
    ids=["two", "no driver", "no program"],
)
def test_gpus_are_those_that_nvidia_smi_lists(tmp_path, monkeypatch, script, found):
    if script:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert workers.gpus() == found


@pytest.mark.parametrize(("value", "found"), [("2, 3", ["2", "3"]), ("", []), ("MIG-1/0", ["MIG-1/0"])])
def test_gpus_are_those_that_the_environment_names(monkeypatch, value, found):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert workers.gpus() == found


def test_a_labelled_stream_has_whole_lines_and_is_no_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Labelled(terminal := Terminal())
    stream.label = "[1/2]"
    stream.write("one\ntw")
    assert terminal.getvalue() == "[1/2] one\n"
    stream.write("o\n\n")
    assert terminal.getvalue() == "[1/2] one\n[1/2] two\n[1/2] \n"
    monkeypatch.setattr(sys, "stdout", stream)
    assert not Console().is_terminal
    assert stream.encoding == terminal.encoding


def test_a_number_that_makes_no_sense_is_refused(command):
    refused = command("table=demo", "model=tiny-bert", "hydra.launcher.n_jobs=0")
    line = "error: hydra.launcher.n_jobs=0: give how many cells to run at once, at least 1\n"
    assert (refused.returncode, refused.stderr) == (1, line)
