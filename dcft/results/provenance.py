"""What a result was made with: versions, the state of the code, the machine. Does not load torch if nobody has."""

import contextlib
import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dcft.config.conf import CONF

PACKAGES = ("torch", "transformers", "peft", "datasets", "tokenizers", "accelerate", "evaluate", "hydra-core", "numpy")


@cache
def versions() -> dict[str, str]:
    """Installed versions of what computes a result."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def git() -> dict[str, Any] | None:
    """Commit of the suite, and whether its files differ from it (results aside); None outside a repository."""
    root = CONF.parent

    def ask(*arguments: str) -> str:
        # Without optional locks: a run must never be in the way of its user's git.
        command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()

    try:
        return {
            "commit": ask("rev-parse", "HEAD"),
            "dirty": bool(ask("status", "--porcelain", "--", ".", ":(exclude)results")),
        }
    except (OSError, subprocess.SubprocessError):
        return None


def hardware(processes: int = 1) -> dict[str, Any]:
    """Machine, processor, cores; how many processes share the run; threads and GPU of each."""
    description = {"machine": platform.machine(), "cpu": _cpu_name(), "cores": os.cpu_count()}
    description["processes"] = processes
    if torch := sys.modules.get("torch"):
        description["threads"] = torch.get_num_threads()
        description["gpu"] = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return description


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def reset_peak_memory() -> None:
    """Start a new measurement of peak memory, where the system allows it."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak of the resident set


def peak_reserved_mb() -> float | None:
    """Peak of what the GPU's allocator has taken from the GPU since the reset, in MB (10^6); None without a GPU."""
    torch = sys.modules.get("torch")
    return round(torch.cuda.max_memory_reserved() / 1e6, 1) if torch and torch.cuda.is_available() else None


def peak_memory_mb() -> float | None:
    """Peak of this process since the reset, in MB (10^6): of its GPU's allocator, else of itself; None if unknown."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e6, 1)
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return round(int(line.split()[1]) * 1024 / 1e6, 1)
    except OSError:
        pass
    return None
