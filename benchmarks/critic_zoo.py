"""Critics as public repositories build them, small and typed anew: what benchmarks measure and tests try.

    ZOO[name] = (factory, shape of one input)        factory() -> critic: (N, *shape) -> one value per sample

Each has the structure that a family of public critics has, and nothing of its code: which operations there
are, how they are called, and what they do to the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ZOO", "Entry"]


class Entry(NamedTuple):
    """A critic, and what it is fed.

    Attributes:
        make: Makes the critic; some take sizes by keyword.
        shape: The shape of one input, without the batch.
    """

    make: Callable[..., nn.Module]
    shape: tuple[int, ...]


def blurred_half(x: Tensor, taps: tuple[float, ...]) -> Tensor:
    """Halve images, each channel blurred by an outer product of taps: a grouped convolution, by keyword."""
    line = torch.tensor(taps, dtype=x.dtype, device=x.device) / sum(taps)
    kernel = torch.outer(line, line).expand(x.shape[1], 1, len(taps), len(taps))
    return F.conv2d(input=x, weight=kernel, stride=2, padding=1, groups=x.shape[1])


class PlainCNN(nn.Module):
    """Strided convolutions and leaky ReLUs, down to 4 × 4."""

    def __init__(self, size: int = 16, width: int = 8, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2)]
        while size > 4:
            layers += [nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
            size, width = size // 2, 2 * width
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class KeywordConvolution(nn.Module):
    """A convolution whose weight is its own parameter, called by keyword in the input's type."""

    def __init__(
        self, inward: int, outward: int, kernel: int, *, groups: int = 1, gain: float = 1.0, pad: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outward, inward // groups, kernel, kernel))
        nn.init.normal_(self.weight, std=gain / sqrt(self.weight[0].numel()))
        self.groups, self.padding = groups, kernel // 2 if pad else 0

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.to(x.dtype)
        return F.conv2d(input=x, weight=weight, padding=self.padding, groups=self.groups)


class BiasedLeakyReLU(nn.Module):
    """A bias per channel, then a leaky ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.bias.to(x.dtype).view(1, -1, 1, 1), negative_slope=0.2)


class Bottleneck(nn.Module):
    """x + C(σ(B(σ(A(x))))): 1 × 1 to a wider inside, 3 × 3 in groups, 1 × 1 back; no normalization."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        inside, gain = 2 * width, sqrt(2 / (1 + 0.2**2))
        self.branch = nn.Sequential(
            KeywordConvolution(width, inside, 1, gain=gain),
            BiasedLeakyReLU(inside),
            KeywordConvolution(inside, inside, 3, groups=groups, gain=gain),
            BiasedLeakyReLU(inside),
            KeywordConvolution(inside, width, 1, gain=0.25),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


class R3GANLike(nn.Module):
    """R3GAN's kind: residual bottlenecks with grouped convolutions, blurred halving, a depthwise last layer.

    Source: Huang et al. 2024 (R3GAN, 2501.05441), for the structure.
    """

    def __init__(self, size: int = 16, width: int = 16, blocks: int = 1, groups: int = 4) -> None:
        super().__init__()
        self.inward = KeywordConvolution(3, width, 1)
        self.stages = nn.ModuleList()
        self.widen = nn.ModuleList()
        while size > 4:
            self.stages.append(nn.Sequential(*(Bottleneck(width, groups) for _ in range(blocks))))
            self.widen.append(KeywordConvolution(width, 2 * width, 1))
            size, width = size // 2, 2 * width
        self.last = nn.Sequential(*(Bottleneck(width, groups) for _ in range(blocks)))
        self.basis = KeywordConvolution(width, width, 4, groups=width, pad=False)
        self.out = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inward(x)
        for stage, widen in zip(self.stages, self.widen, strict=True):
            h = widen(blurred_half(stage(h), (1, 2, 1)))
        return self.out(self.basis(self.last(h)).view(x.shape[0], -1)).view(x.shape[0])


class EqualisedConvolution(nn.Module):
    """A convolution whose weight is scaled at each call; bias, leaky ReLU, gain and clamp behind it."""

    def __init__(
        self, inward: int, outward: int, kernel: int, *, halve: bool = False, act: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outward, inward, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outward)) if act else None
        self.scale, self.halve, self.padding = 1 / sqrt(inward * kernel**2), halve, kernel // 2

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        x = blurred_half(x, (1, 3, 3, 1)) if self.halve else x
        x = F.conv2d(x, weight=(self.weight * self.scale).to(x.dtype), padding=self.padding)
        if self.bias is None:
            return x * gain
        x = F.leaky_relu(x.add_(self.bias.view(1, -1, 1, 1)), 0.2).mul_(sqrt(2) * gain)
        return x.clamp_(-256, 256)


def minibatch_stddev(x: Tensor, group: int = 4) -> Tensor:
    """Append one channel: the standard deviation over groups of samples, averaged over all else."""
    n, _, height, width = x.shape
    group = min(group, n)
    apart = x.reshape(group, n // group, -1)
    spread = (apart - apart.mean(dim=0)).square().mean(dim=0).add(1e-8).sqrt().mean(dim=1)
    return torch.cat([x, spread.repeat(group).view(n, 1, 1, 1).expand(n, 1, height, width)], dim=1)


class StyleGAN2Like(nn.Module):
    """StyleGAN2's kind: residual stages with equalised weights and blurred halving, and minibatch statistics.

    Source: Karras et al. 2020 (StyleGAN2, 1912.04958), for the structure.
    """

    def __init__(self, size: int = 16, width: int = 8, *, stddev: bool = False) -> None:
        super().__init__()
        self.inward = EqualisedConvolution(3, width, 1)
        self.branches, self.skips = nn.ModuleList(), nn.ModuleList()
        while size > 4:
            first = EqualisedConvolution(width, width, 3)
            self.branches.append(nn.Sequential(first, EqualisedConvolution(width, 2 * width, 3, halve=True)))
            self.skips.append(EqualisedConvolution(width, 2 * width, 1, halve=True, act=False))
            size, width = size // 2, 2 * width
        self.stddev = stddev
        self.conv = EqualisedConvolution(width + stddev, width, 3)
        self.dense, self.out = nn.Linear(16 * width, width), nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inward(x)
        for branch, skip in zip(self.branches, self.skips, strict=True):
            h = branch(h).mul(sqrt(0.5)).add_(skip(h, gain=sqrt(0.5)))
        h = self.conv(minibatch_stddev(h) if self.stddev else h)
        return self.out(F.leaky_relu(self.dense(h.flatten(1)), 0.2))


class PackedMLP(nn.Module):
    """CTGAN's kind: rows are judged in packs of `pac`, so that N rows have N / pac values.

    Source: Xu et al. 2019 (CTGAN, 1907.00503), for the structure.
    """

    def __init__(self, n_in: int = 6, width: int = 16, pac: int = 4, dropout: float = 0.5) -> None:
        super().__init__()
        self.pac = pac
        self.layers = nn.Sequential(
            *(nn.Linear(pac * n_in, width), nn.LeakyReLU(0.2), nn.Dropout(dropout)),
            *(nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Dropout(dropout)),
            nn.Linear(width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.view(-1, self.pac * x.shape[1]))


class GroupSort(nn.Module):
    """Sort the features in pairs."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (-1, 2)).sort(dim=-1).values.flatten(1)


def group_sort_mlp(n_in: int = 6, width: int = 16) -> nn.Module:
    """A perceptron with GroupSort, as 1-Lipschitz critics have it."""
    inner = (nn.Linear(n_in, width), GroupSort(), nn.Linear(width, width), GroupSort())
    return nn.Sequential(*inner, nn.Linear(width, 1))


class AttentionCritic(nn.Module):
    """Convolutions, then self-attention over all positions by torch's fused function, then their mean."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.inward = nn.Conv2d(3, width, 4, stride=4)
        self.qkv, self.back = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.out = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.inward(x)).flatten(2).transpose(1, 2)
        query, key, value = self.qkv(h).chunk(3, dim=2)
        h = h + self.back(F.scaled_dot_product_attention(query, key, value))
        return self.out(h.mean(dim=1))


class SqueezeCritic(nn.Module):
    """A map of outputs of size 1 × 1, with all dimensions of length 1 taken away, the batch's too."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, width, 4, stride=4), nn.ReLU(), nn.Conv2d(width, 1, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).squeeze()


class DropoutCritic(nn.Module):
    """Dropout, of entries and of whole channels, behind leaky ReLUs, as conditional DCGANs have it."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                nn.Conv2d(3, width, 4, stride=2, padding=1),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Dropout2d(0.25),
            ),
            *(nn.Flatten(), nn.Linear(64 * width, 16), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(16, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class ProjectionCritic(nn.Module):
    """Conditional by projection, w·h + ⟨embed(y), h⟩; without labels it is unconditional.

    Source: Miyato and Koyama 2018 (1802.05637).
    """

    def __init__(self, width: int = 16, n_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, width, 4, stride=2, padding=1), nn.ReLU())
        self.deeper = nn.Conv2d(width, width, 4, stride=2, padding=1)
        self.out, self.embed = nn.Linear(width, 1), nn.Embedding(n_classes, width)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        h = F.relu(self.deeper(self.features(x))).sum(dim=(2, 3))
        score = self.out(h)
        return score if y is None else score + (self.embed(y) * h).sum(dim=1, keepdim=True)


IMAGE = (3, 16, 16)

ZOO: dict[str, Entry] = {
    "plain CNN": Entry(PlainCNN, IMAGE),
    "R3GAN-like": Entry(R3GANLike, IMAGE),
    "StyleGAN2-like": Entry(StyleGAN2Like, IMAGE),
    "StyleGAN2-like, minibatch stddev": Entry(lambda **sizes: StyleGAN2Like(**sizes, stddev=True), IMAGE),
    "CTGAN-like packing": Entry(PackedMLP, (6,)),
    "GroupSort MLP": Entry(group_sort_mlp, (6,)),
    "attention": Entry(AttentionCritic, IMAGE),
    "squeeze()": Entry(SqueezeCritic, IMAGE),
    "dropout": Entry(DropoutCritic, IMAGE),
    "projection": Entry(ProjectionCritic, IMAGE),
}
