"""BigGAN for small images: a generator and a critic that know the class.

    generator block   x ↦ conv(a(cbn(conv(up(a(cbn(x))))))) + up(conv₁(x)),   cbn(x) = (1 + g_y) bn(x) + b_y
    critic            f(x, y) = w·h + b + ⟨e_y, h⟩,   h = Σ over space of a(features(x))        (projection)

g_y, b_y and e_y are one learned vector per class. The generator's layers are spectrally normalised, but not
its batch normalizations and embeddings; the critic, built of the residual critic's blocks, has no
normalization: gradient normalization replaces it. Weights, embeddings too, start from Xavier's uniform law,
biases from zero. For given labels the critic is piecewise linear in x. With `n_classes=None` all samples are
of one class, whatever their labels: the unconditional twin, ours.

`attention` puts SA-GAN's block where the official 128 x 128 networks have it: before the generator's last
block, and after the critic's first, both at half the size. At 32 x 32 that is ours, as is the form for
scikit-learn's 8 x 8 digits.

Source: Brock et al. 2019 (1809.11096); Miyato and Koyama 2018 (projection, 1802.05637); Wu et al. 2021
(2109.02235), sizes and initialisation from its official code (models/biggan.py).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gncompanion.models.attention import SelfAttention
from gncompanion.models.blocks import ACTIVATIONS, Critic, Generator, SumOverSpace, require_labels
from gncompanion.models.initialisation import initialise, spectrally_normalise, xavier
from gncompanion.models.layouts import layout_for
from gncompanion.models.resnet import Layout, critic_blocks
from gncompanion.tools.checks import whole
from gncompanion.tools.names import pick

__all__ = ["LAYOUTS", "BigGANCritic", "BigGANGenerator", "ConditionalBatchNorm"]

LAYOUTS: dict[int, Layout] = {
    8: Layout((2, 2, 2), (2, 2, 2), halvings=1, width=16),  # ours
    32: Layout((4, 4, 4, 4), (4, 4, 4, 4), halvings=2),
}


class BigGANGenerator(Generator):
    """The conditional generator; images lie in [-1, 1].

    Args:
        n_classes: Number of classes; None = unconditional.
        size: Height and width of the images, a key of `LAYOUTS`.
        channels: Number of channels of the images.
        width: Number of channels per unit of the layout; None = the layout's.
        z_dim: Dimension of the noise.
        attention: Whether it attends.
        generator: Source of the initial weights; None = torch's global generator.

    Raises:
        ValueError: There is no such size, or another number is not a positive integer; when called,
            there are no labels.
    """

    def __init__(
        self,
        n_classes: int | None,
        size: int = 32,
        *,
        channels: int = 3,
        width: int | None = None,
        z_dim: int = 128,
        attention: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        layout, width = layout_for("BigGAN", size, LAYOUTS, width=width, channels=channels, z_dim=z_dim)
        classes = _one_or(n_classes)
        first, *rest = (units * width for units in layout.generator)
        small = size // 2 ** len(rest)
        layers = nn.Sequential(nn.Linear(z_dim, first * small**2), nn.Unflatten(1, (first, small, small)))
        for i, wide in enumerate(rest, 1):
            if attention and i == len(rest):
                layers.append(SelfAttention(first))
            layers.append(ConditionalBlock(first, wide, classes))
            first = wide
        layers.extend([nn.BatchNorm2d(first), nn.ReLU(), nn.Conv2d(first, channels, 3, padding=1), nn.Tanh()])
        super().__init__(z_dim, layers)
        self.n_classes = n_classes
        initialise(self, xavier, generator, embeddings=True)
        spectrally_normalise(self, generator)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        y, x = _labels(z, y, self.n_classes, "this generator"), z
        for layer in self.layers:
            x = layer(x, y) if isinstance(layer, ConditionalBlock) else layer(x)
        return x


class BigGANCritic(Critic):
    """The projection critic.

    Args:
        n_classes: Number of classes; None = unconditional.
        size: Height and width of the images, a key of `LAYOUTS`.
        channels: Number of channels of the images.
        width: Number of channels per unit of the layout; None = the layout's.
        activation: A name from `blocks.ACTIVATIONS`.
        attention: Whether it attends, which ends piecewise linearity.
        generator: Source of the initial weights; None = torch's global generator.

    Raises:
        ValueError: There is no such size or activation, or another number is not a positive integer; when
            called, there are no labels.
    """

    def __init__(
        self,
        n_classes: int | None,
        size: int = 32,
        *,
        channels: int = 3,
        width: int | None = None,
        activation: str = "relu",
        attention: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        layout, width = layout_for("BigGAN", size, LAYOUTS, width=width, channels=channels)
        make_activation = pick("activation", activation, ACTIVATIONS)
        wide = [units * width for units in layout.critic]
        features = critic_blocks(channels, wide, halvings=layout.halvings, activation=activation)
        if attention:
            features.insert(1, SelfAttention(wide[0]))
        super().__init__(features, nn.Sequential(make_activation(), SumOverSpace(), nn.Linear(wide[-1], 1)))
        self.embed = nn.Embedding(_one_or(n_classes), wide[-1])
        self.n_classes = n_classes
        initialise(self, xavier, generator, embeddings=True)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        y = _labels(x, y, self.n_classes, "this critic")
        h = self.head[:-1](self.features(x))
        f: Tensor = self.head[-1](h).squeeze(1) + (self.embed(y) * h).sum(1)
        return f


class ConditionalBatchNorm(nn.Module):
    """Batch normalization whose gain and bias are the class's own.

    Args:
        channels: Number of channels of the images.
        n_classes: Number of classes.
    """

    def __init__(self, channels: int, n_classes: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Embedding(n_classes, channels)
        self.bias = nn.Embedding(n_classes, channels)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        gain, bias = (embed(y)[:, :, None, None] for embed in (self.gain, self.bias))
        out: Tensor = (1 + gain) * self.normalise(x) + bias
        return out


class ConditionalBlock(nn.Module):
    """conv(a(cbn(conv(up(a(cbn(x))))))) + up(conv₁(x)), which doubles the size.

    Args:
        channels_in: Number of channels of its input.
        channels_out: Number of channels of its output.
        n_classes: Number of classes.
    """

    def __init__(self, channels_in: int, channels_out: int, n_classes: int) -> None:
        super().__init__()
        self.first_norm = ConditionalBatchNorm(channels_in, n_classes)
        self.first = nn.Sequential(
            nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(channels_in, channels_out, 3, padding=1)
        )
        self.second_norm = ConditionalBatchNorm(channels_out, n_classes)
        self.second = nn.Sequential(nn.ReLU(), nn.Conv2d(channels_out, channels_out, 3, padding=1))
        self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels_out, 1), nn.Upsample(scale_factor=2))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = self.first(self.first_norm(x, y))
        out: Tensor = self.second(self.second_norm(h, y)) + self.shortcut(x)
        return out


def _one_or(n_classes: int | None) -> int:
    return 1 if n_classes is None else whole("n_classes", n_classes)


def _labels(x: Tensor, y: Tensor | None, n_classes: int | None, who: str) -> Tensor:
    """Return the labels (N,) of x (N, ...), all 0 where there are no classes."""
    if n_classes is None:
        return torch.zeros(len(x), dtype=torch.int64, device=x.device)
    return require_labels(y, who)
