"""Many small GANs at once, each a row of numbers, and what their two gradients see of the jumps.

    critic       ascends   V(W) = E_P D̂ − E_Q D̂       generator    ascends   E_z D̂(G_θ(z))
    D̂ = f / (n̄ + |f|)

With gradient normalization's own norm, n̄ = n(x), and ReLU, D̂ jumps where a gate turns, and no gradient has a
term for it. A `JumpRule` says what is different:

    norm          n̄: the sample's own, the mean over the batch, or that over an independent batch, which does
                  not move with θ, so that E D̂(G_θ(z)) is continuous and its gradient whole
    beta          Softplus(β) for ReLU: no jumps but slopes, which a gradient sees unless gates are frozen
    critic_sees, generator_sees     whether gates move in the one's, in the other's gradient of n
    noise         of the generator's samples, by which jumps become a slope of the mean:
                      ∇ E D̂(x + σε)  =  E [D̂(x + σε) ε] / σ  =  E ∇D̂(x + σε)  +  what jumps contribute
                  and which of the two estimates the generator gets (`noise_seen`)
    formula, eps  another normalization by the critic's own norm
    detach        the norm held constant in the critic's gradient
    reset         each layer of the critic scaled back to its first norm after a step, its biases along with
                  it, which multiplies f and n by one factor and leaves D̂ as it is
    units         a factor on what the critic sees: samples measured in finer or coarser units

D̂ lies in [−1, 1], so that the hinge is the Wasserstein loss plus a constant. Source: ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector
from torch.optim import Adam

from gncompanion.constraints.gradient_norm import FORMULAS, ratio
from gncompanion.data import Dataset
from gncompanion.models import MLPGenerator
from gncompanion.theory.critic_batch import Shape, fresh_critics, split_layers, values_and_gradients
from gncompanion.tools.checks import require
from gncompanion.tools.names import require_known

__all__ = ["JumpGame", "JumpRule", "PlayerRows", "fresh_rows", "layer_norms", "noisy_push", "train_rows"]

NORMS = ("own", "batch", "independent")
BETAS = (0.0, 0.9)  # of Adam, the authors'


@dataclass(frozen=True)
class JumpRule:
    """How a critic is scored, and what the two gradients see.

    Attributes:
        norm: Whose gradient norm divides: "own", "batch" or "independent".
        beta: Sharpness β of Softplus; None = ReLU, whose gates no gradient sees move.
        critic_sees: Whether the critic's gradient of n sees gates move.
        generator_sees: Whether the generator's does.
        noise: Standard deviation σ of noise on the generator's samples; 0 = none.
        noise_seen: Whether the generator then gets the score function's estimate, or the mean of gradients.
        pairs: Antithetic pairs of noise for each sample.
        formula: One of `FORMULAS`, with the sample's own norm; the others know "gn" only.
        eps: The ε of those formulas that have one; 0 = none.
        detach: Whether the critic's gradient takes the norm for a constant.
        reset: Whether the critic's layers are scaled back after each step.
        units: The factor on the critic's input; its slope is then one in these units.

    Raises:
        ValueError: The norm or formula is unknown, or a number is out of range.
    """

    norm: str = "own"
    beta: float | None = None
    critic_sees: bool = True
    generator_sees: bool = True
    noise: float = 0.0
    noise_seen: bool = False
    pairs: int = 16
    formula: str = "gn"
    eps: float = 0.0
    detach: bool = False
    reset: bool = False
    units: float = 1.0

    def __post_init__(self) -> None:
        require_known("unknown norm", self.norm, NORMS)
        require_known("unknown formula", self.formula, FORMULAS)
        require("beta", self.beta, self.beta is None or self.beta > 0, "positive, or None")
        require("noise", self.noise, self.noise >= 0, "0 or more")


class PlayerRows(NamedTuple):
    """S generators and their critics.

    Attributes:
        generator: The generators' numbers, (S, P).
        critic: The critics', (S, P′).
    """

    generator: Tensor
    critic: Tensor


@dataclass(frozen=True)
class JumpGame:
    """A game of perceptrons over points in ℝᵈ, of equal width and depth on both sides.

    Attributes:
        data: The data set.
        rule: How the critic is scored.
        width: Units in each hidden layer.
        depth: Hidden layers.
        z_dim: Dimension of the generator's normal noise.
    """

    data: Dataset
    rule: JumpRule = field(default_factory=JumpRule)
    width: int = 64
    depth: int = 3
    z_dim: int = 8

    @property
    def shape(self) -> Shape:
        """The critic's sizes."""
        return Shape(self.data.shape[0], self.width, self.depth)

    def samples(self, theta: Tensor, z: Tensor) -> Tensor:
        """Generate: theta (S, P), z (S, N, z_dim) -> (S, N, d)."""
        sizes = [self.z_dim, *[self.width] * self.depth, self.data.shape[0]]
        *hidden, (last, bias) = split_layers(theta, sizes)
        for weight, b in hidden:
            z = torch.baddbmm(b, z, weight.mT).relu()
        return torch.baddbmm(bias, z, last.mT)

    def real(self, rows: int, n: int, random: torch.Generator) -> Tensor:
        """Draw real samples, (rows, n, d)."""
        return self.data.sample(rows * n, random)[0].view(rows, n, -1)

    def noise(self, rows: int, n: int, random: torch.Generator) -> Tensor:
        """Draw the generator's noise, (rows, n, z_dim)."""
        return torch.randn(rows, n, self.z_dim, generator=random)

    def score(self, critic: Tensor, x: Tensor, *, sees: bool, others: Tensor | None = None) -> Tensor:
        """Compute D̂: critics (S, P′) at points (S, N, d) -> (S, N).

        Args:
            critic: The critics' numbers.
            x: The points.
            sees: Whether a gradient of n sees gates move.
            others: The independent batch, (S, M, d); for the norm of that name.
        """
        rule, frozen = self.rule, not sees
        f, g = values_and_gradients(self.shape, critic, rule.units * x, beta=rule.beta, frozen=frozen)
        g = g.detach() if rule.detach else g
        if rule.norm == "own":
            constants = {"eps": rule.eps} if rule.eps else {}
            return FORMULAS[rule.formula](f.flatten(), g.flatten(0, 1), **constants).view_as(f)
        if rule.norm == "independent" and others is not None:
            _, g = values_and_gradients(self.shape, critic, others, beta=rule.beta, frozen=frozen)
        n = torch.linalg.vector_norm(g, dim=-1).mean(1, keepdim=True)
        return ratio(f, n.expand_as(f) + f.abs())

    def value(
        self, players: PlayerRows, real: Tensor, fake: Tensor, *, sees: bool, others: Tensor | None = None
    ) -> Tensor:
        """Compute V = E_P D̂ − E_Q D̂ of each critic on its points, (S,)."""
        score = self.score(players.critic, torch.cat([real, fake], 1), sees=sees, others=others)
        return score[:, : real.shape[1]].mean(1) - score[:, real.shape[1] :].mean(1)


def fresh_rows(game: JumpGame, seeds: Sequence[int]) -> PlayerRows:
    """Draw players as `MLPGenerator` and `MLPCritic` are drawn, one pair for each seed, float32."""
    drawn = []
    for seed in seeds:
        random = torch.Generator().manual_seed(10**6 + seed)
        size, d = {"width": game.width, "depth": game.depth}, game.data.shape[0]
        drawn.append(parameters_to_vector(MLPGenerator(game.z_dim, d, **size, generator=random).parameters()))
    return PlayerRows(torch.stack(drawn).detach(), fresh_critics(game.shape, seeds).float())


def train_rows(
    game: JumpGame,
    players: PlayerRows,
    *,
    looks: Sequence[int],
    batch: int = 64,
    rate: float = 1e-3,
    seed: int = 0,
) -> Iterator[tuple[int, PlayerRows]]:
    """Train all rows at once, and yield the players after the steps that are asked for, in order.

    Args:
        game: The game.
        players: The players at the start; they are not changed.
        looks: Steps after which to yield, rising; 0 = before the first.
        batch: Real samples in a critic's step, generated ones beside them, and samples in a generator's.
        rate: Adam's learning rate, for both.
        seed: Seed of everything drawn; rows draw apart.
    """
    random = torch.Generator().manual_seed(seed)
    rows = PlayerRows(*(part.clone().requires_grad_() for part in players))
    adams = [Adam([part], lr=rate, betas=BETAS) for part in rows]
    first = layer_norms(game.shape, players.critic)
    for step in range(looks[-1] + 1):
        if step in looks:
            yield step, PlayerRows(*(part.detach().clone() for part in rows))
        if step == looks[-1]:
            return
        _ascend(adams[1], rows.critic, lambda: _critic_objective(game, rows, batch, random))
        if game.rule.reset:
            _reset(game.shape, rows.critic, first)
        _ascend(adams[0], rows.generator, lambda: _generator_objective(game, rows, batch, random))


def _ascend(adam: Adam, part: Tensor, objective: Callable[[], Tensor]) -> None:
    (gradient,) = torch.autograd.grad(-objective().sum(), part)
    part.grad = gradient
    adam.step()


def layer_norms(shape: Shape, critic: Tensor) -> Tensor:
    """Compute ‖W_l‖ of every layer: critics (S, P) -> (S, layers), Frobenius."""
    with torch.no_grad():
        found = [torch.linalg.vector_norm(weight, dim=(1, 2)) for weight, _ in shape.layers(critic)]
        return torch.stack(found, 1)


def _reset(shape: Shape, critic: Tensor, norms: Tensor) -> None:
    """Scale the layers to these norms, and the biases so that f is multiplied by one positive factor."""
    factors = norms / layer_norms(shape, critic)
    with torch.no_grad():
        for layer, (weight, bias) in enumerate(shape.layers(critic)):  # views of critic
            weight *= factors[:, layer, None, None]
            bias *= factors[:, : layer + 1].prod(1)[:, None, None]


def _critic_objective(game: JumpGame, rows: PlayerRows, batch: int, random: torch.Generator) -> Tensor:
    s = len(rows.critic)
    real, z = game.real(s, batch, random), game.noise(s, batch, random)
    with torch.no_grad():
        fake = game.samples(rows.generator, z)
    others = _independent(game, rows, batch, random)
    return game.value(rows, real, fake, sees=game.rule.critic_sees, others=others)


def _generator_objective(game: JumpGame, rows: PlayerRows, batch: int, random: torch.Generator) -> Tensor:
    x = game.samples(rows.generator, game.noise(len(rows.critic), batch, random))
    others = _independent(game, rows, batch, random)
    critic = rows.critic.detach()
    if game.rule.noise:
        return (x * noisy_push(game, critic, x.detach(), random)).sum(2).mean(1)
    return game.score(critic, x, sees=game.rule.generator_sees, others=others).mean(1)


def _independent(game: JumpGame, rows: PlayerRows, batch: int, random: torch.Generator) -> Tensor | None:
    """A second batch, half real and half generated, that no gradient of θ passes through."""
    if game.rule.norm != "independent":
        return None
    s = len(rows.critic)
    with torch.no_grad():
        fake = game.samples(rows.generator, game.noise(s, batch, random))
    return torch.cat([game.real(s, batch, random), fake], 1)


def noisy_push(game: JumpGame, critic: Tensor, x: Tensor, random: torch.Generator) -> Tensor:
    """Estimate ∇ E D̂(x + σε) at each point, by the rule: with the jumps, or the mean of ∇D̂.

    Args:
        game: The game, whose rule has the noise σ, the pairs and which estimate it is.
        critic: The critics' numbers, (S, P′).
        x: The points, (S, N, d).
        random: Source of ε.

    Returns:
        The estimates, (S, N, d).
    """
    rule, (s, n, d) = game.rule, x.shape
    epsilon = torch.randn(s, n, rule.pairs, d, generator=random, dtype=x.dtype)
    both = torch.stack([epsilon, -epsilon], 3)  # S × N × pairs × 2 × d
    places = (x[:, :, None, None] + rule.noise * both).view(s, -1, d)
    if rule.noise_seen:
        with torch.no_grad():
            score = game.score(critic, places, sees=True).view(s, n, rule.pairs, 2, 1)
        return (score * both).mean((2, 3)) / rule.noise
    places.requires_grad_()
    (push,) = torch.autograd.grad(game.score(critic, places, sees=False).sum(), places)
    return push.view(s, n, -1, d).mean(2)
