"""The oracle has an oracle: differences of the loss; and errors are what they are called."""

import math

import pytest
import torch
from torch import nn

from gncompanion.check.exactness import attempt, by_autograd, by_package, compared, hinge
from gncompanion.check.state import State
from gncompanion.check.subject import draw, subject_of
from gncompanion.constraints import GradientNorm
from tests.helpers.draws import normal

CPU = torch.device("cpu")


def test_the_step_is_that_of_the_hinge_loss() -> None:
    """Central differences of the loss, computed by the package's GradientNorm, along a random direction."""
    critic = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 1))
    subject = subject_of(critic, draw((3,), batch=5, labels=None, device=CPU, seed=0))
    found = by_autograd(subject, State(subject.critic))
    directions = {name: normal(*p.shape, seed=i) for i, (name, p) in enumerate(subject.weights().items())}

    def loss(step: float) -> float:
        with torch.no_grad():
            for name, p in subject.weights().items():
                p += step * directions[name]
            value = hinge(*(GradientNorm(subject.critic)(x) for x in (subject.real, subject.fake)))
            for name, p in subject.weights().items():
                p -= step * directions[name]
        return float(value)

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    expected = sum(float((found[f"weight {name}"] * d).sum()) for name, d in directions.items())
    assert expected == pytest.approx(slope, rel=1e-7)  # of the third derivative 1e-10, of rounding 1e-11


def test_both_ways_see_the_same_masks_and_averages() -> None:
    critic = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 1))
    subject = subject_of(critic, draw((3,), batch=5, labels=None, device=CPU, seed=0))
    start = State(subject.critic)
    once, twice = by_package(subject, start), by_autograd(subject, start)
    assert compared(once, twice, 2e-16).largest < 1e-13


def test_errors_are_relative() -> None:
    expected = {"values": torch.ones(4), "input gradients": torch.full((4,), 2.0), "through": torch.ones(4)}
    expected |= {"weight a": torch.ones(4), "weight b": torch.full((4,), 1e-12)}
    found = {name: value.clone() for name, value in expected.items()}
    found["input gradients"] = torch.full((4,), 2.2)
    found["weight a"] = torch.full((4,), 0.5)
    found["weight b"] = torch.full((4,), -1e-12)  # rounding beside a: compared with 100 √ε of a's
    errors = compared(found, expected, 1e-16)
    assert errors.values == errors.through == 0
    assert errors.input_gradients == pytest.approx(0.1)
    assert (errors.weight_gradients, errors.worst_weight) == (0.5, "a")
    found["weight a"] = expected["weight a"]
    assert compared(found, expected, 1e-16).weight_gradients == pytest.approx(2e-12 / 1e-6)


def test_what_is_not_finite_is_infinitely_wrong() -> None:
    good = {"values": torch.ones(2), "input gradients": torch.ones(2), "through": torch.ones(2)}
    bad = {**good, "weight a": torch.tensor([1.0, math.nan])}
    assert compared(bad, {**good, "weight a": torch.ones(2)}, 1e-16).largest == math.inf
    assert compared({**good, "values": torch.full((2,), math.inf)}, good, 1e-16).largest == math.inf


def test_what_a_step_raises_is_one_line() -> None:
    def raises() -> None:
        raise RuntimeError("one\ntwo")

    assert attempt(raises) == (None, "RuntimeError: one")
    assert attempt(lambda: 3) == (3, None)
