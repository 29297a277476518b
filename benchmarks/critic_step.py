"""What gradient normalization costs: seconds and peak memory of the steps, by the primitive and by autograd.

    python benchmarks/critic_step.py --network resnet --batch 64 --rounds 9

The two parts of `gncompanion.cost` at given samples: the critic's step, with its optimizer's, and the way
through the frozen critic in the generator's. Each round runs every method once, in turn, so that a busy
machine is busy for all of them; medians over the rounds, relative to the unconstrained critic. Memory is the
most that tensors held at once beyond what was there before.
"""

import argparse
from collections.abc import Callable

import torch

from gncompanion.cost import LiveMemory, Spread, parts, seconds

BASE = "unconstrained"
COMPARED = (BASE, "GN, primitive", "GN, double backpropagation")
TITLES = {"critic": "critic's step", "generator": "generator's pass"}


def peak_bytes(do: Callable[[], None], device: str) -> int:
    """The most bytes that the work's tensors held at once."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        do()
        return torch.cuda.max_memory_allocated() - before
    with LiveMemory() as memory:
        do()
    return memory.peak


def report(part: str, work: dict[str, Callable[[], None]], rounds: int, device: str) -> None:
    """Print a line per method."""
    times = {
        method: Spread.of(found) for method, found in seconds(work, rounds=rounds, device=device).items()
    }
    memory = {method: peak_bytes(do, device) for method, do in work.items()}
    print(f"{TITLES[part]:28}{'ms':>8}{'min–max':>16}{'relative':>10}{'peak MB':>9}{'relative':>10}")
    for method, time in times.items():
        between = f"{1e3 * time.low:.0f}–{1e3 * time.high:.0f}"
        line = f"{method:28}{1e3 * time.median:8.1f}{between:>16}{time.median / times[BASE].median:10.2f}"
        print(f"{line}{memory[method] / 1e6:9.0f}{memory[method] / memory[BASE]:10.2f}")


def main() -> None:
    """Print a table per part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=["dcgan", "resnet"], default="dcgan")
    parser.add_argument("--batch", type=int, default=64, help="real samples per step")
    parser.add_argument("--rounds", type=int, default=9, help="runs of each method")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    made = {m: parts(m, options.network, batch=options.batch, device=options.device) for m in COMPARED}
    batches, threads = f"{options.batch}/{2 * options.batch}", torch.get_num_threads()
    print(f"{options.network}-32, batch {batches}, {options.device}, {threads} threads")
    for part in TITLES:
        work = {method: of_method[part] for method, of_method in made.items()}
        report(part, work, options.rounds, options.device)


if __name__ == "__main__":
    main()
