"""A small classifier whose hidden layer is a feature map, for images that Inception knows nothing of.

    3x3 → w,  3x3/2 → 2w,  3x3/2 → 4w,  dense → 64 features,  dense → logits
    ReLU after each but the last

Distances in its features order generators of digits sensibly, but they are no FID: they are comparable only
among images measured with the same classifier. Sizes and training are ours.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.random import fork_rng

from gncompanion.metrics.pixels import to_uint8
from gncompanion.tools.checks import positive, whole
from gncompanion.tools.digests import content_digest

__all__ = ["Classifier", "train_classifier"]


class Classifier:
    """The feature map of a trained classifier.

    Args:
        hidden: Layers from pixels scaled to [−1, 1], (N, C, H, W), to features, (N, d).
        last: Layer from features to logits, (N, k).
    """

    name = "classifier"

    def __init__(self, hidden: nn.Sequential, last: nn.Linear) -> None:
        self._hidden, self._last = hidden.eval(), last.eval()
        self.device = last.weight.device
        weights = (parameter.detach().cpu() for layer in (hidden, last) for parameter in layer.parameters())
        self.digest = content_digest(*(weight.numpy().tobytes() for weight in weights))

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map images.

        Args:
            pixels: The images, (N, C, H, W), uint8.

        Returns:
            Features, (N, 64), and logits, (N, k).
        """
        features: Tensor = self._hidden(_scaled(pixels))
        return features, self._last(features)

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Compute the share of images whose greatest logit is that of their label.

        Args:
            images: The images, (N, C, H, W), uint8 or floating point in [−1, 1].
            labels: The labels, (N,), int64.

        Returns:
            The share, from 0 to 1.
        """
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
        images: The images, (N, C, H, W), uint8 or floating point in [−1, 1]; the classifier is trained on
            their device.
        labels: The labels, (N,), int64 from 0 on.
        steps: Number of steps of Adam.
        batch_size: Number of images per step, drawn with replacement.
        width: Number of channels of the first layer.
        lr: Learning rate of the first step.
        seed: Seed of weights and batches.

    Returns:
        The feature map.

    Raises:
        ValueError: Images and labels do not fit together, or a number is not positive.

    Source: Kingma and Ba 2015 (Adam, 1412.6980).
    """
    for name, count in (("steps", steps), ("batch_size", batch_size), ("width", width)):
        whole(name, count)
    positive("lr", lr, such_as=2e-3)
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64 or not len(labels):
        raise ValueError(
            f"labels must be int64 of shape ({len(images)},), not {labels.dtype} {tuple(labels.shape)}"
        )
    if labels.min() < 0:
        raise ValueError(f"labels must be from 0 on, but one is {int(labels.min())}")
    pixels = to_uint8(images)
    with fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        hidden, last = _layers(tuple(pixels.shape[1:]), width), nn.Linear(64, int(labels.max()) + 1)
    network = nn.Sequential(hidden, last).to(images.device)
    optimizer = torch.optim.Adam(network.parameters(), lr)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    random = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        index = torch.randint(len(labels), (batch_size,), generator=random)
        optimizer.zero_grad()
        _loss(network, pixels, labels, index).backward()
        optimizer.step()
        decay.step()
    return Classifier(hidden, last)


def _loss(network: nn.Module, pixels: Tensor, labels: Tensor, index: Tensor) -> Tensor:
    batch, of_batch = pixels[index.to(pixels.device)], labels[index.to(labels.device)]
    return cross_entropy(network(_scaled(batch)), of_batch.to(pixels.device))


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
