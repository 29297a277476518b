"""What every network is made of: activations, initialisation, and the two faces.

    generator   G(z, y) = layers(z)              z (N, z_dim)  ↦  x (N, *shape)
    critic      f(x, y) = head(features(x))      x (N, *shape) ↦  f (N,)

Both take labels `y`; those that are unconditional ignore them. No critic couples the samples of a batch
(there is no batch normalization), so that row i of ∇ₓ Σⱼ f(xⱼ) is ∇f(xᵢ). With "relu" or "leaky_relu" it is
piecewise linear too, as Assumption 4 of Wu et al. (2021) asks.

An initialisation rule draws the weights of one layer, and `initialise` applies it to all layers of a network.
Random numbers come from the torch.Generator given; None means torch's global one, as in `torch.nn.init`.
"""

from collections.abc import Callable
from functools import partial
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

__all__ = [
    "ACTIVATIONS",
    "Critic",
    "Generator",
    "Rule",
    "Scale",
    "SumOverSpace",
    "initialise",
    "kaiming",
    "normal",
    "require_labels",
    "require_positive",
    "spectrally_normalise",
    "uniform",
    "xavier",
]

Layer = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
Rule = Callable[[Layer, torch.Generator | None], None]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.1),
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "softplus-20": partial(nn.Softplus, beta=20),
}


class Generator(nn.Module):
    """A map from noise to samples.

    Args:
        z_dim: dimension of the noise.
        layers: the map itself, (N, z_dim) to (N, *shape).
    """

    def __init__(self, z_dim: int, layers: nn.Sequential) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.layers = layers

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return one sample (N, *shape) a row of `z` (N, z_dim); labels `y` are ignored."""
        return self.layers(z)


class Critic(nn.Module):
    """A map from samples to scores, in two parts that measurements can slice.

    Args:
        features: all hidden layers, in order.
        head: what turns the last hidden layer into one number a sample, (N, 1).
    """

    def __init__(self, features: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.features = features
        self.head = head

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Return one score (N,) a sample of `x` (N, *shape); labels `y` are ignored."""
        return self.head(self.features(x)).squeeze(1)


class SumOverSpace(nn.Module):
    """(N, C, H, W) to (N, C), by a sum where an average would do up to a scale."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum((2, 3))


class Scale(nn.Module):
    """x to γ x, with one learned γ that starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x


def normal(std: float) -> Rule:
    """Return the rule of DCGAN: weights from N(0, std²), biases zero."""

    def rule(layer: Layer, generator: torch.Generator | None) -> None:
        nn.init.normal_(layer.weight, std=std, generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)

    return rule


def kaiming(layer: Layer, generator: torch.Generator | None) -> None:
    """Draw weights from N(0, 2 / fan-in) and set biases to zero (He et al. 2015)."""
    nn.init.kaiming_normal_(layer.weight, generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def xavier(layer: Layer, generator: torch.Generator | None) -> None:
    """Draw weights from U(-b, b), b² = 6 / (fan-in + fan-out), biases zero (Glorot and Bengio 2010)."""
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    if getattr(layer, "bias", None) is not None:
        nn.init.zeros_(layer.bias)


def uniform(layer: Layer, generator: torch.Generator | None) -> None:
    """Draw weights and biases from U(-1/√fan-in, 1/√fan-in), which is PyTorch's own default."""
    bound = 1 / sqrt(layer.weight[0].numel())
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)


def initialise(
    module: nn.Module,
    rule: Rule,
    generator: torch.Generator | None = None,
    *,
    also: type[nn.Module] | tuple[()] = (),
) -> None:
    """Draw all weights of a network anew, in the order of its layers.

    Args:
        module: the network; its batch normalizations and scales, which hold nothing random, are left as they
            are.
        rule: `normal(std)`, `kaiming`, `xavier` or `uniform`.
        generator: where the random numbers come from; None = torch's global generator.
        also: a further kind of layer that the rule covers, such as nn.Embedding.

    Raises:
        TypeError: if a layer has parameters that no rule covers.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, (Layer, also)):
            rule(layer, generator)
        elif list(layer.parameters(recurse=False)) and not isinstance(layer, nn.BatchNorm2d | Scale):
            raise TypeError(f"no rule initialises layer {name!r}, a {type(layer).__name__}")


def spectrally_normalise(module: nn.Module, generator: torch.Generator | None = None) -> None:
    """Divide the weight of every layer, but not of embeddings, by its kernel's norm (torch's).

    Args:
        module: the network, its weights already drawn.
        generator: source of the power iterations' start vectors; None = torch's global one.
    """
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    with torch.random.fork_rng(devices=[]):  # torch draws the start vectors from its global generator
        torch.default_generator.manual_seed(seed)
        for layer in list(module.modules()):
            if isinstance(layer, Layer):
                spectral_norm(layer, eps=1e-6)


def require_labels(y: Tensor | None, who: str) -> Tensor:
    """Return the labels, or raise ValueError where a conditional network got none."""
    if y is None:
        raise ValueError(f"{who} is conditional: it needs labels y (N,)")
    return y


def require_positive(**values: int) -> None:
    """Raise ValueError, with name and value, unless every keyword is a positive integer."""
    for name, value in values.items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} must be a positive integer, not {value!r}")
