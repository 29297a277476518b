"""The affine map of the linear piece in which a sample lies: where it is 0, and the critic turned into it.

    f_x(y) = f(x) + ⟨g, y − x⟩,    g = ∇f(x)        foot point  x' = x − f g/n²,    n = ‖g‖

f_x is the critic with the gates of x. Its zeros are a hyperplane, and x' is the point of it nearest to x. It
may lie outside the piece, where the critic itself has other values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from gncompanion.input_gradient.per_sample import broadcast

__all__ = ["foot_point", "frozen_gates"]

WITHOUT_GATES = (nn.Linear, nn.Conv2d, nn.AvgPool2d, nn.Flatten, nn.Identity, nn.Sequential)


def foot_point(x: Tensor, f: Tensor, g: Tensor) -> Tensor:
    """Compute x' = x − f g/n², the point nearest to x where the affine map of x's linear piece is 0.

    Args:
        x: Samples, (N, ...).
        f: Critic's values, (N,).
        g: Input gradients, (N, ...), nowhere 0.

    Returns:
        Points shaped like x, each at the distance |f|/n from its sample.

    Example:
        >>> foot_point(torch.tensor([[3.0, 4.0]]), torch.tensor([25.0]), torch.tensor([[3.0, 4.0]]))
        tensor([[0., 0.]])
    """
    return x - broadcast(f / g.flatten(1).square().sum(1), x) * g


@contextmanager
def frozen_gates(critic: nn.Module, x: Tensor) -> Iterator[None]:
    """Make a critic, for a while, the affine map f_x of the linear piece in which each sample lies.

    A second implementation of what `input_gradient` does, by hooks on the activation modules; for checks.

    Args:
        critic: Critic whose activations are `nn.ReLU` and `nn.LeakyReLU` modules, each called once per
            forward.
        x: Samples, (N, ...); within the context the critic takes N points, row i on sample i's piece.

    Yields:
        None; the critic is changed in place, and as it was afterwards.

    Raises:
        ValueError: The critic has other modules than are known to be linear.
    """
    leaves = [module for module in critic.modules() if not list(module.children())]
    for module in leaves:
        if not isinstance(module, (*WITHOUT_GATES, nn.ReLU, nn.LeakyReLU)):
            raise ValueError(f"{type(module).__name__} has no gates that could be frozen: take nn.LeakyReLU")
    gates: dict[nn.Module, Tensor] = {}

    def freeze(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        (z,) = inputs
        gates[module] = torch.full_like(z, getattr(module, "negative_slope", 0.0)).masked_fill(z > 0, 1.0)

    def apply(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        return gates[module] * inputs[0]

    activations = [module for module in leaves if isinstance(module, nn.ReLU | nn.LeakyReLU)]
    with ExitStack() as recording, torch.no_grad():
        for activation in activations:
            recording.callback(activation.register_forward_hook(freeze).remove)
        critic(x)
    with ExitStack() as frozen:
        for activation in activations:
            frozen.callback(activation.register_forward_hook(apply).remove)
        yield
