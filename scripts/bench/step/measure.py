"""Build the rows of one backbone, check them, and time them."""

import argparse
import re
import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from bench.step import backbones, checks, memory
from bench.step.budget import budget
from bench.step.products import Products
from bench.step.rows import BUDGETS, EVALUATION_FLOOR, FULL, LAYER, PARTS, STEP_FLOOR, BenchRow
from bench.step.workload import Workload
from bench.timing import choose_device, interleave
from dcft.config.build import build
from dcft.config.cell import RunConfig
from dcft.config.compose import Composer
from dcft.errors import UserError

CPU_LAYERS = {"deberta-v3-base": 4, "roberta-large": 2}  # by default: a round of all rows takes half a minute
TASK = "task=rte"  # two classes; its recipe gives the scaling, LoRA's alpha and the weight of DCFT's penalty
FIRST_WORD = 10  # special tokens have lower numbers
MATRICES = ("attention_output", "intermediate", "output")  # one of each size; query, key and value are like the first
LATENCIES = (1, 64)  # rows of a batch whose prediction is timed by itself
CALLS = {"cpu": 1, "cuda": 20}  # of a layer in one time: a single call is too short for CUDA's events


class Measurement:
    """One backbone at one length, on one device.

    Args:
        model: a name that `bench.step.backbones.architecture` takes.
        length: tokens of each sequence in the batch.
        arguments: the command line of `python scripts/bench step`.

    Raises:
        UserError: if there is no such device, or the backbone has fewer layers.
    """

    def __init__(self, model: str, length: int, arguments: argparse.Namespace):
        self.device = choose_device(arguments.device)
        if arguments.threads:
            torch.set_num_threads(arguments.threads)
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # about calls of its own
        if arguments.compile:  # rows share code; after 8 versions of it PyTorch would stop compiling, silently
            torch._dynamo.config.recompile_limit = 1000
            torch._dynamo.config.fail_on_recompile_limit_hit = True
        torch.manual_seed(0)
        self.arguments = arguments
        all_layers = backbones.architecture(model)["num_hidden_layers"]
        layers = arguments.layers or (CPU_LAYERS.get(model, all_layers) if self.device.type == "cpu" else all_layers)
        if layers > all_layers:
            raise UserError(f"--layers {layers}: {model} has {all_layers}")
        self.settings = {
            "model": model,
            "layers": layers,
            "of_layers": all_layers,
            "batch": arguments.batch,
            "length": length,
            "device": self.device.type,
            "precision": arguments.precision,
            "attention": arguments.attention,
            "dropout": arguments.dropout,
            "compile": arguments.compile,
            "complete": arguments.rows is None and set(arguments.parts) == set(PARTS),  # no row or part left out
            "rounds": arguments.rounds,
            "warmup": arguments.warmup,
        }
        self.backbone = backbones.build(model, layers).to(self.device)
        self.batch = self._batch(length, arguments.batch)
        self.composer = Composer()

    def _batch(self, length: int, rows: int) -> dict[str, Tensor]:
        """Random words without padding, as in a batch of sequences of equal length."""
        shape = (rows, length)
        batch = {
            "input_ids": torch.randint(FIRST_WORD, self.backbone.config.vocab_size, shape),
            "attention_mask": torch.ones(shape, dtype=torch.long),
            "labels": torch.zeros(shape[0], dtype=torch.long),  # of one class, so that gradients cannot cancel
        }
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def _config(self, row: BenchRow) -> RunConfig:
        settings = [f"model={self.settings['model']}", TASK, *row.settings]
        return build(self.composer(settings), settings)

    def workloads(self, rows: dict[str, BenchRow], training: bool) -> dict[str, Workload]:
        """Build rows, by their names: as training steps, or as evaluations."""
        names = ("attention", "dropout", "precision")
        kinds = [getattr(self.arguments, name) for name in names]
        return {
            name: Workload(name, row, self.backbone, self._config(row), self.batch, *kinds, training)
            for name, row in rows.items()
        }

    def run(self, step: dict[str, BenchRow], evaluation: dict[str, BenchRow], parts: list[str]) -> dict[str, Any]:
        """Measure some parts.

        Args:
            step, evaluation: rows by name, the floor first; may be empty.
            parts: names of `PARTS`.

        Returns:
            `settings`, and `parts`: for each its rows with the times of all rounds.

        Raises:
            RunFailed: if a row fails a check.
        """
        results = []
        if (self.arguments.attention, self.arguments.dropout) == ("plain", "torch"):
            step = {name: row for name, row in step.items() if row.variant != "plain"}  # the floor has it
        if "step" in parts and step:
            results.append(self._part("step", step, STEP_FLOOR))
        if "evaluation" in parts and evaluation:
            results.append(self._part("evaluation", evaluation, EVALUATION_FLOOR))
        if "layer" in parts and step:
            results += self._layers({name: row for name, row in step.items() if name in LAYER})
        if "budget" in parts and self.device.type == "cpu":
            results += self._budgets({name: row for name, row in step.items() if name in BUDGETS})
        return {"measurement": "step", "settings": self.settings, "parts": results}

    def _part(self, name: str, rows: dict[str, BenchRow], floor: str) -> dict[str, Any]:
        """All rows of a training step or of an evaluation."""
        training = name == "step"
        workloads = self.workloads(rows, training)
        checks.outputs(workloads, floor)
        if training:
            checks.reaches_embeddings(workloads[floor])
        for workload in workloads.values():
            if self.arguments.compile:
                workload.compile()
            for _ in range(self.arguments.warmup):
                workload()
            if training:
                checks.gradients(workload)
        lines = {row: {"name": row, "title": workload.row.title} for row, workload in workloads.items()}
        if training:
            for row, workload in workloads.items():
                peak = memory.peak(workload.model, workload.optimizer, workload, self.device)
                lines[row] |= {"parameters": asdict(workload.params), "memory": peak}
        # Full fine-tuning also multiplies for the gradients of the weights.
        sources = {row: workloads[row] for row in (floor, FULL) if row in workloads}
        alone = {f"products of {row}": Products(workload, self.device) for row, workload in sources.items()}
        description = f"{self.settings['model']} {name}"
        times = interleave(workloads | alone, self.arguments.rounds, self.device, description)
        for row, workload in workloads.items():
            checks.finite(workload)
            lines[row]["ms"] = times[row]
        if not training:
            for row, latency in self._latencies(workloads).items():
                lines[row]["latency"] = latency
        products = {row: {"gflop": alone[key].gflop, "ms": times[key]} for row, key in zip(sources, alone, strict=True)}
        return {"name": name, "floor": floor, "products": products, "rows": list(lines.values())}

    def _latencies(self, workloads: dict[str, Workload]) -> dict[str, dict[str, list[float]]]:
        """The times of a prediction of each row, by the number of sequences in it."""
        times: dict[str, dict[str, list[float]]] = {name: {} for name in workloads}
        for rows in LATENCIES:
            batch = self._batch(self.settings["length"], rows)
            for workload in workloads.values():
                workload.batch = batch
                for _ in range(self.arguments.warmup):
                    workload()
            description = f"{self.settings['model']} latency of {rows}"
            for name, ms in interleave(workloads, self.arguments.rounds, self.device, description).items():
                times[name][str(rows)] = ms
        return times

    def _layers(self, rows: dict[str, BenchRow]) -> list[dict[str, Any]]:
        """One linear layer of each size, with each adapter."""
        workloads = self.workloads(rows, training=True)
        modules = self._config(rows[STEP_FLOOR]).model.matrices
        titles = {name: workload.row.title for name, workload in workloads.items()} | {STEP_FLOOR: "No adapter"}
        parts = []
        for matrix in MATRICES:
            passes = {
                name: layer_pass(workload, modules[matrix], self.arguments.compile)
                for name, workload in workloads.items()
            }
            for layer in passes.values():
                for _ in range(self.arguments.warmup):
                    layer()
            description, calls = f"{self.settings['model']} {matrix}", CALLS[self.device.type]
            times = interleave(passes, self.arguments.rounds, self.device, description, calls)
            bare = first_layer(workloads[STEP_FLOOR], modules[matrix])
            lines = [{"name": name, "title": titles[name], "ms": times[name]} for name in workloads]
            size = [bare.in_features, bare.out_features]
            parts.append({"name": "layer", "matrix": matrix, "size": size, "floor": STEP_FLOOR, "rows": lines})
        return parts

    def _budgets(self, rows: dict[str, BenchRow]) -> list[dict[str, Any]]:
        """A profile of some rows' steps."""
        lines = []
        for name, workload in self.workloads(rows, training=True).items():
            for _ in range(self.arguments.warmup):
                workload()
            lines.append({"name": name, "title": workload.row.title, "budget": budget(workload)})
        return [{"name": "budget", "floor": STEP_FLOOR, "rows": lines}] if lines else []


def first_layer(workload: Workload, module: str) -> nn.Module:
    """The linear layer of that name in the first encoder layer, with its adapter."""
    suffix = re.compile(rf"layer\.0\.{re.escape(module)}$")
    return next(layer for name, layer in workload.model.named_modules() if suffix.search(name))


def layer_pass(workload: Workload, module: str, compiled: bool) -> Callable[[], None]:
    """Forward and backward of one linear layer: the gradients of its input and of its trainable parameters.

    Args:
        workload: a training step, whose batch and precision the layer gets.
        module: name of the layer within an encoder layer.
        compiled: by torch.compile.
    """
    layer = first_layer(workload, module)
    words = workload.batch["input_ids"]
    x = torch.randn(*words.shape, layer.in_features, device=words.device, requires_grad=True)
    sources = [x, *(parameter for parameter in layer.parameters() if parameter.requires_grad)]
    forward = torch.compile(layer, dynamic=False) if compiled else layer
    with torch.no_grad(), workload.autocast():
        gradient = torch.randn_like(forward(x))

    def run() -> None:
        with workload.autocast():
            y = forward(x)
        torch.autograd.grad(y, sources, gradient)

    return run
