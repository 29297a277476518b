"""A small classifier whose hidden layer is a feature map, for images that Inception knows nothing of.

    3x3 → w,  3x3/2 → 2w,  3x3/2 → 4w,  dense → 64 features,  dense → logits
    ReLU after each but the last

Distances in its features order generators of digits sensibly, but they are no FID: they are comparable only
among images measured with the same classifier. Sizes and training are ours.
"""

import hashlib

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.random import fork_rng

from gncompanion.metrics.pixels import to_uint8

__all__ = ["Classifier", "train_classifier"]


class Classifier:
    """The feature map of a trained classifier.

    Args:
        hidden: pixels scaled to [−1, 1], (N, C, H, W), to features (N, d).
        last: features to logits (N, k).
    """

    name = "classifier"

    def __init__(self, hidden: nn.Sequential, last: nn.Linear) -> None:
        self._hidden, self._last = hidden.eval(), last.eval()
        self.device = last.weight.device
        sha = hashlib.sha256()
        for parameter in (*hidden.parameters(), *last.parameters()):
            sha.update(parameter.detach().cpu().numpy().tobytes())
        self.digest = sha.hexdigest()[:16]

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map pixels (N, C, H, W), uint8, to features (N, 64) and logits (N, k)."""
        features = self._hidden(_scaled(pixels))
        return features, self._last(features)

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Return the share of images (N, C, H, W) whose greatest logit is that of their label (N,)."""
        _, logits = self(to_uint8(images).to(self.device))
        return (logits.argmax(dim=1).cpu() == labels.cpu()).float().mean().item()


def train_classifier(
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 600,
    batch_size: int = 64,
    width: int = 16,
    lr: float = 2e-3,
    seed: int = 0,
) -> Classifier:
    """Train the classifier with Adam on the cross-entropy, its learning rate falling linearly to zero.

    Args:
        images: (N, C, H, W), uint8 or floating point in [−1, 1]; it is trained on their device.
        labels: (N,), int64 from 0 on.
        steps: of Adam.
        batch_size: images a step, drawn with replacement.
        width: channels of the first layer.
        lr: the learning rate of the first step.
        seed: of weights and batches.

    Returns:
        The feature map.

    Raises:
        ValueError: if images and labels do not fit together.
    """
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64 or not len(labels):
        raise ValueError(
            f"labels must be int64 of shape ({len(images)},), not {labels.dtype} {tuple(labels.shape)}"
        )
    pixels, device = to_uint8(images), images.device
    with fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        hidden, last = _layers(tuple(pixels.shape[1:]), width), nn.Linear(64, int(labels.max()) + 1)
    network = nn.Sequential(hidden, last).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    random = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        index = torch.randint(len(labels), (batch_size,), generator=random).to(device)
        optimizer.zero_grad()
        cross_entropy(network(_scaled(pixels[index])), labels[index.to(labels.device)].to(device)).backward()
        optimizer.step()
        decay.step()
    return Classifier(hidden, last)


def _scaled(pixels: Tensor) -> Tensor:
    return pixels.float() / 127.5 - 1


def _layers(shape: tuple[int, ...], width: int) -> nn.Sequential:
    layers = nn.Sequential()
    channels, *size = shape
    for wide, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
        layers.extend([nn.Conv2d(channels, wide, 3, stride=stride, padding=1), nn.ReLU()])
        channels, size = wide, [-(-s // stride) for s in size]
    layers.extend([nn.Flatten(), nn.Linear(channels * size[0] * size[1], 64), nn.ReLU()])
    return layers
