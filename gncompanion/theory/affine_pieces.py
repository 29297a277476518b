"""The affine map of the linear piece in which a sample lies: where it is 0, and the critic turned into it.

    f_x(y) = f(x) + ⟨g, y − x⟩,    g = ∇f(x)        foot point  x' = x − f g/n²,    n = ‖g‖

f_x is the critic with the gates of x. Its zeros are a hyperplane, and x' is the point of it nearest to x. It
may lie outside the piece, where the critic itself has other values.

Two points lie on one piece if all gates agree there. Equal gradients do not show it: relu(x) − relu(x − 1) +
relu(x − 2) has the slope 1 on two pieces, and 0 between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from gncompanion.input_gradient.per_sample import broadcast

__all__ = ["foot_point", "frozen_gates", "gate_pattern"]

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
    activations = _activations(critic)
    gates: dict[nn.Module, Tensor] = {}

    def freeze(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        (z,) = inputs
        gates[module] = torch.full_like(z, getattr(module, "negative_slope", 0.0)).masked_fill(z > 0, 1.0)

    def apply(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        return gates[module] * inputs[0]

    with ExitStack() as recording, torch.no_grad():
        for activation in activations:
            recording.callback(activation.register_forward_hook(freeze).remove)
        critic(x)
    with ExitStack() as frozen:
        for activation in activations:
            frozen.callback(activation.register_forward_hook(apply).remove)
        yield


@torch.no_grad()
def gate_pattern(critic: nn.Module, x: Tensor) -> Tensor:
    """Tell which units are on at each sample: equal rows are samples on one linear piece.

    A piece is cut out by half-spaces, so that the segment between two of its points stays inside it.

    Args:
        critic: Critic whose activations are `nn.ReLU` and `nn.LeakyReLU` modules.
        x: Samples, (N, ...).

    Returns:
        Truth values, (N, units), in the order in which the units are computed.

    Raises:
        ValueError: The critic has other modules than are known to be linear, or none with gates.

    Example:
        >>> gate_pattern(nn.Sequential(nn.Linear(1, 1), nn.ReLU()), torch.zeros(3, 1)).shape
        torch.Size([3, 1])
    """
    patterns: list[Tensor] = []

    def note(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        patterns.append((inputs[0] > 0).flatten(1))

    activations = _activations(critic)
    if not activations:
        raise ValueError("the critic has no ReLU or LeakyReLU: it is one affine piece")
    with ExitStack() as hooks:
        for activation in activations:
            hooks.callback(activation.register_forward_hook(note).remove)
        critic(x)
    return torch.cat(patterns, dim=1)


def _activations(critic: nn.Module) -> list[nn.Module]:
    leaves = [module for module in critic.modules() if not list(module.children())]
    for module in leaves:
        if not isinstance(module, (*WITHOUT_GATES, nn.ReLU, nn.LeakyReLU)):
            raise ValueError(f"{type(module).__name__} has no gates that could be frozen: take nn.LeakyReLU")
    return [module for module in leaves if isinstance(module, nn.ReLU | nn.LeakyReLU)]
