"""What the package makes of critics as papers and public repositories build them: docs/critics.md.

    python benchmarks/public_critics.py                                    prints the page
    python benchmarks/public_critics.py --write                            writes docs/critics.md
    python benchmarks/public_critics.py --add my_module:MyCritic 3,32,32   prints it with a row of your own

A row is added to `CRITICS`, below: a name, a source, how the critic is made, and the shape of one sample. The
structures are typed anew, at small widths; the papers' own networks are those of `gncompanion.models`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a file, it still finds its neighbours

from benchmarks import more_critics  # noqa: E402
from benchmarks.critic_zoo import ZOO  # noqa: E402
from gncompanion import models  # noqa: E402
from gncompanion.check import Report, check_critic, load_critic  # noqa: E402

PAGE = ROOT / "docs" / "critics.md"
IMAGE = (3, 16, 16)


class Row(NamedTuple):
    """A critic of the table.

    Attributes:
        name: Its name.
        source: The paper or repository that describes it.
        make: Makes it.
        shape: Shape of one sample.
        labels: Number of classes, if it is given labels.
    """

    name: str
    source: str
    make: Callable[[], Callable[..., object]]
    shape: tuple[int, ...] = IMAGE
    labels: int | None = None


def of_zoo(name: str, source: str, *, labels: int | None = None) -> Row:
    """A row of the zoo."""
    return Row(name, source, ZOO[name].make, ZOO[name].shape, labels)


OURS = (3, 32, 32)
CRITICS = [
    Row("GN-GAN, CNN", "2109.02235", lambda: models.DCGANCritic(32, 3, width=16), OURS),
    Row("GN-GAN, ResNet", "2109.02235", lambda: models.ResNetCritic(32, 3, width=16), OURS),
    Row("BigGAN", "1809.11096", lambda: models.BigGANCritic(10, 32, width=8), OURS, 10),
    Row("AutoGAN, E²GAN", "1908.03835, 2007.09180", lambda: models.AutoGANCritic(32, 3, width=16), OURS),
    of_zoo("plain CNN", "DCGAN 1511.06434, without normalization"),
    of_zoo("R3GAN-like", "2501.05441"),
    of_zoo("StyleGAN2-like", "1912.04958, without minibatch statistics"),
    of_zoo("StyleGAN2-like, minibatch stddev", "1912.04958"),
    Row(
        "CTGAN-like packing",
        "1907.00503; x is packs, (N, 4, 6)",
        lambda: more_critics.Packs(ZOO["CTGAN-like packing"].make()),
        (4, 6),
    ),
    of_zoo("GroupSort MLP", "1811.05381"),
    of_zoo("attention", "torch's scaled_dot_product_attention"),
    of_zoo("squeeze()", "a common spelling"),
    of_zoo("dropout", "conditional DCGANs"),
    of_zoo("projection", "1802.05637", labels=10),
    Row("patches, batch normalization", "pix2pix 1611.07004", more_critics.patch_critic),
    Row(
        "patches, instance normalization",
        "CycleGAN 1703.10593",
        lambda: more_critics.patch_critic(nn.InstanceNorm2d),
    ),
    Row("layer normalization", "WGAN-GP 1704.00028", more_critics.layer_norm_critic),
    Row("spectral normalization", "SN-GAN 1802.05957", more_critics.spectral_cnn),
    Row("one period of a waveform", "HiFi-GAN 2010.05646", more_critics.PeriodCritic, (1, 100)),
    Row("U-Net", "Real-ESRGAN 2107.10833", more_critics.UNetCritic),
    Row("attention in matrix products", "SAGAN 1805.08318", more_critics.MatrixAttentionCritic),
    Row("vision transformer", "2010.11929", more_critics.TransformerCritic),
    Row("autoencoder's energy", "BEGAN 1703.10717", more_critics.AutoencoderCritic),
    Row("points", "PointNet 1612.00593", more_critics.PointCritic, (3, 20)),
    Row("text", "1408.5882", more_critics.TextCritic, (6, 12)),
    Row("series, GRU", "TimeGAN, NeurIPS 2019", more_critics.RecurrentCritic, (10, 4)),
    Row("maxout, dropout", "1406.2661", more_critics.MaxoutCritic, (12,)),
]

HEAD = """# Public critics, and what "auto" makes of them

Written by `python benchmarks/public_critics.py --write`, which runs `check_critic` on each; a test runs the
quick ones again. Critics of papers and public repositories, their structure typed anew: the first rows are
the package's own networks, the others are small. **Method** is what `method="auto"` takes: linear, the fast
exact gradient, or autograd, double backpropagation. **Error** bounds the largest relative difference of
values, input gradients and weight gradients from double backpropagation in float64. **FLOPs** are those of a
critic step relative to a step without gradient normalization, by double backpropagation and by "auto";
networks as small as these pay more than large ones, whose first layer counts for less. **Coupling** says
which samples of 8 influence each other, found by differentiating each value.

A critic of your own: `gncompanion check my_module:MyCritic --shape 3,32,32`, or
`python benchmarks/public_critics.py --add my_module:MyCritic 3,32,32` for its row.

| critic | source | method | error | FLOPs: twice | auto | coupling | in the way of the fast gradient |
|---|---|---|---|---|---|---|---|
"""


def checked(row: Row) -> Report:
    """Check a row's critic, with the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        critic = row.make()
    return check_critic(critic, row.shape, labels=row.labels)


def cells(row: Row, found: Report) -> list[str]:
    """What the table says of a critic."""
    texts = [
        row.name,
        row.source,
        found.method,
        bound(found),
        *(times(found, cost) for cost in (found.flops.twice, found.flops.auto)),
        found.coupling,
        found.reason or "",
    ]
    return [text.replace("|", "/") for text in texts]


def bound(found: Report) -> str:
    """The power of ten that the largest error does not exceed: the digits are those of one machine."""
    if found.errors is None:
        return f"fails: {found.failure}"
    if not found.right:
        return f"WRONG: {found.errors.largest:.1e}"
    return f"≤ 1e{math.ceil(math.log10(max(found.errors.largest, 1e-16)))}"


def times(found: Report, cost: float | None) -> str:
    """A cost relative to the plain step's."""
    ratio = found.flops.ratio(cost)
    return "fails" if ratio is None else f"{ratio:.2f}"


def page(rows: Iterable[Row]) -> str:
    """The whole page."""
    lines = ["| " + " | ".join(cells(row, checked(row))) + " |\n" for row in rows]
    return HEAD + "".join(lines)


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/critics.md")
    parser.add_argument("--add", nargs=2, action="append", default=[], metavar=("MODULE:NAME", "SHAPE"))
    options = parser.parse_args()
    added = [
        Row(name, "", lambda name=name: load_critic(name), tuple(int(size) for size in shape.split(",")))
        for name, shape in options.add
    ]
    text = page([*CRITICS, *added])
    if options.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
