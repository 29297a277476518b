"""Many small GANs at once: perceptrons for generator and critic, each game's weights a row of numbers.

    x′ = a x + b                      the coordinates that data and generator share, and the critic sees
    critic     minimise  Σ over games of  loss.critic(s(x′_real), s(x′_fake))
    generator  minimise  Σ over games of  −mean s(x′_fake)

with s one of `game_scores`. The games have nothing in common but that those of one seed start from the same
weights and see the same data and noise. Adam works number by number, so each game trains as it would alone;
the critic step comes first, as in `training.steps` (a test compares the weights after a few steps).

A game's critic has biases that are absent ("none": zero, and held there), start at "zero", start at "random",
or start there and are held ("frozen"). With `reset` the critic's layers are put back to their first norms
after each step, and its biases with them: W_l → a_l W_l, b_l → a_1 ⋯ a_l b_l makes D a multiple of itself and
leaves D / ‖∇D‖ as it is, so that nothing but the scale's drift is taken away.

Source: ours; the scores' sources are in `game_scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector
from torch.optim import Adam

from gncompanion.data import Dataset
from gncompanion.models import MLPGenerator
from gncompanion.theory.critic_batch import Shape, fresh_critics, values_and_gradients
from gncompanion.theory.game_scores import SCORES, STEPS_BETWEEN, scored
from gncompanion.tools.names import require_known

__all__ = ["BIASES", "Game", "GameBatch", "Look", "Sizes"]

BIASES = ("none", "zero", "random", "frozen")

CRITICS_LOSSES: dict[
    str, Callable[[Tensor, Tensor], Tensor]
] = {  # each summed over games; `training.losses` has means
    "hinge": lambda real, fake: (1 - real).relu().mean(1).sum() + (1 + fake).relu().mean(1).sum(),
    "wasserstein": lambda real, fake: (fake.mean(1) - real.mean(1)).sum(),
}


@dataclass(frozen=True)
class Game:
    """One GAN.

    Attributes:
        score: A name of `game_scores.SCORES` or `STEPS_BETWEEN`.
        biases: The critic's, one of `BIASES`.
        loss: "hinge" or "wasserstein"; the generator's is the same in both, minus the mean score.
        seed: Seed of its weights, and the name of its data and noise.
        scale: The factor a of its coordinates.
        shift: The vector b of its coordinates, one number for all entries or one each.
        reset: Whether the critic's scale is put back after each step.

    Raises:
        ValueError: A name is unknown.
    """

    score: str
    biases: str = "random"
    loss: str = "wasserstein"
    seed: int = 0
    scale: float = 1.0
    shift: float | tuple[float, ...] = 0.0
    reset: bool = False

    def __post_init__(self) -> None:
        require_known("unknown score", self.score, SCORES | STEPS_BETWEEN)
        require_known("unknown biases", self.biases, BIASES)
        require_known("unknown loss", self.loss, CRITICS_LOSSES)


class Sizes(NamedTuple):
    """The networks and batches of all games.

    Attributes:
        width: Units per hidden layer, of both networks.
        depth: Hidden layers.
        z_dim: Dimension of the noise.
        batch: Real samples, and generated ones, in a step of either network.
        rate: Adam's learning rate, of both.
    """

    width: int = 32
    depth: int = 2
    z_dim: int = 8
    batch: int = 64
    rate: float = 2e-3


class Look(NamedTuple):
    """What R games look like at one time, in the coordinates that their critics see.

    Attributes:
        norm: Mean norm of generated samples over that of real ones, (R,).
        value: (E_P s − E_Q s) / (E_P‖x‖ + E_Q‖x‖) with s the inner product, from −1 to 1, (R,).
        cos_real: Mean cosine of ∇D with x at real samples, (R,).
        cos_fake: The same at generated ones, (R,).
    """

    norm: Tensor
    value: Tensor
    cos_real: Tensor
    cos_fake: Tensor


class GameBatch:
    """R games in progress.

    Args:
        games: The games.
        dataset: Where real samples come from; they are flattened.
        sizes: The networks and batches.
        start: Games whose trained generators those of the same seed take over; None = fresh ones.
        keep_critics: Whether critics are taken over as well.
        seed: Seed of data and noise.
    """

    def __init__(
        self,
        games: Sequence[Game],
        dataset: Dataset,
        sizes: Sizes,
        *,
        start: GameBatch | None = None,
        keep_critics: bool = False,
        seed: int = 0,
    ) -> None:
        self.games, self.dataset, self.sizes = list(games), dataset, sizes
        self.dim = torch.Size(dataset.shape).numel()
        self.random = torch.Generator().manual_seed(seed)
        self.shape = Shape(self.dim, sizes.width, sizes.depth)
        seeds = [game.seed for game in games]
        self._drawn = sorted(set(seeds))
        self._draw = torch.tensor([self._drawn.index(s) for s in seeds])
        self.scale = torch.tensor([[[game.scale]] for game in games])
        self.shift = torch.stack([torch.as_tensor(g.shift).float().expand(self.dim) for g in games])[:, None]
        self.critics, self.generators = self._weights(seeds, start, keep_critics)
        self._learning = self._start_biases()
        self._first = self._layer_norms()
        self._resetting = torch.tensor([game.reset for game in games])
        rows = [tensor.requires_grad_() for tensor in (self.critics, self.generators)]
        self._adams = [Adam([row], sizes.rate, (0.0, 0.9), fused=True) for row in rows]

    def _weights(self, seeds: list[int], start: GameBatch | None, keep: bool) -> tuple[Tensor, Tensor]:
        critics = fresh_critics(self.shape, seeds).float()
        if start is None:
            return critics, torch.stack([self._fresh_generator(s) for s in seeds])
        rows = torch.tensor([[game.seed for game in start.games].index(s) for s in seeds])
        before = start.critics.detach()[rows].clone() if keep else critics
        return before, start.generators.detach()[rows].clone()

    def _fresh_generator(self, seed: int) -> Tensor:
        random = torch.Generator().manual_seed(2**32 + seed)  # other numbers than the critic's
        s = self.sizes
        made = MLPGenerator(s.z_dim, self.dim, width=s.width, depth=s.depth, generator=random)
        return parameters_to_vector(made.parameters()).detach()

    def _start_biases(self) -> Tensor:
        """Set the biases as each game wants them; return which numbers learn, (R, P), 0 or 1."""
        learning = torch.ones_like(self.critics)
        for row, game in enumerate(self.games):
            for (_, bias), (_, mask) in zip(*map(self.shape.layers, (self.critics, learning)), strict=True):
                if game.biases in ("none", "zero"):
                    bias[row] = 0
                if game.biases in ("none", "frozen"):
                    mask[row] = 0
        return learning

    def _layer_norms(self) -> list[Tensor]:
        return [w.detach().flatten(1).norm(dim=1) for w, _ in self.shape.layers(self.critics)]

    def play(self, steps: int) -> None:
        """Do a number of iterations, a critic step and a generator step each.

        Args:
            steps: Their number.
        """
        n, by_loss = self.sizes.batch, self._groups(lambda game: game.loss)
        for _ in range(steps):
            with torch.no_grad():
                x = torch.cat([self._real(n), self._fake(n)], dim=1)
            score = self.scores(self.critics, self.moved(x))
            real, fake = score.split(n, dim=1)
            losses = [CRITICS_LOSSES[k](real[rows], fake[rows]) for k, rows in by_loss.items()]
            loss = sum(losses[1:], losses[0])
            (self.critics.grad,) = torch.autograd.grad(loss, self.critics)
            self.critics.grad *= self._learning
            self._adams[0].step()
            if self._resetting.any():
                self._reset_scale()
            fake = self.scores(self.critics.detach(), self.moved(self._fake(n)))
            (self.generators.grad,) = torch.autograd.grad(-fake.mean(1).sum(), self.generators)
            self._adams[1].step()

    def follow(self, steps: int, real: Tensor, *, looks: int) -> Look:
        """Play, and look on the way.

        Args:
            steps: Iterations in all.
            real: Real samples to compare with, (n, ...).
            looks: Number of looks after the first, which comes before any step; it divides the steps.

        Returns:
            All that was seen, each (R, looks + 1).
        """
        seen = [self.look(real)]
        for _ in range(looks):
            self.play(steps // looks)
            seen.append(self.look(real))
        return Look(*(torch.stack(column, 1) for column in zip(*seen, strict=True)))

    def scores(self, critics: Tensor, x: Tensor) -> Tensor:
        """Score each game's points: critics (R, P), x (R, N, d) in its coordinates -> (R, N)."""
        f, g = values_and_gradients(self.shape, critics, x)
        parts, order = [], []
        for name, rows in self._groups(lambda game: game.score).items():
            found = scored(name, f[rows].flatten(), g[rows].flatten(0, 1), x[rows].flatten(0, 1))
            parts.append(found.view(len(rows), -1))
            order.append(rows)
        return torch.cat(parts)[torch.cat(order).argsort()]

    def moved(self, x: Tensor) -> Tensor:
        """Express points, (R, N, d), in each game's coordinates."""
        return self.scale * x + self.shift

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 1) -> Tensor:
        """Draw from every generator, with the same noise: (R, n, d), in the data's own coordinates."""
        z = torch.randn(n, self.sizes.z_dim, generator=torch.Generator().manual_seed(seed))
        return self._generate(z.expand(len(self.games), -1, -1))

    @torch.no_grad()
    def look(self, real: Tensor) -> Look:
        """Compare every game with its own optimum, at as many generated samples as real ones, (n, ...)."""
        x = torch.cat([real.flatten(1).expand(len(self.games), -1, -1), self.sample(len(real))], dim=1)
        x = self.moved(x)
        _, g = values_and_gradients(self.shape, self.critics, x)
        norm, n = x.norm(dim=2), g.norm(dim=2)
        s = (g * x).sum(2) / n.clamp(min=1e-30)
        half = len(real)
        (real_s, fake_s), (real_n, fake_n) = s.split(half, 1), norm.split(half, 1)
        real_cos, fake_cos = (s / norm.clamp(min=1e-30)).split(half, 1)
        bound = real_n.mean(1) + fake_n.mean(1)
        value = (real_s.mean(1) - fake_s.mean(1)) / bound
        return Look(fake_n.mean(1) / real_n.mean(1), value, real_cos.mean(1), fake_cos.mean(1))

    def _groups(self, key: Callable[[Game], str]) -> dict[str, Tensor]:
        names = list(map(key, self.games))
        return {
            name: torch.tensor([i for i, k in enumerate(names) if k == name]) for name in dict.fromkeys(names)
        }

    def _real(self, n: int) -> Tensor:
        x, _ = self.dataset.sample(n * len(self._drawn), self.random)
        return x.view(len(self._drawn), n, self.dim)[self._draw]

    def _fake(self, n: int) -> Tensor:
        z = torch.randn(len(self._drawn), n, self.sizes.z_dim, generator=self.random)
        return self._generate(z[self._draw])

    def _generate(self, z: Tensor) -> Tensor:
        s, at, h = self.sizes, 0, z
        widths = [s.z_dim, *[s.width] * s.depth, self.dim]
        for layer, (n_in, n_out) in enumerate(pairwise(widths)):
            weight = self.generators[:, at : at + n_in * n_out].view(-1, n_out, n_in)
            bias = self.generators[:, None, at + n_in * n_out : at + (n_in + 1) * n_out]
            h, at = torch.baddbmm(bias, h if layer == 0 else h.relu(), weight.mT), at + (n_in + 1) * n_out
        return h

    @torch.no_grad()
    def _reset_scale(self) -> None:
        total = torch.ones(len(self.games))
        for (weight, bias), first in zip(self.shape.layers(self.critics), self._first, strict=True):
            factor = torch.where(self._resetting, first / weight.flatten(1).norm(dim=1), 1.0)
            total = total * factor
            weight *= factor[:, None, None]
            bias *= total[:, None, None]
