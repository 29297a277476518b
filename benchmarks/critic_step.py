"""What gradient normalization costs: seconds and peak memory of the steps, by the primitive and by autograd.

    python benchmarks/critic_step.py --network resnet --batch 64 --rounds 9

Critic's step: value, loss, weight gradients. Generator's pass: value and input gradient of a frozen critic.
Each round runs every method once, in turn, so that a busy machine is busy for all of them; medians over the
rounds, relative to the unconstrained critic. Memory is the most that tensors held at once beyond what was
there before.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gncompanion.constraints import Constraint, build
from gncompanion.cost import LiveMemory
from gncompanion.models import build as build_networks

METHODS: dict[str, Constraint] = {
    "unconstrained": build("none"),
    "GN, primitive": build("gn", method="linear"),
    "GN, autograd": build("gn", method="autograd"),
}
Step = Callable[[nn.Module, Constraint, Tensor], None]


def critic_step(critic: nn.Module, constraint: Constraint, x: Tensor) -> None:
    """The critic's forward and backward."""
    critic.zero_grad(set_to_none=True)
    constraint.score(critic, x).mean().backward()


def generator_pass(critic: nn.Module, constraint: Constraint, x: Tensor) -> None:
    """The way through the frozen critic in the generator's step."""
    critic.requires_grad_(False)
    constraint.score(critic, x.clone().requires_grad_()).mean().backward()
    critic.requires_grad_(True)


def seconds(step: Step, critic: nn.Module, x: Tensor, rounds: int) -> dict[str, list[float]]:
    """The times of each method, a list of `rounds`, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(rounds + 1):
        for name, constraint in METHODS.items():
            start = time.perf_counter()
            step(critic, constraint, x)
            if x.is_cuda:
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - start)
    return {name: found[1:] for name, found in times.items()}


def peak_bytes(step: Step, critic: nn.Module, constraint: Constraint, x: Tensor) -> int:
    """The most bytes that one step's tensors held at once."""
    if x.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(critic, constraint, x)
        return torch.cuda.max_memory_allocated() - before
    with LiveMemory() as memory:
        step(critic, constraint, x)
    return memory.peak


def main() -> None:
    """Print a table a step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=["dcgan", "resnet"], default="dcgan")
    parser.add_argument("--batch", type=int, default=64, help="samples a step")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each method")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    random = torch.Generator().manual_seed(0)
    _, critic = build_networks(options.network, (3, 32, 32), generator=random)
    critic.to(options.device)
    x = torch.randn(options.batch, 3, 32, 32, generator=random).to(options.device)
    print(f"{options.network}-32, batch {options.batch}, {options.device}, {torch.get_num_threads()} threads")
    for step in (critic_step, generator_pass):
        times = seconds(step, critic, x, options.rounds)
        memory = {name: peak_bytes(step, critic, constraint, x) for name, constraint in METHODS.items()}
        base = statistics.median(times["unconstrained"])
        print(f"{step.__name__:16}{'ms':>8}{'min–max':>16}{'relative':>10}{'peak MB':>9}{'relative':>10}")
        for name, found in times.items():
            median = statistics.median(found)
            spread = f"{1e3 * min(found):.0f}–{1e3 * max(found):.0f}"
            share = memory[name] / memory["unconstrained"]
            line = f"{name:16}{1e3 * median:8.1f}{spread:>16}{median / base:10.2f}"
            print(f"{line}{memory[name] / 1e6:9.0f}{share:10.2f}")


if __name__ == "__main__":
    main()
