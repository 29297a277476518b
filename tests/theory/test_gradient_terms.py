"""The two terms and the equivalent point, against double backpropagation and finite differences."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from gncompanion.constraints.gradient_norm import FORMULAS, GradientNorm
from gncompanion.input_gradient import gradient_norm, value_and_input_gradient
from gncompanion.theory.affine_pieces import frozen_gates
from gncompanion.theory.gradient_terms import (
    equivalent_point,
    relative_error,
    sensitivities,
    weight_gradient,
    weight_terms,
)
from tests.helpers.critics_with_biases import CRITICS, close, every_critic, plain
from tests.helpers.draws import normal as random

GRAN = partial(FORMULAS["gran"], eps=0.3)
FORMS = {"gn": FORMULAS["gn"], "gn-0": FORMULAS["gn-0"], "gn-1": FORMULAS["gn-1"], "gran": GRAN}
FORMS["pgn"] = FORMULAS["pgn"]
every_form = pytest.mark.parametrize("name", FORMS)


def test_relative_error() -> None:
    assert relative_error(torch.tensor([1.0, -4.0]), torch.tensor([1.5, -4.0])) == 0.125
    assert not close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0 + 1e-6]))


@every_critic
def test_a_weight_gradient_has_every_weight(kind: str) -> None:
    critic, x = CRITICS[kind]
    value = critic(x).square().sum()
    assert close(weight_gradient(value, critic), plain(value, critic))
    last = list(critic.parameters())[-1]
    assert weight_gradient(last.sum(), critic).tolist() == [0.0] * (len(plain(value, critic)) - 1) + [1.0]


@every_critic
@every_form
@pytest.mark.parametrize("method", ["auto", "autograd"])
def test_the_terms_add_up_to_double_backpropagation(kind: str, name: str, method: str) -> None:
    (critic, x), slopes = CRITICS[kind], random(5, seed=9)
    f, g = value_and_input_gradient(critic, x, method="autograd")
    expected = plain((slopes * FORMS[name](f, g)).sum(), critic)
    task, norm = weight_terms(critic, x, slopes, formula=FORMS[name], method=method)
    assert close(task + norm, expected)
    assert norm.abs().max() > 1e-4 * task.abs().max()  # far above the tolerance: neither could be left out


@every_critic
def test_gn_has_the_terms_of_its_formula(kind: str) -> None:
    (critic, x), slopes = CRITICS[kind], random(5, seed=9)
    f, g = value_and_input_gradient(critic, x, method="autograd")
    n = gradient_norm(f, g)
    square = (n + f.abs()).square().detach()
    task, norm = weight_terms(critic, x, slopes)
    assert close(task, plain((slopes * n.detach() / square * f).sum(), critic))
    f, g = value_and_input_gradient(critic, x, method="autograd")
    n = gradient_norm(f, g)
    assert close(norm, plain((-slopes * f.detach() / square * n).sum(), critic))


def test_against_central_differences() -> None:
    critic, x = CRITICS["mlp"]
    slopes, start = random(5, seed=9), parameters_to_vector(critic.parameters()).detach().clone()
    direction = random(len(start), seed=4)
    score, h = GradientNorm(critic, method="autograd"), 1e-6

    def loss(t: float) -> float:
        vector_to_parameters(start + t * direction, critic.parameters())
        return (slopes * score(x)).sum().item()

    measured = (loss(h) - loss(-h)) / (2 * h)
    loss(0)
    # h² of the third derivative, and rounding 1e-16/h: about 1e-9 each
    assert sum(weight_terms(critic, x, slopes)) @ direction == pytest.approx(measured, rel=1e-6)


def test_sensitivities_in_closed_form() -> None:
    f, g = random(8), random(8, 3, seed=1)
    n = g.norm(dim=1)
    a, G = sensitivities(f, g)
    assert close(a, n / (n + f.abs()).square())
    assert close(G, -(f / (n + f.abs()).square() / n)[:, None] * g)
    a, G = sensitivities(f, g, formula=GRAN)
    assert close(a, n / (n.square() + 0.3))
    assert close(G, (f * (0.3 - n.square()) / (n.square() + 0.3).square() / n)[:, None] * g)


@every_critic
@every_form
def test_both_terms_are_a_plain_gradient_at_another_point(kind: str, name: str) -> None:
    (critic, x), slopes = CRITICS[kind], random(5, seed=9)
    f, g = value_and_input_gradient(critic, x, method="autograd")
    expected = plain((slopes * FORMS[name](f, g)).sum(), critic)
    f, g = f.detach(), g.detach()
    a, _ = sensitivities(f, g, formula=FORMS[name])
    with frozen_gates(critic, x):
        value = (slopes * a * critic(equivalent_point(x, f, g, formula=FORMS[name]))).sum()
    assert close(plain(value, critic), expected)


@every_critic
def test_a_detached_norm_is_exact_in_x_and_leaves_the_task_term(kind: str) -> None:
    (critic, x), slopes = CRITICS[kind], random(5, seed=9)
    found, expected = [], []
    gradients: list[tuple[Callable[[Tensor], Tensor], list[Tensor]]] = [
        (GradientNorm(critic, detach=True), found),
        (GradientNorm(critic, method="autograd"), expected),
    ]
    for score, results in gradients:
        leaf = x.clone().requires_grad_()
        value = score(leaf)
        results += [value, *torch.autograd.grad((slopes * value).sum(), leaf, retain_graph=True)]
        results.append(plain((slopes * value).sum(), critic))
    assert close(found[0], expected[0]) and close(found[1], expected[1])
    assert not torch.allclose(found[2], expected[2], rtol=1e-2)
    assert close(found[2], weight_terms(critic, x, slopes).task)
