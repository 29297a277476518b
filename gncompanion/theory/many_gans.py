"""Many small GANs at once, one of each seed, so that a comparison over seeds and over training is cheap.

    critic       minimise  mean_q D − mean_p D + penalty     n_dis times, by Adam
    generator    minimise  −mean_q D                         once, by Adam

with D = f, f / (n + |f|) under "gn", and f with all weights divided by σ̃ under "sn". The networks are the
package's multilayer perceptrons, fresh ones of the same rule; all weights of one layer lie in one tensor, a
slice for each seed, and a step of all runs is one product of such tensors. Adam works entry by entry, and no
loss joins two runs: each is a training by itself.

A second implementation of what `constraints` and `training` do, and tested against `constraints`.

Source: Goodfellow et al. (arXiv 1406.2661), Arjovsky et al. (arXiv 1701.07875), Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gncompanion import models
from gncompanion.data import Dataset
from gncompanion.theory.wasserstein import exact_w1
from gncompanion.tools.checks import require

__all__ = ["CriticRule", "Games", "Layers", "train_games"]

KINDS = ("none", "gp", "gp-one-sided", "wgan-div", "gn", "sn", "sn-regularization")
_FIRST_ITERATIONS = 15  # of power iteration before training, as in torch's own parametrization


@dataclass(frozen=True)
class CriticRule:
    """How the critics are constrained.

    Attributes:
        kind: One of `KINDS`.
        weight: The weight λ, or k, of a penalty.
        power: The power p of "wgan-div".
        at: Where a penalty on gradients looks, a name of `constraints.sampling.SAMPLINGS`.
        clip: The bound c to which all weights are clipped after each critic step; None = they are not.
    """

    kind: str
    weight: float = 10.0
    power: float = 6.0
    at: str = "real-fake"
    clip: float | None = None

    def __post_init__(self) -> None:
        require("kind", self.kind, self.kind in KINDS, f"one of {', '.join(KINDS)}")


@dataclass(frozen=True)
class Games:
    """What all runs of one call share.

    Attributes:
        dataset: The real samples, in the plane.
        rule: The critics' constraint.
        seeds: One run each.
        rate: Adam's learning rate of the critics.
        rate_generator: That of the generators.
        n_dis: Critic steps for each generator step.
        batch: Real samples of a critic step, and as many generated ones.
        width: Units of a hidden layer, in both networks.
        depth: Hidden layers, in both networks.
        betas: Adam's momenta.
    """

    dataset: Dataset
    rule: CriticRule
    seeds: Sequence[int]
    rate: float = 2e-3
    rate_generator: float = 2e-3
    n_dis: int = 1
    batch: int = 64
    width: int = 64
    depth: int = 2
    betas: tuple[float, float] = (0.0, 0.9)


class Layers:
    """The weights of one network of every run.

    Args:
        networks: The networks, alike but for their weights.

    Attributes:
        weights: One tensor a layer, (R, out, in).
        biases: One tensor a layer, (R, 1, out).
        vectors: The start of power iteration in each layer, (R, out, 1), without gradient.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        dense = [[m for m in network.modules() if isinstance(m, nn.Linear)] for network in networks]
        layers = list(zip(*dense, strict=True))
        self.weights = [torch.stack([m.weight.detach() for m in row]).requires_grad_() for row in layers]
        self.biases = [torch.stack([m.bias.detach()[None] for m in row]).requires_grad_() for row in layers]
        self.vectors = [torch.ones_like(weight[:, :, :1]) for weight in self.weights]
        for _ in range(_FIRST_ITERATIONS):
            self.norms()

    @property
    def parameters(self) -> list[Tensor]:
        """All weights and biases."""
        return [*self.weights, *self.biases]

    def norms(self) -> list[Tensor]:
        """Estimate each layer's spectral norm by one more power iteration, (R, 1, 1) a layer."""
        found = []
        for i, weight in enumerate(self.weights):
            with torch.no_grad():
                v = nn.functional.normalize(weight.mT @ self.vectors[i], dim=1)
                self.vectors[i] = nn.functional.normalize(weight @ v, dim=1)
            found.append(self.vectors[i].mT @ weight @ v)
        return found

    def __call__(self, x: Tensor, *, divided_by: Sequence[Tensor] | None = None) -> Tensor:
        """Evaluate: x (R, N, in) -> (R, N, out); each weight is divided by the norm given for its layer."""
        weights = self.weights
        if divided_by is not None:
            weights = [w / norm for w, norm in zip(weights, divided_by, strict=True)]
        for weight, bias in zip(weights[:-1], self.biases[:-1], strict=True):
            x = torch.baddbmm(bias, x, weight.mT).relu()
        return torch.baddbmm(self.biases[-1], x, weights[-1].mT)


def slopes(f: Tensor, x: Tensor) -> Tensor:
    """Compute ‖∇f‖ (R, N) of values f (R, N) at points x (R, N, d), differentiable in the weights."""
    (g,) = torch.autograd.grad(f.sum(), x, create_graph=True)
    # At a slope of 0 a norm has no derivative; the package's norms give 0 there.
    square: Tensor = g.square().sum(dim=2)
    return torch.where(square > 0, square, 1).sqrt() * (square > 0)


def scores(critics: Layers, rule: CriticRule, x: Tensor) -> Tensor:
    """Compute what the losses see, (R, N), at points x (R, N, d)."""
    if rule.kind == "sn":
        return critics(x, divided_by=critics.norms()).squeeze(2)
    if rule.kind != "gn":
        return critics(x).squeeze(2)
    x = x if x.requires_grad else x.detach().requires_grad_()
    f = critics(x).squeeze(2)
    scale = slopes(f, x) + f.abs()
    return f / torch.where(scale > 0, scale, 1)


def looked_at(real: Tensor, fake: Tensor, at: str, random: torch.Generator) -> Tensor:
    """Draw the points at which a penalty looks, from samples (R, N, d) of both sides: (R, M, d)."""

    def between(a: Tensor, b: Tensor) -> Tensor:
        return b + torch.rand(a.shape[:2], generator=random)[..., None] * (a - b)

    def shuffled(a: Tensor) -> Tensor:
        order = torch.rand(a.shape[:2], generator=random).argsort(dim=1)
        return a.gather(1, order[..., None].expand_as(a))

    pool = torch.cat([real, fake], dim=1)
    return {
        "real-fake": lambda: between(real, fake),
        "within": lambda: torch.cat([between(a, shuffled(a)) for a in (real, fake)], dim=1),
        "pooled": lambda: between(pool, shuffled(pool)),
        "both": lambda: pool,
        "fake": lambda: fake,
        "real": lambda: real,
    }[at]()


def penalties(
    critics: Layers, rule: CriticRule, real: Tensor, fake: Tensor, random: torch.Generator
) -> Tensor:
    """Compute the penalty of each run, (R,)."""
    if rule.kind == "sn-regularization":
        return rule.weight / 2 * torch.cat(critics.norms(), dim=2).square().sum(dim=(1, 2))
    if rule.kind not in ("gp", "gp-one-sided", "wgan-div"):
        return torch.zeros(len(real), dtype=real.dtype)
    x = looked_at(real, fake, rule.at, random).detach().requires_grad_()
    n = slopes(critics(x).squeeze(2), x)
    if rule.kind == "wgan-div":
        return rule.weight * n.pow(rule.power).mean(dim=1)
    excess = n - 1 if rule.kind == "gp" else (n - 1).relu()
    return rule.weight * excess.square().mean(dim=1)


def critic_losses(
    critics: Layers, rule: CriticRule, real: Tensor, fake: Tensor, random: torch.Generator
) -> Tensor:
    """Compute the critics' losses, (R,), penalties included, on samples (R, N, 2) of both sides."""
    d_real, d_fake = scores(critics, rule, torch.cat([real, fake], dim=1)).split(real.shape[1], dim=1)
    losses: Tensor = d_fake.mean(dim=1) - d_real.mean(dim=1)
    return losses + penalties(critics, rule, real, fake, random)


class _Runs:
    """All runs of one call, in progress."""

    def __init__(self, games: Games) -> None:
        self.games, sizes = games, {"width": games.width, "depth": games.depth}
        randoms = [torch.Generator().manual_seed(seed) for seed in games.seeds]
        made = [models.build("mlp", games.dataset.shape, generator=random, **sizes) for random in randoms]
        self.z_dim: int = made[0][0].z_dim
        self.generators = Layers([generator for generator, _ in made])
        self.critics = Layers([critic for _, critic in made])
        self.random = torch.Generator().manual_seed(1 + sum(games.seeds))
        self.adam_critic = torch.optim.Adam(self.critics.parameters, games.rate, games.betas)
        self.adam_generator = torch.optim.Adam(self.generators.parameters, games.rate_generator, games.betas)

    def real(self, n: int) -> Tensor:
        runs = len(self.games.seeds)
        x: Tensor = self.games.dataset.sample(runs * n, self.random)[0].reshape(runs, n, -1)
        return x

    def fake(self, n: int) -> Tensor:
        return self.generators(torch.randn(len(self.games.seeds), n, self.z_dim, generator=self.random))

    def step(self) -> None:
        games = self.games
        for _ in range(games.n_dis):
            real, fake = self.real(games.batch), self.fake(games.batch).detach()
            self.adam_critic.zero_grad()
            critic_losses(self.critics, games.rule, real, fake, self.random).sum().backward()
            self.adam_critic.step()
            if games.rule.clip is not None:
                with torch.no_grad():
                    for parameter in self.critics.parameters:
                        parameter.clamp_(-games.rule.clip, games.rule.clip)
        self.adam_generator.zero_grad()
        loss = -scores(self.critics, games.rule, self.fake(games.batch)).mean(dim=1).sum()
        loss.backward(inputs=self.generators.parameters)
        self.adam_generator.step()

    def measured(self, n: int) -> tuple[list[float], list[float]]:
        real, fake = self.real(n), self.fake(n).detach()
        d_real, d_fake = (scores(self.critics, self.games.rule, x).detach().mean(dim=1) for x in (real, fake))
        return (d_real - d_fake).tolist(), [exact_w1(x, y) for x, y in zip(real, fake, strict=True)]


def train_games(games: Games, looks: Sequence[int], *, n_samples: int = 400) -> dict[str, list[list[float]]]:
    """Train all runs, and look at them on the way.

    Args:
        games: What they share.
        looks: Numbers of generator steps, rising from 0 on, after which to look.
        n_samples: Samples of either side at a look.

    Returns:
        "reported", what the critics report on fresh samples, mean D(real) − mean D(generated), and "w1", the
        exact distance of those samples: each a row for each look, an entry for each seed.

    Raises:
        ValueError: The looks do not rise.
    """
    require("looks", looks, list(looks) == sorted(set(looks)) and looks[0] >= 0, "rising numbers of steps")
    runs, step = _Runs(replace(games, seeds=tuple(games.seeds))), 0
    found: dict[str, list[list[float]]] = {"reported": [], "w1": []}
    for look in looks:
        for _ in range(look - step):
            runs.step()
        step = look
        reported, w1 = runs.measured(n_samples)
        found["reported"].append(reported)
        found["w1"].append(w1)
    return found
