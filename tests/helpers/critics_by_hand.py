"""Critics that the constraints' tests know all about: a linear one, and small networks with random biases."""

import torch
from torch import Tensor, nn

from gncompanion.constraints import Constraint, Score
from gncompanion.models import DCGANCritic, MLPCritic
from tests.helpers.draws import normal, seeded

SHAPE, N = (1, 8, 8), 16
EXACT = {"rtol": 1e-12, "atol": 1e-14}  # float64: some thousand roundings of 1e-16


class LinearCritic(nn.Module):
    """f(x, y) = ⟨w, x⟩ + b + y: its input gradient is w everywhere."""

    def __init__(self, w: Tensor, b: float) -> None:
        super().__init__()
        self.layer = nn.Linear(w.numel(), 1, dtype=torch.float64)
        with torch.no_grad():
            self.layer.weight.copy_(w.flatten())
            self.layer.bias.fill_(b)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        f = self.layer(x.flatten(1)).squeeze(1)
        return f if y is None else f + y


def redrawn(critic: nn.Module) -> nn.Module:
    """All weights and biases from N(0, 0.3²): the papers' zero biases would hide a mistake in them."""
    random = seeded(2)
    for parameter in critic.double().parameters():
        nn.init.normal_(parameter, std=0.3, generator=random)
    return critic


def mlp(*, bias: bool = True) -> nn.Module:
    return redrawn(MLPCritic(3, width=16, depth=3, bias=bias))


def conv() -> nn.Module:
    return redrawn(DCGANCritic(8, 1, width=4))


NETWORKS = {"mlp": (mlp, (3,)), "conv": (conv, SHAPE)}

W = normal(*SHAPE, seed=10)
W *= 1.7 / W.norm()
NORM, B = 1.7, 0.3
REAL, FAKE = normal(N, *SHAPE, seed=11), normal(N, *SHAPE, seed=12)


def plain(critic: nn.Module) -> Score:
    """The scoring function of a critic without a constraint."""
    return Score(Constraint(), critic)


def gradients(value: Tensor, *of: nn.Module | Tensor) -> tuple[Tensor, ...]:
    """∂value of all weights of modules, and of tensors."""
    wanted = [t for thing in of for t in (thing.parameters() if isinstance(thing, nn.Module) else [thing])]
    return torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True)


def weight_gradients(value: Tensor, critic: nn.Module) -> Tensor:
    return torch.cat([grad.flatten() for grad in gradients(value, critic)])
