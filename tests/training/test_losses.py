"""Losses against closed forms, PyTorch's cross-entropy and each other."""

from math import exp, log

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from gncompanion.training import LOSSES


def scores(n: int, *, seed: int, scale: float = 1.0) -> Tensor:
    """Multiples of scale / 64 between -scale and scale: sums and means of 2ᵏ of them are exact."""
    ticks = torch.randint(-64, 65, (n,), generator=torch.Generator().manual_seed(seed))
    return (ticks * scale / 64).requires_grad_()


def gradients(value: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value, inputs)


@pytest.mark.parametrize(
    ("name", "critic", "generator"),
    [
        ("non_saturating", log(1 + exp(-2)) + log(1 + exp(-0.5)), log(1 + exp(0.5))),
        ("hinge", 0 + 0.5, 0.5),  # the real score 2 is beyond the margin, the generated one -1/2 is not
        ("wasserstein", -0.5 - 2, 0.5),
    ],
)
def test_by_hand(name: str, critic: float, generator: float) -> None:
    real, fake = torch.tensor([2.0, 2.0], dtype=torch.float64), torch.tensor([-0.5], dtype=torch.float64)
    assert LOSSES[name].critic(real, fake).item() == pytest.approx(critic, rel=1e-15)
    assert LOSSES[name].generator(fake).item() == pytest.approx(generator, rel=1e-15)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_a_scalar_also_for_unequal_batches(name: str) -> None:
    real, fake = scores(8, seed=0), scores(32, seed=1)
    assert LOSSES[name].critic(real, fake).shape == LOSSES[name].generator(fake).shape == ()


def test_bce_is_non_saturating() -> None:
    assert LOSSES["bce"] is LOSSES["non_saturating"]


def test_non_saturating_is_binary_cross_entropy() -> None:
    real, fake = scores(64, seed=0, scale=100).double(), scores(64, seed=1, scale=100).double()
    ones, zeros = torch.ones_like(real), torch.zeros_like(fake)
    by_torch = binary_cross_entropy_with_logits(real, ones) + binary_cross_entropy_with_logits(fake, zeros)
    torch.testing.assert_close(LOSSES["bce"].critic(real, fake), by_torch, rtol=1e-9, atol=0)
    by_torch = binary_cross_entropy_with_logits(fake, ones)
    # PyTorch's softplus drops exp(-20) = 2e-9 beyond its threshold, of terms of at least 20
    torch.testing.assert_close(LOSSES["bce"].generator(fake), by_torch, rtol=1e-9, atol=0)


def test_hinge_is_wasserstein_plus_two_between_minus_one_and_one() -> None:
    real, fake = scores(256, seed=0), scores(256, seed=1)
    assert real.abs().max() == fake.abs().max() == 1  # the margin itself included
    hinge, wasserstein = LOSSES["hinge"], LOSSES["wasserstein"]
    assert hinge.critic(real, fake) == wasserstein.critic(real, fake) + 2  # exact: dyadic scores, 2ᵏ of them
    assert hinge.generator(fake) == wasserstein.generator(fake)


def test_hinge_has_the_gradients_of_wasserstein_inside_the_margin_and_none_beyond() -> None:
    inside = scores(64, seed=0, scale=0.5), scores(64, seed=1, scale=0.5)
    for of_hinge, of_wasserstein in zip(
        gradients(LOSSES["hinge"].critic(*inside), *inside),
        gradients(LOSSES["wasserstein"].critic(*inside), *inside),
        strict=True,
    ):
        assert torch.equal(of_hinge, of_wasserstein)
    real, fake = torch.tensor([1.5], requires_grad=True), torch.tensor([-1.5], requires_grad=True)
    assert gradients(LOSSES["hinge"].critic(real, fake), real, fake) == (0, 0)


def test_wasserstein_gradients() -> None:
    real, fake = scores(8, seed=0), scores(32, seed=1)
    g_real, g_fake = gradients(LOSSES["wasserstein"].critic(real, fake), real, fake)
    assert torch.equal(g_real, torch.full((8,), -1 / 8))
    assert torch.equal(g_fake, torch.full((32,), 1 / 32))


def test_non_saturating_gradients() -> None:
    real, fake = (scores(8, seed=seed, scale=4).double().detach().requires_grad_() for seed in (0, 1))
    exact = {"rtol": 1e-14, "atol": 0}  # closed form, rounding
    g_real, g_fake = gradients(LOSSES["bce"].critic(real, fake), real, fake)
    torch.testing.assert_close(g_real, (torch.sigmoid(real) - 1) / 8, **exact)
    torch.testing.assert_close(g_fake, torch.sigmoid(fake) / 8, **exact)
    (g_fake,) = gradients(LOSSES["bce"].generator(fake), fake)
    torch.testing.assert_close(g_fake, (torch.sigmoid(fake) - 1) / 8, **exact)


def test_scores_between_minus_one_and_one_confine_the_probability() -> None:
    probability = [
        exp(-LOSSES["bce"].generator(torch.tensor([s], dtype=torch.float64))) for s in (-1, -0.5, 0, 0.5, 1)
    ]
    assert probability == sorted(probability)
    assert [round(probability[0], 3), probability[2], round(probability[-1], 3)] == [0.269, 0.5, 0.731]


@pytest.mark.parametrize("name", LOSSES)
def test_descent_separates_the_critic_and_lifts_the_generated(name: str) -> None:
    real, fake = scores(16, seed=0, scale=0.5), scores(16, seed=1, scale=0.5)
    g_real, g_fake = gradients(LOSSES[name].critic(real, fake), real, fake)
    assert (g_real < 0).all()
    assert (g_fake > 0).all()
    assert (gradients(LOSSES[name].generator(fake), fake)[0] < 0).all()
