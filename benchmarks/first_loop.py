"""Notebook 00's loop with and without its one line, at several learning rates: where normalization helps.

    python -m benchmarks.first_loop    trains, seed by seed, and keeps benchmarks/first_loop.json up to date

The same networks, data (scikit-learn's digits), hinge loss, batches and seeds; the only difference is
`critic = GradientNorm(critic)`. Three rates of Adam for both networks, the notebook's, 4 and 16 times that;
looks at 125 and 250 steps, both of which decide, at 512 generated samples beside 512 real ones.

The criterion, written down before the runs. At a rate the loop "trains" if at both looks the median
over five seeds of the exact W1 is at most half of what it was before training, its floor between two
sets of real samples taken off, and the median of the mean difference between two generated pictures is at
least half that of real ones (no collapse). The claim "the line lets the loop train at rates at which it does
not train without" holds if there is such a rate among the three and none of the reverse kind; it fails if
there is none; "holds if the rate is …" otherwise. Beside it, at each rate, in how many seeds the line's W1 is
the smaller one at step 250. Of seed 0 eight pictures a look are kept.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn

from gncompanion import GradientNorm
from gncompanion.data import digits
from gncompanion.metrics import mean_difference
from gncompanion.notebook.provenance import provenance
from gncompanion.theory.wasserstein import exact_w1
from gncompanion.tools import paths
from gncompanion.tools.files import write

RATES, SEEDS, LOOKS, N, BATCH = (5e-4, 2e-3, 8e-3), (0, 1, 2, 3, 4), (0, 125, 250), 512, 64
RESULT = paths.root() / "benchmarks" / "first_loop.json"


def networks() -> tuple[nn.Module, nn.Module]:
    """Notebook 00's generator and critic."""
    generator = nn.Sequential(
        nn.Linear(64, 256),
        nn.BatchNorm1d(256),
        nn.ReLU(),
        nn.Linear(256, 256),
        nn.BatchNorm1d(256),
        nn.ReLU(),
        nn.Linear(256, 64),
        nn.Tanh(),
        nn.Unflatten(1, (1, 8, 8)),
    )
    critic = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(32, 64, 4, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 1),
    )
    return generator, critic


def run(rate: float, seed: int, *, wrapped: bool) -> dict[str, list[Any]]:
    """One training: what its looks see."""
    data = digits()
    torch.manual_seed(seed)
    generator, critic = networks()
    if wrapped:
        critic = GradientNorm(critic)
    noise = torch.Generator().manual_seed(seed)
    adam = [torch.optim.Adam(network.parameters(), rate, (0.0, 0.9)) for network in (critic, generator)]
    seen: dict[str, list[Any]] = {"W1": [], "difference": []} | ({} if seed else {"pictures": []})
    for step in range(LOOKS[-1] + 1):
        if step in LOOKS:
            look(seen, generator, data.sample(N, torch.Generator().manual_seed(10**6))[0])
        if step < LOOKS[-1]:
            take_steps(generator, critic, adam, data.sample(BATCH, noise)[0], noise)
    return seen


def take_steps(
    generator: nn.Module, critic: nn.Module, adam: list[Any], real: Tensor, noise: torch.Generator
) -> None:
    """One step of the critic, one of the generator, as in notebook 00."""

    def generate() -> Tensor:
        fake: Tensor = generator(torch.randn(BATCH, 64, generator=noise))
        return fake

    loss = (1 - critic(real)).relu().mean() + (1 + critic(generate().detach())).relu().mean()
    adam[0].zero_grad()
    loss.backward()
    adam[0].step()
    critic.requires_grad_(False)
    loss = -critic(generate()).mean()
    adam[1].zero_grad()
    loss.backward()
    adam[1].step()
    critic.requires_grad_(True)


@torch.no_grad()
def look(seen: dict[str, list[Any]], generator: nn.Module, real: Tensor) -> None:
    """Note how far 512 generated samples are from real ones, and from each other."""
    fake = generator(torch.randn(N, 64, generator=torch.Generator().manual_seed(10**6 + 1)))
    seen["W1"].append(round(exact_w1(real, fake), 4))
    seen["difference"].append(round(mean_difference(fake), 4))
    if "pictures" in seen:  # 0 is black and 16 is white, as in the data
        seen["pictures"].append(((fake[:8] + 1) * 8).round().int().flatten(1).tolist())


def main() -> None:
    """Train everything, seed by seed, and keep what is there."""
    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(10**6)
    real, again = (digits().sample(N, random)[0] for _ in range(2))
    result: dict[str, Any] = {
        "rates": RATES,
        "looks": LOOKS,
        "W1 between real samples": round(exact_w1(real, again), 4),
        "difference of real samples": round(mean_difference(real), 4),
        "provenance": provenance("00_start_here"),
    }
    found: dict[str, Any] = {way: {f"{rate:g}": [] for rate in RATES} for way in ("with", "without")}
    if RESULT.exists():  # seeds that are done are kept; delete the file to begin anew
        kept = json.loads(RESULT.read_text(encoding="utf-8"))
        found = {way: kept[way] for way in found}
    for seed in SEEDS[len(found["with"][f"{RATES[0]:g}"]) :]:
        for rate in RATES:
            for way in found:
                found[way][f"{rate:g}"].append(run(rate, seed, wrapped=way == "with"))
                print(seed, rate, way, found[way][f"{rate:g}"][-1]["W1"], flush=True)
        write(RESULT, (json.dumps(result | found, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
