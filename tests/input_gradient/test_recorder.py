"""The record and its replay: a broken one is noticed, also under autocast, and no mode stays behind."""

import gc
from weakref import ReferenceType, ref

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from gncompanion.constraints import build
from gncompanion.input_gradient import frozen_gates, gradient_norm, rules, tape, value_and_input_gradient
from gncompanion.input_gradient.calls import Call, Replay, scaled
from gncompanion.models import ResNetCritic
from tests.helpers.double_backpropagation import (
    FORMULA,
    N,
    compare,
    critics,
    gradients,
    inputs,
    largest_error,
)
from tests.helpers.draws import seeded


def _without_tangent(a: Tensor, x: Tensor, G: Tensor) -> Tensor:
    return scaled(a, x, like=x)


def _without_scale(a: Tensor, x: Tensor, G: Tensor) -> Tensor:
    return x + G


def _open_gate(call: Call) -> Replay:
    return Replay(lambda a, u: u, (call.args[0],))


def _unscaled_bias(call: Call) -> Replay:
    return Replay(lambda a, *args: call.function(*args), call.args, call.kwargs)


def _mutate(patch: pytest.MonkeyPatch, name: str) -> None:
    if name in ("tangent dropped", "value's scale dropped"):
        patch.setattr(
            frozen_gates, "start", _without_tangent if name == "tangent dropped" else _without_scale
        )
    else:
        function = {"gate left open": torch.nn.functional.leaky_relu, "bias not scaled": torch.conv2d}[name]
        rule = _open_gate if name == "gate left open" else _unscaled_bias
        patch.setitem(rules.RULES, function, rule)


@pytest.mark.parametrize(
    "mutation", ["tangent dropped", "value's scale dropped", "gate left open", "bias not scaled"]
)
def test_the_comparison_fails_for_a_broken_primitive(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    critic, shape = critics()["dcgan on digits"]
    nn.init.normal_(critic.features[0].bias, generator=seeded())
    _mutate(monkeypatch, mutation)
    assert compare(critic.double(), inputs(shape), FORMULA["gn"]) > 1e-4


def test_the_comparison_fails_if_a_gate_writes_over_what_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    critic, shape = critics()["resnet on digits"]
    monkeypatch.setattr(tape, "_share_memory", lambda tensor, others: False)
    assert compare(critic.double(), inputs(shape), FORMULA["gn"]) > 1e-4


@pytest.mark.parametrize("mutation", ["gate left open"])
def test_verify_notices_a_broken_record(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    critic, shape = critics()["dcgan on digits"]
    value_and_input_gradient(critic, inputs(shape, torch.float32), method="linear", verify=True)
    _mutate(monkeypatch, mutation)
    with pytest.raises(RuntimeError, match="the recorded linear map and autograd differ"):
        value_and_input_gradient(critic, inputs(shape, torch.float32), method="linear", verify=True)


@pytest.mark.parametrize("name", ["mlp", "dcgan on digits", "resnet on digits"])
def test_autocast_to_bfloat16(name: str) -> None:
    critic, shape = critics()[name]
    x = inputs(shape, torch.float32)
    exact = gradients(critic, x, FORMULA["gn"], "autograd")
    with torch.autocast("cpu", torch.bfloat16):
        fast = gradients(critic, x, FORMULA["gn"], "linear")
        twice = gradients(critic, x, FORMULA["gn"], "autograd")
        value_and_input_gradient(critic, x, method="linear", verify=True)
    assert all(grad.dtype == torch.float32 for grad in fast.values())
    # bfloat16 rounds to 4e-3, and gates may flip: no worse than twice what autograd loses under autocast.
    assert largest_error(fast, exact) <= max(2 * largest_error(twice, exact), 0.02)


def test_autocast_leaves_no_stale_weight_behind() -> None:
    critic = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    x = inputs((3,), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        f, _ = value_and_input_gradient(critic, x, method="linear")
        f.sum().backward()
        critic.zero_grad()
        critic(x).sum().backward()
    assert all(p.grad is not None for p in critic.parameters())


def test_a_third_derivative_is_refused() -> None:
    critic, shape = critics()["mlp"]
    f, g = value_and_input_gradient(critic, inputs(shape, torch.float32))
    (weight, *_) = critic.parameters()
    (grad,) = torch.autograd.grad(gradient_norm(f, g).sum(), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        grad.square().sum().backward()


def test_a_large_weight_changed_before_the_backward_is_noticed() -> None:
    critic = nn.Sequential(nn.Linear(3, 8192), nn.ReLU(), nn.Linear(8192, 1))
    f, _ = value_and_input_gradient(critic, inputs((3,), torch.float32))
    with torch.no_grad():
        next(critic.parameters()).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        f.sum().backward()


def test_an_activation_detached_in_place_is_a_constant() -> None:
    class Stopped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stopped, self.other, self.out = nn.Linear(3, 5), nn.Linear(3, 5), nn.Linear(5, 1)

        def forward(self, x: Tensor) -> Tensor:
            h = F.relu(self.stopped(x))
            h.detach_()
            return self.out(h + F.relu(self.other(x)))

    assert compare(Stopped().double(), inputs((3,)), FORMULA["gn"]) <= 1e-12


def test_a_critic_that_raises_leaves_no_mode_behind() -> None:
    def broken(x: Tensor) -> Tensor:
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        value_and_input_gradient(broken, torch.zeros(2, 3))
    assert torch.overrides._get_current_function_mode() is None and torch.is_grad_enabled()


def test_no_activation_waits_for_the_garbage_collector() -> None:
    seen: list[ReferenceType[Tensor]] = []

    def critic(x: Tensor) -> Tensor:
        h = torch.cat([F.dropout(F.relu(layer(x))), x], 1)
        seen.append(ref(h))
        return h.sum(1)

    layer = nn.Linear(3, 4)
    gc.collect()
    gc.disable()
    try:
        f, g = value_and_input_gradient(critic, inputs((3,), torch.float32), method="linear")
        assert seen[0]() is None
        (f.sum() + g.square().sum()).backward()
        assert not any(isinstance(thing, Tensor) for thing in _garbage())
    finally:
        gc.enable()


def _garbage() -> list[object]:
    """What only the collector would free."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return list(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


def test_waits_for_no_device() -> None:
    """Under fake tensors, which have no values, any look at a value raises: `.item()`, `bool(tensor)`."""
    with FakeTensorMode():
        critic = ResNetCritic(8, 1, width=4)
        x = torch.randn(N, 1, 8, 8, requires_grad=True)
        for name in ("gn", "gran", "pgn", "inner-product"):
            score = build(name, **({"eps": 0.1} if name == "gran" else {}), method="linear").score(critic, x)
            score.sum().backward()
        with pytest.raises(Exception, match=r"data-dependent|aten\._local_scalar_dense"):
            x.sum().item()
