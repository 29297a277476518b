"""How far EfficientNet-Lite0's features can be trusted on small photographs: their floor and what they see.

    python benchmarks/judge.py --train cifar10-jpeg/train --test cifar10-jpeg/test

The reference is 10 000 test images. The floor is what real training images score against it, at several N; a
method's score means nothing until it is well above. Then N real images are spoilt in known ways: noise of a
deviation in units of a pixel's 255, Gaussian blur of a deviation in pixels, classes left out, few images
repeated. Where no new features are needed there are several draws; the spread is their standard deviation.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from gncompanion import data
from gncompanion.data import Images
from gncompanion.metrics import (
    EfficientNet,
    Statistics,
    batches,
    extract,
    frechet_distance,
    kernel_distance,
    precision_and_recall,
)
from gncompanion.notebook.provenance import provenance
from gncompanion.tools import paths
from gncompanion.tools.files import write

DRAWS, N_REAL, N = 3, 10_000, 2000
FLOORS = (500, 1000, 2000, 5000, 10_000)
PRECISION_UP_TO = 5000  # its distances take N² numbers
OUTPUT = "notebooks/middle/judge.json"


def noisy(pixels: Tensor, deviation: float) -> Tensor:
    """Add Gaussian noise, rounded and clipped as a picture is."""
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0)) * deviation
    return (pixels.float() + noise).round().clamp(0, 255).to(torch.uint8)


def blurred(pixels: Tensor, deviation: float) -> Tensor:
    """Blur each image."""
    return gaussian_blur(pixels, [7, 7], [deviation, deviation])


SPOILT: dict[str, Callable[[Tensor], Tensor]] = {
    "noise, σ = 2": lambda pixels: noisy(pixels, 2),
    "noise, σ = 5": lambda pixels: noisy(pixels, 5),
    "noise, σ = 20": lambda pixels: noisy(pixels, 20),
    "blur, σ = 0.5": lambda pixels: blurred(pixels, 0.5),
    "blur, σ = 1": lambda pixels: blurred(pixels, 1),
}


def chosen(labels: Tensor, draw: int) -> Iterator[tuple[str, Tensor]]:
    """Which real images each row takes that needs no new features, in one draw."""
    random = torch.Generator().manual_seed(draw)
    order = torch.randperm(len(labels), generator=random)
    for n in FLOORS:
        if n < len(labels) or draw == 0:
            yield f"real, N = {n}", order[:n]
    for kept in (9, 5, 1):
        yield f"{kept} of 10 classes", order[labels[order] < kept][:N]
    for distinct in (500, 50):
        yield f"{distinct} images, repeated", order[:distinct].repeat(N // distinct)


def measured(values: Tensor, real: Tensor, statistics: Statistics) -> dict[str, float]:
    """Score features against the reference."""
    kernel, _ = kernel_distance(values, real)
    found = {"n": len(values), "kernel × 1000": 1000 * kernel}
    found["Fréchet"] = frechet_distance(Statistics.of(values), statistics)
    if len(values) <= PRECISION_UP_TO:
        evenly = torch.arange(len(values)) * len(real) // len(values)
        found["precision"], found["recall"] = precision_and_recall(values, real[evenly])
    return found


def mapped(judge: EfficientNet, pixels: Tensor) -> Tensor:
    """Map images to features."""
    return extract(judge, batches(pixels, 100)).values


def rows(train: Images, test: Images) -> dict[str, list[dict[str, float]]]:
    """Measure every row: a list of draws each."""
    judge, random = EfficientNet(), torch.Generator().manual_seed(0)
    index = torch.randperm(len(train), generator=random)[:N_REAL]
    pixels, labels = train.pixels[index], train.labels[index]
    real, values = mapped(judge, test.pixels[:N_REAL]), mapped(judge, pixels)
    statistics = Statistics.of(real)
    found: dict[str, list[dict[str, float]]] = {}
    for draw in range(DRAWS):
        for name, taken in chosen(labels, draw):
            found.setdefault(name, []).append(measured(values[taken], real, statistics))
    for name, spoil in SPOILT.items():
        found[name] = [measured(mapped(judge, spoil(pixels[:N])), real, statistics)]
    return found


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Write the rows as Markdown."""
    columns = ("kernel × 1000", "Fréchet", "precision", "recall")
    lines = ["| images | N | " + " | ".join(columns) + " |", "|---" * (2 + len(columns)) + "|"]
    for name, draws in found.items():
        cells = []
        for column in columns:
            numbers = torch.tensor([draw[column] for draw in draws if column in draw])
            spread = f" ± {numbers.std():.2g}" if len(numbers) > 1 else ""
            cells.append(f"{numbers.mean():.4g}{spread}" if len(numbers) else "–")
        lines.append(f"| {name} | {draws[0]['n']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and keep the numbers with where they come from."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("train", "test"):
        parser.add_argument(
            f"--{name}", required=True, help=f"folder of the {name} images, a class each subfolder"
        )
    parser.add_argument("--title", default="CIFAR-10, JPEG copies", help="what the images are called")
    options = parser.parse_args()
    train, test = (data.load("folder", folder=folder) for folder in (options.train, options.test))
    found = rows(train, test)
    print(table(found))
    origin = provenance("09_image_generation")
    content = {
        "data": options.title,
        "data_digests": {"train": train.digest, "test": test.digest},
        "judge": f"{EfficientNet.name} {EfficientNet.digest}",
        "rows": found,
        **origin,
    }
    file = Path(paths.root() / OUTPUT)
    write(file, (json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode())


if __name__ == "__main__":
    main()
