"""Bounds of layers in a row against automatic differentiation, singular values, and products by hand."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gncompanion.lipschitz import lower_jacobian_norms, upper_products
from tests.helpers.draws import normal
from tests.helpers.networks_by_hand import ROUNDING, convolutional, linear, mlp

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
        (torch.zeros(1, 1025), {}, "n_iterations=None must be a number, such as 20, for samples of 1025"),
        (torch.zeros(2, 3), {"n_iterations": 0}, "n_iterations=0 must be an integer from 1 on"),
    ],
)
def test_bad_samples_are_refused(x: Tensor, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lower_jacobian_norms(mlp(x.shape[1], 2, 1), x, **options)


def test_upper_products_by_hand() -> None:
    critic = [
        linear([[3.0, 0.0], [0.0, 1.0]]), nn.LeakyReLU(2.0),
        linear([[0.0, 0.5]]), nn.Sigmoid(), nn.ELU(3.0),
        linear([[-4.0]]),
    ]  # fmt: skip
    expected = [3 * 2, 6 * 0.5 * 0.25 * 3, 2.25 * 4]
    assert upper_products(critic, (2,)).tolist() == pytest.approx(expected, rel=ROUNDING)
