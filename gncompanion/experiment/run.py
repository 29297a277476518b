"""A finished run: its critic's score, its generator's samples, its log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gncompanion.training import COLUMNS, Training

__all__ = ["Run", "Stopped", "stream"]


class Stopped(RuntimeError):
    """A training was told to stop before its end; says where it can go on."""


class Run:
    """A finished run: its critic's score, its generator's samples, its log.

    Args:
        settings: The experiment's settings, as plain values.
        training: The training, with no steps left.

    Attributes:
        settings: The experiment's settings, as plain values.
        dataset: The data set that it was trained on.
        device: The device on which it lies.
        critic: The trained critic, in evaluation mode.
        history: Lists by name: `step`, and the mean of each quantity over the steps since the one before.
    """

    def __init__(self, settings: Mapping[str, Any], training: Training) -> None:
        self.settings = settings
        self.dataset = training.dataset
        self.device = training.device
        self.critic = training.players.critic.eval()
        self.history = {name: [row[name] for row in training.log] for name in ("step", *COLUMNS)}
        self._players = training.players
        self._average = training.average

    def score(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Compute the constrained critic's value, the one that was trained.

        Args:
            x: Inputs (N, ...), on `device`.
            y: Labels (N,), if the critic is conditional.

        Returns:
            Scores (N,).

        Raises:
            ValueError: A label is out of range.
        """
        self._require_labels(y, len(x))
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
            n: Number of samples.
            seed: Seed of the noise, and of the labels.
            y: Labels (n,) for a conditional generator; None = drawn uniformly.
            average: Whether to use the averaged weights.
            training_mode: Whether to normalise by the batch's own statistics, as the official evaluation
                does.

        Returns:
            Samples (n, ...), on `device`.

        Raises:
            ValueError: The averaged weights are wanted, and the run has none; or a label is out of range.
        """
        self._require_labels(y, n)
        generator, random = self._generator(average=average), self._random("noise", seed)
        z = torch.randn(n, self._players.z_dim, generator=random, device=self.device)
        if y is None and (n_classes := self._players.n_classes) is not None:
            y = torch.randint(n_classes, (n,), generator=random, device=self.device)
        with _in_mode(generator, training=training_mode):
            buffers = {name: buffer.clone() for name, buffer in generator.named_buffers()}
            given = (z,) if y is None else (z, y)
            x: Tensor = functional_call(generator, buffers, given)  # statistics go to copies
        return x

    def _require_labels(self, y: Tensor | None, n: int) -> None:
        if y is None or (n_classes := self._players.n_classes) is None:
            return
        if y.shape != (n,) or y.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"labels must be integers of shape ({n},), not {y.dtype} {tuple(y.shape)}")
        if n and not 0 <= y.min() <= y.max() < n_classes:
            low, high = int(y.min()), int(y.max())
            raise ValueError(f"labels lie in [{low}, {high}], but must be from 0 to {n_classes - 1}")

    def _generator(self, *, average: bool) -> nn.Module:
        if not average:
            return self._players.generator
        if self._average is None:
            raise ValueError("this run has no averaged weights: its schedule has ema_decay=None")
        return self._average

    def real(self, n: int, *, seed: int = 0) -> Tensor:
        """Draw real samples.

        Args:
            n: Number of samples.
            seed: Seed of the draw.

        Returns:
            Samples (n, ...), on `device`.
        """
        return self.dataset.sample(n, self._random("real", seed))[0]

    def _random(self, purpose: str, seed: int) -> torch.Generator:
        return torch.Generator(self.device).manual_seed(stream(purpose, seed))


@contextmanager
def _in_mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    before = {part: part.training for part in module.modules()}
    module.train(training)
    try:
        yield
    finally:
        for part, mode in before.items():
            part.training = mode


def stream(purpose: str, seed: int) -> int:
    """Derive the seed of one purpose, so that weights, training and samples of one seed share no numbers.

    Args:
        purpose: The name of the purpose.
        seed: The user's seed.

    Returns:
        The seed, a number from 0 to 2⁶⁴ − 1.
    """
    return int.from_bytes(hashlib.sha256(f"{purpose} {seed}".encode()).digest()[:8], "big")
