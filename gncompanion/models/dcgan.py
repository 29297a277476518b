"""The convolutional networks of SN-GAN and GN-GAN ("CNN" in their tables).

A stage halves the image and doubles the channels, or the reverse. At 32 x 32, with w = `width`:

    generator   dense → 4·4·8w,  4x4/2 → 4w → 2w → w (transposed),  3x3 → image
                batch normalization and ReLU between them, tanh at the end
    critic      3x3 → w, 4x4/2 → 2w,  3x3 → 2w, 4x4/2 → 4w,  3x3 → 4w, 4x4/2 → 8w,  3x3 → 8w,  dense → 1
                LeakyReLU(0.1) after each convolution, no normalization

The papers have w = 64, images of 32 x 32 and 48 x 48, weights from N(0, 0.02²) and biases zero. Two things
are ours. The form for scikit-learn's 8 x 8 digits has w = 16 and one stage less. And for other widths the
deviation is 0.02·√(64/w), which keeps the signal of the papers' width: with 0.02, ‖∇f‖² of 32 narrow layers
underflows float32.

Source: Miyato et al. 2018 (1802.05957), tables of the standard CNN; Wu et al. 2021 (2109.02235) and its
official code (models/dcgan.py), which writes the generator's last convolution as a transposed one of stride
1, the same family of maps.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, sqrt

import torch
from torch import nn

from gncompanion.models.blocks import ACTIVATIONS, Critic, Generator
from gncompanion.models.initialisation import InitialisationRule, initialise, normal
from gncompanion.models.layouts import layout_for
from gncompanion.tools.checks import is_number, require
from gncompanion.tools.names import pick

__all__ = [
    "LAYOUTS",
    "DCGANCritic",
    "DCGANGenerator",
    "Layout",
    "activated",
    "convolutions",
    "flat_head",
    "scaled_normal",
]


@dataclass(frozen=True)
class Layout:
    """The shape of a DCGAN at one image size.

    Attributes:
        stages: How often the image is halved.
        width: Number of channels at full resolution.
    """

    stages: int
    width: int


LAYOUTS: dict[int, Layout] = {
    8: Layout(stages=2, width=16),  # ours
    32: Layout(stages=3, width=64),
    48: Layout(stages=3, width=64),
}


class DCGANGenerator(Generator):
    """The DCGAN generator; images lie in [-1, 1].

    Args:
        size: Height and width of the images, a key of `LAYOUTS`.
        channels: Number of channels of the images.
        width: Number of channels at full resolution; None = the layout's.
        z_dim: Dimension of the noise.
        generator: Source of the initial weights; None = torch's global generator.

    Raises:
        ValueError: There is no such size, or another number is not a positive integer.
    """

    def __init__(
        self,
        size: int = 32,
        channels: int = 3,
        *,
        width: int | None = None,
        z_dim: int = 128,
        generator: torch.Generator | None = None,
    ) -> None:
        layout, width = layout_for("DCGAN", size, LAYOUTS, width=width, channels=channels, z_dim=z_dim)
        wide, small = width * 2**layout.stages, size // 2**layout.stages
        layers = nn.Sequential(
            nn.Linear(z_dim, wide * small**2),
            nn.Unflatten(1, (wide, small, small)),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
        )
        while wide > width:
            layers.append(nn.ConvTranspose2d(wide, wide // 2, 4, stride=2, padding=1))
            wide //= 2
            layers.extend([nn.BatchNorm2d(wide), nn.ReLU()])
        layers.extend([nn.Conv2d(width, channels, 3, padding=1), nn.Tanh()])
        super().__init__(z_dim, layers)
        initialise(self, scaled_normal(width), generator)


class DCGANCritic(Critic):
    """The DCGAN critic.

    Args:
        size: Height and width of the images, a key of `LAYOUTS`.
        channels: Number of channels of the images.
        width: Number of channels at full resolution; None = the layout's.
        bias: Whether there are biases; False = a homogeneous network, its weights drawn as with biases.
        bias_std: Standard deviation of the initial biases; the papers' are zero.
        activation: A name from `blocks.ACTIVATIONS`.
        generator: Source of the initial weights; None = torch's global generator.

    Raises:
        ValueError: There is no such size or activation, another number is not a positive integer, or
            bias_std is negative, not finite or has no biases to set.
    """

    def __init__(
        self,
        size: int = 32,
        channels: int = 3,
        *,
        width: int | None = None,
        bias: bool = True,
        bias_std: float = 0.0,
        activation: str = "leaky_relu",
        generator: torch.Generator | None = None,
    ) -> None:
        layout, width = layout_for("DCGAN", size, LAYOUTS, width=width, channels=channels)
        valid = is_number(bias_std) and 0 <= bias_std < inf and (bias or not bias_std)
        require("bias_std", bias_std, valid, "a finite number from 0 on, and 0 without biases")
        wide, small = width * 2**layout.stages, size // 2**layout.stages
        layers = [
            *convolutions([2] * layout.stages, channels, width, bias=bias),
            nn.Conv2d(wide, wide, 3, padding=1, bias=bias),
        ]
        super().__init__(activated(layers, activation), flat_head(wide * small**2, bias=bias))
        initialise(self, scaled_normal(width), generator)
        if bias_std:
            for name, parameter in self.named_parameters():
                if name.endswith("bias"):
                    nn.init.normal_(parameter, std=bias_std, generator=generator)


def convolutions(
    counts: Sequence[int], channels: int, width: int, *, bias: bool = True
) -> Iterator[nn.Conv2d]:
    """Yield the convolutions of all stages, the last of each of which halves the image.

    Args:
        counts: The number of convolutions of each stage.
        channels: Number of channels of the images.
        width: Number of channels at full resolution.
        bias: Whether they have biases.

    Yields:
        The convolutions, in order.
    """
    for stage, count in enumerate(counts):
        wide = width * 2**stage
        for _ in range(count - 1):
            yield nn.Conv2d(channels, wide, 3, padding=1, bias=bias)
            channels = wide
        yield nn.Conv2d(channels, 2 * wide, 4, stride=2, padding=1, bias=bias)
        channels = 2 * wide


def activated(layers: Iterable[nn.Module], activation: str) -> nn.Sequential:
    """Put an activation after each layer.

    Args:
        layers: The layers, in order.
        activation: A name from `blocks.ACTIVATIONS`.

    Returns:
        The layers and their activations, one chain.
    """
    make_activation = pick("activation", activation, ACTIVATIONS)
    return nn.Sequential(*(module for layer in layers for module in (layer, make_activation())))


def flat_head(n_features: int, *, bias: bool = True) -> nn.Sequential:
    """Make the head that flattens and adds the last, linear layer.

    Args:
        n_features: Number of values of the last hidden layer.
        bias: Whether the linear layer has a bias.

    Returns:
        The head, (N, ...) to (N, 1).
    """
    return nn.Sequential(nn.Flatten(), nn.Linear(n_features, 1, bias=bias))


def scaled_normal(width: int) -> InitialisationRule:
    """Make the rule of the initial weights: N(0, σ²) with σ = 0.02·√(64 / width), biases zero.

    Args:
        width: Number of channels at full resolution.

    Returns:
        The rule.
    """
    return normal(0.02 * sqrt(64 / width))
