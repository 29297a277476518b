"""AutoGAN's searched generator, as the fixed architecture that it became, and its critic.

    cell          h = conv(up(a(x))) + Σ over skips of up(conv₁(skip))        a = ReLU
                  x ↦ conv(a(h)) + up(conv₁(x)),   skip for later cells: h
    generator     dense → three cells → bn, a, 3x3 → image, tanh
    critic        the residual critic, with a sum over space and no bias in its last layer

The three cells upsample nearest, bilinearly and nearest; the third has no shortcut. Each takes the skips of
all cells before it. As in the official code, whose in-place sum makes it so, the second cell hands on its h
with the first cell's skip already in it. There is no normalization inside the cells. conv₁, of 1x1,
commutes with up, and is done where the image is smaller.

Convolutions start from Xavier's uniform law and their biases, like all else, from PyTorch's default; batch
normalization's gains from N(1, 0.02²). Images of 32 x 32 and 48 x 48 are the paper's; the form for
scikit-learn's 8 x 8 digits is ours. AutoGAN trains the critic with spectral normalization.

Source: Gong et al. 2019 (1908.03835), the first of its three architectures, from its official code
(VITA-Group/AutoGAN, models/autogan_cifar10_a.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from gncompanion.models.blocks import ACTIVATIONS, Critic, Generator, SumOverSpace
from gncompanion.models.initialisation import Layer, initialise, uniform
from gncompanion.models.layouts import layout_for
from gncompanion.models.resnet import critic_blocks
from gncompanion.tools.names import pick

__all__ = ["LAYOUTS", "AutoGANCritic", "AutoGANGenerator", "Layout", "initialise_as_autogan", "layers_around"]


@dataclass(frozen=True)
class Layout:
    """The shape of an AutoGAN at one image size.

    Attributes:
        bottom: Height and width of the generator's first map, an eighth of the image's.
        width: Number of channels per unit: the generator has 4 units everywhere, the critic 2.
    """

    bottom: int
    width: int = 64


LAYOUTS: dict[int, Layout] = {
    8: Layout(bottom=1, width=16),  # ours
    32: Layout(bottom=4),
    48: Layout(bottom=6),
}


class AutoGANGenerator(Generator):
    """The generator of AutoGAN; images lie in [-1, 1].

    Args:
        size: Height and width of the images, a key of `LAYOUTS`.
        channels: Number of channels of the images.
        width: A quarter of the number of channels of every map; None = the layout's.
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
        super().__init__(z_dim, layers_around(_cells, size, channels=channels, width=width, z_dim=z_dim))
        initialise_as_autogan(self, generator)


class AutoGANCritic(Critic):
    """The critic of AutoGAN and E2GAN.

    Args:
        size: Height and width of the images, a key of `LAYOUTS`.
        channels: Number of channels of the images.
        width: Half the number of channels of every map; None = the layout's.
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
        _, width = layout_for("AutoGAN", size, LAYOUTS, width=width, channels=channels)
        make_activation = pick("activation", activation, ACTIVATIONS)
        features = critic_blocks(channels, [2 * width] * 4, halvings=2, activation=activation)
        head = nn.Sequential(make_activation(), SumOverSpace(), nn.Linear(2 * width, 1, bias=False))
        super().__init__(features, head)
        initialise_as_autogan(self, generator)


class Cells(nn.Module):
    """Cells one after the other, each of them given the skips of all before it.

    Args:
        cells: The cells, modules (x, skips) ↦ (skip, x).
    """

    def __init__(self, cells: Sequence[nn.Module]) -> None:
        super().__init__()
        self.cells = nn.ModuleList(cells)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for cell in self.cells:
            skip, x = cell(x, skips)
            skips.append(skip)
        return x


class AutoGANCell(nn.Module):
    """h = conv(up(a(x))) + Σ up(conv₁(skip)), and conv(a(h)) + up(conv₁(x)) of twice the size.

    Args:
        channels: Number of channels of every map.
        up: How it upsamples, a mode of `interpolate`.
        n_skips: Number of skips that it takes.
        shortcut: Whether there is one.
    """

    def __init__(self, channels: int, up: str, *, n_skips: int, shortcut: bool) -> None:
        super().__init__()
        self.up = up
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.skips = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(n_skips))
        self.shortcut = nn.Conv2d(channels, channels, 1) if shortcut else None

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        h = self.first(interpolate(relu(x), scale_factor=2, mode=self.up))
        for convolution, skip in zip(self.skips, skips, strict=True):
            h = h + interpolate(convolution(skip), h.shape[2:], mode=self.up)
        out = self.second(relu(h))
        if self.shortcut is not None:
            out = out + interpolate(self.shortcut(x), scale_factor=2, mode=self.up)
        return h, out


def layers_around(
    make_cells: Callable[[int], list[nn.Module]],
    size: int,
    *,
    channels: int,
    width: int | None,
    z_dim: int,
) -> nn.Sequential:
    """Build the generator around its three cells.

    Args:
        make_cells: Makes the cells, given their number of channels.
        size: Height and width of the images, a key of `LAYOUTS`.
        channels: Number of channels of the images.
        width: A quarter of the number of channels of every map; None = the layout's.
        z_dim: Dimension of the noise.

    Returns:
        The layers, (N, z_dim) to (N, channels, size, size).

    Raises:
        ValueError: There is no such size, or another number is not a positive integer.
    """
    layout, width = layout_for("AutoGAN", size, LAYOUTS, width=width, channels=channels, z_dim=z_dim)
    wide, bottom = 4 * width, layout.bottom
    return nn.Sequential(
        nn.Linear(z_dim, wide * bottom**2),
        nn.Unflatten(1, (wide, bottom, bottom)),
        Cells(make_cells(wide)),
        nn.BatchNorm2d(wide),
        nn.ReLU(),
        nn.Conv2d(wide, channels, 3, padding=1),
        nn.Tanh(),
    )


def initialise_as_autogan(network: nn.Module, generator: torch.Generator | None) -> None:
    """Draw all weights of a network as AutoGAN's training does, batch normalization's gains included.

    Args:
        network: The network; it is changed in place.
        generator: Source of the random numbers; None = torch's global generator.
    """
    initialise(network, _rule, generator)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, 0.02, generator=generator)


def _cells(channels: int) -> list[nn.Module]:
    return [
        AutoGANCell(channels, "nearest", n_skips=0, shortcut=True),
        AutoGANCell(channels, "bilinear", n_skips=1, shortcut=True),
        AutoGANCell(channels, "nearest", n_skips=2, shortcut=False),
    ]


def _rule(layer: Layer, generator: torch.Generator | None) -> None:
    uniform(layer, generator)
    if isinstance(layer, nn.Conv2d):
        nn.init.xavier_uniform_(layer.weight, generator=generator)
