"""What SECURITY.md promises: secrets stay out of files, foreign files run no code, links lead nowhere."""

import hashlib
import json
import os
import pickle
import random
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet
import pytest

from dcft.backbones import load
from dcft.errors import RunFailed, UserError
from dcft.results import records
from dcft.training import checkpoints, prepare
from dcft.training import run as training
from dcft.training.trainer import CellTrainer
from tests.conftest import SHORT, configure
from tests.faults.conftest import ALL
from tests.faults.test_services import start

RUN = ["task=toy_cls", "model=tiny-bert", *SHORT]
SECRET = "5ec2e7"  # in every secret that is planted
SECRETS = {
    "WANDB_API_KEY": (SECRET * 7)[:40],
    "HF_TOKEN": f"hf_{SECRET}",
    "AWS_SECRET_ACCESS_KEY": f"aws{SECRET}",
    "HTTPS_PROXY": f"http://user:{SECRET}@127.0.0.1:9",
    "http_proxy": f"http://user:{SECRET}@127.0.0.1:9",
}
REMOTE = f"https://user:{SECRET}@127.0.0.1/repository.git"


def leaks(folder: Path) -> list[str]:
    """The files that hold the secret; Parquet files are unpacked."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content += str(pyarrow.parquet.read_table(path).to_pylist()).encode()
            if (
                SECRET.encode() in content or b"repository.git" in content
            ):  # of the remote: W&B hides its password itself
                found.append(path.name)
    return found


@pytest.mark.slow
def test_no_secret_reaches_a_file(tmp_path, script, tally):
    folder = tmp_path / "run"
    folder.mkdir()
    commit = ["-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty", "-m", "x"]
    for command in (["init", "-q"], ["remote", "add", "origin", REMOTE], commit):  # W&B looks at what has a commit
        subprocess.run(["git", *command], cwd=folder, check=True)
    table = ["table=demo", "only=toy_cls", "methods=dcft", "model=tiny-bert", "seeds=1", "train.max_steps=2"]
    table += ["eval.every=2", "data.max_eval=40", "results.dir=results"]
    commands = {
        "a cell": [*RUN, "tracker=wandb"],
        "a failed cell": [*RUN, "tracker=wandb", "train.lr=1e30"],
        "a table": [*table, "tracker=wandb"],
        "an address in a setting": [*RUN, f"data.root={REMOTE}"],
        "an address in a table's setting": [*table, f"+data.root={REMOTE}"],
    }
    chosen = list(commands) if ALL else ["a table", "an address in a setting"]
    lost = []
    for name in chosen:
        arguments = commands[name]
        done, _ = start(arguments, folder, WANDB_MODE="offline", **SECRETS)
        refused = "address" in name
        if (done.returncode == 0) == (refused or "failed" in name) or SECRET in done.stdout + done.stderr:
            lost.append(f"{name}: {done.stdout}{done.stderr}")
    assert script("report", "--results", folder / "results").returncode == 0
    assert list(folder.glob("outputs/runs/*/wandb/offline-run-*/*.wandb"))
    lost += leaks(folder)
    tally("No secret is written or printed", "secrets in the environment, a remote or a setting", len(chosen), lost)


class Payload:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def plant(path: Path, marker: Path) -> None:
    path.write_bytes(pickle.dumps(Payload(marker)))


def test_the_payload_works(tmp_path):
    plant(tmp_path / "file", tmp_path / "marker")
    pickle.loads((tmp_path / "file").read_bytes())
    assert (tmp_path / "marker").exists()


def interrupt(config, monkeypatch) -> None:
    """Run a cell up to its second evaluation."""

    class Stopping(CellTrainer):
        def evaluate(self, *args, **kwargs):
            if self.state.global_step == 4:
                raise KeyboardInterrupt
            return super().evaluate(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "CellTrainer", Stopping)
        with pytest.raises(KeyboardInterrupt):
            training.run_cell(config)


def test_a_planted_pickle_is_never_executed(cell, monkeypatch, tmp_path, tally):
    marker, config = tmp_path / "marker", cell(*RUN)
    interrupt(config, monkeypatch)
    shutil.copytree(tmp_path / "outputs", tmp_path / "kept")
    places = ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "adapter_model.safetensors"]
    places = [f"runs/{config.cell}/checkpoints/checkpoint-2/{name}" for name in places]
    places += [f"cache/tokens/{path.name}" for path in (tmp_path / "kept/cache/tokens").iterdir()]
    lost = []
    for place in places if ALL else random.Random(1).sample(places, 2):
        shutil.rmtree(tmp_path / "outputs")
        shutil.rmtree(tmp_path / "results", ignore_errors=True)
        shutil.copytree(tmp_path / "kept", tmp_path / "outputs")
        plant(tmp_path / "outputs" / place, marker)
        manifest = checkpoints.place(config.work_dir, 2) / checkpoints.MANIFEST
        digests = json.loads(manifest.read_text())  # whoever can plant a file can write its digest, too
        name = Path(place).name
        if name in digests:
            digests[name] = hashlib.sha256((manifest.parent / name).read_bytes()).hexdigest()
            manifest.write_text(json.dumps(digests))
        try:
            training.run_cell(config)
        except (UserError, RunFailed) as error:
            print(place, error)
        lost += [place] if marker.exists() else []
    tally("A foreign file runs no code", "a pickle in a checkpoint or a cache", len(places) if ALL else 2, lost)


def saved(folder: Path) -> Path:
    """A tiny BERT as a folder."""
    backbone = load.load_backbone(configure("task=toy_cls", "model=tiny-bert"))
    backbone.model.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    return folder


def test_a_model_with_pickled_weights_of_malice_is_refused(cell, tmp_path, tally):
    folder = saved(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    plant(folder / "pytorch_model.bin", tmp_path / "marker")
    with pytest.raises(UserError, match=r"the model in .* cannot be loaded"):
        training.run_cell(cell(*RUN, f"model.path={folder}"))
    lost = ["it ran"] if (tmp_path / "marker").exists() else []
    tally("A foreign file runs no code", "a pickle for weights (model.path)", 1, lost)


@pytest.mark.parametrize("kind", ["bert", "of_its_own"])
def test_a_model_s_own_code_is_never_run(cell, tmp_path, kind, tally):
    folder = saved(tmp_path / "model")
    (folder / "own.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'marker')!r})\n")
    classes = ("AutoConfig", "AutoModelForSequenceClassification", "AutoTokenizer")
    code = {"auto_map": {name: ["own.T", "own.T"] if name == "AutoTokenizer" else "own.T" for name in classes}}
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads((folder / name).read_text()) | code
        if name == "config.json":
            content["model_type"] = kind
        (folder / name).write_text(json.dumps(content))
    config = cell(*RUN, f"model.path={folder}")
    if kind == "bert":  # Transformers has a class of its own for it
        assert records.read(training.run_cell(config)).done
    else:
        with pytest.raises(UserError, match=r"the model in .* cannot be loaded"):
            training.run_cell(config)
    lost = ["it ran"] if (tmp_path / "marker").exists() else []
    tally("A foreign file runs no code", "a model with code of its own (auto_map)", 1, lost)


def test_a_link_in_a_cell_s_folder_is_not_followed(cell, monkeypatch, tmp_path, tally):
    config, elsewhere = cell(*RUN), tmp_path / "elsewhere"
    interrupt(config, monkeypatch)
    names = [
        "",
        "answers",
        "checkpoints",
        "checkpoints/checkpoint-2",
        "model",
        "wandb",
        "lock",
        "state.json",
        "error.txt",
    ]
    lost = []
    for name in names:
        place = config.work_dir / name
        shutil.rmtree(elsewhere, ignore_errors=True)
        elsewhere.mkdir()
        (elsewhere / "2.parquet").write_text("mine")
        kept = place.with_name(f"{place.name}-kept")
        if place.exists():
            place.rename(kept)
        place.symlink_to(elsewhere)
        try:
            training.run_cell(config)
            lost.append(f"{name}: it ran")
        except UserError as error:
            lost += [] if "is a symbolic link" in str(error) else [str(error)]
        if [path.name for path in elsewhere.iterdir()] != ["2.parquet"] or not place.is_symlink():
            lost.append(f"{name}: {sorted(elsewhere.iterdir())}")
        place.unlink()
        if kept.exists():
            kept.rename(place)
    assert records.read(training.run_cell(config)).done
    tally("A link leads nowhere: one line", "a symbolic link in a cell's folder", len(names), lost)
