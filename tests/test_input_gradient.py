"""The primitive against double backpropagation, which differentiates anything and is the oracle."""

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from gncompanion import linear_ops, replay
from gncompanion.constraints import build
from gncompanion.constraints.gradient_norm import FORMULAS
from gncompanion.input_gradient import (
    Unsupported,
    gradient_norm,
    unsupported_reason,
    value_and_input_gradient,
)
from gncompanion.models import DCGANCritic, MLPCritic, ResNetCritic, StageCritic

N = 4

FORMULA = {
    **{name: lambda f, g, x, name=name: FORMULAS[name](f, g).sum() for name in ("gn", "gn-0", "gn-1", "pgn")},
    "gran": lambda f, g, x: FORMULAS["gran"](f, g, K=2.0, eps=0.1).sum(),
    "gran-eps": lambda f, g, x: FORMULAS["gran-eps"](f, g, K=2.0, eps=0.1).sum(),
    "inner-product": lambda f, g, x: ((g * x).flatten(1).sum(1) / gradient_norm(f, g)).sum(),
    "gp": lambda f, g, x: (gradient_norm(f, g) - 1).square().mean(),
    "gp-one-sided": lambda f, g, x: (gradient_norm(f, g) - 1e-6).relu().square().mean(),
    "wgan-div": lambda f, g, x: gradient_norm(f, g).pow(6).mean(),
    "value alone": lambda f, g, x: f.pow(2).sum(),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def critics() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    return {
        "mlp": (MLPCritic(2, width=16, depth=3, generator=seeded()), (2,)),
        "mlp without biases": (MLPCritic(2, width=16, depth=2, bias=False, generator=seeded()), (2,)),
        "dcgan": (DCGANCritic(32, 3, width=4, generator=seeded()), (3, 32, 32)),
        "dcgan on digits": (DCGANCritic(8, 1, width=4, generator=seeded()), (1, 8, 8)),
        "resnet": (ResNetCritic(32, 3, width=4, generator=seeded()), (3, 32, 32)),
        "resnet on digits": (ResNetCritic(8, 1, width=4, generator=seeded()), (1, 8, 8)),
        "stage": (StageCritic(9, 8, channels=1, width=4, generator=seeded()), (1, 8, 8)),
    }


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


def inputs(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn((N, *shape), generator=seeded(3), dtype=torch.float64).to(dtype)


def gradients(
    critic: nn.Module,
    x: Tensor,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    method: str,
    *args: object,
    **kwargs: object,
) -> dict[str, Tensor]:
    """∂L/∂ of every weight and of the input, with x the output of something that wants a gradient."""
    source = x.clone().requires_grad_()
    x = source * 1.0
    f, g = value_and_input_gradient(critic, x, *args, method=method, **kwargs)
    wanted = {"x": source, **dict(critic.named_parameters())}
    grads = torch.autograd.grad(loss(f, g, x), list(wanted.values()), allow_unused=True)
    return {
        name: torch.zeros_like(p) if d is None else d
        for (name, p), d in zip(wanted.items(), grads, strict=True)
    }


def largest_error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Over all tensors, ‖found - expected‖ relative to ‖expected‖; where that is 0, to the largest of all."""
    scale = max(float(e.norm()) for e in expected.values())
    errors = [
        float((found[k].double() - e.double()).norm()) / (float(e.norm()) or scale)
        for k, e in expected.items()
    ]
    return max(errors)


def compare(
    critic: nn.Module, x: Tensor, loss: Callable[..., Tensor], *args: object, **kwargs: object
) -> float:
    fast = gradients(critic, x, loss, "linear", *args, **kwargs)
    oracle = gradients(critic, x, loss, "autograd", *args, **kwargs)
    assert any(bool(g.abs().max() > 0) for name, g in oracle.items() if name != "x")
    return largest_error(fast, oracle)


@pytest.mark.parametrize("formula", FORMULA)
@pytest.mark.parametrize("name", critics())
def test_equals_double_backpropagation(name: str, formula: str) -> None:
    critic, shape = critics()[name]
    # 1e-12: a few thousand roundings of 2e-16 each
    assert compare(critic.double(), inputs(shape), FORMULA[formula]) <= 1e-12


@pytest.mark.parametrize("formula", FORMULA)
def test_a_users_critic_equals_double_backpropagation(formula: str) -> None:
    critic = Functional().double()
    labels = torch.arange(N)
    assert compare(critic, inputs((1, 8, 8)), FORMULA[formula]) <= 1e-12
    assert compare(critic, inputs((1, 8, 8)), FORMULA[formula], labels, scale=0.7) <= 1e-12
    value_and_input_gradient(critic, inputs((1, 8, 8)), y=labels, method="linear", verify=True)


@pytest.mark.parametrize("parallel", [False, True], ids=["plain", "with a skip"])
@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(8, 8),
        nn.Linear(8, 5, bias=False),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2),
        nn.Conv2d(4, 4, 3, padding="same", padding_mode="circular"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect", bias=False),
        nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.LeakyReLU(0.1),
        nn.LeakyReLU(0.1, inplace=True),
        nn.LeakyReLU(-0.5),
        nn.PReLU(4),
        nn.PReLU(),
        nn.ReLU6(),
        nn.Hardtanh(-0.5, 0.5),
        nn.Hardtanh(inplace=True),
        nn.Hardshrink(),
        nn.Softshrink(),
        nn.Threshold(0.1, 0.3),
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.AdaptiveMaxPool2d(3),
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
        nn.AdaptiveAvgPool2d(3),
        nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.PixelShuffle(2),
        nn.PixelUnshuffle(2),
        nn.ZeroPad2d(1),
        nn.Identity(),
        nn.Flatten(),
        nn.BatchNorm2d(4).eval(),
        nn.BatchNorm2d(4, affine=False).eval(),
        nn.Dropout(0.5).eval(),
    ],
    ids=str,
)
def test_every_supported_layer(layer: nn.Module, parallel: bool) -> None:
    class Critic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.layer = nn.Conv2d(2, 4, 3, padding=1), copy.deepcopy(layer)
            self.skip, self.last = nn.Conv2d(2, 4, 1), nn.LazyLinear(1)

        def forward(self, x: Tensor) -> Tensor:
            h = self.layer(self.first(x) + (self.skip(x) if parallel else 0))
            return self.last(F.leaky_relu(h).flatten(1))

    critic, x = Critic().double(), inputs((2, 8, 8))
    critic(x)
    for parameter in critic.parameters():
        nn.init.normal_(parameter, std=0.3, generator=seeded(4))
    assert compare(critic, x, FORMULA["gn"]) <= 1e-12
    value_and_input_gradient(critic, x, method="linear", verify=True)


@pytest.mark.parametrize(
    "operation",
    [
        lambda h, w: h @ w.T,
        lambda h, w: torch.matmul(h.unsqueeze(1).relu(), w).squeeze(1) * (h.detach() @ w[0])[:, None],
        lambda h, w: h + w[0],
        lambda h, w: w[0] - h,
        lambda h, w: torch.sub(h, w[0], alpha=2),
        lambda h, w: 1 - h * w[0],
        lambda h, w: -h / w[0].exp(),
        lambda h, w: torch.cat([h, w[0].expand(N, -1)], 1),
        lambda h, w: torch.stack([h, h * w[0]], 1).sum(1),
        lambda h, w: torch.stack([h, h.abs()], -1).mean((1, 2), keepdim=True).flatten(1),
        lambda h, w: h.view(N, 2, -1).transpose(1, 2).permute(0, 2, 1).reshape(N, -1) * w[0],
        lambda h, w: h[:, 1:] - h[:, :-1] * w[0, 1:],
        lambda h, w: torch.cat(h.split(2, dim=1)[::-1], dim=1) + w[1],
        lambda h, w: h.clone().contiguous().mul_(w[0]).add_(w[1]).unsqueeze(1).squeeze(1),
        lambda h, w: (h * w[0]).view(N, 2, 3).relu_().flatten(1) * w[1],
        lambda h, w: h.detach().abs() + h * (h.detach() > 0) + w[0],
        lambda h, w: F.prelu(h, w[0].abs()),
        lambda h, w: h.relu() * w[0] + h,
        lambda h, w: F.leaky_relu(h.view(N, 2, 3), 0.3).flatten(1) * w[0] + h,
        lambda h, w: torch.cat([piece.relu() for piece in h.split(2, dim=1)], 1) * w[0] - h,
        lambda h, w: F.relu(-F.leaky_relu(h * w[0], 0.3)),
        lambda h, w: h.narrow(1, 0, 3).clamp(min=-0.1).float().double() * w[0, :3],
    ],
)
def test_every_supported_operation(operation: Callable[[Tensor, Tensor], Tensor]) -> None:
    class Critic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.weight, self.last = (
                nn.Linear(3, 6),
                nn.Parameter(torch.empty(6, 6)),
                nn.LazyLinear(1),
            )

        def forward(self, x: Tensor) -> Tensor:
            return self.last(operation(F.relu(self.first(x)) + self.first(x), self.weight))

    critic, x = Critic().double(), inputs((3,))
    critic(x)
    for parameter in critic.parameters():
        nn.init.normal_(parameter, generator=seeded(5))
    tolerance = (
        1e-5 if "float" in operation.__code__.co_names else 1e-12
    )  # one of them passes through float32
    assert compare(critic, x, FORMULA["gn"]) <= tolerance


class Swap(torch.autograd.Function):
    """Gradient reversal: the identity forward, minus the identity backward."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return -grad


class Weird(nn.Module):
    """Something between two linear layers that the fast method must not guess about."""

    def __init__(self, function: Callable[..., Tensor], *modules: nn.Module) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(3, 6), nn.ModuleList(modules), nn.Linear(6, 1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x), *self.middle))


def in_place_through_a_view(h: Tensor) -> Tensor:
    view = h.view(-1, 2, 3)
    view[:, 0].relu_()
    return h


def in_place_with_a_weight_on_a_view(h: Tensor) -> Tensor:
    return h.clone().view(-1, 6).mul_(torch.arange(6.0, dtype=h.dtype).requires_grad_()).add_(1.0)


def in_place_on_a_constant(h: Tensor) -> Tensor:
    buffer = torch.zeros_like(h)
    buffer[:, :3] = h[:, :3]
    return h + buffer


def in_place_without_autograd(h: Tensor) -> Tensor:
    h = h * 1.0
    with torch.no_grad():
        h.mul_(2.0)
    return h.relu()


UNSUPPORTED = {
    "ELU": (lambda h, m: m(h), nn.ELU()),
    "Softplus": (lambda h, m: m(h), nn.Softplus()),
    "GELU": (lambda h, m: m(h), nn.GELU()),
    "Tanh": (lambda h, m: m(h), nn.Tanh()),
    "LayerNorm": (lambda h, m: m(h), nn.LayerNorm(6)),
    "attention": (lambda h, m: m(h[:, None], h[:, None], h[:, None])[0][:, 0], nn.MultiheadAttention(6, 2)),
    "softmax": (lambda h: h.softmax(1),),
    "a product of two": (lambda h: h * h.relu(),),
    "a quotient of two": (lambda h: h / (1 + h.abs()),),
    "a power": (lambda h: h**2,),
    "square": (lambda h: h.square(),),
    "bilinear": (lambda h, m: m(h, h), nn.Bilinear(6, 6, 6)),
    "einsum": (lambda h: torch.einsum("nd,nd->nd", h, h),),
    "a custom function": (Swap.apply,),
    "a custom function beside": (lambda h: h + Swap.apply(h).relu(),),
    "a view changed in place": (in_place_through_a_view,),
    "a weight on a view, in place": (in_place_with_a_weight_on_a_view,),
    "a constant changed in place": (in_place_on_a_constant,),
    "a change behind autograd's back": (in_place_without_autograd,),
    "data changed behind autograd's back": (lambda h: (h.data.mul_(2.0), h.relu())[1],),
    "arguments by name": (lambda h, m: F.linear(input=h, weight=m.weight), nn.Linear(6, 6)),
    "weights made from x": (lambda h: F.linear(torch.ones(N, 6, dtype=h.dtype), h.mT @ h),),
    "sorting": (lambda h: h.sort(dim=1).values,),
}

COUPLED = {
    "BatchNorm1d": (lambda h, m: m(h), nn.BatchNorm1d(6)),
    "centring": (lambda h: h - h.mean(0),),
    "a mean over everything": (lambda h: h - h.mean(),),
    "the batch moved": (lambda h: h.transpose(0, 1).relu().transpose(0, 1),),
    "a permutation": (lambda h: h[torch.tensor([1, 0, 3, 2])],),
    "the batch first of a product": (lambda h: (h[None] @ torch.ones(N, 6, 6, dtype=h.dtype))[0],),
    "mixing from the left": (lambda h: torch.eye(N, dtype=h.dtype).flip(0) @ h,),
    "the batch folded": (lambda h: h.reshape(-1, 3).relu().reshape(-1, 6),),
    "the batch concatenated": (lambda h: torch.cat([h, h])[:N],),
}


@pytest.mark.filterwarnings("ignore:.*gradient of the batch's summed values")
@pytest.mark.parametrize("name", [*UNSUPPORTED, *COUPLED])
def test_what_is_not_known_to_be_linear_is_differentiated_twice(name: str) -> None:
    torch.manual_seed(0)
    critic = Weird(*{**UNSUPPORTED, **COUPLED}[name]).double()
    x = inputs((3,))
    with pytest.raises(Unsupported):
        value_and_input_gradient(critic, x, method="linear")
    auto = gradients(critic, x, FORMULA["gn"], "auto")
    oracle = gradients(critic, x, FORMULA["gn"], "autograd")
    assert all(torch.equal(auto[k], oracle[k]) for k in oracle)


def test_the_refusal_names_the_module() -> None:
    critic = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.ELU()), nn.Linear(4, 1))
    why = unsupported_reason(critic, torch.randn(N, 3, generator=seeded()))
    assert why is not None and "ELU '1.1', elu" in why and 'method="autograd"' in why
    assert unsupported_reason(nn.Linear(3, 1), torch.zeros(N, 3)) is None


def test_coupled_samples_are_warned_of() -> None:
    critic = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    with pytest.warns(UserWarning, match="BatchNorm1d '1'.*gradient of the batch's summed values"):
        value_and_input_gradient(critic, torch.randn(N, 3, generator=seeded()))
    value_and_input_gradient(critic.eval(), torch.randn(N, 3, generator=seeded()))


def _without_tangent(a: Tensor, x: Tensor, G: Tensor) -> Tensor:
    return linear_ops.scaled(a, x, like=x)


def _without_scale(a: Tensor, x: Tensor, G: Tensor) -> Tensor:
    return x + G


def _open_gate(call: linear_ops.Call) -> linear_ops.Replay:
    return (lambda a, u: u), (call.args[0],), {}


def _unscaled_bias(call: linear_ops.Call) -> linear_ops.Replay:
    return (lambda a, *args: call.function(*args)), call.args, call.kwargs


def _mutate(patch: pytest.MonkeyPatch, name: str) -> None:
    if name in ("tangent dropped", "value's scale dropped"):
        patch.setattr(replay, "start", _without_tangent if name == "tangent dropped" else _without_scale)
    else:
        function = {"gate left open": torch.nn.functional.leaky_relu, "bias not scaled": torch.conv2d}[name]
        rule = _open_gate if name == "gate left open" else _unscaled_bias
        patch.setitem(linear_ops.RULES, function, rule)


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
    monkeypatch.setattr(replay, "_share_memory", lambda tensor, others: False)
    assert compare(critic.double(), inputs(shape), FORMULA["gn"]) > 1e-4


@pytest.mark.parametrize("mutation", ["gate left open"])
def test_verify_notices_a_broken_record(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    critic, shape = critics()["dcgan on digits"]
    value_and_input_gradient(critic, inputs(shape, torch.float32), method="linear", verify=True)
    _mutate(monkeypatch, mutation)
    with pytest.raises(RuntimeError, match="the recorded linear map and autograd differ"):
        value_and_input_gradient(critic, inputs(shape, torch.float32), method="linear", verify=True)


@pytest.mark.parametrize("name", ["mlp", "dcgan on digits", "resnet on digits"])
def test_float32(name: str) -> None:
    critic, shape = critics()[name]
    # 1e-5: roundings of 6e-8, a few hundred of them in each sum
    assert compare(critic, inputs(shape, torch.float32), FORMULA["gn"]) <= 1e-5


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


def test_a_third_derivative_is_refused() -> None:
    critic, shape = critics()["mlp"]
    f, g = value_and_input_gradient(critic, inputs(shape, torch.float32))
    (weight, *_) = critic.parameters()
    (grad,) = torch.autograd.grad(gradient_norm(f, g).sum(), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        grad.square().sum().backward()


def test_a_hook_that_changes_the_gradient_is_refused_and_one_that_looks_is_not() -> None:
    seen = []
    looking = Weird(lambda h: (h.register_hook(seen.append), h.relu())[1]).double()
    assert compare(looking, inputs((3,)), FORMULA["gn"]) <= 1e-12 and seen
    changing = Weird(lambda h: (h.register_hook(lambda g: 2 * g), h.relu())[1]).double()
    with pytest.raises(Unsupported, match="a hook on one of its activations"):
        value_and_input_gradient(changing, inputs((3,)))


def test_weights_changed_before_the_backward_are_noticed() -> None:
    critic, shape = critics()["mlp"]
    f, _ = value_and_input_gradient(critic, inputs(shape, torch.float32))
    with torch.no_grad():
        next(critic.parameters()).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        f.sum().backward()


def test_leaves_everything_as_it_was() -> None:
    critic = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 1))
    calls = []
    critic[1].register_forward_hook(lambda *_: calls.append(1))
    x = inputs((3,), torch.float32)
    before = x.clone()
    value_and_input_gradient(critic, x)
    assert torch.equal(x, before) and not x.requires_grad and x.grad is None
    assert len(calls) == 1 and critic.training and all(p.grad is None for p in critic.parameters())


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


def test_the_value_at_zero_over_zero() -> None:
    critic = nn.Linear(3, 1)
    nn.init.zeros_(critic.weight), nn.init.zeros_(critic.bias)
    for name in ("gn", "gn-0", "pgn", "inner-product"):
        x = torch.zeros(N, 3, requires_grad=True)
        score = build(name).score(critic, x) if name != "pgn" else build("gn").score(critic, x)
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
        (nn.Linear(3, 2), torch.zeros(4, 3), r"one value a sample, \(4,\) or \(4, 1\); it gave \(4, 2\)"),
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


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="method='fast' is not one of auto, linear, autograd"):
        value_and_input_gradient(nn.Linear(3, 1), torch.zeros(4, 3), method="fast")


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
