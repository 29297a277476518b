"""Small experiments, and what two of their runs are compared by."""

from typing import Any

import torch
from torch import Tensor, nn

from gncompanion.experiment import Run

SHORT = {"steps": 3, "batch_critic": 8, "batch_generator": 8, "ema_decay": 0.9}
DIGITS: dict[str, Any] = {"network_options": {"width": 2, "z_dim": 4}, "schedule": SHORT, "device": "cpu"}
RING: dict[str, Any] = {
    "dataset": "ring",
    "network": "mlp",
    "network_options": {"width": 8, "depth": 2},
    "schedule": SHORT,
    "device": "cpu",
}


def weights(run: Run) -> dict[str, Tensor]:
    modules = nn.ModuleDict({"generator": run._players.generator, "critic": run.critic})
    return {name: tensor.clone() for name, tensor in modules.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)
