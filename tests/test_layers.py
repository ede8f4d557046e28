"""Which package may import which (docs/design.md): settings, data, backbone, adapter, run, record, sweep, view."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ROOT

MAY_IMPORT = {
    "sizes": set(),
    "tuners": {"sizes"},
    "config": {"errors"},
    "data": {"errors", "config"},
    "results": {"errors", "config"},
    "paper": {"errors", "sizes", "config", "results"},
    "backbones": {"errors", "tuners", "config", "data"},
    "tracking": {"errors", "config", "results"},
    "views": {"errors", "config", "results", "paper"},
    "training": {"errors", "tuners", "config", "data", "backbones", "results", "tracking"},
    "inference": {"errors", "cli", "tuners", "config", "data", "backbones", "results", "training"},
    "sweep": {"errors", "config", "data", "paper", "results", "views"},
    "errors": set(),
    "cli": {"errors", "config"},
}
WITHOUT_TORCH = ["config", "results", "paper", "views", "sweep"]
HEAVY = {"torch", "transformers", "datasets", "peft", "wandb"}


def imports(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, in functions too: "dcft.results.records" for either spelling."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "dcft")
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}:{node.lineno}: relative import; write the module's full name")
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "dcft":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if module_file(name) else node.module


def module_file(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def violations(root: Path = ROOT) -> list[str]:
    """Imports that the table does not allow, as "file imports module"."""
    wrong = []
    for path in sorted((root / "dcft").rglob("*.py")):
        package = path.relative_to(root / "dcft").parts[0].removesuffix(".py")
        if package == "__init__":
            continue
        for name in imports(path):
            target = name.split(".")[1] if "." in name else "dcft"
            allowed = target == package or target in MAY_IMPORT[package]
            if not allowed:
                wrong.append(f"{path.relative_to(root)} imports {name}")
    return wrong


def test_every_room_has_a_place():
    rooms = {
        path.stem for path in (ROOT / "dcft").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert rooms - {"__init__"} == set(MAY_IMPORT)


def test_no_import_climbs():
    assert not violations()


def test_an_import_that_climbs_is_found(tmp_path):
    folder = tmp_path / "dcft" / "results"
    folder.mkdir(parents=True)
    (folder / "lost.py").write_text("def late():\n    from dcft.training import run\n")
    assert violations(tmp_path) == ["dcft/results/lost.py imports dcft.training.run"]


def test_no_modules_import_each_other_in_a_circle():
    graph = {}
    for path in (ROOT / "dcft").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        graph[name] = set(imports(path)) - {name}
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize("package", WITHOUT_TORCH)
def test_a_light_package_loads_no_torch(package):
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in (ROOT / "dcft" / package).rglob("*.py")]
    if find_spec("submitit") is None:  # an optional part, for Slurm
        names = [name for name in names if name != "dcft.sweep.slurm"]
    code = f"import sys, importlib\nfor name in {names}: importlib.import_module(name.removesuffix('.__init__'))\n"
    code += f"print(*({HEAVY} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_no_file_is_longer_than_300_lines():
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    long = {name: n for name in tracked.stdout.split() if (n := len((ROOT / name).read_text().splitlines())) > 300}
    assert not long
