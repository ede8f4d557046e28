"""What the methods' callbacks do after a step, and what of it no run on a CPU shows."""

from types import SimpleNamespace

import torch
from torch import nn

from dcft.training.callbacks import SoftThreshold, StateOnDevice


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
