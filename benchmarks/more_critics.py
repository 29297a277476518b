"""More critics as public repositories build them, small and typed anew, which `public_critics.py` lists.

Each has the structure that its source describes, at a small width, and nothing of anybody's code. What counts
is which operations there are, how they are called, and what they do to the batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm


def patch_critic(normalization: type[nn.Module] = nn.BatchNorm2d, width: int = 8) -> nn.Module:
    """pix2pix's kind: strided convolutions with a normalization, a map of values, here averaged."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
    for into in (width, 2 * width):
        layers += [nn.Conv2d(into, 2 * into, 4, stride=2, padding=1), normalization(2 * into)]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(
        *layers, nn.Conv2d(4 * width, 1, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def layer_norm_critic(width: int = 8) -> nn.Module:
    """WGAN-GP's advice for critics that want a normalization: one over each sample."""
    return nn.Sequential(
        *(nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LayerNorm((width, 8, 8)), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(width, width, 4, stride=2, padding=1), nn.LayerNorm((width, 4, 4)), nn.LeakyReLU(0.2)),
        *(nn.Flatten(), nn.Linear(16 * width, 1)),
    )


def spectral_cnn(width: int = 8) -> nn.Module:
    """SN-GAN's kind: every layer divided by its largest singular value."""
    return nn.Sequential(
        *(spectral_norm(nn.Conv2d(3, width, 3, padding=1)), nn.LeakyReLU(0.1)),
        *(spectral_norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)), nn.LeakyReLU(0.1)),
        *(nn.Flatten(), spectral_norm(nn.Linear(128 * width, 1))),
    )


class PeriodCritic(nn.Module):
    """HiFi-GAN's kind: a waveform folded into rows of one period, convolved along the columns."""

    def __init__(self, period: int = 3, width: int = 8) -> None:
        super().__init__()
        self.period = period
        sizes = [(1, width), (width, 2 * width), (2 * width, 2 * width)]
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(n, m, (5, 1), stride=(3, 1), padding=(2, 0))) for n, m in sizes
        )
        self.last = weight_norm(nn.Conv2d(2 * width, 1, (3, 1), padding=(1, 0)))

    def forward(self, x: Tensor) -> Tensor:
        n, channels, length = x.shape
        if rest := length % self.period:
            x = F.pad(x, (0, self.period - rest), "reflect")
        h = x.view(n, channels, -1, self.period)
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.1)
        return torch.flatten(self.last(h), 1, -1).mean(dim=1)


class UNetCritic(nn.Module):
    """Real-ESRGAN's kind: down, up by bilinear interpolation with skips, a value for each pixel, averaged."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.inward = nn.Conv2d(3, width, 3, padding=1)
        self.down = spectral_norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False))
        self.lower = spectral_norm(nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1, bias=False))
        self.up = spectral_norm(nn.Conv2d(4 * width, 2 * width, 3, padding=1, bias=False))
        self.upper = spectral_norm(nn.Conv2d(2 * width, width, 3, padding=1, bias=False))
        self.out = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        first = F.leaky_relu(self.inward(x), negative_slope=0.2, inplace=True)
        second = F.leaky_relu(self.down(first), negative_slope=0.2, inplace=True)
        h = F.leaky_relu(self.lower(second), negative_slope=0.2, inplace=True)
        for layer, skip in ((self.up, second), (self.upper, first)):
            h = F.interpolate(h, scale_factor=2, mode="bilinear", align_corners=False)
            h = F.leaky_relu(layer(h), negative_slope=0.2, inplace=True) + skip
        return self.out(h).mean(dim=(1, 2, 3))


class MatrixAttentionCritic(nn.Module):
    """SAGAN's kind: attention written out in matrix products, with a gain that starts at zero."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.inward = nn.Conv2d(3, width, 4, stride=4)
        self.query, self.key = nn.Conv2d(width, width // 8, 1), nn.Conv2d(width, width // 8, 1)
        self.value, self.gain = nn.Conv2d(width, width, 1), nn.Parameter(torch.zeros(1))
        self.out = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.inward(x), 0.1)
        query, key, value = (layer(h).flatten(2) for layer in (self.query, self.key, self.value))
        weights = torch.bmm(query.transpose(1, 2), key).softmax(dim=-1)
        h = h + self.gain * torch.bmm(value, weights.transpose(1, 2)).view_as(h)
        return self.out(h.sum(dim=(2, 3)))


class TransformerCritic(nn.Module):
    """A vision transformer's kind: patches, positions, one encoder layer, the first token's value."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.patches, self.token = nn.Conv2d(3, width, 4, stride=4), nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 17, width) * 0.02)
        self.encoder = nn.TransformerEncoderLayer(
            width, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.out = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.token.expand(len(x), -1, -1), patches], dim=1) + self.positions
        return self.out(self.encoder(h)[:, 0])


class AutoencoderCritic(nn.Module):
    """BEGAN's kind: a sample's energy is how badly it is reconstructed, in the mean absolute difference."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, width, 3, stride=2, padding=1), nn.ELU(), nn.Conv2d(width, width, 3, padding=1)),
            *(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(width, 3, 3, padding=1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.layers(x)).abs().mean(dim=(1, 2, 3))


class PointCritic(nn.Module):
    """PointNet's kind: the same perceptron at each point, and the maximum over all of them."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.each = nn.Sequential(nn.Conv1d(3, width, 1), nn.LeakyReLU(0.2), nn.Conv1d(width, width, 1))
        self.all = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.all(torch.max(self.each(x), 2)[0])


class TextCritic(nn.Module):
    """A text classifier's kind: convolutions of several lengths, each with its maximum over time."""

    def __init__(self, n_in: int = 6, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(n_in, width, length) for length in (2, 3, 4))
        self.out = nn.Linear(3 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        found = [F.relu(layer(x)) for layer in self.layers]
        return self.out(torch.cat([F.max_pool1d(h, h.size(2)).squeeze(2) for h in found], 1))


class RecurrentCritic(nn.Module):
    """TimeGAN's kind: a gated recurrent network over a series, and the last state's value."""

    def __init__(self, n_in: int = 4, width: int = 8) -> None:
        super().__init__()
        self.series, self.out = nn.GRU(n_in, width, batch_first=True), nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.series(x)[0][:, -1])


class MaxoutCritic(nn.Module):
    """The first GAN's kind: maxout units, with dropout."""

    def __init__(self, n_in: int = 12, width: int = 8, pieces: int = 5) -> None:
        super().__init__()
        self.pieces = pieces
        self.first, self.second = nn.Linear(n_in, width * pieces), nn.Linear(width, width * pieces)
        self.dropout, self.out = nn.Dropout(0.5), nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.first, self.second):
            x = self.dropout(layer(x).view(len(x), -1, self.pieces).amax(dim=2))
        return self.out(x)


class Packs(nn.Module):
    """A critic that judges packs of rows, each pack a sample."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, packs: Tensor) -> Tensor:
        return self.critic(packs.flatten(0, 1))
