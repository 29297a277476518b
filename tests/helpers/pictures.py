"""Random images, in memory and in files; a feature map that needs no weights, and a reference by it."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from gncompanion.metrics import Reference, open_reference
from tests.helpers.draws import seeded


def random_pixels(*shape: int, seed: int = 0) -> Tensor:
    """Pixels without any structure, uint8."""
    return torch.randint(256, shape, generator=seeded(seed), dtype=torch.uint8)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, float32."""
    return torch.randn(shape, generator=seeded(seed))


def pictures(n: int, *, size: int = 32, channels: int = 3, seed: int = 0) -> Tensor:
    """Smooth colour fields in [−1, 1], (n, channels, size, size), float32."""
    coarse = torch.rand(n, channels, 4, 4, generator=seeded(seed)) * 2 - 1
    return nn.functional.interpolate(coarse, size, mode="bilinear")


def save_random_picture(
    path: Path, height: int = 6, width: int = 4, mode: str = "RGB", seed: int = 0
) -> Tensor:
    """Save a random image and return what it should be read as, (3, H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = len(mode) if mode != "L" else 1
    array = random_pixels(height, width, channels, seed=seed)
    Image.fromarray(array.squeeze(-1).numpy()).save(path)
    return array.permute(2, 0, 1)[:3].expand(3, -1, -1)


class Moments:
    """A feature map: mean and deviation of each channel, and three logits."""

    name = "moments"
    digest = "0"
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        assert pixels.dtype == torch.uint8
        self.seen.append(len(pixels))
        x = pixels.float().flatten(2) / 255
        return torch.cat([x.mean(2), x.std(2)], 1), 5 * x.mean(2)


def moments_reference(images: Tensor, feature_map: Moments, folder: Path, *, digest: str = "d") -> Reference:
    """The reference of images, made four at a time."""
    return open_reference(images, feature_map, name="fields", digest=digest, folder=folder, batch_size=4)
