"""Shapes and sizes of a DCFT update by formula: integers only, no torch.

Paper: "Parameter-Efficient Fine-Tuning of Large Language Models via Deconvolution in Subspace", eq. 8 and 9.
"""

import math


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


def fitting_kernels(in_features: int, out_features: int, largest: int = 64) -> list[int]:
    """Kernel sizes up to `largest` that fit an `out x in` matrix when the stride equals the kernel (section 3.2.2)."""
    common = math.gcd(in_features, out_features)
    return [d for d in range(1, min(common, largest) + 1) if common % d == 0]


def parameter_count(in_features: int, out_features: int, kernel_size: int, stride: int, rank: int = 1) -> int:
    """Trainable parameters of one adapted `out x in` matrix: `k * (a + b) + d^2` (paper, eq. 8, plus the kernel)."""
    a = subspace_size(in_features, kernel_size, stride)
    b = subspace_size(out_features, kernel_size, stride)
    return rank * (a + b) + kernel_size**2
