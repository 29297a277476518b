"""What a constraint costs, per family of critics: FLOPs counted, processor seconds measured.

    python -m benchmarks.critic_families                      print both tables
    python -m benchmarks.critic_families --write              ... into docs/cost.md, between its markers
    python -m benchmarks.critic_families --families R3GAN-like --rounds 15

A critic's step is the scores of a real and of a generated batch, the relativistic loss softplus(f_fake −
f_real), and the gradient of all weights. Five ways of it, each once in every round, in turn, so that a busy
machine is busy for all of them:

    plain                 no constraint
    GN, twice             gradient normalization by double backpropagation, as the official code has it
    GN                    gradient normalization by this package
    R1 + R2, twice        both zero-centered penalties by double backpropagation, as R3GAN's code has them
    R1 + R2               both by this package, each in the pass that scores its batch

"Twice" is written out here, with nothing of the package. Medians over the rounds, relative to plain.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from benchmarks.critic_zoo import Entry, R3GANLike, StyleGAN2Like
from gncompanion import GradientNorm, r1_penalty, r2_penalty
from gncompanion.cost import Spread, flops, seconds
from gncompanion.input_gradient import unsupported_reason
from gncompanion.models import BigGANCritic, DCGANCritic, MLPCritic, ResNetCritic

PAGE = Path(__file__).parents[1] / "docs" / "cost.md"
IMAGE, GAMMA = (3, 32, 32), 10.0

FAMILIES: dict[str, Entry] = {
    "MLP, 2 inputs": Entry(lambda: MLPCritic(2, width=512), (2,)),
    "MLP, 784 inputs": Entry(lambda: MLPCritic(784, width=256, depth=3), (784,)),
    "DCGAN": Entry(lambda: DCGANCritic(32, 3, width=32), IMAGE),
    "ResNet": Entry(lambda: ResNetCritic(32, 3, width=32), IMAGE),
    "R3GAN-like": Entry(lambda: R3GANLike(32, width=32, groups=4), IMAGE),
    "StyleGAN2-like": Entry(lambda: StyleGAN2Like(32, width=32), IMAGE),
    "StyleGAN2-like, minibatch stddev": Entry(lambda: StyleGAN2Like(32, width=32, stddev=True), IMAGE),
    "BigGAN, attention": Entry(lambda: BigGANCritic(None, 32, width=32, attention=True), IMAGE),
}

Scored = tuple[Tensor, Tensor, Tensor | float]
Ways = dict[str, Callable[[nn.Module, Tensor, Tensor], Scored]]


def with_gradient(critic: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """f and ‖∇f‖², differentiable by a second backpropagation."""
    x = x.detach().requires_grad_()
    f = critic(x.view_as(x))  # torch's counter of FLOPs cannot do with a leaf here
    (g,) = torch.autograd.grad(f.sum(), x, create_graph=True)
    return f, g.square().flatten(1).sum(1).view_as(f)


def normalized_twice(critic: nn.Module, x: Tensor) -> Tensor:
    """GN as it is usually written."""
    f, squared = with_gradient(critic, x)
    return f / (squared.sqrt() + f.abs())


def penalised_twice(critic: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """A zero-centered penalty as it is usually written."""
    f, squared = with_gradient(critic, x)
    return f, GAMMA / 2 * squared.mean()


def gn_twice(critic: nn.Module, real: Tensor, fake: Tensor) -> Scored:
    return normalized_twice(critic, real), normalized_twice(critic, fake), 0.0


def gn(critic: nn.Module, real: Tensor, fake: Tensor) -> Scored:
    score = GradientNorm(critic)
    return score(real), score(fake), 0.0


def r1_r2_twice(critic: nn.Module, real: Tensor, fake: Tensor) -> Scored:
    (f_real, r1), (f_fake, r2) = penalised_twice(critic, real), penalised_twice(critic, fake)
    return f_real, f_fake, r1 + r2


def r1_r2(critic: nn.Module, real: Tensor, fake: Tensor) -> Scored:
    f_real, r1 = r1_penalty(critic, real, gamma=GAMMA)
    f_fake, r2 = r2_penalty(critic, fake, gamma=GAMMA)
    return f_real, f_fake, r1 + r2


WAYS: Ways = {
    "plain": lambda critic, real, fake: (critic(real), critic(fake), 0.0),
    "GN, twice": gn_twice,
    "GN": gn,
    "R1 + R2, twice": r1_r2_twice,
    "R1 + R2": r1_r2,
}


def steps(family: Entry, batch: int) -> dict[str, Callable[[], None]]:
    """A critic's step by each of the ways, on the same critic and samples."""
    torch.manual_seed(0)
    critic, (real, fake) = family.make(), torch.randn(2, batch, *family.shape)

    def step(way: Callable[[nn.Module, Tensor, Tensor], Scored]) -> None:
        critic.zero_grad()
        f_real, f_fake, penalty = way(critic, real, fake)
        (softplus(f_fake - f_real).mean() + penalty).backward()

    return {name: lambda way=way: step(way) for name, way in WAYS.items()}


def ratios(values: dict[str, float]) -> list[float]:
    """All but the first, relative to the first."""
    first, *others = values.values()
    return [value / first for value in others]


def counted(family: Entry, batch: int = 2) -> dict[str, int]:
    """FLOPs of each way; relative to each other they are the same for every batch."""
    work = steps(family, batch)
    for step in work.values():
        step()  # at its first call a critic is asked whether its samples influence each other
    return {name: flops(step) for name, step in work.items()}


def is_fast(family: Entry) -> bool:
    """Whether the package's ways are the primitive, not double backpropagation."""
    return unsupported_reason(family.make(), torch.zeros(4, *family.shape)) is None


def row(name: str, cells: list[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join([name, *cells])} |"


def head(first: str) -> list[str]:
    """A table's first two lines."""
    return [row(f"relative to {first}", list(WAYS)[1:]), row("---", ["---:"] * (len(WAYS) - 1))]


def name_of(name: str) -> str:
    """A family's name, marked where the package falls back."""
    return name if is_fast(FAMILIES[name]) else f"{name} †"


def flops_table(names: list[str]) -> list[str]:
    """FLOPs relative to the plain step's."""
    found = {name: ratios(counted(FAMILIES[name])) for name in names}
    return [*head("plain, FLOPs"), *(row(name_of(n), [f"{r:.2f}" for r in found[n]]) for n in names)]


def seconds_table(names: list[str], batch: int, rounds: int) -> list[str]:
    """Processor seconds relative to the plain step's, with the plain step's own milliseconds."""
    lines = head("plain, processor time")
    for name in names:
        times = seconds(steps(FAMILIES[name], batch), rounds=rounds, clock="processor")
        medians = {way: Spread.of(found).median for way, found in times.items()}
        label = f"{name_of(name)} ({1e3 * medians['plain']:.3g} ms)"
        lines.append(row(label, [f"{ratio:.2f}" for ratio in ratios(medians)]))
        print(lines[-1], flush=True)
    return lines


def write(blocks: dict[str, list[str]]) -> None:
    """Put tables into the page, between `<!-- name -->` and `<!-- end -->`."""
    text = PAGE.read_text(encoding="utf-8")
    for name, lines in blocks.items():
        table = f"<!-- {name} -->\n" + "\n".join(lines) + "\n<!-- end -->"
        text, n = re.subn(rf"<!-- {name} -->\n.*?<!-- end -->", lambda _, t=table: t, text, flags=re.DOTALL)
        if n != 1:
            raise ValueError(f"{PAGE.name} needs one block <!-- {name} --> ... <!-- end -->, and has {n}")
    PAGE.write_text(text, encoding="utf-8")


def main() -> None:
    """Count, measure, and print or write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), metavar="FAMILY")
    parser.add_argument("--batch", type=int, default=4, help="real samples, and as many generated ones")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each way")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/cost.md")
    options = parser.parse_args()
    torch.set_num_threads(1)  # so that processor time is the time of an idle machine
    warnings.filterwarnings("ignore", message=".*samples influence each other")
    about = f"torch {torch.__version__.split('+')[0]}, {platform.machine()}, one thread, "
    about += f"{options.batch} real and {options.batch} generated samples, medians of {options.rounds} rounds"
    if hasattr(os, "getloadavg"):
        about += f"; {os.cpu_count()} cores, at a load of {os.getloadavg()[0]:.1f}"
    counts = flops_table(options.families)
    print("\n".join([*counts, "", f"{about}."]), flush=True)
    times = seconds_table(options.families, options.batch, options.rounds)
    if options.write:
        write({"flops": counts, "seconds": [*times, "", f"{about}."]})


if __name__ == "__main__":
    main()
