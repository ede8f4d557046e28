"""A row, built: calling it does one step of training, or one forward pass of evaluation."""

import copy
from collections.abc import Callable
from contextlib import ExitStack

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from bench.step import backbones
from bench.step.official import use_official
from bench.step.rows import Row
from dcft.backbones import lean_attention
from dcft.config.cell import RunConfig
from dcft.training import methods
from dcft.tuners.factored import merged

ADAPTED_STD = 0.1  # a trained adapter changes the outputs; LoRA's initial one does not, so every adapter is redrawn
LEARNING_RATE = 1e-4


class Workload:
    """One row's model on a batch. Between calls nothing is left but weights and the optimiser's state.

    A step is what the suite's trainer does: forward with dropout, the method's penalty, backward, AdamW. It does not
    clip gradients, and its learning rate does not change.

    Args:
        name, row: which row of `bench.step.rows`.
        backbone: whose weights it shares; full fine-tuning copies them.
        config: the row's settings, composed for this backbone.
        batch: input_ids, attention_mask and labels, on the backbone's device.
        attention_kind: "plain" or "lean"; a row may say otherwise.
        precision: "fp32", or "bf16" for autocast.
        training: a step of training; else a forward pass in evaluation mode, without gradients.
    """

    def __init__(
        self,
        name: str,
        row: Row,
        backbone: PreTrainedModel,
        config: RunConfig,
        batch: dict[str, Tensor],
        attention_kind: str = "lean",
        precision: str = "fp32",
        training: bool = True,
    ):
        self.name, self.row, self.batch = name, row, batch
        self.bf16 = precision == "bf16"
        trains_backbone = config.method.peft is None and config.method.trainable is None
        model = copy.deepcopy(backbone) if trains_backbone else backbones.share(backbone, config.model.head)
        lean_attention.use(model, "plain" if row.variant == "plain" else attention_kind)
        if training and config.method.trainable == []:
            model.enable_input_require_grads()  # the floor: without, autograd would stop at the head
        prepared = methods.prepare(model, config)
        self.model: nn.Module = prepared.model.train(training)
        self.params, self.penalty = prepared.params, prepared.hooks.penalty
        self.adapted = isinstance(self.model, PeftModel)
        if self.adapted:
            self._redraw_adapter(config.model.head)
        if row.variant == "official":
            use_official(self.model)
        self.merging = ExitStack()
        if row.variant == "merged":
            self.merging.enter_context(merged(self.model))
            self.merging.enter_context(lean_attention.constant_weights(self.model))
        self.optimizer = None
        if training:
            self.optimizer = torch.optim.AdamW(self.trainable, lr=LEARNING_RATE, weight_decay=0.0, fused=True)
        self.forward: Callable = self.model
        self.loss: Tensor | None = None

    @property
    def trainable(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def _redraw_adapter(self, head: list[str]) -> None:
        generator = torch.Generator().manual_seed(0)
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad and set(name.split(".")).isdisjoint(head):
                parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * ADAPTED_STD)

    def compile(self) -> None:
        """Let torch.compile make the forward pass (and with it the backward pass), for this shape of a batch."""
        self.forward = torch.compile(self.model, dynamic=False)

    def autocast(self) -> torch.autocast:
        """What forward passes run under."""
        return torch.autocast(self.batch["input_ids"].device.type, torch.bfloat16, enabled=self.bf16)

    def __call__(self) -> None:
        if self.optimizer is None:
            with torch.no_grad(), self.autocast():
                self.loss = self.forward(**self.batch).loss
            return
        with self.autocast():
            loss = self.forward(**self.batch).loss
            if self.penalty is not None:
                loss = loss + self.penalty()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.loss = loss.detach()

    @torch.no_grad()
    def logits(self) -> Tensor:
        """The outputs without dropout, in float32 throughout."""
        training = self.model.training
        outputs = self.model.eval()(**self.batch).logits
        self.model.train(training)
        return outputs
