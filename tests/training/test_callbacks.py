"""What the methods' callbacks do after a step, and what of it no run on a CPU shows."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from peft import AdaLoraConfig, get_peft_model
from torch import nn

from dcft import SoraConfig
from dcft.errors import UserError
from dcft.training import methods, prepare
from dcft.training.callbacks import BudgetAllocation, SoftThreshold, StateOnDevice
from dcft.training.trainer import CellTrainer


def test_gates_are_shrunk_by_the_threshold_of_their_part_of_the_run_and_closed_below_it():
    """SoRA's proximal step, then its code's cut: 0.15 is shrunk to 0.05, which lies below the threshold."""
    gate = torch.tensor([0.5, -0.25, 0.15, 0.05], dtype=torch.float64)
    callback = SoftThreshold([gate], thresholds=[0.0, 0.1])
    callback.on_optimizer_step(None, SimpleNamespace(global_step=4, max_steps=10), None)
    torch.testing.assert_close(gate, torch.tensor([0.5, -0.25, 0.15, 0.05], dtype=torch.float64))
    callback.on_optimizer_step(None, SimpleNamespace(global_step=5, max_steps=10), None)
    torch.testing.assert_close(gate, torch.tensor([0.4, -0.15, 0.0, 0.0], dtype=torch.float64))


class AuthorsAdamW:
    """transformers' AdamW up to version 4: epsilon joins the root of the second moment before its bias is corrected."""

    def __init__(self, rate, epsilon, decay):
        self.rate, self.epsilon, self.decay = rate, epsilon, decay
        self.step, self.first, self.second = 0, 0.0, 0.0

    def __call__(self, weight, gradient):
        self.step += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        rate = self.rate * (1 - 0.999**self.step) ** 0.5 / (1 - 0.9**self.step)
        return weight - rate * self.first / (self.second**0.5 + self.epsilon) - self.rate * self.decay * weight


@pytest.mark.parametrize("scale", [1.0, 1e-5])
def test_sora_s_gates_take_the_steps_of_the_authors_optimiser(scale, cell):
    """400 steps on one layer, with every gradient by hand; where the loss is small, epsilon matters.

    Matrices: PyTorch's AdamW with decay. Gates: theirs, then `p -= xi` above xi, `p += xi` below -xi, zero within.
    """
    settings = [
        "method.sparsity.penalty=1e-6",
        "method.sparsity.thresholds=[2e-3,4e-3]",
        "train.lr=2e-3",
        "train.weight_decay=0.1",
    ]
    config = cell("task=toy_cls", "model=tiny-bert", "method=sora", *settings)
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(6, 5, bias=False)).double()
    model = get_peft_model(base, SoraConfig(r=4, lora_alpha=6, target_modules=["0"])).double()
    hooks = methods._hooks(model, config)
    trainer = CellTrainer(
        model, prepare.arguments(config, "Linear"), eval_dataset=[], scorer=None, hooks=hooks, order=None, work_dir=None
    )
    optimizer, (callback,) = trainer.create_optimizer(), hooks.callbacks
    layer = model.base_model.model[0]
    weight = layer.base_layer.weight.numpy()
    A, B, g = (getattr(layer, name)["default"] for name in ("sora_A", "sora_B", "sora_gate"))
    a, b, gate = (p.detach().numpy().copy() for p in (A, B, g))
    for_gate = AuthorsAdamW(2e-3, 1e-6, 0.0)
    matrices = [torch.optim.AdamW([torch.tensor(m)], 2e-3, weight_decay=0.1) for m in (a, b)]
    closed = set()
    for step in range(400):
        state = SimpleNamespace(global_step=step, max_steps=400)
        rng = np.random.default_rng(step)
        x, target = rng.normal(size=(9, 6)), rng.normal(size=(9, 5))

        optimizer.zero_grad()
        error = model(torch.from_numpy(x)) - torch.from_numpy(target)
        (scale * error.square().mean() + hooks.penalty()).backward()
        callback.on_pre_optimizer_step(None, state, None, optimizer=optimizer)
        optimizer.step()
        callback.on_optimizer_step(None, state, None, optimizer=optimizer)

        inner = x @ a.T
        error = scale * 2 / 45 * (x @ weight.T + 1.5 * (inner * gate) @ b.T - target)
        backward = 1.5 * error @ b
        gradients = backward.T @ x * gate[:, None], 1.5 * error.T @ (inner * gate)
        gate = for_gate(gate, (backward * inner).sum(0) + 1e-6 * np.sign(gate) / 4)
        xi = 2e-3 if step < 200 else 4e-3
        gate[gate > xi] -= xi
        gate[gate < -xi] += xi
        gate[abs(gate) < xi] = 0
        for adam, gradient in zip(matrices, gradients, strict=True):
            adam.param_groups[0]["params"][0].grad = torch.from_numpy(gradient)
            adam.step()
        a, b = (adam.param_groups[0]["params"][0].numpy().copy() for adam in matrices)

        for ours, theirs in ((A, a), (B, b), (g, gate)):
            np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-9, atol=1e-12, err_msg=f"step {step}")
        assert ((g.detach().numpy() == 0) == (gate == 0)).all()
        closed.add(tuple(gate == 0))
    assert len(closed) > 1, "no gate closed or opened: nothing was tested"


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
