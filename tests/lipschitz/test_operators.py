"""The norm of one layer against its dense matrix, closed forms, and its convolution on a torus."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gncompanion.lipschitz import exact_operator_norm, kernel_norm, operator_norm, upper_operator_norm
from gncompanion.lipschitz import operators as operators_module
from tests.helpers.draws import normal, seeded
from tests.helpers.networks_by_hand import ROUNDING, filled, linear

CONVOLUTIONS = {
    "3x3": (nn.Conv2d(2, 5, 3, padding=1), (2, 7, 6)),
    "no padding": (nn.Conv2d(2, 3, 3), (2, 6, 6)),
    "strided": (nn.Conv2d(3, 4, 4, stride=2, padding=1), (3, 8, 8)),
    "strided unevenly": (nn.Conv2d(2, 4, (3, 5), stride=(2, 3), padding=(1, 2)), (2, 9, 8)),
    "stride over kernel": (nn.Conv2d(2, 4, 2, stride=3), (2, 8, 8)),
    "dilated": (nn.Conv2d(2, 3, 3, padding=2, dilation=2), (2, 7, 7)),
    "dilated and strided": (nn.Conv2d(2, 3, 3, stride=2, padding=1, dilation=(1, 2)), (2, 8, 9)),
    "grouped": (nn.Conv2d(4, 6, 3, padding=1, groups=2), (4, 6, 6)),
    "wide padding": (nn.Conv2d(2, 2, 3, padding=4), (2, 5, 5)),
    "same": (nn.Conv2d(2, 3, 5, padding="same"), (2, 6, 6)),
    "one by one": (nn.Conv2d(4, 3, 1), (4, 5, 5)),
}
each_convolution = pytest.mark.parametrize(
    ("layer", "shape"), [(filled(layer), shape) for layer, shape in CONVOLUTIONS.values()], ids=CONVOLUTIONS
)


@each_convolution
def test_the_dense_matrix_is_the_jacobian(layer: nn.Conv2d, shape: tuple[int, ...]) -> None:
    jacobian = torch.func.jacrev(layer)(normal(1, *shape)).reshape(-1, math.prod(shape))
    expected = torch.linalg.svdvals(jacobian)[0].item()
    assert exact_operator_norm(layer, shape) == pytest.approx(expected, rel=ROUNDING)


@each_convolution
def test_the_power_iteration_arrives_from_below(layer: nn.Conv2d, shape: tuple[int, ...]) -> None:
    exact = exact_operator_norm(layer, shape)
    estimates = [operator_norm(layer, shape, n_iterations=n, tol=1e-5) for n in (1, 5, 25, 300)]
    lowers = [e.lower for e in estimates] + [exact]
    assert all(a <= b * (1 + ROUNDING) for a, b in itertools.pairwise(lowers))
    assert estimates[-1].residual <= 5e-3  # two nearly equal singular values are slow to tell apart
    assert lowers[-2] == pytest.approx(exact, rel=estimates[-1].residual)  # |σ² / lower² − 1| ≤ residual
    assert lowers[0] < 0.95 * exact  # one step from a random start is not there yet
    assert estimates[0].residual > 1e-3


@each_convolution
def test_the_torus_bounds_from_above(layer: nn.Conv2d, shape: tuple[int, ...]) -> None:
    exact = exact_operator_norm(layer, shape)
    torus = operators_module._torus_norm(layer, operators_module.LinearMap(layer).weight, shape)
    assert exact * (1 - ROUNDING) <= torus <= 1.5 * exact  # 1.5: on images of six pixels the border is all


@each_convolution
def test_the_torus_bound_is_the_norm_of_the_convolution_on_a_torus(
    layer: nn.Conv2d, shape: tuple[int, ...]
) -> None:
    # The torus on which input and kernel fit without overlapping, made a multiple of the stride.
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    size = [-(-(n + r) // s) * s for n, r, s in zip(shape[1:], reach, layer.stride, strict=True)]

    def on_torus(x: Tensor) -> Tensor:
        x = nn.functional.pad(x, (0, reach[1], 0, reach[0]), mode="circular")
        return nn.functional.conv2d(x, layer.weight, None, layer.stride, 0, layer.dilation, layer.groups)

    jacobian = torch.func.jacrev(on_torus)(normal(1, shape[0], *size)).reshape(-1, shape[0] * math.prod(size))
    torus = operators_module._torus_norm(layer, operators_module.LinearMap(layer).weight, shape)
    assert torus == pytest.approx(torch.linalg.svdvals(jacobian)[0].item(), rel=ROUNDING)


def box(size: int) -> nn.Conv2d:
    layer = nn.Conv2d(1, 1, 3, padding=1, bias=False, dtype=torch.float64)
    layer.weight.data.fill_(1)
    return layer


@pytest.mark.parametrize("n", [1, 2, 5, 30])
def test_the_box_filter_in_closed_form(n: int) -> None:
    # A Kronecker square of the tridiagonal matrix of ones, whose norm is 1 + 2 cos(π / (n + 1)).
    exact = (1 + 2 * math.cos(math.pi / (n + 1))) ** 2
    assert exact_operator_norm(box(3), (1, n, n)) == pytest.approx(exact, rel=ROUNDING)
    assert operator_norm(box(3), (1, n, n), tol=1e-5).lower == pytest.approx(exact, rel=1e-5)
    assert kernel_norm(box(3)) == pytest.approx(3, rel=ROUNDING)  # a row of nine ones
    # On the torus the constant image is an eigenvector, to the sum of the kernel.
    torus = operators_module._torus_norm(box(3), operators_module.LinearMap(box(3)).weight, (1, n, n))
    assert torus == pytest.approx(9, rel=ROUNDING)


def test_disjoint_patches_have_the_kernels_norm() -> None:
    layer = filled(nn.Conv2d(3, 5, 2, stride=2))
    exact = kernel_norm(layer)
    assert exact_operator_norm(layer, (3, 8, 8)) == pytest.approx(exact, rel=ROUNDING)


def test_large_convolutions_get_the_torus_bound() -> None:
    layer = filled(nn.Conv2d(4, 8, 3, padding=1))
    shape = (4, 24, 24)
    with pytest.raises(ValueError, match=r"10616832 entries, over 4194304: use upper_operator_norm"):
        exact_operator_norm(layer, shape)
    lower, upper = operator_norm(layer, shape, n_iterations=300), upper_operator_norm(layer, shape)
    assert lower.lower < upper < 1.05 * lower.lower


def test_a_linear_layers_norm_is_that_of_its_matrix() -> None:
    layer = linear([[3.0, 0.0], [0.0, -4.0], [0.0, 0.0]])
    assert operator_norm(layer, (2,)) == (4.0, 0.0)
    assert exact_operator_norm(layer, (2,)) == upper_operator_norm(layer, (2,)) == kernel_norm(layer) == 4


def test_a_zero_convolution_has_norm_zero() -> None:
    layer = box(3)
    layer.weight.data.zero_()
    assert operator_norm(layer, (1, 5, 5)) == (0.0, 0.0)


def test_the_random_start_is_the_callers() -> None:
    layer, shape = CONVOLUTIONS["3x3"]
    state = torch.get_rng_state()
    once = operator_norm(layer, shape, n_iterations=3)
    assert once == operator_norm(layer, shape, n_iterations=3)
    assert once != operator_norm(layer, shape, n_iterations=3, generator=seeded(1))
    assert torch.equal(state, torch.get_rng_state())


def test_no_iterations_are_refused() -> None:
    with pytest.raises(ValueError, match="n_iterations=0 must be an integer from 1 on"):
        operator_norm(box(3), (1, 4, 4), n_iterations=0)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.ConvTranspose2d(1, 1, 3), (1, 5, 5), "ConvTranspose2d is neither Linear nor Conv2d"),
        (
            nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
            (1, 5, 5),
            "padding_mode='reflect' must be 'zeros'",
        ),
        (nn.Conv2d(2, 1, 3), (1, 5, 5), r"input shape \(1, 5, 5\) does not fit Conv2d"),
        (nn.Conv2d(2, 1, 3), (2, 5), r"input shape \(2, 5\) does not fit Conv2d"),
        (nn.Linear(3, 1), (2,), r"input shape \(2,\) does not fit Linear"),
        (linear([[math.nan]]), (1,), "weights that are not finite"),
    ],
)
@pytest.mark.parametrize("function", [operator_norm, exact_operator_norm, upper_operator_norm])
def test_other_layers_and_shapes_are_refused(
    function: Callable, layer: nn.Module, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        function(layer, shape)
