"""The mathematics of DCFT: a weight update that is the transposed convolution of a low-rank matrix.

Paper: "Parameter-Efficient Fine-Tuning of Large Language Models via Deconvolution in Subspace", eq. 5, 6, 9.

For a linear layer with weight `out x in`, kernel size d, stride s and rank k the trainable tensors are

    A  (k x a),  a = (in  - d) / s + 1      the subspace of the input
    B  (b x k),  b = (out - d) / s + 1      the subspace of the output
    C  (d x d)                              the kernel

and `delta = conv_transpose2d(B A, C, stride=s)`, that is `delta[i*s + p, j*s + q] += (B A)[i, j] * C[p, q]`.

Because the convolved matrix is a sum of k outer products, the update factors exactly, for every stride:

    delta = sum_r P(B[:, r]) C Q(A[r])^T = left @ right,      left (out x k*d),  right (k*d x in)

where column p of P(b) is b upsampled by s and shifted by p, and likewise for Q. So the rank of delta is at most k*d,
a forward pass needs two skinny products, and with s = d the update is the Kronecker product `(B A) (x) C`.
"""

import torch.nn.functional as F
from torch import Tensor


def delta_weight(A: Tensor, B: Tensor, C: Tensor, stride: int) -> Tensor:
    """The dense update by transposed convolution (paper, eq. 5). The reference; training never calls it.

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
        A: `k x a`, B: `b x k`, C: `d x d`.
        stride: step of the deconvolution.

    Returns:
        left (`out x k*d`, the columns `P(B[:, r]) C`) and right (`k*d x in`, the rows `Q(A[r])^T`).
    """
    kernel_size = C.shape[0]
    right = _shifted_copies(A, kernel_size, stride)
    left = _shifted_copies(B.T, kernel_size, stride).transpose(1, 2) @ C  # k x out x d
    return left.transpose(0, 1).flatten(1), right.flatten(0, 1)


def _shifted_copies(vectors: Tensor, kernel_size: int, stride: int) -> Tensor:
    """Upsample each of `k x n` vectors by `stride` and shift it by 0 .. d-1: `out[r, p, j*stride + p] = vectors[r, j]`.

    One strided copy: three to fifteen times faster than the same thing by `conv_transpose1d` on a CPU.
    """
    k, n = vectors.shape
    size = (n - 1) * stride + kernel_size
    copies = vectors.new_zeros(k, kernel_size, size)
    # The view visits entry (r, p, j*stride + p) of `copies` at its index (r, p, j).
    copies.as_strided((k, kernel_size, n), (kernel_size * size, size + 1, stride)).copy_(
        vectors[:, None].expand(-1, kernel_size, -1)
    )
    return copies
