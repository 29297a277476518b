"""The norm of one layer: as an operator on images, and as a reshaped kernel. They differ.

    ‖W‖ = max_{‖h‖ = 1} ‖W h‖,     h of the layer's input shape                       operator norm
    ‖W‖ ≤ max_θ ‖Ŵ(θ)‖,           Ŵ(θ) the kernel's Fourier transform on a torus      upper bound
    ‖reshape(W, (out, in · kₕ · k_w))‖₂                                               kernel norm

Spectral normalization as usually programmed divides by the kernel norm, which bounds the operator norm only
up to a factor √(kₕ k_w): Theorem 5's "every layer is 1-Lipschitz" is about the operator norm.

Upper bound: a convolution padded with zeros is a part of the convolution on a torus that the input and the
kernel fit on, input and output being cut out of it, so its norm is no larger. The torus is diagonalised by
the Fourier transform, one small matrix a frequency; a stride s couples the s² frequencies that it cannot tell
apart.

Source: Sedghi, Gupta and Long, The Singular Values of Convolutional Layers, 2019 (stride 1 on the torus).
"""

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from gncompanion.lipschitz.sequential import LinearMap

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

    Args:
        lower: ‖W v‖ for a unit vector v, so at most ‖W‖ (up to rounding).
        residual: ‖WᵀW v − lower² v‖ / lower²: lower² is within this relative distance of an eigenvalue of
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
    """Largest singular value of a layer as an operator on its inputs, by power iteration in float64.

    A Linear layer's is exact, by its singular value decomposition.

    Args:
        layer: Linear, or Conv2d padded with zeros.
        input_shape: Of one input: (in,) or (C, H, W).
        n_iterations: Products with WᵀW at most.
        tol: Residual at which to stop.
        generator: Of the random start; None = one seeded with 0.

    Returns:
        The estimate, which grows with every iteration; its residual tells whether it has arrived.

    Raises:
        ValueError: The layer is another, the shape does not fit it, or n_iterations is below 1.

    Source: Wu et al., ICCV 2021, Theorem 5's experiment, whose official code iterates on the convolution
    itself.
    """
    if n_iterations < 1:
        raise ValueError(f"n_iterations must be at least 1, not {n_iterations}")
    w = _checked(layer, input_shape)
    if isinstance(layer, nn.Linear):
        return Estimate(exact_operator_norm(layer, input_shape), 0.0)
    generator = generator or Generator().manual_seed(0)
    start = torch.randn(1, *input_shape, generator=generator, dtype=torch.float64, device=generator.device)
    v = start.to(w.weight) / start.norm()
    _, transpose = torch.func.vjp(w, v)  # Wᵀ, wherever it is taken
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
    """Upper bound of a layer's operator norm: exact where its matrix is small, else by Fourier transform.

    Args:
        layer: Linear, or Conv2d padded with zeros.
        input_shape: Of one input: (in,) or (C, H, W).

    Returns:
        The bound; that by Fourier transform exceeds the norm by what the border loses: below one per cent at
        32x32, a few at 8x8.

    Raises:
        ValueError: The layer is another, or the shape does not fit it.
    """
    w = _checked(layer, input_shape)
    if isinstance(layer, nn.Linear) or _entries(w, input_shape) <= MAX_ENTRIES:
        return exact_operator_norm(layer, input_shape)
    return _torus_norm(w, input_shape)


def exact_operator_norm(layer: nn.Module, input_shape: tuple[int, ...]) -> float:
    """Operator norm of a layer, by its dense matrix in float64.

    Args:
        layer: Linear, or Conv2d padded with zeros.
        input_shape: Of one input: (in,) or (C, H, W).

    Returns:
        The norm, up to rounding.

    Raises:
        ValueError: The layer is another, the shape does not fit it, or a Conv2d's matrix has over 2²²
            entries.
    """
    w = _checked(layer, input_shape)
    if isinstance(layer, nn.Linear):
        return float(largest_singular_value(w.weight))
    if (entries := _entries(w, input_shape)) > MAX_ENTRIES:
        raise ValueError(
            f"the dense matrix has {entries} entries, over {MAX_ENTRIES}: use upper_operator_norm"
        )
    size = math.prod(input_shape)
    basis = torch.eye(size, dtype=torch.float64, device=w.weight.device).reshape(size, *input_shape)
    return float(largest_singular_value(w(basis).flatten(1)))


def kernel_norm(layer: nn.Module) -> float:
    """Largest singular value of the kernel reshaped to (out, in · kₕ · k_w): not the operator norm.

    Args:
        layer: Linear, or Conv2d padded with zeros.

    Returns:
        The norm, up to rounding.

    Raises:
        ValueError: The layer is another.

    Source: Miyato et al., Spectral Normalization, 2018; `torch.nn.utils.parametrizations.spectral_norm`.
    """
    return float(largest_singular_value(LinearMap(layer).weight.flatten(1)))


def largest_singular_value(a: Tensor) -> Tensor:
    """Of each matrix, by its smaller Gram matrix: faster than the whole SVD, and for the largest as exact.

    Args:
        a: (..., r, c), real or complex.

    Returns:
        (...), real.
    """
    # Scaled, since the square of a deep network's Jacobian may underflow.
    scale = a.abs().amax(dim=(-2, -1), keepdim=True).clamp(min=torch.finfo(a.dtype).tiny)
    a = a / scale
    gram = a @ a.mH if a.shape[-2] < a.shape[-1] else a.mH @ a
    return scale[..., 0, 0] * torch.linalg.eigvalsh(gram)[..., -1].clamp(min=0).sqrt()


def _checked(layer: nn.Module, input_shape: tuple[int, ...]) -> LinearMap:
    w = LinearMap(layer)
    linear = isinstance(layer, nn.Linear)
    fits = math.prod(input_shape) == layer.in_features if linear else len(input_shape) == 3
    if not fits or not (linear or input_shape[0] == layer.in_channels):
        raise ValueError(f"input shape {tuple(input_shape)} does not fit {layer}")
    return w


def _entries(w: LinearMap, input_shape: tuple[int, ...]) -> int:
    one = torch.zeros(1, *input_shape, dtype=torch.float64, device=w.weight.device)
    return one.numel() * w(one).numel()


def _torus_norm(w: LinearMap, input_shape: tuple[int, ...]) -> float:
    """max over frequencies θ of the torus of the norm of Ŵ(θ), each of the groups apart."""
    conv = w.layer
    sizes = [
        stride * math.ceil((n + dilation * (k - 1)) / stride)
        for n, k, dilation, stride in zip(
            input_shape[1:], conv.kernel_size, conv.dilation, conv.stride, strict=True
        )
    ]
    kernel = torch.zeros(*w.weight.shape[:2], *sizes, dtype=torch.float64, device=w.weight.device)
    (h, v), (kh, kw), (a, b) = conv.dilation, conv.kernel_size, conv.stride
    kernel[..., : h * kh : h, : v * kw : v] = w.weight
    m, n = sizes[0] // a, sizes[1] // b
    # Frequency θ of the output mixes the frequencies θ + j·(m, n) of the input, j < stride.
    symbol = torch.fft.fft2(kernel).reshape(conv.groups, -1, kernel.shape[1], a, m, b, n)
    symbol = symbol.permute(4, 6, 0, 1, 2, 3, 5).flatten(-3)
    return float(largest_singular_value(symbol).max()) / math.sqrt(a * b)
