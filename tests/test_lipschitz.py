import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gncompanion.constraints.base import Constraint
from gncompanion.constraints.spectral import OperatorSpectralNormalization, SpectralNormalization
from gncompanion.lipschitz import (
    exact_lipschitz,
    exact_operator_norm,
    input_gradient_norms,
    kernel_norm,
    layers,
    lower_jacobian_norms,
    operator_norm,
    sampled_slopes,
    upper_operator_norm,
    upper_products,
)
from gncompanion.lipschitz import operators as operators_module
from gncompanion.models.dcgan import StageCritic
from gncompanion.models.toy import MLPCritic

# Norms of products of up to ten matrices in float64: a few hundred roundings of 1e-16.
ROUNDING = 1e-12


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in float64 with normal weights of about the size that keeps norms near 1."""
    generator = seeded(seed)
    for p in module.double().parameters():
        scale = 1 / math.sqrt(p[0].numel()) if p.ndim > 1 else 0.5
        p.data = scale * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    return module


def mlp(*widths: int, activation: Callable[[], nn.Module] = nn.ReLU, seed: int = 0) -> nn.Sequential:
    """A perceptron of these widths, its last layer linear."""
    found = [m for a, b in itertools.pairwise(widths) for m in (nn.Linear(a, b), activation())]
    return filled(nn.Sequential(*found[:-1]), seed)


def linear(weight: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    weight = torch.tensor(weight, dtype=torch.float64)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=torch.float64)
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = torch.tensor(bias, dtype=torch.float64)
    return layer


def convolutional(activation: Callable[[], nn.Module] = nn.ReLU, seed: int = 0) -> nn.Sequential:
    return filled(
        nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            activation(),
            nn.Conv2d(4, 6, 4, stride=2, padding=1),
            activation(),
            nn.Flatten(),
            nn.Linear(6 * 9, 1),
        ),
        seed,
    )


def normalised(critic: nn.Sequential, input_shape: tuple[int, ...]) -> nn.Sequential:
    """The critic with every layer's operator norm 1, by the dense matrices."""
    h = torch.zeros(1, *input_shape, dtype=torch.float64)
    for layer in critic:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.weight.data /= exact_operator_norm(layer, tuple(h.shape[1:]))
        h = layer(h)
    return critic


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


# One layer


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
    torus = operators_module._torus_norm(operators_module.LinearMap(layer), shape)
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
    torus = operators_module._torus_norm(operators_module.LinearMap(layer), shape)
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
    torus = operators_module._torus_norm(operators_module.LinearMap(box(3)), (1, n, n))
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


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.ConvTranspose2d(1, 1, 3), (1, 5, 5), "ConvTranspose2d is neither Linear nor Conv2d"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"), (1, 5, 5), "padded by 'reflect'"),
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


# Which critics


@pytest.mark.parametrize(
    ("critic", "shape", "n_steps"),
    [
        (StageCritic(5, 8, channels=1, generator=seeded()), (1, 8, 8), 6),
        (MLPCritic(64, width=5, depth=3, generator=seeded()), (1, 8, 8), 4),
        (MLPCritic(2, width=5, depth=2, bias=False, activation="elu", generator=seeded()), (2,), 3),
        ([nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Linear(72, 1)], (1, 8, 8), 2),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Sequential()), (1, 8, 8), 1),
    ],
    ids=["StageCritic", "MLPCritic of images", "MLPCritic", "list", "nested"],
)
def test_sequential_critics_are_measured_and_left_alone(
    critic: nn.Module | list, shape: tuple[int, ...], n_steps: int
) -> None:
    modules = nn.ModuleList(critic) if isinstance(critic, list) else critic
    modules.train()
    before = {name: value.clone() for name, value in modules.state_dict().items()}
    leaves = [m for m in modules.modules() if not any(m.children()) and not isinstance(m, nn.Sequential)]
    assert layers(critic) == leaves
    upper = upper_products(critic, shape)
    lower = lower_jacobian_norms(critic, normal(5, *shape))
    assert upper.shape == lower.lower.shape == (n_steps,)
    assert lower.per_sample.shape == (n_steps, 5)
    assert (lower.lower <= upper * (1 + ROUNDING)).all()
    assert modules.training
    assert all(torch.equal(before[name], value) for name, value in modules.state_dict().items())
    assert all(p.grad is None and p.dtype == torch.float32 for p in modules.parameters())


class Functional(nn.Module):
    """Critics that are not the composition of their layers, as a user might write them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.first, self.second, self.head = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        if self.kind == "activation":
            h = torch.relu(self.second(h))
        elif self.kind == "residual":
            h = h + self.second(h)
        elif self.kind == "twice":
            h = self.second(self.second(h))
        elif self.kind == "order":
            h = self.first(self.second(x))
        elif self.kind == "not finite":
            return self.head(h).squeeze(1) / 0
        return self.head(h).squeeze(1)


@pytest.mark.parametrize("kind", ["activation", "residual", "twice", "order", "not finite"])
@pytest.mark.parametrize(
    "measure",
    [
        lambda critic: upper_products(critic, (3,)),
        lambda critic: lower_jacobian_norms(critic, normal(2, 3)),
        lambda critic: lower_jacobian_norms(critic, normal(2, 3).float()),
        lambda critic: exact_lipschitz(critic, 3),
    ],
    ids=["upper", "lower", "lower in float32", "exact"],
)
def test_critics_that_are_not_sequential_are_refused(measure: Callable, kind: str) -> None:
    with pytest.raises(ValueError, match="Functional is not the composition of its layers"):
        measure(filled(Functional(kind)))


@pytest.mark.parametrize(
    ("critic", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), "BatchNorm1d is neither Linear, Conv2d nor one"),
        ([nn.Linear(2, 2), nn.GELU()], "GELU is neither"),
        ([nn.ReLU(), nn.Linear(2, 2)], "starts with a linear layer, not with ReLU"),
        ([], "starts with a linear layer, not with NoneType"),
    ],
)
def test_layers_without_a_constant_are_refused(critic: nn.Module | list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layers(critic)


def test_spectrally_normalized_layers_are_measured_as_they_evaluate() -> None:
    critic = mlp(3, 4, 4, 1)
    for layer in critic[::2]:
        spectral_norm(layer)
    critic.train()
    state = {name: value.clone() for name, value in critic.state_dict().items()}
    measured = upper_products(critic, (3,)), lower_jacobian_norms(critic, normal(4, 3)).lower
    norms = [operator_norm(layer, (layer.in_features,)).lower for layer in critic[::2]]
    assert all(torch.equal(state[name], value) for name, value in critic.state_dict().items())
    plain = mlp(3, 4, 4, 1)
    for layer, source in zip(plain[::2], critic.eval()[::2], strict=True):
        layer.weight.data = source.weight.detach().clone()
    expected = upper_products(plain, (3,)), lower_jacobian_norms(plain, normal(4, 3)).lower
    torch.testing.assert_close(measured, expected, rtol=ROUNDING, atol=0)
    torch.testing.assert_close(torch.tensor(norms).double().cumprod(0), expected[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "constraint",
    [SpectralNormalization(), OperatorSpectralNormalization((1, 8, 8))],
    ids=["kernel", "operator"],
)
def test_theorem_5_of_a_spectrally_normalized_critic(constraint: Constraint) -> None:
    critic, x = StageCritic(6, 8, channels=1, generator=seeded()), normal(8, 1, 8, 8)
    constraint.prepare(critic)
    for _ in range(20):  # in training mode each moves the power iterations on
        critic(x.float())
    state = {name: value.clone() for name, value in critic.state_dict().items()}
    factors = upper_products(critic, (1, 8, 8))
    factors[1:] /= factors[:-1].clone()
    norms = lower_jacobian_norms(critic, x).per_sample
    before = torch.cat([torch.ones(1, 8).double(), norms[:-1]])
    assert (norms <= factors[:, None] * before * (1 + ROUNDING)).all()
    if isinstance(constraint, OperatorSpectralNormalization):
        assert (factors - 1).abs().max() < 0.01  # 300 power iterations: ln(1024) / 600
    else:
        assert factors.max() > 1.3  # the kernel's norm is not the convolution's
    assert critic.training
    assert all(torch.equal(state[name], value) for name, value in critic.state_dict().items())


# Layers in a row


ACTIVATIONS = [nn.ReLU, lambda: nn.LeakyReLU(0.1), nn.ELU, nn.Softplus, nn.Tanh, nn.Sigmoid, nn.Identity]


def prefixes(critic: nn.Sequential) -> list[nn.Sequential]:
    """f_1 … f_K, each up to where the next linear layer starts."""
    starts = [i for i, layer in enumerate(critic) if isinstance(layer, nn.Linear | nn.Conv2d)]
    return [critic[:end] for end in [*starts[1:], len(critic)]]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("make", "shape"),
    [(convolutional, (1, 6, 6)), (lambda activation: mlp(5, 7, 3, 1, activation=activation), (5,))],
    ids=["convolutional", "perceptron"],
)
def test_jacobian_norms_are_those_of_automatic_differentiation(
    make: Callable, shape: tuple[int, ...], activation: Callable[[], nn.Module]
) -> None:
    critic, x = make(activation), normal(6, *shape, seed=1)
    measured = lower_jacobian_norms(critic, x)
    for f, norms in zip(prefixes(critic), measured.per_sample, strict=True):
        jacobians = [torch.func.jacrev(f)(sample[None]).reshape(-1, math.prod(shape)) for sample in x]
        expected = torch.stack([torch.linalg.svdvals(j)[0] for j in jacobians])
        torch.testing.assert_close(norms, expected, rtol=ROUNDING, atol=ROUNDING)
    assert torch.equal(measured.lower, measured.per_sample.amax(1))


def test_power_iterations_approach_the_whole_jacobian_from_below() -> None:
    critic, x = convolutional(), normal(6, 1, 6, 6, seed=1)
    whole = lower_jacobian_norms(critic, x).per_sample
    few, many = (lower_jacobian_norms(critic, x, n_iterations=n).per_sample for n in (1, 100))
    assert (few <= many * (1 + ROUNDING)).all()
    assert (many <= whole * (1 + ROUNDING)).all()
    torch.testing.assert_close(many, whole, rtol=2e-2, atol=0)  # ln(36) / 200: no gap needed
    torch.testing.assert_close(few[-1], whole[-1], rtol=ROUNDING, atol=0)  # one row: one step is enough


def test_batches_and_float32_change_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    critic, x = convolutional(), normal(6, 1, 6, 6, seed=1)
    whole = lower_jacobian_norms(critic, x)
    single = lower_jacobian_norms(critic, x.float())
    assert single.lower.dtype == torch.float32
    torch.testing.assert_close(
        single.per_sample.double(), whole.per_sample, rtol=1e-5, atol=0
    )  # 100 roundings
    monkeypatch.setattr("gncompanion.lipschitz.bounds.MAX_NUMBERS", 1)
    one_by_one = lower_jacobian_norms(critic, x)
    torch.testing.assert_close(one_by_one, whole, rtol=ROUNDING, atol=0)


def test_dead_and_tiny_networks_have_their_norms() -> None:
    dead = [linear([[1.0, 0.0]], [-9.0]), nn.ReLU(), linear([[2.0]])]
    for n_iterations in (None, 3):
        measured = lower_jacobian_norms(dead, torch.zeros(2, 2).double(), n_iterations=n_iterations)
        assert measured.per_sample.tolist() == [[0, 0], [0, 0]]
    tiny = [linear([[1.0, 0.0], [0.0, 1e-15]]), linear([[1e-15, 0.0]]), linear([[1e-8]])]
    x = torch.zeros(1, 2)  # in float32, where the square of 1e-23 is 0
    for n_iterations in (None, 3):
        lower = lower_jacobian_norms(tiny, x, n_iterations=n_iterations).lower
        torch.testing.assert_close(lower, torch.tensor([1, 1e-15, 1e-23]), rtol=1e-5, atol=0)


def test_a_dead_end_does_not_spoil_the_layers_before_it() -> None:
    critic = [linear([[3.0, 0.0], [0.0, 1.0]]), nn.ReLU(), linear([[-1.0, -1.0]]), nn.ReLU()]
    measured = lower_jacobian_norms(critic, torch.ones(1, 2).double(), n_iterations=50)
    torch.testing.assert_close(measured.lower, torch.tensor([3.0, 0.0]).double(), rtol=ROUNDING, atol=0)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (torch.full((2, 3), math.nan), {}, "x has values that are not finite"),
        (torch.zeros(1, 1025), {}, "samples have 1025 numbers, over 1024: give n_iterations"),
        (torch.zeros(2, 3), {"n_iterations": 0}, "n_iterations must be at least 1"),
    ],
)
def test_bad_samples_are_refused(x: Tensor, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lower_jacobian_norms(mlp(x.shape[1], 2, 1), x, **options)


def test_no_iterations_are_refused() -> None:
    with pytest.raises(ValueError, match="n_iterations must be at least 1, not 0"):
        operator_norm(box(3), (1, 4, 4), n_iterations=0)


def test_upper_products_by_hand() -> None:
    critic = [
        linear([[3.0, 0.0], [0.0, 1.0]]), nn.LeakyReLU(2.0),
        linear([[0.0, 0.5]]), nn.Sigmoid(), nn.ELU(3.0),
        linear([[-4.0]]),
    ]  # fmt: skip
    expected = [3 * 2, 6 * 0.5 * 0.25 * 3, 2.25 * 4]
    assert upper_products(critic, (2,)).tolist() == pytest.approx(expected, rel=ROUNDING)


# Theorem 5


THEOREM_5 = {
    "perceptron": (normalised(mlp(3, 5, 4, 4, 1), (3,)), (3,)),
    "leaky perceptron": (
        normalised(mlp(2, 5, 5, 1, activation=lambda: nn.LeakyReLU(0.1), seed=3), (2,)),
        (2,),
    ),
    "smooth perceptron": (normalised(mlp(3, 6, 6, 6, 1, activation=nn.Softplus), (3,)), (3,)),
    "convolutional": (normalised(convolutional(), (1, 6, 6)), (1, 6, 6)),
}
each_critic = pytest.mark.parametrize(("critic", "shape"), THEOREM_5.values(), ids=THEOREM_5)


@each_critic
@pytest.mark.parametrize("n_iterations", [None, 1, 3])
def test_theorem_5_at_each_sample(
    critic: nn.Sequential, shape: tuple[int, ...], n_iterations: int | None
) -> None:
    norms = lower_jacobian_norms(critic, 2 * normal(50, *shape, seed=1), n_iterations=n_iterations).per_sample
    assert (norms[1:] <= norms[:-1] * (1 + ROUNDING)).all()
    assert (norms[0] <= 1 + ROUNDING).all()
    assert (norms[-1] < 0.9).any()  # and strictly, somewhere


@each_critic
def test_theorem_5_of_the_upper_bounds(critic: nn.Sequential, shape: tuple[int, ...]) -> None:
    upper = upper_products(critic, shape)
    torch.testing.assert_close(upper, torch.ones_like(upper), rtol=ROUNDING, atol=0)
    halved = upper_products([*critic[:-1], linear((0.5 * critic[-1].weight).tolist())], shape)
    assert halved[-1].item() == pytest.approx(0.5, rel=ROUNDING)


@pytest.mark.parametrize("name", ["perceptron", "leaky perceptron"])
def test_theorem_5_of_the_exact_constants(name: str) -> None:
    critic, (dim,) = THEOREM_5[name]
    exact = exact_lipschitz(critic, dim)
    assert (exact[1:] <= exact[:-1] * (1 + ROUNDING)).all()
    assert exact[0] <= 1 + ROUNDING
    assert exact[-1] < 0.9  # the theorem's point: strictly less, though every layer is 1-Lipschitz


# Exact constants


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("activation", [nn.ReLU, lambda: nn.LeakyReLU(0.2)])
def test_lower_exact_and_upper_stand_in_order(activation: Callable, seed: int) -> None:
    critic = mlp(2, 5, 4, 1, activation=activation, seed=seed)
    exact, upper = exact_lipschitz(critic, 2), upper_products(critic, (2,))
    lower = lower_jacobian_norms(critic, 3 * normal(20_000, 2, seed=seed)).lower
    assert (lower <= exact * (1 + ROUNDING)).all()
    assert (exact <= upper * (1 + ROUNDING)).all()
    assert lower[0] > 0.999 * exact[0]  # five lines leave no piece that 20,000 points about them miss


ABSOLUTE = [linear([[1.0], [-1.0]]), nn.ReLU(), linear([[1.0, 1.0]])]
CANCELLED = [linear([[1.0], [1.0]]), nn.ReLU(), linear([[1.0, -1.0]])]
LEAKY = [linear([[1.0]]), nn.LeakyReLU(-0.5), linear([[4.0]])]
# min(x, 0) + max(x − 1, 0): steep on the left and the right, flat on [0, 1].
FLAT = [linear([[-1.0], [1.0]], [0.0, -1.0]), nn.ReLU(), linear([[-1.0, 1.0]])]
NEVER = [linear([[1.0, 1.0], [-1.0, -1.0]], [-1.0, -1.0]), nn.ReLU(), linear([[1.0, 1.0]])]


@pytest.mark.parametrize(
    ("critic", "dim", "box", "expected"),
    [
        (ABSOLUTE, 1, None, [1, 1]),
        (CANCELLED, 1, None, [math.sqrt(2), 0]),
        (LEAKY, 1, None, [1, 4]),
        (FLAT, 1, None, [1, 1]),
        (FLAT, 1, (0.1, 0.9), [0, 0]),
        (FLAT, 1, (0.5, 1.5), [1, 1]),
        (NEVER, 2, None, [math.sqrt(2), math.sqrt(2)]),
        (NEVER, 2, (-0.4, 0.4), [0, 0]),
        ([linear([[3.0, 4.0]])], 2, None, [5]),
        ([linear([[3.0, 0.0], [0.0, 1.0]]), linear([[0.0, 1.0]])], 2, None, [3, 1]),
    ],
)
def test_exact_constants_by_hand(
    critic: list, dim: int, box: tuple[float, float] | None, expected: list[float]
) -> None:
    assert exact_lipschitz(critic, dim, box=box).tolist() == pytest.approx(expected, rel=ROUNDING, abs=0)


def test_folded_tents_double_with_each_layer() -> None:
    # t(x) = 2 relu(x) − 4 relu(x − ½) maps [0, 1] onto itself with slopes ±2; folded k times, ±2ᵏ.
    fold = linear([[1.0], [1.0]], [0.0, -0.5])
    again = linear([[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5])
    critic = [fold, nn.ReLU(), again, nn.ReLU(), again, nn.ReLU(), again, nn.ReLU(), linear([[2.0, -4.0]])]
    exact = exact_lipschitz(critic, 1, box=(0.0, 1.0))
    # Layer k has both its units on where t is large: slope 2ᵏ⁻¹ in each of two outputs.
    assert exact.tolist() == pytest.approx([math.sqrt(2) * 2**k for k in range(4)] + [16], rel=ROUNDING)


@pytest.mark.parametrize("seed", range(3))
def test_one_hidden_layer_by_the_vertices_of_its_lines(seed: int) -> None:
    # In the plane every cell of lines in general position has a vertex, where two of them cross; about a
    # vertex these two take all four signs, and the others keep theirs.
    n = 9
    critic = mlp(2, n, 1, seed=seed)
    w, b = (critic[0].weight.detach().numpy(), critic[0].bias.detach().numpy())
    head = critic[2].weight.detach().numpy()
    cells = set()
    for i, j in itertools.combinations(range(n), 2):
        vertex = np.linalg.solve(w[[i, j]], -b[[i, j]])
        signs = w @ vertex + b > 0
        for signs[i], signs[j] in itertools.product([False, True], repeat=2):
            cells.add(tuple(signs))
    assert len(cells) == 1 + n + n * (n - 1) // 2  # Zaslavsky's count
    expected = [
        max(np.linalg.norm(np.array(cell)[:, None] * w, 2) for cell in cells),
        max(np.linalg.norm(head * np.array(cell) @ w, 2) for cell in cells),
    ]
    assert exact_lipschitz(critic, 2).tolist() == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("activation", [nn.ReLU, lambda: nn.LeakyReLU(0.2)])
@pytest.mark.parametrize("seed", range(2))
def test_deep_networks_on_a_line_by_a_fine_scan(seed: int, activation: Callable) -> None:
    critic = mlp(1, 5, 5, 5, 1, activation=activation, seed=seed)
    exact = exact_lipschitz(critic, 1, box=(-4.0, 4.0))
    x = torch.linspace(-4, 4, 100_001, dtype=torch.float64)[:, None]
    scanned = lower_jacobian_norms(critic, x).lower
    # No piece of these four networks is thinner than the scan's steps of 8e-5.
    torch.testing.assert_close(scanned, exact, rtol=ROUNDING, atol=0)


def test_the_constant_does_not_depend_on_the_units_of_x_or_of_the_layers() -> None:
    critic = mlp(2, 4, 4, 1)
    exact = exact_lipschitz(critic, 2)
    critic[0].weight.data *= 1e-9
    critic[0].bias.data *= 1e-9
    critic[2].bias.data *= 1e-9
    torch.testing.assert_close(exact_lipschitz(critic, 2), 1e-9 * exact, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("critic", "options", "message"),
    [
        (mlp(2, 33, 1), {}, "33 units with a kink, over max_units = 32"),
        (mlp(2, 3, 3, 1), {"max_units": 5}, "6 units with a kink, over max_units = 5"),
        (mlp(2, 3, 1, activation=nn.ELU), {}, "ELU is not supported"),
        ([*mlp(2, 3, 1)[:2], nn.ReLU()], {}, "ReLU after ReLU is not supported"),
        ([nn.Conv2d(1, 1, 1)], {}, "Conv2d: only perceptrons"),
        (mlp(2, 3, 1), {"box": (1.0, 1.0)}, r"low < high, not \(1.0, 1.0\)"),
    ],
)
def test_what_cannot_be_enumerated_is_refused(critic: object, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        exact_lipschitz(critic, 2, **options)


# Any scoring function


def test_a_linear_score_has_one_gradient_and_slopes_below_it() -> None:
    w = torch.tensor([3.0, 4.0])
    x, y = normal(50, 2).float(), normal(50, 2, seed=1).float()
    norms = input_gradient_norms(lambda z: z @ w, x)
    assert norms.dtype == torch.float32
    torch.testing.assert_close(norms, torch.full((50,), 5.0))
    slopes = sampled_slopes(lambda z: z @ w, x, y)
    torch.testing.assert_close(slopes, ((x - y) @ w).abs() / (x - y).norm(dim=1))
    assert slopes.max() <= 5 * (1 + 1e-5)  # float32


def test_slopes_and_gradients_of_a_critic_stay_below_its_constant() -> None:
    critic = mlp(2, 5, 4, 1)
    exact = exact_lipschitz(critic, 2)[-1]
    x, y = 3 * normal(2000, 2), 3 * normal(2000, 2, seed=1)
    slopes = sampled_slopes(lambda z: critic(z).squeeze(1), x, y)
    norms = input_gradient_norms(lambda z: critic(z).squeeze(1), x, batch_size=300)
    assert slopes.max() <= exact * (1 + ROUNDING)
    torch.testing.assert_close(norms, lower_jacobian_norms(critic, x).per_sample[-1], rtol=ROUNDING, atol=0)
    assert not x.requires_grad
    assert all(p.grad is None for p in critic.parameters())
    assert not slopes.requires_grad
    assert not norms.requires_grad


def test_gradients_are_taken_of_images_and_under_no_grad() -> None:
    x = normal(3, 1, 4, 4)
    with torch.no_grad():
        norms = input_gradient_norms(lambda z: (z**2).sum((1, 2, 3)) / 2, x)
    torch.testing.assert_close(norms, x.flatten(1).norm(dim=1), rtol=ROUNDING, atol=0)


def test_a_jump_shows_in_slopes_and_not_in_gradients() -> None:
    def score(z: Tensor) -> Tensor:
        return torch.where(z[:, 0] > 0, 0.5 * z[:, 0] + 1, 0.5 * z[:, 0])

    x = torch.tensor([[1e-3], [2.0]], dtype=torch.float64)
    assert input_gradient_norms(score, x).tolist() == [0.5, 0.5]
    assert sampled_slopes(score, x, torch.tensor([[-1e-3], [1.0]])).tolist() == pytest.approx([500.5, 0.5])


@pytest.mark.parametrize(
    ("score", "x", "y", "message"),
    [
        (lambda z: z, torch.zeros(2, 1), torch.ones(2, 1), r"scores must be \(2,\), not \(2, 1\)"),
        (lambda z: z.sum(1), torch.ones(3, 1), torch.ones(2, 1), "equal shapes"),
        (lambda z: z.sum(1), torch.ones(2, 1), torch.tensor([[2.0], [1.0]]), "pair 1 is of one point"),
    ],
)
def test_pairs_without_a_slope_are_refused(score: Callable, x: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sampled_slopes(score, x, y)


def test_a_column_of_scores_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scores must be \(2,\), not \(2, 1\)"):
        input_gradient_norms(lambda z: z, torch.zeros(2, 1))
