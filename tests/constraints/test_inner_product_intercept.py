"""The counter-experiment is the distance without the intercept of each linear piece."""

import pytest
import torch
from torch import Tensor, nn

from gncompanion.constraints import build
from gncompanion.input_gradient import gradient_norm, value_and_input_gradient
from tests.helpers.critics_by_hand import EXACT, N, gradients, mlp
from tests.helpers.draws import normal


def intercept(critic: nn.Module, x: Tensor) -> Tensor:
    """c of D = ⟨g, ·⟩ + c on the piece of each x: what the layers, with their gates as at x, make of 0."""
    h, c = x, torch.zeros_like(x)
    for layer in (*critic.features, *critic.head):
        if isinstance(layer, nn.ReLU):
            c = c * (h > 0)
            h = h * (h > 0)
        else:
            h, c = layer(h), layer(c)
    return c.squeeze(1)


@pytest.mark.parametrize("bias", [False, True])
def test_inner_product_is_the_distance_without_the_intercept(bias: bool) -> None:
    critic, x = mlp(bias=bias), normal(N, 3, seed=8)
    f, g = value_and_input_gradient(critic, x, method="autograd")
    c = intercept(critic, x)
    assert (c.abs().min() > 0.01) if bias else torch.equal(c, torch.zeros_like(c))
    torch.testing.assert_close(
        build("inner-product").score(critic, x), (f - c) / gradient_norm(f, g), **EXACT
    )


@pytest.mark.parametrize("method", ["linear", "autograd"])
def test_inner_product_gives_biases_no_gradient(method: str) -> None:
    critic, x = mlp(), normal(N, 3, seed=8)
    for name in ("inner-product", "gn-0"):
        score = build(name, method=method).score(critic, x)
        for (parameter, _), grad in zip(
            critic.named_parameters(), gradients(score.sum(), critic), strict=True
        ):
            assert grad.any() == (name == "gn-0" or parameter.endswith("weight"))
