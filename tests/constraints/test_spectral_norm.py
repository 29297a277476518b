"""Spectral normalizations against singular values of dense matrices, and equation (14) of Miyato et al."""

import copy

import pytest
import torch
from torch import Tensor, nn

from gncompanion.constraints import Constraint, Score, build
from gncompanion.constraints.spectral_norm import OperatorSpectralNormalization, SpectralNormalization
from gncompanion.input_gradient import gradient_norm, value_and_input_gradient
from gncompanion.models import DCGANCritic, MLPCritic
from tests.helpers.draws import normal, seeded

SHAPE = (4, 7, 6)
LAYERS = {
    "linear": (nn.Linear(9, 5), (9,)),
    "stride 1": (nn.Conv2d(4, 5, 3, padding=1), SHAPE),
    "no padding": (nn.Conv2d(4, 5, 3, bias=False), SHAPE),
    "stride 2": (nn.Conv2d(4, 5, 4, stride=2, padding=1), SHAPE),
    "groups": (nn.Conv2d(4, 6, 3, padding=1, groups=2), SHAPE),
    "dilation": (nn.Conv2d(4, 5, (3, 2), stride=(1, 2), padding=(2, 0), dilation=2), SHAPE),
}


def redrawn(critic: nn.Module, seed: int = 0) -> nn.Module:
    random = seeded(seed)
    for parameter in critic.double().parameters():
        nn.init.normal_(parameter, generator=random)
    return critic


def layer(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    module, shape = LAYERS[name]
    return redrawn(copy.deepcopy(module)), shape


def matrix(module: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """The dense matrix of a layer's linear part: its columns are the images of the unit vectors."""
    unit = torch.eye(torch.Size(shape).numel(), dtype=torch.float64).view(-1, *shape)
    with torch.no_grad():
        return (module(unit) - module(torch.zeros_like(unit))).flatten(1).T


def sigma(weight: Tensor) -> float:
    return float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2))


def direction(module: nn.Module) -> Tensor:
    return module.parametrizations.weight[0].v.clone()


# The kernel's norm


@pytest.mark.parametrize(
    ("critic", "shape"),
    [
        (MLPCritic(3, width=16, depth=3), (3,)),
        (DCGANCritic(8, 1, width=4), (1, 8, 8)),
        (nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(4, 1)), None),
    ],
)
def test_every_kernel_gets_norm_one(critic: nn.Module, shape: tuple[int, ...] | None) -> None:
    redrawn(critic)
    kernels = [m for m in critic.modules() if hasattr(m, "weight")]
    assert all(abs(sigma(m.weight) - 1) > 0.1 for m in kernels)
    SpectralNormalization(500).prepare(critic)
    critic(torch.zeros(2, 1, dtype=torch.int64) if shape is None else normal(2, *shape, seed=0))
    for module in kernels:
        # 1e-6: after 515 iterations, for the closest two singular values here
        assert sigma(module.weight) == pytest.approx(1, abs=1e-6)


def test_kernel_iterations_are_those_asked_for() -> None:
    found = []
    for n in (1, 200):
        critic = nn.Linear(40, 40, dtype=torch.float64)
        with torch.no_grad():
            critic.weight.copy_(torch.diag(torch.linspace(1, 0.5, 40)))
        SpectralNormalization(n).prepare(critic)
        critic(normal(2, 40, seed=0))
        found.append(sigma(critic.weight))
    assert found[0] > 1 + 1e-3 > 1 + 1e-6 > found[1]


# The operator's norm


@pytest.mark.parametrize("name", LAYERS)
def test_operator_gets_norm_one(name: str) -> None:
    module, shape = layer(name)
    assert abs(sigma(matrix(module, shape)) - 1) > 0.1
    OperatorSpectralNormalization(shape, n_iterations=200).prepare(module)
    # 1e-4: after 2200 iterations, for the closest two singular values here, those of "groups"
    assert sigma(matrix(module.eval(), shape)) == pytest.approx(1, abs=1e-4)
    if name != "linear":
        assert abs(sigma(module.weight) - 1) > 0.05


@pytest.mark.parametrize("name", LAYERS)
def test_each_forward_iterates_as_often_as_asked(name: str) -> None:
    module, shape = layer(name)
    a = matrix(module, shape)
    OperatorSpectralNormalization(shape, n_iterations=3, seed=7).prepare(module.eval())
    start = torch.randn(shape, generator=seeded(7)).double()
    for mode, times in (("prepare", 30), ("train", 33), ("eval", 33), ("train", 36)):
        if mode != "prepare":
            module.train(mode == "train")(normal(2, *shape, seed=0))
        expected = torch.linalg.matrix_power(a.T @ a, times) @ start.flatten()
        # 1e-10: matrix powers lose some digits
        torch.testing.assert_close(
            direction(module).flatten(),
            expected / expected.norm(),
            rtol=0,
            atol=1e-10,
            msg=f"{mode}, {times}",
        )


@pytest.mark.parametrize("name", LAYERS)
def test_gradient_is_equation_14(name: str) -> None:
    """∂⟨G, W/σ⟩/∂W = (G - ⟨G, W/σ⟩ ∂σ/∂W) / σ with σ = uᵀ A(W) v linear in W: u and v are constants."""
    module, shape = layer(name)
    OperatorSpectralNormalization(shape).prepare(module)
    module.eval()
    weight, v = module.parametrizations.weight.original, direction(module).flatten()
    plain = copy.deepcopy(LAYERS[name][0]).double()

    def operator(kernel: Tensor) -> Tensor:
        plain.weight.data = kernel
        return matrix(plain, shape)

    image = operator(weight.detach().clone()) @ v
    u, s = image / image.norm(), image.norm()
    unit = torch.eye(weight.numel(), dtype=torch.float64).view(-1, *weight.shape)
    rise = torch.stack([u @ operator(kernel) @ v for kernel in unit]).view_as(
        weight
    )  # u vᵀ of a linear layer
    G = normal(*weight.shape, seed=1)
    (found,) = torch.autograd.grad((G * module.weight).sum(), weight)
    expected = (G - (G * weight).sum() / s * rise) / s
    torch.testing.assert_close(found, expected.detach(), rtol=1e-12, atol=1e-13)  # some hundred roundings


def test_every_layer_of_a_critic_that_a_forward_reaches() -> None:
    critic = redrawn(DCGANCritic(8, 1, width=4))
    critic.spare = nn.Linear(2, 2)
    OperatorSpectralNormalization((1, 8, 8), n_iterations=100).prepare(critic)
    critic.eval()
    x = normal(1, 1, 8, 8, seed=0)
    for module in (*critic.features, *critic.head):
        if hasattr(module, "weight"):
            # 1e-4: after 1100 iterations; a convolution's singular values lie close together
            assert sigma(matrix(module, tuple(x.shape[1:]))) == pytest.approx(1, abs=1e-4)
        x = module(x)
    assert not hasattr(critic.spare, "parametrizations")


def test_preparing_leaves_modes_and_statistics_alone() -> None:
    critic = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Flatten(), nn.Linear(72, 1)
    )
    critic[2].eval()
    before = copy.deepcopy(critic[1].state_dict())
    OperatorSpectralNormalization((1, 8, 8)).prepare(critic)
    assert all(torch.equal(value, before[name]) for name, value in critic[1].state_dict().items())
    assert critic[1].training
    assert not critic[2].training
    assert not any(module._forward_pre_hooks for module in critic.modules())


class Twice(nn.Module):
    """One convolution, applied to an image and to its half."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv(x).mean((2, 3)) + self.conv(x[..., ::2]).mean((2, 3))).squeeze(1)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), "padding_mode=circular.*pad it with zeros"),
        (nn.Conv2d(1, 1, 3, padding="same"), "padding=same.*by a number"),
        (Twice(), r"layer '1.conv' has no one norm: its inputs are \(1, 8, 8\) and \(1, 8, 4\)"),
    ],
)
def test_layers_without_one_operator_norm_are_refused(bad: nn.Module, message: str) -> None:
    critic = nn.Sequential(nn.Conv2d(1, 1, 1), bad)
    with pytest.raises(ValueError, match=message):
        OperatorSpectralNormalization((1, 8, 8)).prepare(critic)
    assert not hasattr(critic[0], "parametrizations")


def test_autocast_does_not_blunt_the_norm() -> None:
    module, shape = layer("stride 1")
    OperatorSpectralNormalization(shape, n_iterations=100).prepare(module.float())
    expected = module.eval().weight
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module.weight, expected)


# Both


@pytest.fixture(params=["sn", "sn-operator"])
def constraint(request: pytest.FixtureRequest) -> Constraint:
    return build(request.param, shape=(1, 8, 8))


def critic() -> nn.Module:
    return DCGANCritic(8, 1, width=4, generator=seeded(1))


def test_the_seed_alone_decides_the_start(constraint: Constraint) -> None:
    states = []
    for seed, torch_seed in ((0, 1), (0, 2), (1, 1)):
        prepared = critic()
        torch.manual_seed(torch_seed)
        before = torch.get_rng_state()
        constraint.seed = seed
        constraint.prepare(prepared)
        assert torch.equal(torch.get_rng_state(), before)
        states.append(prepared.state_dict())
    first, again, other = states
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_only_training_mode_iterates(constraint: Constraint) -> None:
    prepared, x = redrawn(critic()), normal(4, 1, 8, 8, seed=2)
    constraint.prepare(prepared)
    for training in (False, True):
        before = copy.deepcopy(prepared.state_dict())
        prepared.train(training)(x)
        moved = [
            name for name, value in prepared.state_dict().items() if not torch.equal(value, before[name])
        ]
        assert bool(moved) == training
        assert not any(name.endswith(("original", "bias")) for name in moved)


def test_two_forwards_before_one_backward(constraint: Constraint) -> None:
    prepared = critic()
    constraint.prepare(prepared)
    loss = (
        prepared(normal(4, 1, 8, 8, seed=2).float()).sum()
        - prepared(normal(4, 1, 8, 8, seed=3).float()).sum()
    )
    loss.backward()
    assert all(p.grad.any() for name, p in prepared.named_parameters() if name.endswith("original"))


def test_state_and_copies_carry_the_iteration(constraint: Constraint) -> None:
    prepared, other, x = critic(), critic(), normal(4, 1, 8, 8, seed=2).float()
    constraint.prepare(prepared)
    constraint.seed = 1
    constraint.prepare(redrawn(other, seed=3).float())
    prepared(x)
    twin = copy.deepcopy(prepared)
    other.load_state_dict(prepared.state_dict())
    expected = prepared(x)  # in training mode: the iteration goes on from the same vectors
    assert torch.equal(twin(x), expected)
    assert torch.equal(other(x), expected)


def test_a_penalty_on_the_normalized_critic(constraint: Constraint) -> None:
    name = "sn" if isinstance(constraint, SpectralNormalization) else "sn-operator"
    composite, prepared = build(f"{name}+gp", shape=(1, 8, 8), gp={"at": "real"}), redrawn(critic())
    composite.prepare(prepared)
    prepared.eval()
    x = normal(4, 1, 8, 8, seed=2)
    score = Score(composite, prepared)
    found = composite.penalty(score, x, x, generator=seeded())
    n = gradient_norm(*value_and_input_gradient(prepared, x, method="autograd"))
    expected = 10 * (n - 1).square().mean()
    assert n.max() < 1 or name == "sn"  # every layer has norm 1, and so has their product
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    weights = [parameter for name, parameter in prepared.named_parameters() if name.endswith("original")]
    for grads in zip(*(torch.autograd.grad(loss, weights) for loss in (found, expected)), strict=True):
        torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-13)  # roundings, of a sum that nearly cancels
