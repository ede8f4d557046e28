"""The factors against the reference, for random sizes, in float64."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcft.sizes import fits, fitting_kernels, parameter_count, subspace_size
from dcft.tuners.deconvolution import delta_weight, factors


@st.composite
def tensors(draw, equal_stride=False):
    """Random A (k x a), B (b x k), C (d x d) and a stride, in float64."""
    d = draw(st.integers(1, 9))
    stride = d if equal_stride else draw(st.integers(1, d))
    a, b, k = draw(st.integers(1, 12)), draw(st.integers(1, 12)), draw(st.integers(1, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    A, B, C = (torch.randn(*s, dtype=torch.float64, generator=generator) for s in ((k, a), (b, k), (d, d)))
    return A, B, C, stride


def by_definition(A, B, C, stride):
    """`delta[i*s + p, j*s + q] += (B A)[i, j] * C[p, q]`, entry by entry."""
    F, d = B @ A, len(C)
    delta = torch.zeros((len(F) - 1) * stride + d, (len(F[0]) - 1) * stride + d, dtype=F.dtype)
    for i in range(len(F)):
        for j in range(len(F[0])):
            delta[i * stride : i * stride + d, j * stride : j * stride + d] += F[i, j] * C
    return delta


@given(tensors())
def test_reference_is_the_definition(case):
    torch.testing.assert_close(delta_weight(*case), by_definition(*case), rtol=0, atol=1e-12)


@given(tensors())
def test_factors_multiply_to_the_reference(case):
    A, B, C, stride = case
    left, right = factors(A, B, C, stride)
    assert left.shape[1] == right.shape[0] == len(A) * len(C)
    torch.testing.assert_close(left @ right, delta_weight(A, B, C, stride), rtol=0, atol=1e-12)


@given(tensors())
def test_gradients_are_the_reference_s(case):
    *leaves, stride = case
    for leaf in leaves:
        leaf.requires_grad_()
    weight = torch.randn_like(delta_weight(*case))  # any linear functional of the update
    left, right = factors(*leaves, stride)
    ours = torch.autograd.grad(((left @ right) * weight).sum(), leaves)
    theirs = torch.autograd.grad((delta_weight(*leaves, stride) * weight).sum(), leaves)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-10, atol=1e-10)


@given(tensors(equal_stride=True))
def test_equal_stride_is_the_kronecker_product(case):
    A, B, C, stride = case
    torch.testing.assert_close(delta_weight(A, B, C, stride), torch.kron(B @ A, C), rtol=0, atol=1e-12)


def test_rank_is_at_most_rank_times_kernel():
    A, B, C = (torch.randn(*s, dtype=torch.float64) for s in ((1, 93), (93, 1), (4, 4)))
    assert torch.linalg.matrix_rank(delta_weight(A, B, C, 1)) == 4


@given(size=st.integers(1, 200), kernel=st.integers(1, 20), stride=st.integers(1, 20))
def test_sizes_that_fit_are_covered_exactly(size, kernel, stride):
    if fits(size, kernel, stride):
        assert (subspace_size(size, kernel, stride) - 1) * stride + kernel == size
    else:
        with pytest.raises(ValueError, match=f"a dimension of {size}"):
            subspace_size(size, kernel, stride)


@given(tensors())
def test_parameter_count_counts_the_tensors(case):
    A, B, C, stride = case
    out_features, in_features = delta_weight(*case).shape
    count = parameter_count(in_features, out_features, len(C), stride, rank=len(A))
    assert count == A.numel() + B.numel() + C.numel()


def test_fitting_kernels_of_roberta_large_lack_6_and_12():
    kernels = fitting_kernels(1024, 4096)
    assert {2, 4, 8} <= set(kernels)
    assert not {6, 12} & set(kernels)
