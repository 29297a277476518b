"""Curvature: closed forms, torch.func's Hessian, and the bound on Theorem 6's failure."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gncompanion.input_gradient import gradient_norm, value_and_input_gradient
from gncompanion.models import DCGANCritic, MLPCritic
from gncompanion.theory.curvature import hessian_norms, norm_gradients
from tests.helpers.draws import normal, seeded


def smooth_critic(activation: str = "softplus") -> MLPCritic:
    weights = seeded(1)
    return MLPCritic(5, width=12, depth=2, activation=activation, generator=weights).double()


A = normal(5, 5, seed=3)
A = A + A.T


def quadratic(x: Tensor) -> Tensor:
    """½ xᵀ A x, whose Hessian is A."""
    return (x @ A * x).sum(1) / 2


def hessians(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """(N, d, d), by reverse over reverse mode in torch.func: another way through autograd."""
    reverse = torch.func.jacrev
    return torch.func.vmap(reverse(reverse(lambda point: score(point[None])[0])))(x)


def test_a_quadratic_has_its_matrix() -> None:
    x = normal(7, 5)
    # 1e-12: rounding of sums of 25 products
    assert torch.allclose(hessian_norms(quadratic, x), A.norm().expand(7), rtol=1e-12)
    g = x @ A
    expected = g @ A / g.norm(dim=1, keepdim=True)
    assert torch.allclose(norm_gradients(quadratic, x), expected, rtol=1e-12, atol=1e-12)
    assert norm_gradients(quadratic, torch.zeros_like(x)).eq(0).all()  # g = 0: no direction, not NaN


@pytest.mark.parametrize("activation", ["elu", "softplus", "softplus-20"])
def test_a_smooth_critic_against_torch_func(activation: str) -> None:
    critic, x = smooth_critic(activation), normal(9, 5)
    H = hessians(critic, x)
    g = value_and_input_gradient(critic, x, method="autograd")[1].detach()
    assert torch.allclose(hessian_norms(critic, x), H.flatten(1).norm(dim=1), rtol=1e-10)
    expected = torch.einsum("nij,nj->ni", H, g / g.norm(dim=1, keepdim=True))
    assert torch.allclose(norm_gradients(critic, x), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_images_and_probes() -> None:
    critic = DCGANCritic(8, 1, width=4, activation="softplus", generator=seeded())
    critic, x = critic.double(), normal(3, 1, 8, 8)
    exact = hessian_norms(critic, x)
    probed = hessian_norms(critic, x, n_probes=2000, generator=seeded())
    # the relative deviation of the squared norm is at most √(2/2000) = 0.03; five of them, halved by the root
    assert torch.allclose(probed, exact, rtol=0.08)
    assert not torch.equal(probed, exact)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_piecewise_linear_critics_have_none(activation: str) -> None:
    critic, x = smooth_critic(activation), normal(9, 5)
    assert hessian_norms(critic, x).eq(0).all()
    assert norm_gradients(critic, x).eq(0).all()


def test_a_linear_score_without_weights_that_learn() -> None:
    assert hessian_norms(lambda x: x.sum(1), normal(4, 3)).eq(0).all()
    assert norm_gradients(lambda x: (0 * x).sum(1), normal(4, 3)).eq(0).all()


@pytest.mark.parametrize("activation", ["elu", "softplus"])
def test_theorem_6_misses_by_no_more_than_the_bound(activation: str) -> None:
    critic, x = smooth_critic(activation), normal(64, 5).requires_grad_()
    f, g = value_and_input_gradient(critic, x, method="autograd")
    n = gradient_norm(f, g)
    (slope,) = torch.autograd.grad((f / (n + f.abs())).sum(), x)
    f, n = f.detach(), n.detach()
    gap = (slope.norm(dim=1) - (n / (n + f.abs())).square()).abs()
    scale = f.abs() / (n + f.abs()).square()
    bound, looser = scale * norm_gradients(critic, x).norm(dim=1), scale * hessian_norms(critic, x)
    assert (gap <= bound * (1 + 1e-9)).all() and (bound <= looser * (1 + 1e-9)).all()
    assert (gap > 0.1 * bound).any(), "the bound is met to an order of magnitude: it is no empty one"


def test_the_callers_samples_are_left_alone() -> None:
    x = normal(2, 5)
    hessian_norms(quadratic, x), norm_gradients(quadratic, x)
    assert not x.requires_grad


@pytest.mark.parametrize("n_probes", [0, -1, 2.5, True])
def test_numbers_of_probes_that_are_none(n_probes: object) -> None:
    with pytest.raises(ValueError, match="n_probes"):
        hessian_norms(quadratic, normal(2, 5), n_probes=n_probes, generator=torch.Generator())


def test_probes_need_a_generator() -> None:
    with pytest.raises(ValueError, match="generator"):
        hessian_norms(quadratic, normal(2, 5), n_probes=3)


@pytest.mark.parametrize("measure", [hessian_norms, norm_gradients])
def test_scores_of_another_shape(measure: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match=r"scores must be \(2,\)"):
        measure(lambda x: x.sum(), normal(2, 5))
