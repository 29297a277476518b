"""Networks against published sizes, the theorem's hypothesis, and second implementations of their blocks."""

import re
from collections.abc import Callable
from math import sqrt

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import (
    avg_pool2d,
    batch_norm,
    conv2d,
    conv_transpose2d,
    interpolate,
    leaky_relu,
    relu,
)

from gncompanion.models import (
    ACTIVATIONS,
    NETWORKS,
    Critic,
    DCGANCritic,
    DCGANGenerator,
    MLPCritic,
    MLPGenerator,
    ResNetCritic,
    ResNetGenerator,
    StageCritic,
    build,
)
from gncompanion.models.blocks import initialise, kaiming, uniform
from gncompanion.models.resnet import CriticBlock, GeneratorBlock
from tests.helpers.draws import seeded

IMAGES = [("dcgan", s) for s in (8, 32, 48)] + [("resnet", s) for s in (8, 32, 48, 128, 256)]
FAMILIES = [
    ("mlp", (2,), {}),
    ("dcgan", (1, 8, 8), {}),
    ("resnet", (1, 8, 8), {}),
    ("stage", (1, 8, 8), {"n_layers": 5}),
    ("autogan", (1, 8, 8), {}),
    ("e2gan", (1, 8, 8), {}),
]
CONDITIONAL = {"biggan"}  # has a file of its own, as have the sizes of the searched ones


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    """Equal up to the rounding of float64, some hundred operations deep and with values of order one."""
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-13)


def n_parameters(make: Callable[[], nn.Module]) -> int:
    with torch.device("meta"):  # shapes without storage
        return sum(parameter.numel() for parameter in make().parameters())


def small_critics(activation: str | None = None) -> list[tuple[Critic, tuple[int, ...]]]:
    """One small float64 critic a family, with the shape of a sample; None = the family's own activation."""
    options = {"width": 8} if activation is None else {"width": 8, "activation": activation}
    return [
        (build(name, shape, generator=seeded(), **needed, **options)[1].double(), shape)
        for name, shape, needed in FAMILIES
    ]


@pytest.mark.parametrize(
    ("make", "size", "published"),
    [
        (DCGANGenerator, 32, "3.81"),
        (DCGANCritic, 32, "5.86"),
        (ResNetGenerator, 32, "4.28"),
        (ResNetCritic, 32, "1.053825"),
        (ResNetGenerator, 48, "4.88"),
        (ResNetCritic, 48, "4.86"),
        (ResNetGenerator, 256, "37.1"),
        (ResNetCritic, 256, "43.4"),
    ],
)
def test_parameters_in_millions(make: type[nn.Module], size: int, published: str) -> None:
    decimals = len(published.split(".")[1])
    assert f"{n_parameters(lambda: make(size)) / 1e6:.{decimals}f}" == published


@pytest.mark.parametrize(
    ("n_layers", "published", "exact"),
    [(3, "2.64", 2_636_673), (6, "3.50", 3_501_057), (9, "4.28", 4_275_649)],
)
def test_parameters_of_the_authors_stage_critics(n_layers: int, published: str, exact: int) -> None:
    assert n_parameters(lambda: StageCritic(n_layers)) == exact
    assert f"{exact / 1e6:.2f}" == published


@pytest.mark.parametrize(("name", "size"), IMAGES)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_every_size(name: str, size: int, channels: int) -> None:
    G, D = build(name, (channels, size, size), generator=seeded(), width=1, z_dim=5)
    with torch.no_grad():
        x = G(torch.randn(3, G.z_dim, generator=seeded()))
        assert x.shape == (3, channels, size, size)
        assert x.abs().max() <= 1
        assert D(x).shape == (3,)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_points_of_every_dimension(d: int) -> None:
    G, D = build("mlp", (d,), generator=seeded(), width=4, depth=1, z_dim=3)
    x = G(torch.randn(5, 3, generator=seeded()))
    assert x.shape == (5, d)
    assert D(x).shape == (5,)


def test_mlp_critic_flattens_images() -> None:
    D, x = MLPCritic(64, width=4, generator=seeded()).double(), noise(3, 1, 8, 8)
    assert torch.equal(D(x), D(x.reshape(3, 64)))


@pytest.mark.parametrize("depth", [1, 4])
def test_mlp_depth_counts_hidden_layers(depth: int) -> None:
    for network in build("mlp", (2,), generator=seeded(), width=3, depth=depth):
        assert sum(isinstance(layer, nn.Linear) for layer in network.modules()) == depth + 1


def test_labels_are_ignored() -> None:
    y = torch.tensor([0, 1, 2])
    for D, shape in small_critics():
        x = noise(3, *shape)
        assert torch.equal(D(x, y), D(x))
    G = MLPGenerator(2, 2, width=3, generator=seeded()).double()
    assert torch.equal(G(noise(3, 2), y), G(noise(3, 2)))


def convolutions(critic: Critic) -> list[tuple[int, int, int, int]]:
    kernels = [layer for layer in critic.features if isinstance(layer, nn.Conv2d)]
    return [(k.in_channels, k.out_channels, k.kernel_size[0], k.stride[0]) for k in kernels]


def test_stage_critic_of_the_authors() -> None:
    _, channels, kernels, strides = zip(*convolutions(StageCritic(9, width=4)), strict=True)
    assert channels == (4, 4, 8, 8, 8, 16, 16, 16, 32)
    assert kernels == (3, 3, 4) * 3
    assert strides == (1, 1, 2) * 3


@pytest.mark.parametrize(
    ("n_layers", "stages"), [(1, (1,)), (2, (1, 1)), (4, (2, 1, 1)), (8, (3, 3, 2)), (32, (11, 11, 10))]
)
def test_stage_critic_shares_convolutions_out(n_layers: int, stages: tuple[int, ...]) -> None:
    strides = [stride for *_, stride in convolutions(StageCritic(n_layers, 8, channels=1, width=2))]
    assert strides == [stride for count in stages for stride in [1] * (count - 1) + [2]]


@pytest.mark.parametrize("n_layers", range(1, 33))
def test_stage_critic_of_every_depth(n_layers: int) -> None:
    D = StageCritic(n_layers, 8, channels=1, generator=seeded())
    pairs = list(zip(D.features[::2], D.features[1::2], strict=True))
    assert len(pairs) == n_layers
    assert all(isinstance(a, nn.Conv2d) and isinstance(b, nn.LeakyReLU) for a, b in pairs)
    x = noise(2, 1, 8, 8).float().requires_grad_()
    f = D(x)
    (g,) = torch.autograd.grad(f.sum(), x)
    assert f.shape == (2,)
    assert (g.square().sum((1, 2, 3)) > 1e-36).all()  # no underflow: a hundred times float32's smallest
    h = x
    for k in range(n_layers):
        h = D.features[2 * k : 2 * k + 2](h)
    assert torch.equal(D.head(h).squeeze(1), f)
    assert StageCritic(n_layers, width=1)(torch.zeros(2, 3, 32, 32)).shape == (2,)


@pytest.mark.parametrize("n_layers", [0, -1, 33, 8.0, "x", None, True])
def test_stage_critic_refuses_other_depths(n_layers: object) -> None:
    with pytest.raises(ValueError, match=rf"^n_layers must be an integer from 1 to 32, not {n_layers!r}$"):
        StageCritic(n_layers)


def curvature(critic: Critic, shape: tuple[int, ...], *, step: float = 1e-4) -> float:
    """Median over 64 points of |f(x + v) − 2 f(x) + f(x − v)| / |f(x + v) − f(x − v)| with ‖v‖ = step."""
    x, v = noise(64, *shape), noise(64, *shape, seed=1)
    v = v * step / v.flatten(1).norm(dim=1).reshape(-1, *[1] * len(shape))
    with torch.no_grad():
        up, middle, down = critic(x + v), critic(x), critic(x - v)
    return ((up - 2 * middle + down) / (up - down)).abs().median().item()


@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu"])
def test_critics_are_piecewise_linear(activation: str | None) -> None:
    # On one linear piece only rounding is left, some 1e-15 |f| over a difference of 1e-5 |f| (seen: 1e-10);
    # the median, because a few of the 64 segments cross a kink.
    for D, shape in small_critics(activation):
        assert curvature(D, shape) < 1e-9


@pytest.mark.parametrize("activation", ["elu", "softplus", "softplus-20"])
def test_smooth_activations_are_seen_to_be_curved(activation: str) -> None:
    for D, shape in small_critics(activation):
        assert curvature(D, shape) > 1e-7  # a hundred times what passes for straight


def test_critics_do_not_couple_samples() -> None:
    for D, shape in small_critics():
        x = noise(4, *shape)
        alone = torch.cat([D(row[None]) for row in x])
        assert_equal(D(x), alone)


def test_mlp_without_biases_is_homogeneous() -> None:
    D, x = MLPCritic(3, width=16, bias=False, generator=seeded()).double(), noise(32, 3).requires_grad_()
    f = D(x)
    (g,) = torch.autograd.grad(f.sum(), x)
    assert_equal((g * x).sum(1), f)
    assert not any(name.endswith("bias") for name, _ in D.named_parameters())


@pytest.mark.parametrize("size", [8, 32])
def test_dcgan_critic_without_biases_is_homogeneous(size: int) -> None:
    D, x = DCGANCritic(size, 1, width=4, bias=False, generator=seeded()).double(), noise(8, 1, size, size)
    f = D(x.requires_grad_())
    (g,) = torch.autograd.grad(f.sum(), x)
    assert_equal((g * x).flatten(1).sum(1), f)
    assert not any(name.endswith("bias") for name, _ in D.named_parameters())
    with_biases = DCGANCritic(size, 1, width=4, generator=seeded()).double()
    assert_equal(with_biases(x), f)  # the same weights, and biases start at zero


def test_dcgan_critic_starts_with_the_biases_wanted() -> None:
    plain, D = (DCGANCritic(8, 1, bias_std=std, generator=seeded()) for std in (0.0, 0.5))
    for (name, before), (_, after) in zip(plain.named_parameters(), D.named_parameters(), strict=True):
        assert torch.equal(before, after) == name.endswith("weight")
    drawn = torch.cat([p.detach() for name, p in D.named_parameters() if name.endswith("bias")])
    assert abs(drawn.std().item() - 0.5) < 0.1  # four deviations of an estimate from 193 numbers


@pytest.mark.parametrize("options", [{"bias_std": -1.0}, {"bias_std": 0.1, "bias": False}])
def test_dcgan_critic_refuses_biases_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"bias_std=.* must be 0 or more, and 0 without biases"):
        DCGANCritic(8, 1, **options)


def test_a_family_without_the_option_refuses_it() -> None:
    with pytest.raises(ValueError, match="unknown resnet option 'bias'"):
        build("resnet", (1, 8, 8), generator=seeded(), bias=False)


def test_dcgan_critic_is_the_table_of_the_papers() -> None:
    D, x = DCGANCritic(32, width=4, generator=seeded()).double(), noise(2, 3, 32, 32)
    parameters = list(D.parameters())
    h, channels = x, []
    for i, stride in enumerate([1, 2, 1, 2, 1, 2, 1]):
        weight, bias = parameters[2 * i : 2 * i + 2]
        assert weight.shape[2] == {1: 3, 2: 4}[stride]
        h = leaky_relu(conv2d(h, weight, bias, stride=stride, padding=1), 0.1)
        channels.append(h.shape[1] // 4)
    assert channels == [1, 2, 2, 4, 4, 8, 8]
    f = (h.flatten(1) @ parameters[-2].T + parameters[-1]).squeeze(1)
    assert_equal(D(x), f)


def rectified(h: Tensor) -> Tensor:
    return relu(batch_norm(h, None, None, training=True))


def test_dcgan_generator_is_the_table_of_the_papers() -> None:
    G, z = DCGANGenerator(32, width=2, z_dim=5, generator=seeded()).double(), noise(4, 5)
    dense, bias, _, _, *deconvolutions, weight, last_bias = G.parameters()
    h = rectified((z @ dense.T + bias).reshape(4, 16, 4, 4))
    for kernel, bias, _, _ in zip(*[iter(deconvolutions)] * 4, strict=True):
        h = rectified(conv_transpose2d(h, kernel, bias, stride=2, padding=1))
    assert_equal(G(z), conv2d(h, weight, last_bias, padding=1).tanh())


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("halve", [True, False])
@pytest.mark.parametrize("channels", [(3, 5), (4, 4)])
def test_critic_block(first: bool, halve: bool, channels: tuple[int, int]) -> None:
    block = CriticBlock(*channels, first=first, halve=halve, activation="relu").double()
    x = noise(2, channels[0], 6, 6)
    w1, b1, w2, b2, *shortcut = block.parameters()
    h = conv2d(relu(conv2d(x if first else relu(x), w1, b1, padding=1)), w2, b2, padding=1)
    assert bool(shortcut) == (halve or channels[0] != channels[1])
    h = h + (conv2d(x, *shortcut) if shortcut else x)
    assert_equal(block(x), avg_pool2d(h, 2) if halve else h)


def test_generator_block() -> None:
    block, x = GeneratorBlock(3, 5).double(), noise(4, 3, 6, 6)
    _, _, w1, b1, _, _, w2, b2, w3, b3 = block.parameters()

    def up(h: Tensor) -> Tensor:
        return interpolate(h, scale_factor=2, mode="nearest")

    h = conv2d(up(rectified(x)), w1, b1, padding=1)
    h = conv2d(rectified(h), w2, b2, padding=1) + conv2d(up(x), w3, b3)
    assert_equal(block(x), h)


def test_resnet_critic_takes_the_mean_over_space() -> None:
    D, x = ResNetCritic(32, width=2, generator=seeded()).double(), noise(2, 3, 32, 32)
    *_, weight, bias = D.parameters()
    h = D.features(x)
    assert h.shape == (2, 4, 8, 8)
    assert_equal(D(x), relu(h).mean((2, 3)) @ weight[0] + bias)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("relu", lambda x: x.clamp(min=0)),
        ("leaky_relu", lambda x: torch.where(x > 0, x, 0.1 * x)),
        ("elu", lambda x: torch.where(x > 0, x, x.exp() - 1)),
        ("softplus", lambda x: (1 + x.exp()).log()),
        ("softplus-20", lambda x: (1 + (20 * x).exp()).log() / 20),
    ],
)
def test_activation(name: str, formula: Callable[[Tensor], Tensor]) -> None:
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    # PyTorch's softplus is x itself beyond x = 20 / β, which is off by exp(-20) / β = 2e-9 / β
    torch.testing.assert_close(ACTIVATIONS[name]()(x), formula(x), rtol=0, atol=2.1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_critic_takes_every_activation(name: str) -> None:
    with torch.device("meta"):
        kind = type(ACTIVATIONS[name]())
        for make in (MLPCritic, DCGANCritic, ResNetCritic, lambda **more: StageCritic(4, **more)):
            assert any(isinstance(layer, kind) for layer in make(width=2, activation=name).modules())


@pytest.mark.parametrize(("name", "shape", "options"), FAMILIES)
def test_weights_are_a_function_of_the_generator_alone(
    name: str, shape: tuple[int, ...], options: dict
) -> None:
    def weights(seed: int, global_seed: int) -> list[Tensor]:
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        networks = build(name, shape, generator=seeded(seed), **options)
        assert torch.equal(torch.get_rng_state(), before)
        return [tensor for network in networks for tensor in network.state_dict().values()]

    first = weights(0, 0)
    assert all(torch.equal(a, b) for a, b in zip(first, weights(0, 1), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, weights(1, 0), strict=True) if a.ndim > 1)


@pytest.mark.parametrize(
    ("name", "width", "std"),
    [
        ("dcgan", 64, lambda fan_in: 0.02),
        ("dcgan", 16, lambda fan_in: 0.04),
        ("resnet", 16, lambda fan_in: sqrt(2 / fan_in)),
    ],
)
def test_deviation_of_weights(name: str, width: int, std: Callable[[int], float]) -> None:
    for layer in nn.ModuleList(build(name, (3, 32, 32), generator=seeded(), width=width)).modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            expected = std(layer.weight[0].numel())
            five_errors = 5 * expected / sqrt(2 * layer.weight.numel())  # standard errors of a deviation
            assert layer.weight.std().item() == pytest.approx(expected, abs=five_errors)
            assert not layer.bias.any()


def test_uniform_is_torchs_default() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 4)
    default = [parameter.clone() for parameter in layer.parameters()]
    initialise(layer, uniform, seeded(0))
    # the same seed and the same distributions in the same order; rounding of the bound
    for ours, theirs in zip(layer.parameters(), default, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


def test_initialise_refuses_what_no_rule_covers() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Embedding(3, 2))
    with pytest.raises(TypeError, match="no rule initialises layer '1', a Embedding"):
        initialise(network, kaiming, seeded())


def test_build_gives_each_option_to_whom_it_concerns() -> None:
    G, D = build("stage", (1, 8, 8), generator=seeded(), n_layers=2, width=3, z_dim=4, activation="relu")
    assert G.z_dim == 4
    assert convolutions(D) == [(1, 6, 4, 2), (6, 12, 4, 2)]
    assert G.layers[-2].in_channels == 3


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (
            "dcgn",
            (2,),
            "unknown network 'dcgn', did you mean 'dcgan'? (valid: mlp, dcgan, resnet, stage, biggan",
        ),
        ("mlp", (1, 8, 8), "'mlp' has no form for data of shape (1, 8, 8): there are 'mlp' for points (d,);"),
        ("dcgan", (2,), "'dcgan' for (channels, s, s) with s in (8, 32, 48);"),
        ("dcgan", (3, 128, 128), "'resnet' for (channels, s, s) with s in (8, 32, 48, 128, 256);"),
        ("resnet", (3, 32, 48), "network 'resnet' has no form for data of shape (3, 32, 48)"),
    ],
)
def test_build_refuses_what_does_not_exist(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build(name, shape, generator=seeded())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"widht": 4}, "option 'widht', did you mean 'width'? (valid: activation, n_layers, width, z_dim)"),
        ({"size": 32}, "unknown stage option 'size'"),
        (
            {"activation": "gelu"},
            "unknown activation 'gelu', did you mean 'elu'? (valid: relu, leaky_relu, elu, softplus",
        ),
        ({"width": 0}, "width must be a positive integer, not 0"),
        ({"z_dim": 1.5}, "z_dim must be a positive integer, not 1.5"),
        ({"n_layers": 40}, "n_layers must be an integer from 1 to 32, not 40"),
    ],
)
def test_build_refuses_options(option: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build("stage", (1, 8, 8), generator=seeded(), **{"n_layers": 2, **option})


@pytest.mark.parametrize("make", [DCGANGenerator, DCGANCritic, ResNetGenerator, ResNetCritic])
def test_networks_refuse_other_sizes(make: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"unknown \w+ image size 64.* \(valid: 8, 32, 48"):
        make(64)


def test_every_network_is_tested() -> None:
    assert {name for name, *_ in FAMILIES} == set(NETWORKS) - CONDITIONAL
    sizes = {(name, size) for name, family in NETWORKS.items() for size in family.sizes}
    assert {(name, size) for name, size in sizes if name in {"dcgan", "resnet"}} == set(IMAGES)
