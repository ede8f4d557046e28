"""The mathematics of DCFT: a weight update that is the transposed convolution of a low-rank matrix.

Paper: "Parameter-Efficient Fine-Tuning of Large Language Models via Deconvolution in Subspace", eq. 5, 6, 9.

For a linear layer with weight `out x in`, kernel size d, stride s and rank k the trainable tensors are

    A  (k x a),  a = (in  - d) / s + 1      the subspace of the input
    B  (b x k),  b = (out - d) / s + 1      the subspace of the output
    C  (d x d)                              the kernel

and `delta = conv_transpose2d(B A, C, stride=s)`, that is `delta[i*s + p, j*s + q] += (B A)[i, j] * C[p, q]`.

Because the convolved matrix is a sum of k outer products, the update factors exactly, for every stride:

    delta = sum_r P(B[:, r]) C Q(A[r])^T = left @ right,      left (out x k*d),  right (k*d x in)

where column p of P(b) is b upsampled by s and shifted by p, and likewise for Q. The rank of delta is thus at most k*d,
and a forward pass needs two skinny products. With s = d the update is the Kronecker product `(B A) (x) C`.
"""

import torch.nn.functional as F
from torch import Tensor


def delta_weight(A: Tensor, B: Tensor, C: Tensor, stride: int) -> Tensor:
    """The dense update by transposed convolution (paper, eq. 5), as the official code computes it.

    This function is the reference. To merge, the product of `factors` is used, which is faster.

    Args:
        A: `k x a`, B: `b x k`, C: `d x d`.
        stride: step of the deconvolution, in entries of the weight matrix.

    Returns:
        `out x in` with `out = (b - 1) * stride + d` and `in = (a - 1) * stride + d`.
    """
    return F.conv_transpose2d((B @ A)[None, None], C[None, None], stride=stride)[0, 0]


def factors(A: Tensor, B: Tensor, C: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """The exact factors of the update: `left @ right == delta_weight(A, B, C, stride)`.

    Args:
        A: `... x k x a`, B: `... x b x k`, C: `... x d x d`; leading dimensions are those of a batch of updates.
        stride: step of the deconvolution.

    Returns:
        left (`... x out x k*d`, the columns `P(B[:, r]) C`; its transpose is contiguous) and right (`... x k*d x in`,
        the rows `Q(A[r])^T`).
    """
    kernel_size = C.shape[-1]
    right = _shifted_copies(A, kernel_size, stride)
    left = C.mT.unsqueeze(-3) @ _shifted_copies(B.mT, kernel_size, stride)  # ... x k x d x out
    return left.flatten(-3, -2).mT, right.flatten(-3, -2)


def _shifted_copies(vectors: Tensor, kernel_size: int, stride: int) -> Tensor:
    """Upsample vectors (`... x n`) by `stride`, shift each by p = 0 .. d-1: `out[..., p, j*stride + p] = in[..., j]`.

    One strided copy: on a CPU three to fifteen times faster than `conv_transpose1d`.
    """
    *batch, n = vectors.shape
    size = (n - 1) * stride + kernel_size
    copies = vectors.new_zeros(*batch, kernel_size, size)
    # The view visits entry (..., p, j*stride + p) of `copies` at its index (..., p, j).
    view = copies.as_strided((*batch, kernel_size, n), (*copies.stride()[:-2], size + 1, stride))
    view.copy_(vectors.unsqueeze(-2).expand_as(view))
    return copies
