"""The oracle of the input gradient's tests: autograd, which differentiates anything, a second time."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gncompanion.constraints.gradient_norm import FORMULAS
from gncompanion.input_gradient import gradient_norm, value_and_input_gradient
from gncompanion.models import DCGANCritic, MLPCritic, ResNetCritic, StageCritic
from tests.helpers.draws import seeded

N = 4

FORMULA = {
    **{name: lambda f, g, x, name=name: FORMULAS[name](f, g).sum() for name in ("gn", "gn-0", "gn-1", "pgn")},
    "gran": lambda f, g, x: FORMULAS["gran"](f, g, K=2.0, eps=0.1).sum(),
    "gran-eps": lambda f, g, x: FORMULAS["gran-eps"](f, g, K=2.0, eps=0.1).sum(),
    "inner-product": lambda f, g, x: ((g * x).flatten(1).sum(1) / gradient_norm(f, g)).sum(),
    "gp": lambda f, g, x: (gradient_norm(f, g) - 1).square().mean(),
    "gp-one-sided": lambda f, g, x: (gradient_norm(f, g) - 1e-6).relu().square().mean(),
    "wgan-div": lambda f, g, x: gradient_norm(f, g).pow(6).mean(),
    "value alone": lambda f, g, x: f.pow(2).sum(),
}


def critics() -> dict[str, tuple[nn.Module, tuple[int, ...]]]:
    return {
        "mlp": (MLPCritic(2, width=16, depth=3, generator=seeded()), (2,)),
        "mlp without biases": (MLPCritic(2, width=16, depth=2, bias=False, generator=seeded()), (2,)),
        "dcgan": (DCGANCritic(32, 3, width=4, generator=seeded()), (3, 32, 32)),
        "dcgan on digits": (DCGANCritic(8, 1, width=4, generator=seeded()), (1, 8, 8)),
        "resnet": (ResNetCritic(32, 3, width=4, generator=seeded()), (3, 32, 32)),
        "resnet on digits": (ResNetCritic(8, 1, width=4, generator=seeded()), (1, 8, 8)),
        "stage": (StageCritic(9, 8, channels=1, width=4, generator=seeded()), (1, 8, 8)),
    }


def inputs(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn((N, *shape), generator=seeded(3), dtype=torch.float64).to(dtype)


def gradients(
    critic: nn.Module,
    x: Tensor,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor],
    method: str,
    *args: object,
    **kwargs: object,
) -> dict[str, Tensor]:
    """∂L/∂ of every weight and of the input, with x the output of something that wants a gradient."""
    source = x.clone().requires_grad_()
    x = source * 1.0
    f, g = value_and_input_gradient(critic, x, *args, method=method, **kwargs)
    wanted = {"x": source, **dict(critic.named_parameters())}
    grads = torch.autograd.grad(loss(f, g, x), list(wanted.values()), allow_unused=True)
    return {
        name: torch.zeros_like(p) if d is None else d
        for (name, p), d in zip(wanted.items(), grads, strict=True)
    }


def largest_error(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Over all tensors, ‖found - expected‖ relative to ‖expected‖; where that is 0, to the largest of all."""
    scale = max(float(e.norm()) for e in expected.values())
    errors = [
        float((found[k].double() - e.double()).norm()) / (float(e.norm()) or scale)
        for k, e in expected.items()
    ]
    return max(errors)


def compare(
    critic: nn.Module, x: Tensor, loss: Callable[..., Tensor], *args: object, **kwargs: object
) -> float:
    fast = gradients(critic, x, loss, "linear", *args, **kwargs)
    oracle = gradients(critic, x, loss, "autograd", *args, **kwargs)
    assert any(bool(g.abs().max() > 0) for name, g in oracle.items() if name != "x")
    return largest_error(fast, oracle)
