"""Builds the rows of one backbone, makes sure that they do what they say, and times them."""

import argparse
import warnings
from typing import Any

import torch
from torch import Tensor

from bench.step import PARTS, backbones, checks, layer, memory
from bench.step.rows import EVALUATION_FLOOR, LAYER, STEP_FLOOR, Row
from bench.step.workload import Workload
from bench.timing import interleave
from dcft.config.build import build
from dcft.config.cell import RunConfig
from dcft.config.compose import Composer
from dcft.errors import UserError
from dcft.results import provenance

CPU_LAYERS = {"deberta-v3-base": 4, "roberta-large": 2}  # if nothing is said: a round of all rows takes half a minute
TASK = "task=rte"  # two classes; its recipe gives the scaling, LoRA's alpha and the weight of DCFT's penalty
FIRST_WORD = 10  # special tokens have lower numbers


class Measurement:
    """One backbone at one length, on one device.

    Args:
        model: a name that `bench.step.backbones` knows.
        length: tokens of each row of the batch.
        arguments: the command line of `scripts/bench step`, checked.

    Raises:
        UserError: if there is no such device, or not so many layers.
    """

    def __init__(self, model: str, length: int, arguments: argparse.Namespace):
        found = "cuda" if torch.cuda.is_available() else "cpu"
        if arguments.device == "cuda" != found:
            raise UserError("--device cuda: PyTorch finds no CUDA device here; give cpu")
        if arguments.threads:
            torch.set_num_threads(arguments.threads)
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # its own calls
        if arguments.compile:  # rows share code, and beyond 8 versions of it PyTorch goes back to none, silently
            torch._dynamo.config.recompile_limit = 1000
            torch._dynamo.config.fail_on_recompile_limit_hit = True
        torch.manual_seed(0)
        self.device = torch.device(arguments.device or found)
        self.arguments = arguments
        whole = backbones.architecture(model)["num_hidden_layers"]
        layers = arguments.layers or (CPU_LAYERS.get(model, whole) if self.device.type == "cpu" else whole)
        if layers > whole:
            raise UserError(f"--layers {layers}: {model} has {whole}")
        self.settings = {
            "model": model,
            "layers": layers,
            "of_layers": whole,
            "batch": arguments.batch,
            "length": length,
            "device": self.device.type,
            "precision": arguments.precision,
            "attention": arguments.attention,
            "compile": arguments.compile,
            "complete": arguments.rows is None and set(arguments.parts) == set(PARTS),  # no row or part left out
            "rounds": arguments.rounds,
            "warmup": arguments.warmup,
        }
        self.backbone = backbones.build(model, layers).to(self.device)
        self.batch = self._batch(length)
        self.composer = Composer()

    def _batch(self, length: int) -> dict[str, Tensor]:
        """Random words without padding: a batch of equal lengths, as grouping by length makes them."""
        shape = (self.arguments.batch, length)
        batch = {
            "input_ids": torch.randint(FIRST_WORD, self.backbone.config.vocab_size, shape),
            "attention_mask": torch.ones(shape, dtype=torch.long),
            "labels": torch.zeros(shape[0], dtype=torch.long),  # one class, so that rows' gradients cannot cancel
        }
        return {name: tensor.to(self.device) for name, tensor in batch.items()}

    def _config(self, row: Row) -> RunConfig:
        settings = [f"model={self.settings['model']}", TASK, *row.settings]
        return build(self.composer(settings), settings)

    def _works(self, rows: dict[str, Row], training: bool) -> dict[str, Workload]:
        kind, precision = self.arguments.attention, self.arguments.precision
        return {
            name: Workload(name, row, self.backbone, self._config(row), self.batch, kind, precision, training)
            for name, row in rows.items()
        }

    def run(self, step: dict[str, Row], evaluation: dict[str, Row], parts: list[str]) -> dict[str, Any]:
        """Measure the parts that are asked for.

        Args:
            step, evaluation: rows, the floor first; empty: there are none.
            parts: of "step", "evaluation" and "layer".

        Returns:
            The result as it is written: settings, machine, and for each part the rows with all their times.

        Raises:
            RunFailed: if a row does not do what it says.
        """
        found = []
        if self.backbone.config.model_type != "deberta-v2" or self.arguments.attention == "plain":
            step = {name: row for name, row in step.items() if row.variant != "plain"}  # it would be the floor again
        if "step" in parts and step:
            found.append(self._part("step", step, STEP_FLOOR))
        if "evaluation" in parts and evaluation:
            found.append(self._part("evaluation", evaluation, EVALUATION_FLOOR))
        if "layer" in parts and step:
            found += self._layers({name: row for name, row in step.items() if name in LAYER})
        return {
            "measurement": "step",
            "settings": self.settings,
            "hardware": provenance.hardware(),
            "versions": provenance.versions(),
            "git": provenance.git(),
            "parts": found,
        }

    def _part(self, name: str, rows: dict[str, Row], floor: str) -> dict[str, Any]:
        """All rows of a training step or of an evaluation."""
        training = name == "step"
        works = self._works(rows, training)
        checks.outputs(works, floor)
        if training:
            checks.reaches_embeddings(works[floor])
        for work in works.values():
            if self.arguments.compile:
                work.compile()
            for _ in range(self.arguments.warmup):
                work()
            if training:
                checks.gradients(work)
        lines = {name: {"name": name, "title": work.row.title} for name, work in works.items()}
        if training:
            for row, work in works.items():
                lines[row] |= {
                    "parameters": work.params,
                    "memory": memory.peak(work.model, work.optimizer, work, self.device),
                }
        times = interleave(works, self.arguments.rounds, self.device, f"{self.settings['model']} {name}")
        for row, work in works.items():
            checks.finite(work)
            lines[row]["ms"] = times[row]
        return {"name": name, "floor": floor, "rows": list(lines.values())}

    def _layers(self, rows: dict[str, Row]) -> list[dict[str, Any]]:
        """One linear layer of each size, for each adapter."""
        works = self._works(rows, training=True)
        modules = self._config(rows[STEP_FLOOR]).model.matrices
        parts = []
        for matrix in layer.MATRICES:
            passes = {name: layer.passes(work, modules[matrix], self.arguments.compile) for name, work in works.items()}
            for one in passes.values():
                for _ in range(self.arguments.warmup):
                    one()
            about, calls = f"{self.settings['model']} {matrix}", layer.CALLS[self.device.type]
            times = interleave(passes, self.arguments.rounds, self.device, about, calls)
            bare = layer.first_layer(works[STEP_FLOOR], modules[matrix])
            titles = {name: work.row.title for name, work in works.items()} | {STEP_FLOOR: "No adapter"}
            lines = [{"name": name, "title": titles[name], "ms": times[name]} for name in works]
            size = [bare.in_features, bare.out_features]
            parts.append({"name": "layer", "matrix": matrix, "size": size, "floor": STEP_FLOOR, "rows": lines})
        return parts
