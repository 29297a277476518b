"""Is the critic a good function to climb? Claims 9 and 10 of benchmarks/jumps.md.

    python -m benchmarks.jumps_potential

At each look the exact optimal transport from N generated to N real samples gives every generated one a
displacement; kept is the mean cosine between it and the gradient of the raw critic there, and W1.
"""

from dataclasses import replace

import torch

from benchmarks.results import keep
from gncompanion.constraints import build
from gncompanion.data import GaussianRing
from gncompanion.input_gradient import value_and_input_gradient
from gncompanion.models import MLPCritic, MLPGenerator
from gncompanion.theory.wasserstein import transport_plan
from gncompanion.training import LOSSES, Networks, Schedule, Training

NOTEBOOK = "07_discontinuity"
LOOKS, SEEDS, N = [50, 100, 200, 400], range(5), 512
METHODS = {
    "GN": ("gn", {}),
    "GP": ("gp", {}),
    "SN": ("sn", {}),
    "none": ("none", {}),
    "batch mean": ("gn-batch", {"detach": False}),
    "inner product": ("inner-product", {}),
}


def measured(players: Networks) -> tuple[float, float]:
    """The mean cosine at N generated samples, and W1 to as many real ones."""
    random = torch.Generator().manual_seed(99)
    real = GaussianRing().sample(N, random)[0]
    with torch.no_grad():
        fake = players.generate(N, random)
    plan = transport_plan(fake, real)
    displacement = (N * plan).float() @ real - fake
    _, g = value_and_input_gradient(players.critic, fake)
    cosine = torch.nn.functional.cosine_similarity(g.detach(), displacement, dim=1).mean().item()
    return cosine, (plan * torch.cdist(fake, real)).sum().item()


def followed(method: str, seed: int) -> list[tuple[float, float]]:
    """One GAN, by the package's own training, looked at on its way."""
    name, options = METHODS[method]
    weights = torch.Generator().manual_seed(seed)
    networks = [make(width=32, depth=2, generator=weights) for make in (MLPGenerator, MLPCritic)]
    constraint = build(name, **options)
    players = Networks(*networks, constraint, LOSSES["hinge"])
    constraint.prepare(players.critic)
    rates = {"lr_critic": 1e-3, "lr_generator": 1e-3, "ema_decay": None, "log_every": LOOKS[-1]}
    schedule = Schedule(steps=LOOKS[-1], batch_critic=64, batch_generator=64, **rates)
    training, found = Training(players, GaussianRing(), schedule, seed), []
    for steps in LOOKS:
        training.schedule = replace(schedule, steps=steps)
        training.run(progress=False)
        found.append(measured(players))
    return found


def main() -> None:
    """Train, measure and keep."""
    torch.set_num_threads(1)
    every = {}
    for method in METHODS:
        values = torch.tensor([followed(method, seed) for seed in SEEDS])  # seeds × looks × 2
        every[method] = {"cosine": values[..., 0].T.tolist(), "w1": values[..., 1].T.tolist()}
        medians = values.median(0).values.numpy().round(2)
        print(f"{method:15} cosine {medians[:, 0]}   W1 {medians[:, 1]}", flush=True)
    keep("jumps_potential", NOTEBOOK, {"looks": LOOKS, "seeds": list(SEEDS), "samples": N, "methods": every})


if __name__ == "__main__":
    main()
