"""How weights start: rules, each of which draws one layer, and `initialise`, which applies one to a network.

    normal(std)   W ~ N(0, std²)                                  DCGAN (1511.06434)
    kaiming       W ~ N(0, 2 / fan-in)                            He et al. 2015 (1502.01852)
    xavier        W ~ U(-b, b), b² = 6 / (fan-in + fan-out)       Glorot and Bengio 2010
    uniform       W and biases ~ U(-1/√fan-in, 1/√fan-in)         PyTorch's own default

All but the last set biases to zero. Random numbers come from the torch.Generator given; None means torch's
global one, as in `torch.nn.init`.
"""

from collections.abc import Callable
from math import sqrt

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gncompanion.models.blocks import LearnedScale

__all__ = [
    "InitialisationRule",
    "Layer",
    "initialise",
    "kaiming",
    "normal",
    "spectrally_normalise",
    "uniform",
    "xavier",
]

Affine = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
Layer = Affine | nn.Embedding
InitialisationRule = Callable[[Layer, torch.Generator | None], None]


def normal(std: float) -> InitialisationRule:
    """Make the rule that draws weights from N(0, std²) and sets biases to zero.

    Args:
        std: The standard deviation of the weights.

    Returns:
        The rule.
    """

    def rule(layer: Layer, generator: torch.Generator | None) -> None:
        nn.init.normal_(layer.weight, std=std, generator=generator)
        _clear_bias(layer)

    return rule


def kaiming(layer: Layer, generator: torch.Generator | None) -> None:
    """Draw weights from N(0, 2 / fan-in) and set biases to zero."""
    nn.init.kaiming_normal_(layer.weight, generator=generator)
    _clear_bias(layer)


def xavier(layer: Layer, generator: torch.Generator | None) -> None:
    """Draw weights from U(-b, b), b² = 6 / (fan-in + fan-out), and set biases to zero."""
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    _clear_bias(layer)


def uniform(layer: Layer, generator: torch.Generator | None) -> None:
    """Draw weights and biases from U(-1/√fan-in, 1/√fan-in)."""
    bound = 1 / sqrt(layer.weight[0].numel())
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound, generator=generator)


def initialise(
    module: nn.Module,
    rule: InitialisationRule,
    generator: torch.Generator | None = None,
    *,
    embeddings: bool = False,
) -> None:
    """Draw all weights of a network anew, in the order of its layers.

    Args:
        module: The network; its batch normalizations and scales, which hold nothing random, are left as they
            are.
        rule: The rule for one layer: `normal(std)`, `kaiming`, `xavier` or `uniform`.
        generator: Source of the random numbers; None = torch's global generator.
        embeddings: Whether the rule covers embeddings too.

    Raises:
        TypeError: A layer has parameters that the rule does not cover.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, Affine) or (embeddings and isinstance(layer, nn.Embedding)):
            rule(layer, generator)
        elif list(layer.parameters(recurse=False)) and not isinstance(layer, nn.BatchNorm2d | LearnedScale):
            raise TypeError(f"no rule initialises layer {name!r}, a {type(layer).__name__}")


def spectrally_normalise(module: nn.Module, generator: torch.Generator | None = None) -> None:
    """Divide the weight of every layer, but not of embeddings, by its kernel's norm (torch's).

    Args:
        module: The network, its weights already drawn; it is changed in place.
        generator: Source of the power iterations' start vectors; None = torch's global generator.
    """
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    with torch.random.fork_rng(devices=[]):  # torch draws the start vectors from its global generator
        torch.default_generator.manual_seed(seed)
        for layer in list(module.modules()):
            if isinstance(layer, Affine):
                spectral_norm(layer, eps=1e-6)


def _clear_bias(layer: Layer) -> None:
    if isinstance(layer, Affine) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
