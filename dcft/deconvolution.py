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

import math

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


def fits(size: int, kernel_size: int, stride: int) -> bool:
    """Whether a dimension of `size` entries is covered exactly: `size = (n - 1) * stride + kernel_size` (eq. 9)."""
    return kernel_size <= size and (size - kernel_size) % stride == 0


def subspace_size(size: int, kernel_size: int, stride: int) -> int:
    """Entries of A or B along one dimension: `(size - kernel_size) / stride + 1` (paper, eq. 9, no padding).

    Raises:
        ValueError: if the kernel does not tile the dimension.
    """
    if not fits(size, kernel_size, stride):
        raise ValueError(
            f"a dimension of {size} is not covered by kernel size {kernel_size} with stride {stride}: "
            f"({size} - {kernel_size}) must be a multiple of {stride}"
        )
    return (size - kernel_size) // stride + 1


def parameter_count(in_features: int, out_features: int, kernel_size: int, stride: int, rank: int = 1) -> int:
    """Trainable parameters of one adapted `out x in` matrix: `k * (a + b) + d^2` (paper, eq. 8, plus the kernel)."""
    a = subspace_size(in_features, kernel_size, stride)
    b = subspace_size(out_features, kernel_size, stride)
    return rank * (a + b) + kernel_size**2


def fitting_kernels(in_features: int, out_features: int, largest: int = 64) -> list[int]:
    """Kernel sizes up to `largest` that fit an `out x in` matrix when the stride equals the kernel (section 3.2.2)."""
    common = math.gcd(in_features, out_features)
    return [d for d in range(1, min(common, largest) + 1) if common % d == 0]
