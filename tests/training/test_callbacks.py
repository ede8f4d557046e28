"""What callbacks do that no run on a CPU shows."""

import torch
from torch import nn

from dcft.training.callbacks import StateOnDevice


def test_state_kept_by_name_follows_the_parameters():
    """PEFT's LoRA-FA optimiser on a GPU: the Trainer loads its state on the CPU."""
    model = nn.Linear(2, 2, device="meta")
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.state["layer.lora"] = {"step": 3, "exp_avg_B": torch.zeros(2, 2)}
    StateOnDevice().on_train_begin(None, None, None, model=model, optimizer=optimizer)
    assert optimizer.state["layer.lora"]["exp_avg_B"].device.type == "meta"
    assert optimizer.state["layer.lora"]["step"] == 3
