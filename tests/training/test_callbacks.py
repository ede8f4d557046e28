"""What the methods' callbacks do after a step, and what of it no run on a CPU shows."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from peft import AdaLoraConfig, get_peft_model
from torch import nn

from dcft.errors import UserError
from dcft.training.callbacks import BudgetAllocation, SoftThreshold, StateOnDevice


def test_gates_are_shrunk_by_the_threshold_of_their_part_of_the_run_and_closed_below_it():
    """SoRA's proximal step, then its code's cut: 0.15 is shrunk to 0.05, which lies below the threshold."""
    gate = torch.tensor([0.5, -0.25, 0.15, 0.05], dtype=torch.float64)
    callback = SoftThreshold([gate], thresholds=[0.0, 0.1])
    callback.on_optimizer_step(None, SimpleNamespace(global_step=4, max_steps=10), None)
    torch.testing.assert_close(gate, torch.tensor([0.5, -0.25, 0.15, 0.05], dtype=torch.float64))
    callback.on_optimizer_step(None, SimpleNamespace(global_step=5, max_steps=10), None)
    torch.testing.assert_close(gate, torch.tensor([0.4, -0.15, 0.0, 0.0], dtype=torch.float64))


def test_state_kept_by_name_follows_the_parameters():
    """PEFT's LoRA-FA optimiser on a GPU: the Trainer loads its state on the CPU."""
    model = nn.Linear(2, 2, device="meta")
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.state["layer.lora"] = {"step": 3, "exp_avg_B": torch.zeros(2, 2)}
    StateOnDevice().on_train_begin(None, None, None, model=model, optimizer=optimizer)
    assert optimizer.state["layer.lora"]["exp_avg_B"].device.type == "meta"
    assert optimizer.state["layer.lora"]["step"] == 3


class Allocator:
    """AdaLoRA's allocation by the paper's Eqs. 8 to 12 (Zhang et al., 2023), in the order of loralib's updates."""

    def __init__(self, steps, tinit, tfinal, every, target, beta1=0.85, beta2=0.85):
        self.steps, self.tinit, self.tfinal, self.every, self.target = steps, tinit, tfinal, every, target
        self.beta1, self.beta2 = beta1, beta2
        self.sensitivity, self.uncertainty = {}, {}

    def keep(self, step, weights, gradients):
        """Which ranks of each matrix keep their value in this step; None if nothing is cut."""
        last = self.steps - self.tfinal
        if step < last:
            for name, weight in weights.items():
                now = abs(weight * gradients[name])
                average = self.sensitivity[name] = self.beta1 * self.sensitivity.get(name, 0.0) + (1 - self.beta1) * now
                self.uncertainty[name] = self.beta2 * self.uncertainty.get(name, 0.0) + (1 - self.beta2) * abs(
                    now - average
                )
        if not (step >= last or (step > self.tinit and step % self.every == 0)):
            return None
        score = {name: self.sensitivity[name] * self.uncertainty[name] for name in weights}
        matrices = sorted({name.partition(".")[0] for name in weights})
        ranks = {m: score[f"{m}.E"][:, 0] + score[f"{m}.A"].mean(1) + score[f"{m}.B"].mean(0) for m in matrices}
        start = sum(len(values) for values in ranks.values())
        left = max(0.0, 1 - (step - self.tinit) / (last - self.tinit))
        budget = int(self.target + (start - self.target) * left**3)
        bound = np.sort(np.concatenate(list(ranks.values())))[-budget]
        return {m: values >= bound for m, values in ranks.items()}


def adalora(tinit, tfinal, every):
    """Three adapted matrices in float64, from the same draw in every call."""
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    settings = {"init_r": 4, "target_r": 2, "tinit": tinit, "tfinal": tfinal, "deltaT": every}
    config = AdaLoraConfig(target_modules=["0", "2", "4"], total_step=10**9, **settings)
    model = get_peft_model(base, config, autocast_adapter_dtype=False).double()
    return model, torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-2)


def parts(model):
    return {
        f"{name.split('model.')[-1].partition('.')[0]}.{name.partition('lora_')[2][0]}": parameter
        for name, parameter in model.named_parameters()
        if "lora_" in name
    }


@pytest.mark.parametrize("resume", [None, 1, 9, 17, 25])
@pytest.mark.parametrize(("tinit", "tfinal", "every"), [(4, 8, 3), (0, 1, 1), (5, 9, 7), (3, 10, 5), (15, 14, 4)])
def test_ranks_are_cut_when_and_where_adalora_s_rules_say(tinit, tfinal, every, resume):
    """Over a whole run of 30 steps, with and without an interruption before step `resume`."""
    steps = 30
    model, optimizer = adalora(tinit, tfinal, every)
    callback, state = BudgetAllocation(model), SimpleNamespace(global_step=0, max_steps=steps)
    callback.on_train_begin(None, state, None, optimizer=optimizer)
    rules, kept, cuts = Allocator(steps, tinit, tfinal, every, target=6), 12, []
    for state.global_step in range(steps):
        if state.global_step == resume:
            saved = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
            model, optimizer = adalora(tinit, tfinal, every)
            model.load_state_dict(saved[0])
            optimizer.load_state_dict(saved[1])
            callback = BudgetAllocation(model)
            callback.on_train_begin(None, state, None, optimizer=optimizer)
        x = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(state.global_step))
        optimizer.zero_grad()
        (model(x) - x[:, :3].sin()).square().mean().backward()
        optimizer.step()
        weights = {name: p.detach().numpy().copy() for name, p in parts(model).items()}
        gradients = {name: p.grad.numpy().copy() for name, p in parts(model).items()}
        callback.on_optimizer_step(None, state, None, optimizer=optimizer)
        keep = rules.keep(state.global_step, weights, gradients)
        for name, parameter in parts(model).items():
            expected = weights[name]
            if keep is not None and name.endswith("E"):
                expected = expected * keep[name[0]][:, None]
            np.testing.assert_array_equal(parameter.detach().numpy(), expected, f"{name}, step {state.global_step}")
        if keep is not None:
            cuts.append(kept := sum(int(mask.sum()) for mask in keep.values()))
    assert kept == 6
    assert cuts == sorted(cuts, reverse=True)
    assert len(cuts) >= tfinal


def test_the_shortest_run_is_one_step_longer_than_what_surrounds_the_cuts():
    model, optimizer = adalora(tinit=2, tfinal=3, every=1)
    BudgetAllocation(model).on_train_begin(None, SimpleNamespace(max_steps=6), None, optimizer=optimizer)
    with pytest.raises(UserError, match="2 steps before it cuts ranks and 3 after, the run has 5"):
        BudgetAllocation(model).on_train_begin(None, SimpleNamespace(max_steps=5), None, optimizer=optimizer)
