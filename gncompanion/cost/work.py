"""The work whose cost is asked for: the parts of a training iteration, for each way to constrain a critic.

    critic            given samples, N real and N generated: loss, weight gradients, the optimizer's step
    generator         given 2N samples: through the frozen critic to the loss, and back to the samples
    critic_turn       a critic's step of training: the same, but it draws the N samples from the generator
    generator_turn    a generator's step of training: the generator before and after, and its optimizer's step

The steps are those of `training`; `counting` and `timing` say what they cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from gncompanion import constraints, models
from gncompanion.constraints import Constraint
from gncompanion.tools.names import pick
from gncompanion.training import LOSSES, Networks, critic_step, generator_step

__all__ = ["PARTS", "VARIANTS", "Variant", "parts"]

PARTS = ("critic", "generator", "critic_turn", "generator_turn")
TWICE, FAST = {"method": "autograd"}, {"method": "linear"}


@dataclass(frozen=True)
class Variant:
    """A constraint, and how its gradients are found.

    Args:
        constraint: Name of the constraint, one of `constraints.CONSTRAINTS`.
        options: Options of the constraint.
        in_generator: Options that are different in the generator's step.
    """

    constraint: str
    options: Mapping[str, Any] = field(default_factory=dict)
    in_generator: Mapping[str, Any] = field(default_factory=dict)

    def rules(self) -> tuple[Constraint, Constraint]:
        """Make the constraint of the critic's step, and that of the generator's."""
        of_critic = constraints.build(self.constraint, **self.options)
        of_generator = constraints.build(self.constraint, **{**self.options, **self.in_generator})
        return of_critic, of_generator


VARIANTS: dict[str, Variant] = {
    "unconstrained": Variant("none"),
    "clipping": Variant("clipping"),
    "SN": Variant("sn"),
    "GP, double backpropagation": Variant("gp", TWICE),
    "GP, primitive": Variant("gp", FAST),
    "WGAN-div, double backpropagation": Variant("wgan-div", TWICE),
    "WGAN-div, primitive": Variant("wgan-div", FAST),
    "GN, double backpropagation": Variant("gn", TWICE),
    "GN, generator simplified": Variant("gn", TWICE, FAST),  # Faster GN-GAN's idea
    "GN, primitive": Variant("gn", FAST),
}


class _Given(nn.Module):
    """A generator that costs nothing: it returns the samples it was given."""

    z_dim = 1

    def __init__(self, samples: Tensor) -> None:
        super().__init__()
        self.samples = samples

    def forward(self, z: Tensor) -> Tensor:
        return self.samples


def parts(
    variant: str,
    network: str = "dcgan",
    shape: tuple[int, ...] = (3, 32, 32),
    *,
    batch: int = 64,
    device: str = "cpu",
    seed: int = 0,
    **options: Any,
) -> dict[str, Callable[[], None]]:
    """Make networks, data and optimizers, and the work of each of `PARTS`.

    Args:
        variant: Name of the way to constrain the critic, one of `VARIANTS`.
        network: Name of the networks, one of `models.NETWORKS`.
        shape: Shape of one sample.
        batch: Real samples N per critic step, ≥ 1; as many generated ones, and twice as many in the
            generator's step, as in the papers.
        device: Device of networks and samples.
        seed: Seed of weights and samples.
        **options: Options of the networks, such as `width`.

    Returns:
        A function without arguments for each part.

    Raises:
        ValueError: A variant, network or option is unknown.
    """
    rule, rule_in_generator = pick("variant", variant, VARIANTS).rules()
    generator, critic = _networks(network, shape, rule, torch.device(device), seed, options)
    random = torch.Generator(device).manual_seed(seed)
    adam_critic, adam_generator = (
        Adam(n.parameters(), 2e-4, (0.0, 0.9), fused=True) for n in (critic, generator)
    )
    real, fake, given = (
        torch.randn(n, *shape, generator=random, device=device) for n in (batch, batch, 2 * batch)
    )
    loss = LOSSES["hinge"]

    def improve_critic(source: nn.Module) -> None:
        _descend(adam_critic, critic_step(Networks(source, critic, rule, loss), real, random)[0])
        rule.after_step(critic)

    def generator_loss(source: nn.Module) -> Tensor:
        return generator_step(Networks(source, critic, rule_in_generator, loss), 2 * batch, random)

    return {
        "critic": lambda: improve_critic(_Given(fake)),
        "generator": lambda: generator_loss(_Given(given.detach().requires_grad_())).backward(),
        "critic_turn": lambda: improve_critic(generator),
        "generator_turn": lambda: _descend(adam_generator, generator_loss(generator)),
    }


def _networks(
    name: str,
    shape: tuple[int, ...],
    rule: Constraint,
    device: torch.device,
    seed: int,
    options: dict[str, Any],
) -> tuple[nn.Module, nn.Module]:
    weights = torch.Generator().manual_seed(seed)
    generator, critic = models.build(name, shape, generator=weights, **options)
    rule.prepare(critic)
    if device.type != "cpu":  # fake networks cannot be moved, not even to where they are
        generator.to(device), critic.to(device)
    return generator, critic


def _descend(optimizer: Adam, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
