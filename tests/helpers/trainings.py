"""Small players and trainings, and what two of them are compared by."""

from typing import Any

import torch
from torch import Tensor, nn

from gncompanion import constraints, data
from gncompanion.models import build
from gncompanion.training import LOSSES, Loss, Networks
from tests.helpers.draws import seeded

SHORT = {"steps": 6, "batch_critic": 8, "batch_generator": 12, "lr_critic": 1e-2, "lr_generator": 1e-3}
RING = data.load("ring")


def players(
    constraint: str = "none", loss: str | Loss = "hinge", *, shape: tuple[int, ...] = (2,), **options: Any
) -> Networks:
    rule = constraints.build(constraint, shape=shape, **options)
    sizes = {"width": 8, "depth": 2} if shape == (2,) else {"width": 2}
    generator, critic = build(
        "mlp" if shape == (2,) else "dcgan", shape, generator=seeded(), z_dim=3, **sizes
    )
    rule.prepare(critic)
    return Networks(generator, critic, rule, loss if isinstance(loss, Loss) else LOSSES[loss])


def weights(module: nn.Module) -> Tensor:
    return torch.cat([tensor.detach().double().flatten() for tensor in module.state_dict().values()])
