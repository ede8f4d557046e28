"""A row's model on a batch: one call is a training step or a forward pass of evaluation."""

import copy
from collections.abc import Callable
from contextlib import ExitStack

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from bench.step import backbones
from bench.step.rows import BenchRow
from dcft.backbones import dropout, lean_attention
from dcft.config.cell import RunConfig
from dcft.training import methods
from dcft.tuners.dcft import DcftLayer
from dcft.tuners.deconvolution import delta_weight
from dcft.tuners.factored import merged

ADAPTED_STD = 0.1  # adapters are redrawn with it: LoRA's initial one changes nothing, and a bypass would go unnoticed
LEARNING_RATE = 1e-4


class Workload:
    """A row's model on a batch. Between calls only weights and the optimiser's state stay in memory.

    A step is that of the suite's trainer: forward with dropout, the method's penalty, backward, AdamW. It does not clip
    gradients, and its learning rate is constant.

    Args:
        name, row: the row and its name in `bench.step.rows`.
        backbone: model whose weights the row shares; full fine-tuning copies them.
        config: the row's settings, composed for this backbone.
        batch: input_ids and attention_mask (sequences x tokens), labels (sequences), on the backbone's device.
        attention_kind: "plain" or "lean", unless the row's variant is "plain".
        dropout_kind: "torch" or "fast", unless the row's variant is "plain".
        precision: "fp32", or "bf16" for autocast.
        training: a training step; else a forward pass in evaluation mode, without gradients.
    """

    def __init__(
        self,
        name: str,
        row: BenchRow,
        backbone: PreTrainedModel,
        config: RunConfig,
        batch: dict[str, Tensor],
        attention_kind: str = "lean",
        dropout_kind: str = "fast",
        precision: str = "fp32",
        training: bool = True,
    ):
        self.name, self.row, self.batch = name, row, batch
        self.bf16 = precision == "bf16"
        trains_backbone = config.method.peft is None and config.method.trainable is None
        model = copy.deepcopy(backbone) if trains_backbone else backbones.share(backbone, config.model.head)
        plain = row.variant == "plain"
        lean_attention.use(model, "plain" if plain else attention_kind)
        dropout.use(model, "torch" if plain else dropout_kind)
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
            trainable = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
            self.optimizer = torch.optim.AdamW(trainable, lr=LEARNING_RATE, weight_decay=0.0, fused=True)
        self.forward: Callable = self.model
        self.loss: Tensor | None = None

    def _redraw_adapter(self, head: list[str]) -> None:
        generator = torch.Generator().manual_seed(0)
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad and set(name.split(".")).isdisjoint(head):
                parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * ADAPTED_STD)

    def compile(self) -> None:
        """Compile the forward pass, and with it the backward pass, for this shape of a batch."""
        self.forward = torch.compile(self.model, dynamic=False)

    def autocast(self) -> torch.autocast:
        """The context of forward passes."""
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
        """The outputs (sequences x labels) without dropout, in float32 throughout."""
        training = self.model.training
        outputs = self.model.eval()(**self.batch).logits
        self.model.train(training)
        return outputs


class OfficialLayer(DcftLayer):
    """`y = W x + delta x` with the dense `delta = scaling * conv_transpose2d(B A, C, stride)`, as in the official code.

    Every forward pass of every adapted matrix builds delta; autograd differentiates the product and the convolution.
    """

    acting_adapters = ()  # the model builds no factors for this layer; they would cost time

    def forward(self, x: Tensor, *args, **kwargs) -> Tensor:
        result = self.base_layer(x, *args, **kwargs)
        for adapter_name in self.active_adapters:
            A, B, C, stride = self._tensors(adapter_name)
            result = result + F.linear(x, delta_weight(A, B, C * self.scaling[adapter_name], stride))
        return result


def use_official(model: nn.Module) -> None:
    """Make every DCFT layer of a model compute as the official code does; parameters stay as they are."""
    for module in model.modules():
        if isinstance(module, DcftLayer):
            module.__class__ = OfficialLayer
