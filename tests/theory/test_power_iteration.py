"""Power iteration against the SVD and its a-priori bound; equations (14) and (15) against autograd."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gncompanion.theory.power_iteration import (
    power_iteration,
    sn_gradient,
    sn_jacobian,
    top_singular,
    tracked_norms,
    upper_power_error,
)
from tests.helpers.draws import normal

SHAPES = [(2, 2), (5, 3), (4, 9), (32, 16)]
ROUNDING = 1e-12  # of a few matrix products in float64


def with_singular_values(*values: float, seed: int = 0) -> Tensor:
    """A square matrix with random singular vectors."""
    n = len(values)
    u, v = (torch.linalg.qr(normal(n, n, seed=seed + i)).Q for i in range(2))
    return u @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ v.mT


@pytest.mark.parametrize("shape", SHAPES)
def test_estimates_rise_to_the_largest_singular_value(shape: tuple[int, int]) -> None:
    w = normal(*shape)
    trace = power_iteration(w, normal(shape[0], seed=1), n_iterations=400)
    exact = torch.linalg.svdvals(w)[0]
    assert (trace.sigma.diff() >= -ROUNDING).all()
    assert (trace.sigma <= exact * (1 + ROUNDING)).all()
    assert trace.sigma[-1] == pytest.approx(float(exact), rel=1e-10)
    u, sigma, v = top_singular(w)
    assert abs(float(trace.u @ u)) == pytest.approx(1, abs=1e-8)  # the vectors arrive half as fast
    assert abs(float(trace.v @ v)) == pytest.approx(1, abs=1e-8)
    torch.testing.assert_close(w @ v, sigma * u)


@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_error_is_below_its_bound_and_falls_as_fast(ratio: float, seed: int) -> None:
    w, start = with_singular_values(2.0, 2 * ratio, ratio, 0.1 * ratio, seed=seed), normal(4, seed=seed + 9)
    error = 1 - power_iteration(w, start, n_iterations=60).sigma / 2
    bound = upper_power_error(w, start, n_iterations=60)
    assert (error <= bound + ROUNDING).all()
    seen = error > 1e-10  # what rounding leaves of it
    falls = (error[1:] / error[:-1])[seen[1:]]
    assert float(falls[-1]) == pytest.approx(ratio**4, rel=0.1)  # an iteration, in the end


def test_one_iteration_is_enough_if_it_starts_from_the_last() -> None:
    first, last = normal(16, 8), normal(16, 8, seed=1)
    path = [first + t * (last - first) for t in torch.linspace(0, 1, 300)]
    exact = torch.stack([torch.linalg.svdvals(w)[0] for w in path])
    start = normal(16, seed=2)
    carried, fresh = (1 - tracked_norms(path, start, carry=c) / exact for c in (True, False))
    assert (carried >= -ROUNDING).all()
    assert carried[50:].max() < 0.02
    assert fresh.mean() > 0.1


def test_tracked_norms_by_hand() -> None:
    w, start = torch.diag(torch.tensor([2.0, 1.0]).double()), torch.tensor([1.0, 1.0]).double()
    # ũ = (1, 1): v ∝ (2, 1), Wv ∝ (4, 1), σ̃ = √17/√5; then ũ ∝ (4, 1): v ∝ (8, 1), σ̃ = √257/√65
    expected = torch.tensor([(17 / 5) ** 0.5, (257 / 65) ** 0.5]).double()
    torch.testing.assert_close(tracked_norms([w, w], start), expected)
    torch.testing.assert_close(tracked_norms([w, w], start, carry=False), expected[[0, 0]])


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_equation_14(shape: tuple[int, int]) -> None:
    w = normal(*shape)
    by_autograd = torch.autograd.functional.jacobian(lambda w: w / torch.linalg.matrix_norm(w, 2), w)
    torch.testing.assert_close(sn_jacobian(w), by_autograd, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [1, 6])
def test_equation_15(shape: tuple[int, int], n: int) -> None:
    w, h = normal(*shape).requires_grad_(), normal(n, shape[1], seed=1)
    out = h @ (w / torch.linalg.matrix_norm(w, 2)).mT
    out.retain_grad()
    out.sin().sum().backward()  # any V
    torch.testing.assert_close(sn_gradient(w.detach(), out.grad, h), w.grad, rtol=0, atol=1e-10)


def test_equation_15_is_what_torch_computes() -> None:
    layer = nn.Linear(6, 4, bias=False).double()
    layer.weight.data.copy_(w := normal(4, 6))
    with torch.random.fork_rng(devices=[]):
        spectral_norm(layer, n_power_iterations=500)
    h = normal(5, 6, seed=1)
    out = layer(h)
    out.retain_grad()
    out.sin().sum().backward()
    found = layer.parametrizations.weight.original.grad
    torch.testing.assert_close(sn_gradient(w, out.grad, h), found, rtol=0, atol=1e-8)


def test_the_gradient_vanishes_along_the_first_singular_pair_and_is_orthogonal_to_the_weight() -> None:
    w = normal(5, 3)
    u, _, v = top_singular(w)
    vanishing = sn_gradient(w, -3 * u[None], 2 * v[None])
    assert vanishing.abs().max() <= ROUNDING
    other = sn_gradient(w, normal(4, 5, seed=1), normal(4, 3, seed=2))
    assert other.norm() > 0.1
    assert abs(float((other * w).sum())) <= 1e-10


@pytest.mark.parametrize(
    ("start", "n_iterations", "message"),
    [
        (normal(5), 0, "n_iterations=0 must be an integer from 1 on"),
        (normal(3), 1, r"start has shape \(3,\): must be one number per row of W, \(5, 3\)"),
        (torch.zeros(5).double(), 1, "orthogonal"),
    ],
)
def test_refuses(start: Tensor, n_iterations: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        power_iteration(normal(5, 3), start, n_iterations=n_iterations)
