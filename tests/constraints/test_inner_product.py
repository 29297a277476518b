"""The counter-experiment and its options: what each gives back of D / ‖∇D‖ and of its gradients."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gncompanion.constraints import build
from gncompanion.constraints.inner_product import INTERCEPTS, InnerProduct
from gncompanion.experiment import Experiment
from gncompanion.input_gradient import gradient_norm, value_and_input_gradient
from gncompanion.models import DCGANCritic, MLPCritic
from tests.helpers.draws import normal, seeded

EXACT = {"rtol": 1e-12, "atol": 1e-12}  # some thousand roundings of 1e-16
METHODS = ("linear", "autograd")


def mlp(**options: object) -> nn.Module:
    return MLPCritic(3, width=12, generator=seeded(), **options).double()


def dcgan(**options: object) -> nn.Module:
    std = {} if options.get("bias") is False else {"bias_std": 0.1}
    return DCGANCritic(8, 1, width=4, generator=seeded(), **std, **options).double()


CRITICS: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...]]] = {
    "mlp": (mlp, (3,)),
    "dcgan": (dcgan, (1, 8, 8)),
}


def points(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(16, *shape, generator=seeded(1), dtype=torch.float64)


def gradients(score: Tensor, critic: nn.Module) -> list[Tensor]:
    weights = torch.randn(len(score), generator=seeded(2), dtype=score.dtype)
    wanted = [parameter for parameter in critic.parameters() if parameter.requires_grad]
    found = torch.autograd.grad((score * weights).sum(), wanted, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(wanted, found, strict=True)]


def assert_same_scores(first: InnerProduct, second: object, critic: nn.Module, x: Tensor) -> None:
    """Equal values and parameter gradients, relative to the largest gradient."""
    values = [constraint.score(critic, x) for constraint in (first, second)]
    torch.testing.assert_close(*values, **EXACT)
    found = [torch.cat([g.flatten() for g in gradients(v, critic)]) for v in values]
    assert found[1].norm() > 0.1
    assert (found[0] - found[1]).norm() <= 1e-12 * found[1].norm()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("squash", "normalization"), [(False, "gn-0"), (True, "gn")])
@pytest.mark.parametrize("network", CRITICS)
def test_the_identity(network: str, squash: bool, normalization: str, method: str) -> None:
    """Without biases nothing is lost; with biases the full intercept is gradient normalization itself."""
    make, shape = CRITICS[network]
    x, expected = points(shape), build(normalization, method="autograd")
    for intercept in INTERCEPTS[::2]:
        inner = InnerProduct(intercept=intercept, squash=squash, method=method)
        assert_same_scores(inner, expected, make(bias=False), x)
    assert_same_scores(inner, expected, make(), x)


@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize("intercept", INTERCEPTS)
@pytest.mark.parametrize("network", CRITICS)
def test_values_and_who_learns(network: str, intercept: str, squash: bool) -> None:
    """With biases: which options have D / n for their value, and which let biases learn."""
    make, shape = CRITICS[network]
    critic, x = make(), points(shape)
    score = InnerProduct(intercept=intercept, squash=squash).score(critic, x)
    expected = build("gn" if squash else "gn-0").score(critic, x)
    off = (score - expected).abs()
    assert off.min() > 1e-6 if intercept == "lost" else off.max() <= 1e-12
    for (name, _), grad in zip(critic.named_parameters(), gradients(score, critic), strict=True):
        learns = name.endswith("weight") or intercept == "full"
        assert grad.any() == learns, name


def test_the_intercept_given_back_in_value_is_held_constant() -> None:
    """∂((p + c) / n) with c constant, from p, c and n by the quotient rule."""
    critic, x = mlp(), points((3,))
    f, g = value_and_input_gradient(critic, x, method="autograd")
    p, n = (g * x).sum(1), gradient_norm(f, g)
    expected = gradients(p / n.detach() - (f / n.square()).detach() * n, critic)
    found = gradients(InnerProduct(intercept="value").score(critic, x), critic)
    for first, second in zip(found, expected, strict=True):
        torch.testing.assert_close(first, second, **EXACT)
    assert not all(
        torch.allclose(a, b)
        for a, b in zip(found, gradients(build("gn-0").score(critic, x), critic), strict=True)
    )


@pytest.mark.parametrize("intercept", INTERCEPTS)
def test_the_generator_sees_no_difference(intercept: str) -> None:
    """All forms have the gradient g / n in x: the intercept is constant on a piece."""
    critic, x = mlp(), points((3,)).requires_grad_()
    _, g = value_and_input_gradient(critic, x.detach(), method="autograd")
    (found,) = torch.autograd.grad(InnerProduct(intercept=intercept).score(critic, x).sum(), x)
    torch.testing.assert_close(found, g / g.norm(dim=1, keepdim=True), **EXACT)


def test_the_score_is_no_larger_than_the_sample() -> None:
    critic, x = mlp(), points((3,)) * torch.logspace(-3, 3, 16, dtype=torch.float64)[:, None]
    lost, full = (InnerProduct(intercept=intercept).score(critic, x).abs() for intercept in INTERCEPTS[::2])
    assert (lost <= x.norm(dim=1) * (1 + 1e-12)).all()
    assert (full > x.norm(dim=1)).any()
    assert (InnerProduct(squash=True).score(critic, x).abs() <= 1).all()


def test_frozen_biases_are_all_of_them_and_nothing_else() -> None:
    critic = mlp()
    InnerProduct().prepare(critic)
    assert all(parameter.requires_grad for parameter in critic.parameters())
    InnerProduct(freeze_biases=True).prepare(critic)
    assert all(p.requires_grad == name.endswith("weight") for name, p in critic.named_parameters())


SHORT = {"steps": 3, "batch_critic": 8, "batch_generator": 8, "ema_decay": None, "log_every": 3}


@pytest.mark.parametrize(
    ("network_options", "constraint_options"),
    [({"bias_std": 0.1}, {"intercept": "full", "freeze_biases": True}), ({"bias_std": 0.1}, {}), ({}, {})],
)
def test_biases_stay_where_they_start_in_training(
    network_options: dict[str, float], constraint_options: dict[str, object], tmp_path: object
) -> None:
    experiment = Experiment(
        network_options={"width": 2, **network_options},
        constraint="inner-product",
        constraint_options=constraint_options,
        schedule=SHORT,
    )
    before = experiment.players().critic
    after = experiment.run(tmp_path, progress=False).critic
    for (name, old), (_, new) in zip(before.named_parameters(), after.named_parameters(), strict=True):
        assert torch.equal(old, new) == name.endswith("bias")


def test_zero_biases_train_as_none(tmp_path: object) -> None:
    """Biases that start at zero and get no gradient: the critic is one without biases, at every step."""
    critics = [
        Experiment(
            network_options={"width": 2, "bias": bias}, constraint="inner-product", schedule=SHORT
        ).run(tmp_path / str(bias), progress=False).critic
        for bias in (True, False)
    ]  # fmt: skip
    weights = [dict(critic.named_parameters()) for critic in critics]
    assert not any(value.any() for name, value in weights[0].items() if name.endswith("bias"))
    for name, value in weights[1].items():  # a convolution may add its bias in another order
        torch.testing.assert_close(value, weights[0][name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"intercept": "ful"},
            r"unknown intercept 'ful', did you mean 'full'\? \(valid: lost, value, full\)",
        ),
        ({"squash": 1}, "squash=1 must be True or False"),
        ({"freeze_biases": "no"}, "freeze_biases='no' must be True or False"),
        ({"method": "fast"}, "unknown method 'fast'"),
        ({"scale": 0.0}, r"scale=0\.0 must be a positive, finite number"),
        ({"shift": float("nan")}, "shift=nan must be a finite number"),
    ],
)
def test_refusals(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("inner-product", **options)


@pytest.mark.parametrize("intercept", ["lost", "full"])
def test_coordinates_are_those_of_critic_and_inner_product(intercept: str) -> None:
    critic, x = mlp(), normal(6, 3, seed=8)
    moved = build("inner-product", intercept=intercept, scale=0.5, shift=0.25).score(critic, x)
    there = build("inner-product", intercept=intercept).score(critic, 0.5 * x + 0.25)
    torch.testing.assert_close(moved, there, **EXACT)
    assert not torch.allclose(moved, build("inner-product", intercept=intercept).score(critic, x))
