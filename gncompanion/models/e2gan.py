"""E2GAN's searched generator, as the fixed architecture that it became; its critic is AutoGAN's.

    cell          h = a(bn(conv(up(x)))) + Σ over skips of up(conv₁(skip))        a = ReLU
                  x ↦ a(bn(conv(h))) + conv₁(up(x)),   skip for later cells: h

The three cells upsample bilinearly, by a transposed 2x2 convolution of stride 2 (the shortcut by one of its
own) and bilinearly. The second takes no skip, the third that of the first cell alone: E2GAN's vector
0 1 0 1 | 0 1 2 1 0 | 0 1 0 1 2. All around the cells, the sizes and the initial weights are as in `autogan`.
Its number of parameters was published nowhere that could be read.

Source: Tian et al. 2020 (2007.09180); the vector from its official code (Yuantian013/E2GAN,
eval/exps/derive.sh), which reads it as AutoGAN's search does (models_search/building_blocks_search.py).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from gncompanion.models.autogan import initialise_as_autogan, layers_around
from gncompanion.models.blocks import Generator

__all__ = ["E2GANGenerator"]


class E2GANGenerator(Generator):
    """The generator of E2GAN; images lie in [-1, 1].

    Args:
        size: Height and width of the images, a key of `autogan.LAYOUTS`.
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


class E2GANCell(nn.Module):
    """h = a(bn(conv(up(x)))) + Σ up(conv₁(skip)), and a(bn(conv(h))) + conv₁(up(x)) of twice the size.

    Args:
        channels: Number of channels of every map.
        learned_up: Whether it upsamples by a transposed convolution; False = bilinearly.
        takes: The cells whose skips it takes, by their number from 0 on.
    """

    def __init__(self, channels: int, *, learned_up: bool = False, takes: Sequence[int] = ()) -> None:
        super().__init__()
        self.takes = tuple(takes)
        self.up, self.shortcut_up = (_up(channels, learned=learned_up) for _ in range(2))
        self.first, self.second = (
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
            for _ in range(2)
        )
        self.skips = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in takes)
        self.shortcut = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        h = self.first(self.up(x))
        for convolution, number in zip(self.skips, self.takes, strict=True):
            h = h + interpolate(convolution(skips[number]), h.shape[2:], mode="bilinear")
        return h, self.second(h) + self.shortcut(self.shortcut_up(x))


def _up(channels: int, *, learned: bool) -> nn.Module:
    if learned:
        return nn.ConvTranspose2d(channels, channels, 2, stride=2)
    return nn.Upsample(scale_factor=2, mode="bilinear")


def _cells(channels: int) -> list[nn.Module]:
    return [E2GANCell(channels), E2GANCell(channels, learned_up=True), E2GANCell(channels, takes=[0])]
