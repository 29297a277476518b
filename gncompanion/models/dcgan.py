"""The convolutional networks of SN-GAN and GN-GAN ("CNN" in their tables), and Theorem 5's critic.

A stage halves the image and doubles the channels, or the reverse. At 32 x 32, with w = `width`:

    generator   dense → 4·4·8w,  4x4/2 → 4w → 2w → w (transposed),  3x3 → image
                batch normalization and ReLU between them, tanh at the end
    critic      3x3 → w, 4x4/2 → 2w,  3x3 → 2w, 4x4/2 → 4w,  3x3 → 4w, 4x4/2 → 8w,  3x3 → 8w,  dense → 1
                LeakyReLU(0.1) after each convolution, no normalization

The papers have w = 64, images of 32 x 32 and 48 x 48, weights from N(0, 0.02²) and biases zero. Two things
are ours. The form for scikit-learn's 8 x 8 digits has w = 16 and one stage less. And for other widths the
deviation is 0.02·√(64/w), which keeps the signal of the papers' width: with 0.02, ‖∇f‖² of 32 narrow layers
underflows float32.

Source: Miyato et al. 2018, tables of the standard CNN; Wu et al. 2021 and its official code
(models/dcgan.py), which writes the generator's last convolution as a transposed one of stride 1, the same
family of maps.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf, sqrt

import torch
from torch import nn

from gncompanion.models.blocks import (
    ACTIVATIONS,
    Critic,
    Generator,
    Rule,
    initialise,
    normal,
    require_positive,
)
from gncompanion.tools.names import pick

__all__ = ["LAYOUTS", "MAX_LAYERS", "DCGANCritic", "DCGANGenerator", "Layout", "StageCritic"]

MAX_LAYERS = 32


@dataclass(frozen=True)
class Layout:
    """The shape of a DCGAN at one image size.

    Args:
        stages: how often the image is halved.
        width: channels at full resolution.
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
        size: height and width of the images, a key of `LAYOUTS`.
        channels: of the images.
        width: channels at full resolution; None = the layout's.
        z_dim: dimension of the noise.
        generator: source of the initial weights; None = torch's global one.

    Raises:
        ValueError: if there is no such size, or another number is not a positive integer.
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
        layout = pick("DCGAN image size", size, LAYOUTS)
        width = layout.width if width is None else width
        require_positive(channels=channels, width=width, z_dim=z_dim)
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
        initialise(self, _rule(width), generator)


class DCGANCritic(Critic):
    """The DCGAN critic.

    Args:
        size: height and width of the images, a key of `LAYOUTS`.
        channels: of the images.
        width: channels at full resolution; None = the layout's.
        bias: False = no biases anywhere, a homogeneous network; the weights are drawn as with biases.
        bias_std: standard deviation of the initial biases; the papers' are zero.
        activation: a name from `blocks.ACTIVATIONS`.
        generator: source of the initial weights; None = torch's global one.

    Raises:
        ValueError: if there is no such size or activation, another number is not a positive integer, or
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
        layout = pick("DCGAN image size", size, LAYOUTS)
        width = layout.width if width is None else width
        require_positive(channels=channels, width=width)
        if not 0 <= bias_std < inf or (bias_std and not bias):
            raise ValueError(f"bias_std={bias_std!r} must be 0 or more, and 0 without biases")
        wide, small = width * 2**layout.stages, size // 2**layout.stages
        convolutions = [
            *_stages([2] * layout.stages, channels, width, bias=bias),
            nn.Conv2d(wide, wide, 3, padding=1, bias=bias),
        ]
        super().__init__(_activated(convolutions, activation), _head(wide * small**2, bias=bias))
        initialise(self, _rule(width), generator)
        if bias_std:
            for layer in (*self.features, *self.head):
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    nn.init.normal_(layer.bias, std=bias_std, generator=generator)


class StageCritic(Critic):
    """The critic of Theorem 5's experiment, with any number of convolutions from 1 to `MAX_LAYERS`.

    There are min(3, n_layers) stages. Stage s = 0, 1, 2 with m convolutions has m − 1 of 3x3, stride 1, to
    2ˢ·width channels, then one of 4x4, stride 2, to twice as many. The convolutions are shared out evenly and
    the remainder goes, one each, to the first stages: 8 are (3, 3, 2), 2 are (1, 1). For 3, 6 and 9 this is
    the authors' network, m = 1, 2, 3; the other depths are ours.

    `features` is the plain list convolution, activation, convolution, activation, … whose first 2k entries
    are the theorem's subnetwork f_k; `head` flattens and adds the last, linear layer.

    Args:
        n_layers: convolutions, 1 to 32.
        size: height and width of the images, a key of `LAYOUTS`.
        channels: of the images.
        width: channels of the first stage; None = the layout's.
        activation: a name from `blocks.ACTIVATIONS`.
        generator: source of the initial weights; None = torch's global one.

    Raises:
        ValueError: if n_layers is not an integer from 1 to 32, there is no such size or activation, or
            another number is not a positive integer.

    Source: Wu et al. 2021, Theorem 5; the authors' working repository (basiclab/Faster-GNGAN-PyTorch).
    """

    def __init__(
        self,
        n_layers: int,
        size: int = 32,
        *,
        channels: int = 3,
        width: int | None = None,
        activation: str = "leaky_relu",
        generator: torch.Generator | None = None,
    ) -> None:
        if type(n_layers) is not int or not 1 <= n_layers <= MAX_LAYERS:
            raise ValueError(f"n_layers must be an integer from 1 to {MAX_LAYERS}, not {n_layers!r}")
        layout = pick("StageCritic image size", size, LAYOUTS)
        width = layout.width if width is None else width
        require_positive(channels=channels, width=width)
        stages = min(3, n_layers)
        counts = [n_layers // stages + (s < n_layers % stages) for s in range(stages)]
        wide, small = width * 2**stages, size // 2**stages
        super().__init__(_activated(_stages(counts, channels, width), activation), _head(wide * small**2))
        initialise(self, _rule(width), generator)


def _stages(counts: list[int], channels: int, width: int, *, bias: bool = True) -> Iterator[nn.Conv2d]:
    """Yield the convolutions of all stages, `counts[s]` of stage s, the last of each halving the image."""
    for stage, count in enumerate(counts):
        wide = width * 2**stage
        for _ in range(count - 1):
            yield nn.Conv2d(channels, wide, 3, padding=1, bias=bias)
            channels = wide
        yield nn.Conv2d(channels, 2 * wide, 4, stride=2, padding=1, bias=bias)
        channels = 2 * wide


def _activated(convolutions: Iterable[nn.Conv2d], activation: str) -> nn.Sequential:
    make_activation = pick("activation", activation, ACTIVATIONS)
    return nn.Sequential(
        *(layer for convolution in convolutions for layer in (convolution, make_activation()))
    )


def _head(n_features: int, *, bias: bool = True) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(n_features, 1, bias=bias))


def _rule(width: int) -> Rule:
    return normal(0.02 * sqrt(64 / width))
