"""A critic's step under torch.compile against the same step as it is: seconds, and the gradients' difference.

    python -m benchmarks.compiled_step --rounds 25

`torch.compile(GradientNorm(critic))` runs the primitive as it is, since the compiler is told not to look into
it: it should cost what the uncompiled module costs. Both take their steps in turn, by the processor's clock.
The first compiled step, which compiles, is not counted.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from gncompanion import GradientNorm
from gncompanion.cost import Spread, seconds
from gncompanion.models import DCGANCritic, MLPCritic, ResNetCritic

CRITICS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "DCGAN-32": (lambda: DCGANCritic(32, 3, width=16), (3, 32, 32)),
    "ResNet-32": (lambda: ResNetCritic(32, 3, width=16), (3, 32, 32)),
    "MLP 2-64-64-64-1": (lambda: MLPCritic(2, width=64, depth=3), (2,)),
}


def gradients(score: Callable[[Tensor], Tensor], critic: nn.Module, x: Tensor) -> list[Tensor]:
    """The gradients of all weights after one step."""
    critic.zero_grad()
    score(x).sum().backward()
    return [weight.grad.clone() for weight in critic.parameters() if weight.grad is not None]


def main() -> None:
    """Print a line for each critic."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32, help="samples")
    parser.add_argument("--rounds", type=int, default=25, help="runs of each way")
    options = parser.parse_args()
    torch.set_num_threads(1)
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"batch {options.batch}, medians of {options.rounds} rounds in turn, processor time{load}")
    for name, (make, shape) in CRITICS.items():
        torch.manual_seed(0)
        critic, x = make(), torch.randn(options.batch, *shape)
        ways = {"as it is": GradientNorm(critic), "compiled": torch.compile(GradientNorm(critic))}
        pairs = zip(*(gradients(score, critic, x) for score in ways.values()), strict=True)
        difference = max(float((a - b).abs().max()) for a, b in pairs)
        steps = {way: partial(gradients, score, critic, x) for way, score in ways.items()}
        times = seconds(steps, rounds=options.rounds, clock="processor")
        plain, compiled = (1e3 * Spread.of(times[way]).median for way in ways)
        print(f"{name:18} {plain:8.2f} ms, compiled {compiled:8.2f} ms: {compiled / plain:.3f}", end="")
        print(f"; gradients differ by {difference:.1e}", flush=True)


if __name__ == "__main__":
    main()
