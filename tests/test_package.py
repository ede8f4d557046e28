"""The package in other people's environments: the wheel is the library alone, and their Hydra does not change."""

import os
import shutil
import subprocess
import sys
import textwrap
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dcft
from tests.conftest import ROOT

CORE = ["torch", "transformers", "peft", "safetensors"]
WITHOUT_CHECKOUT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy, since a build leaves files behind."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "dcft", folder / "dcft", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", ".", "."]
    subprocess.run(command, cwd=folder, check=True)
    return folder / f"dcft_suite-{dcft.__version__}-py3-none-any.whl"


def with_requirements(*names: str) -> set[str]:
    """These distributions and what they need, as far as this environment has them."""
    seen, todo = set(), list(names)
    while todo:
        name = canonicalize_name(todo.pop())
        if name in seen:
            continue
        try:
            requirements = map(Requirement, distribution(name).requires or [])
        except PackageNotFoundError:
            continue
        seen.add(name)
        todo += [r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    return seen


@pytest.fixture(scope="module")
def library(wheel, tmp_path_factory) -> Path:
    """Python of an environment with the wheel, its four dependencies and what these need: links to this environment."""
    folder = tmp_path_factory.mktemp("library")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in with_requirements(*CORE):
        for top in {file.parts[0] for file in distribution(name).files} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(distribution(name).locate_file(top))
    # Without an index, pip fails if the wheel needs anything else.
    command = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-index", wheel]
    subprocess.run(command, check=True)
    return python


@pytest.mark.slow
def test_the_wheel_is_the_library(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    packages = {str(Path(name).parent) for name in names if name.endswith(".py")}
    assert packages == {"dcft", "dcft/tuners"}
    assert "dcft/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_the_library_needs_nothing_of_the_suite(library, tmp_path):
    code = """
        from importlib.util import find_spec

        import dcft, torch, transformers, peft

        assert "site-packages" in dcft.__file__
        for name in ("hydra", "omegaconf", "datasets", "evaluate", "wandb", "pandas", "matplotlib", "scipy"):
            assert find_spec(name) is None, name

        settings = transformers.BertConfig(
            vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
        )
        transformers.BertForSequenceClassification(settings).save_pretrained("bert")
        load = transformers.BertForSequenceClassification.from_pretrained
        config = dcft.DcftConfig(task_type="SEQ_CLS", kernel_size=4, target_modules=["query", "value"])
        model = peft.get_peft_model(load("bert"), config)
        optimizer = torch.optim.AdamW(filter(lambda p: p.requires_grad, model.parameters()), lr=1e-2)
        batch = {"input_ids": torch.randint(0, 100, (8, 16)), "labels": torch.arange(8) % 2}
        kernels = [p.clone() for n, p in model.named_parameters() if "dcft_C" in n]
        for _ in range(2):
            (model(**batch).loss + 0.1 * dcft.orthogonality_loss(model)).backward()
            optimizer.step()
            optimizer.zero_grad()
        trained = [p for n, p in model.named_parameters() if "dcft_C" in n]
        assert len(kernels) == 4 and not any(map(torch.equal, kernels, trained))

        model.save_pretrained("adapter")
        again = peft.PeftModel.from_pretrained(load("bert"), "adapter")
        with torch.no_grad():
            torch.testing.assert_close(again.eval()(**batch).logits, model.eval()(**batch).logits, rtol=0, atol=0)
    """
    subprocess.run(
        [library, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        env=WITHOUT_CHECKOUT,
        check=True,
    )


@pytest.mark.slow
def test_type_checkers_know_the_public_names(tmp_path):
    """`dcft` loads its names when they are asked for; without declarations each would be Any."""
    (tmp_path / "user.py").write_text(
        f"from dcft import {', '.join(dcft.__all__)}\n" + "".join(f"reveal_type({name})\n" for name in dcft.__all__)
    )
    command = [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", tmp_path / "user.py"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    revealed = [line.partition("Revealed type is ")[2] for line in shown.splitlines() if "Revealed type is" in line]
    assert len(revealed) == len(dcft.__all__)
    assert '"Any"' not in revealed, shown


def test_other_hydra_applications_do_not_see_our_plugins(tmp_path):
    app = """
        import hydra
        from hydra.core.global_hydra import GlobalHydra

        @hydra.main(version_base="1.3", config_path=None)
        def app(cfg):
            loader = GlobalHydra.instance().config_loader()
            print(*loader.get_group_options("hydra/launcher"), *loader.get_group_options("hydra/sweeper"))

        app()
    """
    (tmp_path / "app.py").write_text(textwrap.dedent(app))
    shown = subprocess.run(
        [sys.executable, "app.py"], cwd=tmp_path, env=WITHOUT_CHECKOUT, capture_output=True, text=True, check=True
    )
    options = shown.stdout.split()
    assert options.count("basic") == 2
    assert not {"local", "table"} & set(options)
