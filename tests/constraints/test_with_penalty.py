"""Score and penalty in one pass: against double backpropagation as one writes it, in gradients and work."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from benchmarks.critic_zoo import ZOO, R3GANLike
from gncompanion import GradientNorm, divergence_penalty, gradient_penalty, r1_penalty, r2_penalty
from gncompanion.cost import flops
from gncompanion.models import DCGANCritic
from tests.helpers.critics_by_hand import EXACT, NETWORKS, gradients
from tests.helpers.double_backpropagation import largest_error
from tests.helpers.draws import normal, seeded

N = 6
Penalised = Callable[..., tuple[Tensor, Tensor]]
CRITICS = {
    **{name: (lambda name=name: NETWORKS[name][0](), NETWORKS[name][1]) for name in NETWORKS},
    **{name: ZOO[name] for name in ("plain CNN", "R3GAN-like", "StyleGAN2-like")},
}


def made(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    make, shape = CRITICS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        critic = make().double()
    for parameter in critic.parameters():  # zero biases would hide a mistake in them
        if not parameter.any():
            nn.init.normal_(parameter, std=0.3, generator=seeded(1))
    return critic, shape


def norms(critic: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """f and ‖∇f‖ as one writes them: a second graph, to be differentiated again."""
    x = x.clone().requires_grad_()
    f = critic(x)
    (g,) = torch.autograd.grad(f.sum(), x, create_graph=True)
    return f, g.square().flatten(1).sum(1).sqrt()


BY_HAND: dict[str, tuple[Penalised, Callable[[Tensor], Tensor]]] = {
    "r1": (lambda c, x: r1_penalty(c, x, gamma=3.0), lambda n: 3 / 2 * (n**2).mean()),
    "r2": (lambda c, x: r2_penalty(c, x, gamma=0.1), lambda n: 0.1 / 2 * (n**2).mean()),
    "two-sided": (gradient_penalty, lambda n: 10 * ((n - 1) ** 2).mean()),
    "one-sided": (
        lambda c, x: gradient_penalty(c, x, weight=2.0, target=1e-3, one_sided=True),
        lambda n: 2 * (n - 1e-3).clamp_min(0).square().mean(),
    ),
    "wgan-div": (divergence_penalty, lambda n: 2 * (n**6).mean()),
}


@pytest.mark.parametrize("name", CRITICS)
@pytest.mark.parametrize("kind", BY_HAND)
def test_value_and_penalty_and_all_gradients(kind: str, name: str) -> None:
    (critic, shape), (penalised, formula) = made(name), BY_HAND[kind]
    x = normal(N, *shape, seed=3)
    f, penalty = penalised(critic, x)
    assert torch.equal(f, critic(x))
    expected, n = norms(critic, x)
    torch.testing.assert_close(penalty, formula(n), **EXACT)
    found = gradients(softplus(-f).mean() + penalty, critic)
    oracle = gradients(softplus(-expected).mean() + formula(n), critic)
    # 1e-12: a few thousand roundings of 2e-16 each
    assert largest_error(dict(enumerate(found)), dict(enumerate(oracle))) <= 1e-12


def test_the_critic_runs_once() -> None:
    critic, shape = made("plain CNN")
    calls = []
    critic.register_forward_hook(lambda *_: calls.append(1))
    r1_penalty(critic, normal(N, *shape))
    assert len(calls) == 1


def test_a_penalty_that_is_not_due_costs_nothing() -> None:
    critic, shape = made("plain CNN")
    x = normal(N, *shape)
    for penalised in (r1_penalty, r2_penalty, gradient_penalty, divergence_penalty):
        f, penalty = penalised(critic, x, due=False)
        assert torch.equal(f, critic(x)) and penalty == 0 and not penalty.requires_grad
    assert flops(lambda: r1_penalty(critic, x, due=False)[0].sum().backward()) == flops(
        lambda: critic(x).sum().backward()
    )


def test_labels_and_keywords_reach_the_critic() -> None:
    def critic(x: Tensor, y: Tensor, *, scale: float) -> Tensor:
        return scale * (x * y[:, None]).sum(1)

    y = torch.arange(1, N + 1).double()
    for penalised in (r1_penalty, r2_penalty):
        f, penalty = penalised(critic, normal(N, 3), y, scale=2.0, gamma=1.0)
        torch.testing.assert_close(f, critic(normal(N, 3), y, scale=2.0), **EXACT)
        torch.testing.assert_close(penalty, 0.5 * (3 * (2 * y) ** 2).mean(), **EXACT)
    assert r1_penalty(critic, normal(N, 3), y, scale=2.0, due=False)[0].shape == (N,)


def test_on_a_normalized_critic() -> None:
    """R1 of the score that GN makes: γ/2 (n / (n + |f|))⁴, by Theorem 6."""
    critic, shape = made("plain CNN")
    x = normal(N, *shape, seed=3)
    f, penalty = r1_penalty(GradientNorm(critic), x, gamma=1.0)
    value, n = norms(critic, x)
    value = value.flatten()
    torch.testing.assert_close(f.flatten(), value / (n + value.abs()), **EXACT)
    expected = 0.5 * (n / (n + value.abs())).pow(4).mean()
    torch.testing.assert_close(penalty, expected, **EXACT)
    errors = gradients(penalty, critic), gradients(expected, critic)
    assert largest_error(*(dict(enumerate(e)) for e in errors)) <= 1e-12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, x: r1_penalty(c, x, gamma=-1.0), "gamma=-1.0 must be a finite number from 0 on"),
        (lambda c, x: r1_penalty(c, x, due=3), "due=3 must be True or False"),
        (lambda c, x: r2_penalty(c, x, method="fast"), "unknown method 'fast'"),
        (lambda c, x: gradient_penalty(c, x, weight=-2.0), "weight=-2.0 must be"),
        (lambda c, x: gradient_penalty(c, x, one_sided=1), "one_sided=1 must be True or False"),
        (lambda c, x: divergence_penalty(c, x, p=1.0), "p=1.0 must be a finite number above 1"),
        (lambda c, x: r1_penalty(nn.Linear(3, 2), x), "one value per sample"),
    ],
)
def test_refusals(call: Callable[..., Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(nn.Linear(3, 1), torch.zeros(4, 3))


# Work


@pytest.mark.parametrize("critic", [DCGANCritic(32, 3, width=16), R3GANLike(32, width=16)], ids=type)
def test_flops_of_r1_and_r2_with_the_relativistic_loss(critic: nn.Module) -> None:
    real, fake = torch.ones(2, 2, 3, 32, 32)

    def flops_of(loss: Callable[[], Tensor]) -> int:
        return flops(lambda: loss().backward())

    def ours(method: str) -> Tensor:
        f_real, r1 = r1_penalty(critic, real, method=method)
        f_fake, r2 = r2_penalty(critic, fake, method=method)
        return softplus(f_fake - f_real).mean() + r1 + r2

    plain = flops_of(lambda: softplus(critic(fake) - critic(real)).mean())
    fast, twice = flops_of(lambda: ours("linear")), flops_of(lambda: ours("autograd"))
    assert fast / plain <= 1.35 < 2.0 < twice / plain
