"""A finished run: its critic's score, its generator's samples, its log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gncompanion.training import COLUMNS, Training

__all__ = ["Run", "stream"]


class Run:
    """A finished run: its critic's score, its generator's samples, its log.

    Args:
        experiment: the settings.
        training: the training, with no steps left.

    Attributes:
        critic: the trained critic, in evaluation mode.
        history: lists by name: `step`, and the mean of each quantity over the steps since the one before.
        dataset: what it was trained on.
        device: where it lies.
    """

    def __init__(self, experiment: Any, training: Training) -> None:
        self.experiment = experiment
        self.dataset = training.dataset
        self.device = training.device
        self.critic = training.players.critic.eval()
        self.history = {name: [row[name] for row in training.log] for name in ("step", *COLUMNS)}
        self._players = training.players
        self._average = training.average

    def score(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the constrained critic's value, the one that was trained.

        Args:
            x: inputs (N, ...), on `device`.
            y: labels (N,), if the critic is conditional.

        Returns:
            Scores (N,).
        """
        return self._players.score(x, y)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        y: Tensor | None = None,
        average: bool = False,
        training_mode: bool = False,
    ) -> Tensor:
        """Draw samples from the generator.

        Args:
            n: how many.
            seed: of the noise, and of the labels.
            y: labels (n,) for a conditional generator; None = drawn uniformly.
            average: use the averaged weights.
            training_mode: normalise by the batch's own statistics, as the official evaluation does.

        Returns:
            Samples (n, ...), on `device`.

        Raises:
            ValueError: for averaged weights that the run does not have.
        """
        if average and self._average is None:
            raise ValueError("this run has no averaged weights: its schedule has ema_decay=None")
        generator, random = self._average if average else self._players.generator, self._random("noise", seed)
        z = torch.randn(n, generator.z_dim, generator=random, device=self.device)
        if y is None and (n_classes := self._players.n_classes) is not None:
            y = torch.randint(n_classes, (n,), generator=random, device=self.device)
        with _in_mode(generator, training=training_mode):
            buffers = {name: buffer.clone() for name, buffer in generator.named_buffers()}
            return functional_call(
                generator, buffers, (z,) if y is None else (z, y)
            )  # statistics go to copies

    def real(self, n: int, *, seed: int = 0) -> Tensor:
        """Draw real samples.

        Args:
            n: how many.
            seed: of the draw.

        Returns:
            Samples (n, ...), on `device`.
        """
        return self.dataset.sample(n, self._random("real", seed))[0]

    def _random(self, purpose: str, seed: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(stream(purpose, seed))


@contextmanager
def _in_mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    before = {part: part.training for part in module.modules()}
    try:
        yield module.train(training)
    finally:
        for part, mode in before.items():
            part.training = mode


def stream(purpose: str, seed: int) -> int:
    """Derive the seed of one purpose, so that weights, training and samples of one seed share no numbers."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {seed}".encode()).digest()[:8], "big")
