"""A generator that is nothing but its points, chasing the real ones up a critic that keeps learning.

    y ← y + η ∇D̂(y)             or, to take the direction alone,    y ← y + η ∇D̂(y) / ‖∇D̂(y)‖

Each round the critic learns for a fixed price, by any of the `learners`, and then every point moves once. No
network stands between the critic and the points: where they do not arrive, the critic is to blame.

Source: ours.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gncompanion.theory.critic_batch import Contest
from gncompanion.theory.learners import Learner

__all__ = ["Chase", "chase"]


class Chase(NamedTuple):
    """What was seen of S runs at T looks.

    Attributes:
        rounds: Moves until then, (T,).
        distances: Exact W1 between the points and the real ones, (S, T).
        slopes: Mean of ‖∇D̂‖ over the points, up the critic that has just learned, (S, T).
        points: The points after the last round, (S, m, d).
    """

    rounds: Tensor
    distances: Tensor
    slopes: Tensor
    points: Tensor


def chase(
    learner: Learner,
    contest: Contest,
    *,
    rounds: int,
    price: int,
    rate: float,
    every: int = 1,
    first: int = 0,
    unit: bool = False,
) -> Chase:
    """Let points climb critics that learn to tell them from the real ones.

    Args:
        learner: The critics.
        contest: The contest at the start.
        rounds: Moves until the last look, after which there is one more.
        price: Evaluations of V that the critics may spend before a move.
        rate: The factor η on ∇D̂, in the units of x squared.
        every: Moves from one look to the next.
        first: Evaluations more that they may spend before the first move.
        unit: Whether each point moves by η exactly, wherever its slope is not 0.

    Returns:
        What was seen: before the first move, and after every so many.
    """
    looks, distances, slopes = [], [], []
    debt = first
    for done in range(rounds + 1):
        debt += price
        while debt > 0:
            debt -= learner.step(contest)
        push = contest.pushes(learner.theta)
        length = torch.linalg.vector_norm(push, dim=-1, keepdim=True)
        if done % every == 0:
            looks.append(done)
            distances.append(contest.distances())
            slopes.append(length.mean((1, 2)))
        step = push / length.masked_fill(length == 0, 1.0) if unit else push
        contest = Contest(contest.shape, contest.real, contest.fake + rate * step)
    return Chase(torch.tensor(looks), torch.stack(distances, 1), torch.stack(slopes, 1), contest.fake)
