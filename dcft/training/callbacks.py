"""Callbacks of the methods: AdaLoRA's rank allocation, SoRA's soft threshold, LoRA-FA's optimiser on the device."""

import math

import torch
import torch.nn.functional as F
from peft import PeftModel
from peft.tuners.adalora.layer import AdaLoraLayer
from torch import Tensor
from transformers import TrainerCallback

from dcft.errors import UserError


class BudgetAllocation(TrainerCallback):
    """AdaLoRA: score the ranks after each step and cut the least important ones down to the budget.

    The first step has number 0, as in the authors' trainer. PEFT's allocator is the authors' with one cut more: it
    always cuts down to the last budget in step `max_steps - tfinal`, theirs one step later unless `deltaT` divides it.

    PEFT keeps the averages of the importance and the kept ranks outside of the model. This callback stores them in the
    optimiser's state, next to Adam's averages, so that a checkpoint has them and a resumed run gives the same result.

    Args:
        model: a PEFT model with an AdaLoRA adapter.
    """

    AVERAGES = ("exp_avg_ipt", "exp_avg_unc")

    def __init__(self, model: PeftModel):
        self.model = model.base_model
        self.config = model.peft_config["default"]
        self.allocator = self.model.rankallocator
        self.parameters: list[tuple[str, Tensor]] = []
        self.kept_ranks: dict[str, list[bool]] | None = None

    def on_train_begin(self, args, state, control, optimizer=None, **kwargs):
        before, after = self.config.tinit, self.config.tfinal
        if before + after >= state.max_steps:
            factor = state.max_steps / (2 * max(1, before + after))  # leaves half of the steps for cutting
            tinit, tfinal = int(before * factor), max(1, int(after * factor))
            raise UserError(
                f"AdaLoRA trains {before} steps before it cuts ranks and {after} after, the run has {state.max_steps}; "
                f"give method.peft.tinit={tinit} method.peft.tfinal={tfinal}, or more steps"
            )
        self.allocator.set_total_step(state.max_steps)
        self.parameters = [(name, p) for name, p in self.model.model.named_parameters() if "lora_" in name]
        for name, parameter in self.parameters:
            saved = optimizer.state.get(parameter, {})
            if all(average in saved for average in self.AVERAGES):
                self.allocator.ipt[name] = torch.zeros_like(parameter)
                for average in self.AVERAGES:
                    getattr(self.allocator, average)[name] = saved[average]
            if "kept" in saved:
                self.kept_ranks = (self.kept_ranks or {}) | {name: saved["kept"].bool().tolist()}

    def on_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        # PEFT writes the kept ranks into the config, and would cut tensors by them when it saves or loads.
        before = self.config.rank_pattern = self.kept_ranks
        self.model.update_and_allocate(state.global_step)  # the Trainer has not counted this step yet
        self.kept_ranks, self.config.rank_pattern = self.config.rank_pattern, None
        for name, parameter in self.parameters:
            for average in self.AVERAGES:
                if name in getattr(self.allocator, average):
                    optimizer.state[parameter][average] = getattr(self.allocator, average)[name]
                else:
                    optimizer.state[parameter].pop(average, None)
            if self.kept_ranks is not before and name in self.kept_ranks:
                optimizer.state[parameter]["kept"] = torch.tensor(self.kept_ranks[name])

    def kept_parameters(self) -> int:
        """Parameters of the ranks whose singular value is not cut: in + out + 1 for each."""
        layers = [module for module in self.model.modules() if isinstance(module, AdaLoraLayer)]
        return sum(
            int((layer.lora_E["default"] != 0).sum()) * (layer.in_features + layer.out_features + 1) for layer in layers
        )


class SoftThreshold(TrainerCallback):
    """SoRA: shrink the gates towards zero after each step, and close those that come near it.

    First `g <- sign(g) max(|g| - threshold, 0)`, the paper's proximal step. Then gates below the threshold become zero,
    as in the authors' code (src/sparse_optimizer.py).

    The gates also have the epsilon of the authors' AdamW, in a parameter group of their own. Theirs adds it to the root
    of the second moment before the bias is corrected, PyTorch's afterwards, so that each step has another one here.

    Args:
        gates: the gate vectors.
        thresholds: the run has `len(thresholds)` equal parts; part i uses `thresholds[i]`.
    """

    EPSILON = 1e-6  # the default of transformers' AdamW, which the authors' optimiser inherits

    def __init__(self, gates: list[Tensor], thresholds: list[float]):
        self.gates = gates
        self.thresholds = thresholds

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        for group in optimizer.param_groups:
            if any(parameter is self.gates[0] for parameter in group["params"]):
                group["eps"] = self.EPSILON / math.sqrt(1 - group["betas"][1] ** (state.global_step + 1))

    def on_optimizer_step(self, args, state, control, **kwargs):
        part = state.global_step * len(self.thresholds) // state.max_steps
        with torch.no_grad():
            for gate in self.gates:
                shrunk = F.softshrink(gate, self.thresholds[part])
                gate.copy_(torch.where(shrunk.abs() < self.thresholds[part], 0, shrunk))


class StateOnDevice(TrainerCallback):
    """Move an optimiser's loaded state to the device of the parameters.

    The Trainer loads a checkpoint on the CPU. PyTorch moves only state that has parameters as keys; the keys of PEFT's
    LoRA-FA optimiser are names.
    """

    def on_train_begin(self, args, state, control, model=None, optimizer=None, **kwargs):
        device = next(model.parameters()).device
        for moments in optimizer.state.values():
            for name, value in moments.items():
                if isinstance(value, Tensor):
                    moments[name] = value.to(device)
