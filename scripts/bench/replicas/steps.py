"""Training steps of replicas, alone and at once, and the check that both compute the same."""

import argparse
import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from bench.replicas.model import Replicas
from bench.step import backbones, memory
from bench.step.rows import STEP
from bench.step.workload import ADAPTED_STD, LEARNING_RATE
from bench.timing import interleave
from dcft.backbones import lean_attention
from dcft.config.build import build
from dcft.config.cell import RunConfig
from dcft.config.compose import Composer
from dcft.errors import RunFailed
from dcft.training import methods

SAME = 1e-10  # relative to the largest entry, in float64
CHECKED = {"replicas": 2, "layers": 2, "batch": 2, "length": 16}
FIRST_WORD = 10  # special tokens have lower numbers
Batch = dict[str, Tensor]


def configure(model: str, row: str) -> RunConfig:
    """The cell whose method, head and gradient clipping a row has."""
    settings = [f"model={model}", "task=rte", *STEP[row].settings]
    return build(Composer()(settings), settings)


def frozen_backbone(model: str, layers: int | None, device: torch.device) -> PreTrainedModel:
    """A backbone's shape with random weights; `layers` as in `backbones.build`."""
    backbone = backbones.build(model, layers).to(device)
    lean_attention.use(backbone, "lean")
    return backbone


def random_batch(backbone: PreTrainedModel, rows: int, length: int) -> Batch:
    """Random words without padding, and random labels."""
    device = backbone.device
    return {
        "input_ids": torch.randint(FIRST_WORD, backbone.config.vocab_size, (rows, length), device=device),
        "attention_mask": torch.ones(rows, length, dtype=torch.long, device=device),
        "labels": torch.randint(backbones.LABELS, (rows,), device=device),
    }


def replica(backbone: PreTrainedModel, config: RunConfig, seed: int) -> methods.Prepared:
    """The suite's model on the weights of a backbone; what trains is drawn from the seed."""
    prepared = methods.prepare(backbones.share(backbone, config.model.head), config)
    prepared.model.to(backbone.dtype)
    generator = torch.Generator().manual_seed(seed)
    for parameter in prepared.model.parameters():
        if parameter.requires_grad:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * ADAPTED_STD)
    return prepared


def together(backbone: PreTrainedModel, config: RunConfig, replicas: int) -> Replicas:
    """Replicas with the seeds 0, 1, ..., in one model."""
    term = config.method.orthogonality
    models = [replica(backbone, config, seed).model for seed in range(replicas)]
    return Replicas(models, term.coefficient if term else 0.0)


class Alone:
    """The step of one replica, as the suite's trainer takes it: forward, penalty, backward, clipping, AdamW."""

    def __init__(self, prepared: methods.Prepared, batch: Batch, clip: float, bf16: bool = False):
        self.model, self.penalty = prepared.model.train(), prepared.hooks.penalty
        self.batch, self.clip, self.bf16 = batch, clip, bf16
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=LEARNING_RATE, weight_decay=0.0, fused=True)

    def backward(self) -> Tensor:
        """Compute the gradients; returns the loss."""
        with torch.autocast(self.batch["labels"].device.type, torch.bfloat16, enabled=self.bf16):
            outputs = self.model(**{name: self.batch[name] for name in ("input_ids", "attention_mask")})
            loss = F.cross_entropy(outputs.logits, self.batch["labels"])  # DeBERTa's own is in float32
            if self.penalty is not None:
                loss = loss + self.penalty()
        loss.backward()
        return loss.detach()

    def __call__(self) -> None:
        self.backward()
        nn.utils.clip_grad_norm_(self.trained, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()


class Together:
    """The common step of several replicas; each with its own rows, dropout, head, clipping and optimiser's state."""

    def __init__(self, model: Replicas, batches: list[Batch], clip: float, bf16: bool = False):
        self.model, self.clip, self.bf16 = model.train(), clip, bf16
        self.batch = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
        parameters = [parameter for parameter, _ in model.stacked]
        self.optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.0, fused=True)

    def backward(self) -> Tensor:
        """Compute the gradients; returns the loss of each replica."""
        with torch.autocast(self.batch["labels"].device.type, torch.bfloat16, enabled=self.bf16):
            losses = self.model(**self.batch)
        losses.sum().backward()
        return losses.detach()

    def __call__(self) -> None:
        self.backward()
        self.model.clip(self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()


def difference(backbone: PreTrainedModel, config: RunConfig, replicas: int, batch: int, length: int) -> float:
    """The largest difference between replicas at once and alone, in losses and gradients, without dropout.

    Args:
        backbone: in float64.
        config: the row's settings.
        replicas, batch, length: number of replicas, sequences of each, tokens of each sequence.

    Returns:
        Relative to the largest entry of the tensor.
    """
    batches = [random_batch(backbone, batch, length) for _ in range(replicas)]
    at_once = Together(together(backbone, config, replicas), batches, config.train.clip)
    at_once.model.eval()
    losses, largest = at_once.backward(), 0.0
    for seed in range(replicas):
        alone = Alone(replica(backbone, config, seed), batches[seed], config.train.clip)
        alone.model.eval()
        pairs = [(losses[seed], alone.backward())]
        ours = at_once.model.gradients(seed)
        theirs = {name: p.grad for name, p in alone.model.named_parameters() if p.requires_grad}
        if ours.keys() != theirs.keys():
            raise RunFailed(f"replicas train other tensors: {sorted(ours.keys() ^ theirs.keys())}")
        pairs += [(ours[name], theirs[name]) for name in theirs]
        largest = max(largest, *(float((one - other).abs().max() / other.abs().max()) for one, other in pairs))
    return largest


def measure(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Check that both kinds of steps compute the same, then time them.

    Returns:
        `check`: its settings and the largest relative difference. `ms`: times of all rounds by number of replicas, and
        of one replica `alone`. `memory`: as `bench.step.memory.peak` has it.

    Raises:
        RunFailed: if they do not compute the same.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # about calls of its own
    torch.manual_seed(0)
    config, layers = configure(arguments.model, arguments.row), min(CHECKED["layers"], arguments.layers or 2)
    sizes = {name: CHECKED[name] for name in ("replicas", "batch", "length")}
    found = difference(frozen_backbone(arguments.model, layers, device).double(), config, **sizes)
    if not found <= SAME:
        raise RunFailed(f"replicas at once differ from separate models by {found:.0e} of the largest entry")
    backbone, bf16 = frozen_backbone(arguments.model, arguments.layers, device), arguments.precision == "bf16"
    batches = [random_batch(backbone, arguments.batch, arguments.length) for _ in range(max(arguments.at_once))]
    workloads: dict[str, Alone | Together] = {
        "alone": Alone(replica(backbone, config, 0), batches[0], config.train.clip, bf16)
    }
    for n in dict.fromkeys(arguments.at_once):
        workloads[str(n)] = Together(together(backbone, config, n), batches[:n], config.train.clip, bf16)
    for workload in workloads.values():
        for _ in range(arguments.warmup):
            workload()
    peaks = {name: memory.peak(step.model, step.optimizer, step, device) for name, step in workloads.items()}
    times = interleave(workloads, arguments.rounds, device, f"{arguments.model} replicas")
    return {"check": sizes | {"layers": layers, "difference": found}, "ms": times, "memory": peaks}
