"""The norm of one layer: as an operator on images, and as a reshaped kernel. They differ.

    ‖W‖ = max_{‖h‖ = 1} ‖W h‖,     h of the layer's input shape                       operator norm
    ‖W‖ ≤ max_θ ‖Ŵ(θ)‖,           Ŵ(θ) the kernel's Fourier transform on a torus      upper bound
    ‖reshape(W, (out, in · kₕ · k_w))‖₂                                               kernel norm

Spectral normalization as usually programmed divides by the kernel norm, which bounds the operator norm only
up to a factor √(kₕ k_w): Theorem 5's "every layer is 1-Lipschitz" is about the operator norm.

Upper bound: a convolution padded with zeros is a part of the convolution on a torus that the input and the
kernel fit on, input and output being cut out of it, so its norm is no larger. The torus is diagonalised by
the Fourier transform, one small matrix per frequency; a stride s couples the s² frequencies that it cannot
tell apart.

Source: Sedghi, Gupta and Long, The Singular Values of Convolutional Layers, 2019 (stride 1 on the torus).
"""

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from gncompanion.lipschitz.sequential import LinearMap
from gncompanion.tools.checks import whole

__all__ = [
    "Estimate",
    "exact_operator_norm",
    "kernel_norm",
    "largest_singular_value",
    "operator_norm",
    "upper_operator_norm",
]

MAX_ENTRIES = 2**22  # of a dense matrix: 2048 x 2048, 32 MB, a second or two


class Estimate(NamedTuple):
    """A norm from below.

    Attributes:
        lower: Norm ‖W v‖ for a unit vector v, so at most ‖W‖ (up to rounding).
        residual: Relative distance ‖WᵀW v − lower² v‖ / lower², within which lower² has an eigenvalue of
            WᵀW.
    """

    lower: float
    residual: float


def operator_norm(
    layer: nn.Module,
    input_shape: tuple[int, ...],
    *,
    n_iterations: int = 1000,
    tol: float = 1e-6,
    generator: Generator | None = None,
) -> Estimate:
    """Find the largest singular value of a layer as an operator on its inputs, by power iteration in float64.

    A Linear layer's is exact, by its singular value decomposition.

    Args:
        layer: A Linear, or a Conv2d padded with zeros.
        input_shape: Shape of one input: (in,) or (C, H, W).
        n_iterations: Products with WᵀW at most, from 1 on.
        tol: Residual at which to stop.
        generator: Source of the random start; None = one seeded with 0.

    Returns:
        The estimate, which grows with every iteration; its residual tells whether it has arrived.

    Raises:
        ValueError: The layer is another, the shape does not fit it, or n_iterations is no positive integer.

    Source: Wu et al., 2109.02235, Theorem 5's experiment, whose official code iterates on the convolution
    itself.
    """
    whole("n_iterations", n_iterations)
    w = _fitting(layer, input_shape)
    if isinstance(w.layer, nn.Linear):
        return Estimate(exact_operator_norm(layer, input_shape), 0.0)
    generator = generator or Generator().manual_seed(0)
    start = torch.randn(1, *input_shape, generator=generator, dtype=torch.float64, device=generator.device)
    v = start.to(w.weight) / start.norm()
    transpose = torch.func.vjp(w, v)[1]  # Wᵀ, wherever it is taken
    for _ in range(n_iterations):
        image = w(v)
        lower, (back,) = image.norm(), transpose(image)
        if lower == 0:  # a random start is orthogonal to everything but the kernel of W only if W = 0
            return Estimate(0.0, 0.0)
        residual = (back - lower**2 * v).norm() / lower**2
        if residual <= tol:
            break
        v = back / back.norm()
    return Estimate(float(lower), float(residual))


def upper_operator_norm(layer: nn.Module, input_shape: tuple[int, ...]) -> float:
    """Bound a layer's operator norm from above: exact where its matrix is small, else by Fourier transform.

    Args:
        layer: A Linear, or a Conv2d padded with zeros.
        input_shape: Shape of one input: (in,) or (C, H, W).

    Returns:
        The bound; that by Fourier transform exceeds the norm by what the border loses: below one per cent at
        32x32, a few at 8x8.

    Raises:
        ValueError: The layer is another, or the shape does not fit it.

    Source: Sedghi, Gupta and Long, ICLR 2019.
    """
    w = _fitting(layer, input_shape)
    if isinstance(w.layer, nn.Linear) or _entries(w, input_shape) <= MAX_ENTRIES:
        return exact_operator_norm(layer, input_shape)
    return _torus_norm(w.layer, w.weight, input_shape)


def exact_operator_norm(layer: nn.Module, input_shape: tuple[int, ...]) -> float:
    """Compute the operator norm of a layer, by its dense matrix in float64.

    Args:
        layer: A Linear, or a Conv2d padded with zeros.
        input_shape: Shape of one input: (in,) or (C, H, W).

    Returns:
        The norm, up to rounding.

    Raises:
        ValueError: The layer is another, the shape does not fit it, or a Conv2d's matrix has over 2²²
            entries.
    """
    w = _fitting(layer, input_shape)
    if isinstance(w.layer, nn.Linear):
        return float(largest_singular_value(w.weight))
    if (entries := _entries(w, input_shape)) > MAX_ENTRIES:
        raise ValueError(
            f"the dense matrix has {entries} entries, over {MAX_ENTRIES}: use upper_operator_norm"
        )
    size = math.prod(input_shape)
    basis = torch.eye(size, dtype=torch.float64, device=w.weight.device).reshape(size, *input_shape)
    return float(largest_singular_value(w(basis).flatten(1)))


def kernel_norm(layer: nn.Module) -> float:
    """Compute the largest singular value of the kernel reshaped to (out, in · kₕ · k_w): no operator norm.

    Args:
        layer: A Linear, or a Conv2d padded with zeros.

    Returns:
        The norm, up to rounding.

    Raises:
        ValueError: The layer is another.

    Source: Miyato et al., 1802.05957; `torch.nn.utils.parametrizations.spectral_norm`.
    """
    return float(largest_singular_value(LinearMap(layer).weight.flatten(1)))


def largest_singular_value(a: Tensor) -> Tensor:
    """Compute each matrix's largest singular value by its smaller Gram matrix.

    That is faster than the whole singular value decomposition, and for the largest value as exact.

    Args:
        a: Matrices, (..., r, c), real or complex.

    Returns:
        The largest singular values, (...), real.
    """
    # Scaled, since the square of a deep network's Jacobian may underflow.
    scale = a.abs().amax(dim=(-2, -1), keepdim=True).clamp(min=torch.finfo(a.dtype).tiny)
    a = a / scale
    gram = a @ a.mH if a.shape[-2] < a.shape[-1] else a.mH @ a
    squares: Tensor = torch.linalg.eigvalsh(gram)[..., -1]
    return scale[..., 0, 0] * squares.clamp(min=0).sqrt()


def _fitting(layer: nn.Module, input_shape: tuple[int, ...]) -> LinearMap:
    """The linear part of a layer that takes inputs of this shape."""
    w = LinearMap(layer)
    if isinstance(w.layer, nn.Linear):
        fits = math.prod(input_shape) == w.layer.in_features
    else:
        fits = len(input_shape) == 3 and input_shape[0] == w.layer.in_channels
    if not fits:
        raise ValueError(f"input shape {tuple(input_shape)} does not fit {layer}")
    return w


def _entries(w: LinearMap, input_shape: tuple[int, ...]) -> int:
    one = torch.zeros(1, *input_shape, dtype=torch.float64, device=w.weight.device)
    return one.numel() * w(one).numel()


def _torus_norm(conv: nn.Conv2d, weight: Tensor, input_shape: tuple[int, ...]) -> float:
    """max over frequencies θ of the torus of the norm of Ŵ(θ), each of the groups apart."""
    sizes = [
        stride * math.ceil((n + dilation * (k - 1)) / stride)
        for n, k, dilation, stride in zip(
            input_shape[1:], conv.kernel_size, conv.dilation, conv.stride, strict=True
        )
    ]
    kernel = torch.zeros(*weight.shape[:2], *sizes, dtype=torch.float64, device=weight.device)
    (h, v), (kh, kw), (a, b) = conv.dilation, conv.kernel_size, conv.stride
    kernel[..., : h * kh : h, : v * kw : v] = weight
    m, n = sizes[0] // a, sizes[1] // b
    # Frequency θ of the output mixes the frequencies θ + j·(m, n) of the input, j < stride.
    symbol = torch.fft.fft2(kernel).reshape(conv.groups, -1, kernel.shape[1], a, m, b, n)
    symbol = symbol.permute(4, 6, 0, 1, 2, 3, 5).flatten(-3)
    return float(largest_singular_value(symbol).max()) / math.sqrt(a * b)
