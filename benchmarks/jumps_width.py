"""Fresh critics of growing width on segments of the unit square: claim 11 of benchmarks/jumps.md.

    python -m benchmarks.jumps_width

For each width, depth and seed one critic, as drawn and centred, D − D(½, ½), is scanned exactly on two
segments, from side to side. Kept are the knots per length, the largest step of log n and jump of D̂, and what
all steps and all jumps add up to per length.
"""

import torch
from torch import Tensor

from benchmarks.results import keep
from gncompanion.lipschitz import scan_normalized
from gncompanion.theory.critic_batch import Shape

NOTEBOOK = "07_discontinuity"
WIDTHS = {1: (16, 64, 256, 1024, 4096), 2: (16, 64, 256, 1024)}
SEEDS = range(10)
KINDS = ("knots", "largest step of log n", "variation of log n", "largest jump", "variation by jumps")


def measured(shape: Shape, seed: int, *, centred: bool) -> list[float]:
    """The five numbers of one critic."""
    critic = shape.critic(seed=seed).double()
    middle = torch.full((1, 2), 0.5, dtype=torch.float64)
    if centred:
        with torch.no_grad():
            critic.head[-1].bias -= critic(middle)
    random = torch.Generator().manual_seed(1000 + seed)
    heights = 0.3 + 0.4 * torch.rand(2, 2, generator=random, dtype=torch.float64)
    across = (torch.tensor([0.0, 1.0]).double(), heights[0])
    along = (heights[1], torch.tensor([0.0, 1.0]).double())
    scans = [scan_normalized(critic, *torch.stack(ends, 1)) for ends in (across, along)]
    length = sum(scan.scan.length for scan in scans)
    logs, jumps = (torch.cat(parts) for parts in zip(*map(_steps, scans), strict=True))
    return [
        len(jumps) / length,
        *(f(t) / (length if f is _total else 1) for t in (logs, jumps) for f in FOUND),
    ]


def _steps(scan: object) -> tuple[Tensor, Tensor]:
    return scan.norm.log().diff().abs(), scan.jumps.abs()  # type: ignore[attr-defined]


def _largest(values: Tensor) -> float:
    return values.max().item() if len(values) else 0.0


def _total(values: Tensor) -> float:
    return values.sum().item()


FOUND = (_largest, _total)


def power(widths: tuple[int, ...], values: Tensor) -> float:
    """Least squares of the logarithm of the medians, (widths, seeds), on that of the width."""
    x, y = torch.tensor(widths).double().log(), values.median(1).values.log()
    return ((x - x.mean()) @ (y - y.mean()) / (x - x.mean()).square().sum()).item()


def main() -> None:
    """Scan and keep."""
    torch.set_num_threads(1)
    found, powers = {}, {}
    for depth, widths in WIDTHS.items():
        for centred in (True, False):
            name = f"{depth} layer{'s' * (depth > 1)}, {'centred' if centred else 'as drawn'}"
            rows = [[measured(Shape(2, w, depth), s, centred=centred) for s in SEEDS] for w in widths]
            values = torch.tensor(rows).double()  # widths × seeds × kinds
            found[name] = {kind: values[..., i].tolist() for i, kind in enumerate(KINDS)}
            powers[name] = {kind: power(widths, values[..., i]) for i, kind in enumerate(KINDS)}
            print(name, {kind: round(a, 2) for kind, a in powers[name].items()}, flush=True)
    setting = {"widths": {str(d): w for d, w in WIDTHS.items()}, "seeds": list(SEEDS)}
    keep("jumps_width", NOTEBOOK, setting | {"critics": found, "powers": powers})


if __name__ == "__main__":
    main()
