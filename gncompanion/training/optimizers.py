"""One network's optimizer: Adam, and its learning rate through the schedule.

    learning rate of step k      lr · schedule.lr_factor(k)

Source: Kingma and Ba, Adam (arXiv 1412.6980).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Adam
from torch.optim.lr_scheduler import LambdaLR

from gncompanion.training.schedule import Schedule

__all__ = ["RatedAdam"]


class RatedAdam:
    """Adam on a network's parameters, with the learning rates of a schedule.

    Args:
        module: The network, on its device.
        rate: The learning rate of the first step.
        schedule: Adam's momenta, and how the learning rate goes on.

    Attributes:
        adam: The optimizer.
        rates: The scheduler of its learning rate.
    """

    def __init__(self, module: nn.Module, rate: float, schedule: Schedule) -> None:
        device = next(module.parameters()).device
        on_gpu = device.type == "cuda"  # there the rate lies beside the weights, as a CUDA graph needs it
        lr = torch.tensor(rate, device=device) if on_gpu else rate
        self.adam = Adam(module.parameters(), lr, schedule.betas, fused=True, capturable=on_gpu)
        self.rates = LambdaLR(self.adam, schedule.lr_factor)
