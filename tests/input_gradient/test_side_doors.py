"""What a critic may do behind the record's back: its weight gradient is right all the same, or it is refused.

Each critic here once had a silently wrong weight gradient, or would have one if a defence were taken away.
The oracle is double backpropagation of a critic that computes the same in plain sight.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gncompanion.input_gradient import Unsupported, gradient_norm, value_and_input_gradient
from tests.helpers.draws import normal, seeded

N = 6
Body = Callable[["Door", Tensor], Tensor]


class Scaled(torch.autograd.Function):
    """Multiplies by 3 in place, and says so to autograd alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        return x.mul_(3.0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return 3.0 * grad


class Tripled(torch.autograd.Function):
    """Multiplies by 3, out of place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 3.0

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return 3.0 * grad


class Door(nn.Module):
    """x -> first -> body -> last, with buffers and weights for the body to play with."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body
        self.first, self.second, self.last = nn.Linear(3, 5), nn.Linear(5, 5), nn.Linear(5, 1)
        self.register_buffer("mean", torch.zeros(5))
        self.register_buffer("noise", torch.zeros(N, 5))
        self.gain = nn.Parameter(torch.zeros(5))
        self.calls = 0
        for p in self.double().parameters():
            nn.init.normal_(p, generator=seeded(1))
        nn.init.normal_(self.mean, generator=seeded(2))
        nn.init.normal_(self.noise, generator=seeded(3))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.body(self, self.first(x))


def out(m: Door, h: Tensor) -> Tensor:
    return m.last(F.relu(m.second(F.relu(h))))


@torch.no_grad()
def quietly(change: Callable[[], object]) -> None:
    change()


def a_mean_moved(m: Door, h: Tensor) -> Tensor:
    h = h - m.mean
    m.mean.lerp_(h.detach().mean(0), 0.9)
    return out(m, h)


def a_buffer_redrawn(m: Door, h: Tensor) -> Tensor:
    h = F.relu(h + m.noise)
    m.noise.normal_(generator=seeded(7))
    h = F.relu(m.second(h) + m.noise)
    m.noise.normal_(generator=seeded(8))
    return m.last(h)


def noise_by_data(m: Door, h: Tensor) -> Tensor:
    m.noise.data.normal_(generator=seeded(10 + m.calls))
    return out(m, h + m.noise)


def a_piece_zeroed(m: Door, h: Tensor) -> Tensor:
    piece = m.noise[:, :1] * 1.0
    wide = torch.cat([h[:, 1:], piece], 1)
    piece.zero_()
    return out(m, wide)


def a_bias_changed(m: Door, h: Tensor) -> Tensor:
    value = out(m, h + m.gain)
    quietly(lambda: m.gain.add_(1.0))
    return value


def a_bias_changed_by_data(m: Door, h: Tensor) -> Tensor:
    value = out(m, h + m.gain)
    m.gain.data.add_(1.0)
    return value


def a_bias_changed_between_two_uses(m: Door, h: Tensor) -> Tensor:
    h = F.relu(h + m.gain)
    m.gain.data.mul_(-2.0)
    return out(m, h + m.gain)


def a_constant_from_memory(m: Door, h: Tensor) -> Tensor:
    array = torch.ones(5, dtype=h.dtype).numpy()
    shared = torch.from_numpy(array)
    h = h + shared
    array[:] = 7.0
    return out(m, h)


RIGHT: dict[str, Body] = {
    "a running mean moved after its use": a_mean_moved,
    "a buffer redrawn between layers": a_buffer_redrawn,
    "noise redrawn through .data": noise_by_data,
    "a concatenated constant zeroed": a_piece_zeroed,
    "a bias changed under no_grad": a_bias_changed,
    "a bias changed through .data": a_bias_changed_by_data,
    "a bias changed between two uses": a_bias_changed_between_two_uses,
    "a constant changed through an array": a_constant_from_memory,
}


def last_value_in_place(m: Door, h: Tensor) -> Tensor:
    return Scaled.apply(out(m, h))


def last_value_assigned(m: Door, h: Tensor) -> Tensor:
    f = torch.cat([out(m, h), out(m, h)], 1).sum(1, keepdim=True)
    f[:, 0] = Tripled.apply(f[:, 0])
    return f


def an_activation_in_place(m: Door, h: Tensor) -> Tensor:
    return m.last(F.relu(Scaled.apply(m.second(F.relu(h)))))


def an_activation_by_data(m: Door, h: Tensor) -> Tensor:
    h = F.relu(h)
    quietly(lambda: h.data.mul_(2.0))
    return out(m, h)


def an_activation_by_numpy(m: Door, h: Tensor) -> Tensor:
    h = m.second(h)
    h.detach().numpy()[:] *= 2.0
    return m.last(F.relu(h))


def the_last_value_by_data(m: Door, h: Tensor) -> Tensor:
    f = out(m, h)
    quietly(lambda: f.data.mul_(2.0))
    return f


def a_hook_on_a_node(m: Door, h: Tensor) -> Tensor:
    h = F.relu(h)
    h.grad_fn.register_hook(lambda inputs, outputs: tuple(2 * g for g in inputs))
    return out(m, h)


def a_hook_that_writes(m: Door, h: Tensor) -> Tensor:
    h = F.relu(h)
    h.register_hook(lambda grad: (grad.mul_(2.0), None)[1])
    return out(m, h)


def an_unknown_container(m: Door, h: Tensor) -> Tensor:
    class Shape(tuple):  # a list of sizes that is no list of torch's
        __slots__ = ()

    return out(m, h.reshape(Shape((N, 5))))


REFUSED: dict[str, Body] = {
    "the last value in place, by a custom function": last_value_in_place,
    "the last value assigned from a custom function": last_value_assigned,
    "the last value through .data": the_last_value_by_data,
    "an activation in place, by a custom function": an_activation_in_place,
    "an activation through .data": an_activation_by_data,
    "an activation through an array": an_activation_by_numpy,
    "a hook on a node": a_hook_on_a_node,
    "a hook that writes into the gradient": a_hook_that_writes,
    "an unknown container": an_unknown_container,
}


def loss(f: Tensor, g: Tensor) -> Tensor:
    return (f / (gradient_norm(f, g) + f.abs())).sum()


def both(body: Body, method: str) -> list[Tensor]:
    """The weights' gradients of two calls, as of real and of fake samples, before one backward."""
    critic = Door(body)
    values = [value_and_input_gradient(critic, normal(N, 3, seed=seed), method=method) for seed in (20, 21)]
    total, weights = sum(loss(f, g) for f, g in values), list(critic.parameters())
    return list(torch.autograd.grad(total, weights, allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_changed_after_its_use_does_not_matter(name: str) -> None:
    oracle = both(RIGHT[name], "autograd")
    assert max(float(grad.abs().max()) for grad in oracle) > 1e-3
    for found, expected in zip(both(RIGHT[name], "linear"), oracle, strict=True):
        torch.testing.assert_close(
            found, expected, rtol=1e-11, atol=1e-12
        )  # a few hundred roundings of 1e-16


@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_sees_is_refused_and_differentiated_twice(name: str) -> None:
    with pytest.raises(Unsupported):
        value_and_input_gradient(Door(REFUSED[name]), normal(N, 3, seed=20), method="linear")
    for found, expected in zip(both(REFUSED[name], "auto"), both(REFUSED[name], "autograd"), strict=True):
        assert torch.equal(found, expected)


def test_a_large_weight_changed_between_two_uses_is_refused() -> None:
    class Twice(nn.Module):
        def __init__(self, change: Callable[[Tensor], object]) -> None:
            super().__init__()
            self.middle, self.last, self.change = nn.Linear(200, 200), nn.Linear(200, 1), change

        def forward(self, x: Tensor) -> Tensor:
            h = F.relu(self.middle(x))
            self.change(self.middle.weight)
            return self.last(F.relu(self.middle(h)))

    for change in (lambda w: w.data.mul_(2.0), lambda w: quietly(lambda: w.mul_(2.0))):
        with pytest.raises(Unsupported, match=r"another name|a weight was modified in place"):
            value_and_input_gradient(Twice(change), torch.randn(N, 200), method="linear")


def test_the_callers_batch_may_be_overwritten_before_the_backward() -> None:
    found = {}
    for method in ("linear", "autograd"):
        critic, x = Door(out), normal(N, 3, seed=20)
        f, g = value_and_input_gradient(critic, x, method=method)
        x.data.normal_(generator=seeded(9))
        x.zero_()
        found[method] = torch.autograd.grad(loss(f, g), list(critic.parameters()), materialize_grads=True)
    for fast, twice in zip(found["linear"], found["autograd"], strict=True):
        torch.testing.assert_close(fast, twice, rtol=1e-11, atol=1e-12)  # as above


def test_reading_through_data_is_no_offence() -> None:
    def body(m: Door, h: Tensor) -> Tensor:
        m.scale = float(h.data.abs().mean() + m.gain.data.norm())
        return out(m, h + m.gain)

    value_and_input_gradient(Door(body), normal(N, 3, seed=20), method="linear")
