"""A whole iteration of training: gradient normalization by the primitive against WGAN-GP as usually written.

    python benchmarks/iteration.py --network resnet --n-dis 5 --rounds 7

An iteration is n_dis critic steps and a generator's step of `gncompanion.training`, with sampling, optimizers
and averaged weights. Each round runs every method once, in turn, so that a busy machine is busy for all of
them; medians over the rounds, beside what counted FLOPs allow.
"""

import argparse

import torch

from gncompanion.constraints import build
from gncompanion.cost import VARIANTS, Spread, count, iteration, seconds
from gncompanion.data import Images
from gncompanion.models import build as build_networks
from gncompanion.training import LOSSES, Networks, Schedule, Training

BASE = "GP, double backpropagation"
COMPARED = ("unconstrained", BASE, "GP, primitive", "GN, double backpropagation", "GN, primitive")
SHAPE = (3, 32, 32)


def training(method: str, options: argparse.Namespace) -> Training:
    """A training on noise, of the networks at their full size."""
    rule = build(VARIANTS[method].constraint, **VARIANTS[method].options)
    generator, critic = build_networks(options.network, SHAPE, generator=torch.Generator().manual_seed(0))
    rule.prepare(critic)
    pixels = torch.randint(256, (1000, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    players = Networks(generator.to(options.device), critic.to(options.device), rule, LOSSES["hinge"])
    schedule = Schedule(n_dis=options.n_dis, batch_critic=options.batch, batch_generator=2 * options.batch)
    return Training(players, Images("noise", pixels, flip=True), schedule)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=["dcgan", "resnet"], default="dcgan")
    parser.add_argument("--n-dis", type=int, default=1, help="critic steps per iteration")
    parser.add_argument("--batch", type=int, default=64, help="real samples per critic step")
    parser.add_argument("--rounds", type=int, default=7, help="iterations of each method")
    parser.add_argument("--methods", nargs="+", choices=VARIANTS, default=list(COMPARED), metavar="METHOD")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def main() -> None:
    """Print a line per method."""
    options = parsed()
    trainings = {method: training(method, options) for method in {BASE: 0, **dict.fromkeys(options.methods)}}
    work = {method: run._iterate for method, run in trainings.items()}
    times = {
        method: Spread.of(found)
        for method, found in seconds(work, rounds=options.rounds, device=options.device).items()
    }
    counts = {method: count(method, options.network, batch=options.batch) for method in trainings}
    flops = {method: iteration(found, options.n_dis).flops for method, found in counts.items()}
    batches, threads = f"{options.batch}/{2 * options.batch}", torch.get_num_threads()
    print(f"{options.network}-32, batch {batches}, n_dis {options.n_dis}, {threads} threads")
    print(f"{'':30}{'s':>8}{'min–max':>14}{'/ WGAN-GP':>11}{'FLOPs':>8}")
    for method, time in times.items():
        between = f"{time.low:.2f}–{time.high:.2f}"
        ratios = f"{time.median / times[BASE].median:11.2f}{flops[method] / flops[BASE]:8.2f}"
        print(f"{method:30}{time.median:8.2f}{between:>14}{ratios}")


if __name__ == "__main__":
    main()
