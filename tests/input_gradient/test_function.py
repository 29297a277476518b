"""The primitive against double backpropagation, in values, gradients and work; and what it refuses."""

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from gncompanion.constraints import build
from gncompanion.input_gradient import gradient_norm, unsupported_reason, value_and_input_gradient
from gncompanion.models import DCGANCritic, ResNetCritic
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


@pytest.mark.parametrize("formula", FORMULA)
@pytest.mark.parametrize("name", critics())
def test_equals_double_backpropagation(name: str, formula: str) -> None:
    critic, shape = critics()[name]
    # 1e-12: a few thousand roundings of 2e-16 each
    assert compare(critic.double(), inputs(shape), FORMULA[formula]) <= 1e-12


class Functional(nn.Module):
    """A critic as a user writes one: functionals, a module used twice, in-place activations, labels."""

    def __init__(self) -> None:
        super().__init__()
        self.inward = nn.Conv2d(1, 6, 3, padding=1)
        self.twice = nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6).eval()
        self.norm.running_mean.uniform_(-1, 1, generator=seeded(1))
        self.norm.running_var.uniform_(0.5, 2, generator=seeded(2))
        self.act = nn.ReLU(inplace=True)
        self.gain = nn.Parameter(torch.linspace(0.5, 1.5, 6).view(6, 1, 1))
        self.embed = nn.Embedding(10, 6)
        self.out = nn.Linear(6, 1)

    def forward(self, x: Tensor, y: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
        h = F.relu(self.inward(x))
        h = self.act(self.norm(self.twice(h)))
        h = h * self.gain + F.leaky_relu_(self.twice(h), 0.2)
        h -= 0.3 * self.gain
        h = torch.cat([F.max_pool2d(h, 2), F.avg_pool2d(h.clamp(-1, 1), 2)], dim=1)
        even, odd = h.chunk(2, dim=1)
        h = (2 - even + odd / 3).flatten(2).mean(-1) * scale
        score = self.out(h)
        return score if y is None else score + (self.embed(y) * h).sum(1, keepdim=True)


@pytest.mark.parametrize("formula", FORMULA)
def test_a_users_critic_equals_double_backpropagation(formula: str) -> None:
    critic = Functional().double()
    labels = torch.arange(N)
    assert compare(critic, inputs((1, 8, 8)), FORMULA[formula]) <= 1e-12
    assert compare(critic, inputs((1, 8, 8)), FORMULA[formula], labels, scale=0.7) <= 1e-12
    value_and_input_gradient(critic, inputs((1, 8, 8)), y=labels, method="linear", verify=True)


@pytest.mark.parametrize("name", ["mlp", "dcgan on digits", "resnet on digits"])
def test_float32(name: str) -> None:
    critic, shape = critics()[name]
    # 1e-5: roundings of 6e-8, a few hundred of them in each sum
    assert compare(critic, inputs(shape, torch.float32), FORMULA["gn"]) <= 1e-5


@pytest.mark.parametrize("name", ["sn", "sn-operator"])
def test_sees_through_parametrized_weights(name: str) -> None:
    critic = DCGANCritic(8, 1, width=4, generator=seeded())
    build(name, shape=(1, 8, 8)).prepare(critic)
    critic = critic.double().eval()  # in training mode each forward moves the power iteration
    assert compare(critic, inputs((1, 8, 8)), FORMULA["gn"]) <= 1e-12


def test_a_penalty_on_the_normalized_critic() -> None:
    critic, shape = critics()["dcgan on digits"]
    critic, x, found = critic.double(), inputs(shape), {}
    for method in ("linear", "autograd"):
        gn = build("gn", method=method)
        f, g = value_and_input_gradient(lambda x, gn=gn: gn.score(critic, x), x)
        loss = (gradient_norm(f, g) - 0.5).square().mean() + f.mean()
        found[method] = dict(enumerate(torch.autograd.grad(loss, list(critic.parameters()))))
    assert largest_error(found["linear"], found["autograd"]) <= 1e-12


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_without_autograd(context: Callable[[], object]) -> None:
    critic, shape = critics()["dcgan on digits"]
    x = inputs(shape, torch.float32)
    f, g = value_and_input_gradient(critic, x)
    with context():
        f0, g0 = value_and_input_gradient(critic, x)
        inside = value_and_input_gradient(critic, x * 1.0)[1]
    assert torch.equal(f, f0) and torch.equal(g, g0) and torch.equal(g, inside)
    assert not f0.requires_grad and not g0.requires_grad


def test_frozen_critic_passes_the_gradient_on() -> None:
    critic, shape = critics()["resnet on digits"]
    critic = critic.double()
    expected = gradients(critic, inputs(shape), FORMULA["gn"], "autograd")["x"]
    critic.requires_grad_(False)
    x = inputs(shape).requires_grad_()
    f, g = value_and_input_gradient(critic, x, method="linear")
    (found,) = torch.autograd.grad(FORMULA["gn"](f, g, x), x)
    assert largest_error({"x": found}, {"x": expected}) <= 1e-12


def test_leaves_everything_as_it_was() -> None:
    critic = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 1))
    calls = []
    critic[1].register_forward_hook(lambda *_: calls.append(1))
    x = inputs((3,), torch.float32)
    before = x.clone()
    value_and_input_gradient(critic, x)
    assert torch.equal(x, before) and not x.requires_grad and x.grad is None
    assert len(calls) == 1 and critic.training and all(p.grad is None for p in critic.parameters())


def test_the_value_at_zero_over_zero() -> None:
    critic = nn.Linear(3, 1)
    nn.init.zeros_(critic.weight), nn.init.zeros_(critic.bias)
    for name in ("gn", "gn-0", "inner-product"):
        x = torch.zeros(N, 3, requires_grad=True)
        score = build(name).score(critic, x)
        assert torch.equal(score, torch.zeros_like(score))
        grads = torch.autograd.grad(score.sum(), [x, *critic.parameters()])
        assert all(bool(grad.isfinite().all()) for grad in grads)


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1.0, 1e30])
def test_the_norm_neither_underflows_nor_overflows(scale: float) -> None:
    g = inputs((3,), torch.float32).mul_(scale).requires_grad_()
    n = gradient_norm(torch.zeros(N), g)
    (slope,) = torch.autograd.grad(n.sum(), g)
    expected = g.detach().double().norm(dim=1, keepdim=True)
    torch.testing.assert_close(n[:, None].double(), expected, rtol=1e-6, atol=0)  # float32 rounds to 6e-8
    torch.testing.assert_close(slope.double(), g.detach().double() / expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("critic", "x", "message"),
    [
        (nn.Linear(3, 2), torch.zeros(4, 3), r"one value per sample, \(4,\) or \(4, 1\); it gave \(4, 2\)"),
        (nn.Conv2d(1, 1, 1), torch.zeros(4, 1, 2, 2), "Average a map of outputs"),
        (lambda x: (x, x), torch.zeros(4, 3), "one tensor, not tuple"),
        (lambda x: torch.zeros(4), torch.zeros(4, 3), "does not depend on x"),
        (lambda x: x.detach().sum(1), torch.zeros(4, 3), "does not depend on x"),
        (nn.Linear(3, 1), torch.zeros(4, 3, dtype=torch.int64), "floating point tensor .*int64"),
        (nn.Linear(3, 1), torch.zeros(0, 3), "at least one sample"),
        (nn.Linear(3, 1), [1.0], "not list"),
    ],
)
def test_bad_input_is_refused(critic: Callable[..., Tensor], x: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        value_and_input_gradient(critic, x)


def test_a_batch_of_one_may_come_back_as_a_number() -> None:
    torch.manual_seed(0)  # not all units are off at x: n is not 0
    critic = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).double()
    x = inputs((3,))[:1]
    f, g = value_and_input_gradient(lambda x: critic(x).squeeze(), x)
    expected = value_and_input_gradient(critic, x)
    assert f.shape == () and gradient_norm(f, g).shape == () and g.any()
    torch.testing.assert_close(f, expected[0].squeeze()), torch.testing.assert_close(g, expected[1])
    grads = []
    for value, slope in ((f, g), expected):
        loss = (value / gradient_norm(value, slope)).sum()
        grads.append(
            torch.autograd.grad(loss, list(critic.parameters()), materialize_grads=True, allow_unused=True)
        )
    torch.testing.assert_close(*grads)


def test_inputs_of_no_further_dimension() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    f, g = value_and_input_gradient(lambda x: F.relu(x * weight), torch.tensor([-1.0, 3.0]))
    assert f.tolist() == [0.0, 6.0] and g.tolist() == [0.0, 2.0]
    assert torch.autograd.grad(gradient_norm(f, g).sum() + f.sum(), weight)[0] == 4.0  # 1 and x = 3


@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.vmap])
def test_transforms_are_refused(transform: Callable[..., Callable[..., Tensor]]) -> None:
    critic = nn.Linear(3, 1)
    with pytest.raises(ValueError, match=r"torch.func's transforms do not see the primitive"):
        transform(lambda x: value_and_input_gradient(critic, x)[0].sum())(torch.zeros(2, 3))


@pytest.mark.parametrize("last", [nn.LeakyReLU(), nn.Tanh()])
def test_to_ask_changes_nothing(last: nn.Module) -> None:
    first = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4))
    critic = nn.Sequential(first, nn.Dropout(), nn.Linear(4, 4), nn.BatchNorm1d(4), last, nn.Linear(4, 1))
    buffers, state = [b.clone() for b in critic.buffers()], torch.get_rng_state()
    assert unsupported_reason(critic, torch.randn(N, 3, generator=seeded())) is not None
    assert all(torch.equal(a, b) for a, b in zip(buffers, critic.buffers(), strict=True))
    assert torch.equal(state, torch.get_rng_state())


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="method='fast' is not one of auto, linear, autograd"):
        value_and_input_gradient(nn.Linear(3, 1), torch.zeros(4, 3), method="fast")


# Work


def _flops(score: Callable[..., Tensor], critic: nn.Module, x: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        score(critic, x).sum().backward()
    return counter.get_total_flops()


@pytest.fixture(params=[DCGANCritic, ResNetCritic], ids=["DCGAN-32", "ResNet-32"])
def full_size(request: pytest.FixtureRequest) -> Iterator[nn.Module]:
    with FakeTensorMode():
        yield request.param(32, 3)


def test_flops_of_the_critics_step(full_size: nn.Module) -> None:
    x = torch.randn(64, 3, 32, 32)
    plain, fast, twice = (
        _flops(c.score, full_size, x)
        for c in (build("none"), build("gn", method="linear"), build("gn", method="autograd"))
    )
    assert fast / plain <= 1.35 < 2.0 < twice / plain


def test_flops_through_the_critic_in_the_generators_step(full_size: nn.Module) -> None:
    x = torch.randn(64, 3, 32, 32, requires_grad=True)
    full_size.requires_grad_(False)
    plain, fast, twice = (
        _flops(c.score, full_size, x)
        for c in (build("none"), build("gn", method="linear"), build("gn", method="autograd"))
    )
    assert fast / plain <= 1.01 < 2.4 < twice / plain


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # the compiler's own
def test_under_a_compiler_it_is_the_same() -> None:
    """The recorder stays outside: a compiler that traced it would see neither operations nor gates."""
    critic, shape = critics()["dcgan on digits"]
    x, found = inputs(shape, torch.float32), []
    for score in (build("gn").score, torch.compile(build("gn").score, backend="eager")):
        critic.zero_grad()
        score(critic, x).sum().backward()
        found.append(dict(enumerate(p.grad.clone() for p in critic.parameters())))
    assert largest_error(found[1], found[0]) <= 1e-5  # float32, as above
