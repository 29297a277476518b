"""The conditional networks against published sizes, second implementations and the projection's formula."""

import copy
import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, interpolate, one_hot, relu
from torch.nn.utils import parametrize

from gncompanion.constraints import GradientNorm
from gncompanion.input_gradient import unsupported_reason, value_and_input_gradient
from gncompanion.models import BigGANCritic, BigGANGenerator, SelfAttention, build
from gncompanion.models.biggan import LAYOUTS, ConditionalBatchNorm, ConditionalBlock
from gncompanion.models.resnet import CriticBlock
from tests.helpers.draws import normal, seeded

LABELS = torch.tensor([2, 0, 1, 2])


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    """Equal up to the rounding of float64, some hundred operations deep and with values of order one."""
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-13)


def small(seed: int = 0, **options: object) -> tuple[BigGANGenerator, BigGANCritic]:
    networks = build("biggan", (1, 8, 8), generator=seeded(seed), **{"n_classes": 3, "width": 4, **options})
    return networks[0].double(), networks[1].double()


@pytest.mark.parametrize(
    ("make", "published", "exact"), [(BigGANGenerator, "4.30", 4_304_387), (BigGANCritic, "4.21", 4_207_361)]
)
def test_parameters(make: type[nn.Module], published: str, exact: int) -> None:
    assert sum(parameter.numel() for parameter in make(10, generator=seeded()).parameters()) == exact
    assert f"{exact / 1e6:.2f}" == published


@pytest.mark.parametrize("size", LAYOUTS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("attention", [False, True])
def test_images_of_every_size(size: int, channels: int, attention: bool) -> None:
    options = {"n_classes": 3, "width": 4, "z_dim": 5, "attention": attention}
    G, D = build("biggan", (channels, size, size), generator=seeded(), **options)
    with torch.no_grad():
        x = G(torch.randn(4, 5, generator=seeded()), LABELS)
        assert x.shape == (4, channels, size, size)
        assert x.abs().max() <= 1
        assert D(x, LABELS).shape == (4,)


# The generator


def test_conditional_batch_norm() -> None:
    layer, x = ConditionalBatchNorm(2, 3).double(), normal(4, 2, 3, 3)
    whitened = (x - x.mean((0, 2, 3), keepdim=True)) / (
        x.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5
    ).sqrt()
    classes = one_hot(LABELS, 3).double()
    gain, bias = (classes @ embed.weight for embed in (layer.gain, layer.bias))
    assert_equal(layer(x, LABELS), (1 + gain)[..., None, None] * whitened + bias[..., None, None])


def test_conditional_block() -> None:
    block, x = ConditionalBlock(2, 5, 3).double(), normal(4, 2, 6, 6)

    def rectified(h: Tensor, layer: ConditionalBatchNorm) -> Tensor:
        gain, bias = (embed.weight[LABELS][:, :, None, None] for embed in (layer.gain, layer.bias))
        return relu((1 + gain) * batch_norm(h, None, None, training=True) + bias)

    def convolved(h: Tensor, layer: nn.Conv2d) -> Tensor:
        return conv2d(h, layer.weight, layer.bias, padding=layer.weight.shape[2] // 2)

    def up(h: Tensor) -> Tensor:
        return interpolate(h, scale_factor=2, mode="nearest")

    h = convolved(up(rectified(x, block.first_norm)), block.first[-1])
    h = convolved(rectified(h, block.second_norm), block.second[-1]) + convolved(up(x), block.shortcut[0])
    assert_equal(block(x, LABELS), h)


def test_generator_is_its_layers() -> None:
    G, _ = small()
    z = normal(4, G.eval().z_dim)
    dense, unflatten, *blocks, norm, activation, convolution, tanh = G.layers
    assert [type(block) for block in blocks] == [ConditionalBlock] * 2
    h = unflatten(dense(z))
    for block in blocks:
        h = block(h, LABELS)
    assert_equal(G(z, LABELS), tanh(convolution(activation(norm(h)))))


def test_each_row_is_of_its_own_class() -> None:
    G, _ = small()
    G.eval()
    z = normal(1, G.z_dim).expand(4, -1)
    x = G(z, LABELS)
    assert_equal(x[0], x[3])
    assert (x[0] - x[1]).abs().max() > 1e-3


def test_generators_layers_are_spectrally_normalised() -> None:
    G, D = small(attention=True, width=8)
    for name, layer in G.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            assert parametrize.is_parametrized(layer, "weight"), name
            norm = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
            assert norm == pytest.approx(1, rel=0.2), name  # some twenty power iterations
        elif isinstance(layer, nn.Embedding | nn.BatchNorm2d):
            assert not parametrize.is_parametrized(layer), name
    assert not any(parametrize.is_parametrized(layer) for layer in D.modules())


def test_generator_can_be_copied_and_restored() -> None:
    G, _ = small()
    z = normal(4, G.z_dim)
    for _ in range(3):
        G(z, LABELS)  # moves batch statistics and power iterations
    fresh, _ = small(seed=1)
    fresh.load_state_dict(G.state_dict())
    expected = G.eval()(z, LABELS)
    assert torch.equal(copy.deepcopy(G)(z, LABELS), expected)
    assert torch.equal(fresh.eval()(z, LABELS), expected)


# The critic


def test_critic_is_the_projection() -> None:
    _, D = small()
    x = normal(4, 1, 8, 8)
    h = relu(D.features(x)).sum((2, 3))
    linear = D.head[-1]
    by_hand = [
        h[i] @ (linear.weight[0] + D.embed.weight[label]) + linear.bias[0] for i, label in enumerate(LABELS)
    ]
    assert_equal(D(x, LABELS), torch.stack(by_hand))


def test_critic_at_32_is_the_official_layout() -> None:
    D = BigGANCritic(10, width=1)
    assert [type(block) for block in D.features] == [CriticBlock] * 4
    shapes = [D.features[:k](torch.zeros(1, 3, 32, 32)).shape[1:] for k in range(1, 5)]
    assert shapes == [(4, 16, 16), (4, 8, 8), (4, 8, 8), (4, 8, 8)]


def test_critic_does_not_couple_samples() -> None:
    for attention in (False, True):
        _, D = small(attention=attention)
        x = normal(4, 1, 8, 8)
        alone = [D(x[i : i + 1], LABELS[i : i + 1]) for i in range(4)]
        assert_equal(D(x, LABELS), torch.cat(alone))


def gradients(D: BigGANCritic, method: str) -> list[Tensor]:
    """Of x and of all weights, of a loss in the normalised scores."""
    x = normal(4, 1, 8, 8).requires_grad_()
    scores = GradientNorm(D, method=method)(x, LABELS)
    loss = (scores * torch.tensor([1.0, -2.0, 3.0, -0.5])).sum()
    return [scores, *torch.autograd.grad(loss, [x, *D.parameters()])]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_gradient_normalization_by_the_primitive_is_that_by_autograd(activation: str) -> None:
    _, D = small(activation=activation)
    with torch.no_grad():
        D.embed.weight.mul_(3)  # so that the projection weighs
    names = ["score", "x", *(name for name, _ in D.named_parameters())]
    pairs = zip(names, gradients(D, "linear"), gradients(D, "autograd"), strict=True)
    for name, fast, exact in pairs:
        assert (fast - exact).abs().max() <= 1e-12 * exact.abs().max() + 1e-15, name
    f, g = value_and_input_gradient(D, normal(4, 1, 8, 8), LABELS, method="linear", verify=True)
    assert_equal(f, D(normal(4, 1, 8, 8), LABELS))
    assert g.shape == (4, 1, 8, 8)
    assert unsupported_reason(D, normal(4, 1, 8, 8), LABELS) is None


def test_gradient_depends_on_the_class() -> None:
    _, D = small()
    x = normal(1, 1, 8, 8).expand(4, -1, -1, -1)
    _, g = value_and_input_gradient(D, x, LABELS)
    assert_equal(g[0], g[3])
    assert (g[0] - g[1]).abs().max() > 1e-3 * g.abs().max()


# Both


def test_weights_start_from_xaviers_law_and_the_given_generator() -> None:
    made = []
    for seed, global_seed in ((0, 0), (0, 1), (1, 0)):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        made.append(small(seed))
        assert torch.equal(torch.get_rng_state(), before)
    first, same, other = made
    for i in (0, 1):
        states = [networks[i].state_dict() for networks in (first, same, other)]
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
        drawn = [name for name, tensor in states[0].items() if tensor.ndim > 1]
        assert not any(torch.equal(states[0][name], states[2][name]) for name in drawn)
        starts = {
            name: layer.parametrizations.weight.original
            if parametrize.is_parametrized(layer)
            else layer.weight
            for name, layer in first[i].named_modules()
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding)
        }
        assert starts
        for name, weight in starts.items():
            space = weight[0, 0].numel()
            bound = (6 / (space * (weight.shape[0] + weight.shape[1]))) ** 0.5
            assert 0.7 * bound < weight.abs().max() <= bound * (1 + 1e-6), name
        assert not any(
            p.any()
            for name, p in first[i].named_parameters()
            if re.search(r"\d\.bias$", name) and p.ndim == 1
        )


@pytest.mark.parametrize("attention", [False, True])
def test_attention_where_it_is_asked_for(attention: bool) -> None:
    G, D = small(attention=attention, width=8)
    kinds = [type(layer) for layer in (*G.layers, *D.features)]
    assert kinds.count(SelfAttention) == 2 * attention
    if attention:
        assert isinstance(G.layers[3], SelfAttention)  # dense, unflatten, block, attention, block …
        assert isinstance(D.features[1], SelfAttention)


def test_conditional_networks_want_labels() -> None:
    G, D = small()
    assert G.n_classes == D.n_classes == 3
    with pytest.raises(ValueError, match=re.escape("this generator is conditional: it needs labels y (N,)")):
        G(normal(4, G.z_dim))
    with pytest.raises(ValueError, match="this critic is conditional"):
        D(normal(4, 1, 8, 8))


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 8, 8), {}, "network 'biggan' needs a value for n_classes"),
        ((1, 8, 8), {"n_classes": 0}, "n_classes=0 must be an integer from 1 on"),
        ((3, 48, 48), {"n_classes": 3}, "'biggan' for (channels, s, s) with s in (8, 32)"),
        (
            (1, 8, 8),
            {"n_classes": 3, "activation": "rleu"},
            "unknown activation 'rleu', did you mean 'relu'?",
        ),
        ((1, 8, 8), {"n_classes": 3, "width": 3, "attention": True}, "channels=6 must be a multiple of 8"),
    ],
)
def test_what_cannot_be_built_is_refused(shape: tuple[int, ...], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build("biggan", shape, generator=seeded(), **options)
