"""The residual networks of SN-GAN and GN-GAN.

    generator block   x ↦ conv(a(bn(conv(up(a(bn(x)))))))  +  up(conv₁(x))        up: nearest, twice the size
    critic block      x ↦ pool(conv(a(conv(a(x)))))  +  conv₁(pool(x))            pool: 2x2 mean

conv is 3x3, conv₁ is 1x1 and a = ReLU. The critic has no normalization. Its first block sees the image and
leaves out the first a; blocks that keep the size have no pool and, between equal channels, no conv₁; the head
is a ReLU, the mean over space and a dense layer. Weights start from Kaiming's N(0, 2 / fan-in), biases from
zero, in both.

conv₁ commutes with nearest upsampling and with mean pooling, and is done where the image is smaller.

Source: Miyato et al. 2018 (1802.05957); Wu et al. 2021 (2109.02235), widths and initialisation from its
official code (models/resnet.py). The layout for scikit-learn's 8 x 8 digits is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from gncompanion.models.blocks import ACTIVATIONS, Critic, Generator
from gncompanion.models.initialisation import initialise, kaiming
from gncompanion.models.layouts import layout_for
from gncompanion.tools.names import pick

__all__ = [
    "LAYOUTS",
    "CriticBlock",
    "GeneratorBlock",
    "Layout",
    "ResNetCritic",
    "ResNetGenerator",
    "critic_blocks",
]


@dataclass(frozen=True)
class Layout:
    """The shape of a ResNet at one image size.

    Attributes:
        generator: Number of channels of the first map and after each block, in units of `width`.
        critic: Number of channels after each block, in units of `width`.
        halvings: How many critic blocks, the first ones, halve the image.
        width: Number of channels per unit.
    """

    generator: tuple[int, ...]
    critic: tuple[int, ...]
    halvings: int
    width: int = 64


LAYOUTS: dict[int, Layout] = {
    8: Layout((2, 2, 2), (2, 2, 2), halvings=1, width=16),  # ours
    32: Layout((4, 4, 4, 4), (2, 2, 2, 2), halvings=2),
    48: Layout((8, 4, 2, 1), (1, 2, 4, 8), halvings=4),
    128: Layout((16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16, 16), halvings=5),
    256: Layout((16, 16, 8, 8, 4, 2, 1), (1, 2, 4, 8, 8, 16, 16), halvings=6),
}


class ResNetGenerator(Generator):
    """The residual generator; images lie in [-1, 1].

    Args:
        size: Height and width of the images, a key of `LAYOUTS`.
        channels: Number of channels of the images.
        width: Number of channels per unit of the layout; None = the layout's.
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
        layout, width = layout_for("ResNet", size, LAYOUTS, width=width, channels=channels, z_dim=z_dim)
        first, *rest = (units * width for units in layout.generator)
        small = size // 2 ** len(rest)
        layers = nn.Sequential(nn.Linear(z_dim, first * small**2), nn.Unflatten(1, (first, small, small)))
        for wide in rest:
            layers.append(GeneratorBlock(first, wide))
            first = wide
        layers.extend([nn.BatchNorm2d(first), nn.ReLU(), nn.Conv2d(first, channels, 3, padding=1), nn.Tanh()])
        super().__init__(z_dim, layers)
        initialise(self, kaiming, generator)


class ResNetCritic(Critic):
    """The residual critic.

    Args:
        size: Height and width of the images, a key of `LAYOUTS`.
        channels: Number of channels of the images.
        width: Number of channels per unit of the layout; None = the layout's.
        activation: A name from `blocks.ACTIVATIONS`.
        generator: Source of the initial weights; None = torch's global generator.

    Raises:
        ValueError: There is no such size or activation, or another number is not a positive integer.
    """

    def __init__(
        self,
        size: int = 32,
        channels: int = 3,
        *,
        width: int | None = None,
        activation: str = "relu",
        generator: torch.Generator | None = None,
    ) -> None:
        layout, width = layout_for("ResNet", size, LAYOUTS, width=width, channels=channels)
        make_activation = pick("activation", activation, ACTIVATIONS)
        wide = [units * width for units in layout.critic]
        features = critic_blocks(channels, wide, halvings=layout.halvings, activation=activation)
        small = size // 2**layout.halvings
        head = nn.Sequential(make_activation(), nn.AvgPool2d(small), nn.Flatten(), nn.Linear(wide[-1], 1))
        super().__init__(features, head)
        initialise(self, kaiming, generator)


def critic_blocks(
    channels: int, wide: Sequence[int], *, halvings: int, activation: str, narrow: bool = False
) -> nn.Sequential:
    """Build the hidden layers of a residual critic.

    Args:
        channels: Number of channels of the images.
        wide: Number of channels after each block.
        halvings: How many blocks, the first ones, halve the image.
        activation: A name from `blocks.ACTIVATIONS`.
        narrow: Whether a block but the first has as many channels inside as its input, and not its output.

    Returns:
        The blocks, in order.
    """
    blocks = nn.Sequential()
    for i, (before, after) in enumerate(pairwise((channels, *wide))):
        hidden = before if narrow and i else after
        blocks.append(
            CriticBlock(before, after, first=i == 0, halve=i < halvings, activation=activation, hidden=hidden)
        )
    return blocks


class GeneratorBlock(nn.Module):
    """conv(a(bn(conv(up(a(bn(x))))))) + up(conv₁(x)), which doubles the size.

    Args:
        channels_in: Number of channels of its input.
        channels_out: Number of channels of its output.
        mode: How it upsamples, a mode of `torch.nn.Upsample`.
    """

    def __init__(self, channels_in: int, channels_out: int, *, mode: str = "nearest") -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.ReLU(),
            nn.Upsample(scale_factor=2, mode=mode),
            nn.Conv2d(channels_in, channels_out, 3, padding=1),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1),
        )
        up = nn.Upsample(scale_factor=2, mode=mode)
        self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels_out, 1), up)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.residual(x) + self.shortcut(x)
        return out


class CriticBlock(nn.Module):
    """pool(conv(a(conv(a(x))))) + conv₁(pool(x)), less the inner a if `first`, and pool unless `halve`.

    Args:
        channels_in: Number of channels of its input.
        channels_out: Number of channels of its output.
        first: Whether its input is the image.
        halve: Whether it halves the image.
        activation: A name from `blocks.ACTIVATIONS`.
        hidden: Number of channels between its convolutions; None = those of its output.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        first: bool,
        halve: bool,
        activation: str,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        hidden = hidden or channels_out
        make_activation = ACTIVATIONS[activation]
        self.residual = nn.Sequential(
            nn.Identity() if first else make_activation(),
            nn.Conv2d(channels_in, hidden, 3, padding=1),
            make_activation(),
            nn.Conv2d(hidden, channels_out, 3, padding=1),
        )
        self.shortcut = nn.Sequential()
        if halve:
            self.residual.append(nn.AvgPool2d(2))
            self.shortcut.append(nn.AvgPool2d(2))
        if halve or channels_in != channels_out:
            self.shortcut.append(nn.Conv2d(channels_in, channels_out, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.residual(x) + self.shortcut(x)
        return out
