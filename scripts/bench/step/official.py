"""DCFT as the official code computes it: the reference that the factored forward pass is measured against."""

import torch.nn.functional as F
from torch import Tensor, nn

from dcft.tuners.dcft import DcftLayer
from dcft.tuners.deconvolution import delta_weight


class OfficialLayer(DcftLayer):
    """`y = W x + delta x` with the dense `delta = scaling * conv_transpose2d(B A, C, stride)`, built in every forward.

    The official code does so for every adapted matrix and step; autograd goes through the product and the convolution.
    """

    acting_adapters = ()  # so that the model builds no factors for this layer: they would be time wasted

    def forward(self, x: Tensor, *args, **kwargs) -> Tensor:
        result = self.base_layer(x, *args, **kwargs)
        for adapter_name in self.active_adapters:
            A, B, C, stride = self._tensors(adapter_name)
            result = result + F.linear(x, delta_weight(A, B, C * self.scaling[adapter_name], stride))
        return result


def use_official(model: nn.Module) -> None:
    """Let every DCFT layer of a model compute as the official code does; parameters stay as they are."""
    for module in model.modules():
        if isinstance(module, DcftLayer):
            module.__class__ = OfficialLayer
