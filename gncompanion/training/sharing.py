"""A training's players, once for each of the two steps: what learns there averages its gradients.

critic step       G            DDP(D)         the generator only makes samples
generator step    DDP(G)       D              the critic is frozen
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gncompanion.training.batch_statistics import shared_statistics
from gncompanion.training.distributed import Share
from gncompanion.training.schedule import Schedule
from gncompanion.training.steps import Networks

__all__ = ["Turns", "share_out"]


@dataclass(frozen=True)
class Turns:
    """The players as each of the two steps needs them.

    Attributes:
        critic: The players of a critic step.
        generator: The players of a generator step.
    """

    critic: Networks
    generator: Networks


def share_out(players: Networks, schedule: Schedule, share: Share) -> Turns:
    """Make the players of one process among several; alone, they are what they were.

    Args:
        players: The networks, on their device; the generator's batch normalization is changed in place.
        schedule: The batches to be shared out.
        share: This process's part.

    Returns:
        The players of each step.

    Raises:
        ValueError: A batch cannot be shared out evenly.
    """
    if share.world == 1:
        return Turns(players, players)
    parts = schedule.accumulation
    share.require_divisible(
        **{name: getattr(schedule, name) // parts for name in ("batch_critic", "batch_generator")}
    )
    shared_statistics(players.generator, next(players.generator.parameters()).device)
    players = replace(players, share=share)
    return Turns(
        critic=replace(players, critic=share.averaging(players.critic)),
        generator=replace(players, generator=share.averaging(players.generator)),
    )
