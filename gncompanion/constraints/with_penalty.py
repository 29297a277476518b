"""A critic's value and a penalty on its gradient, from one pass: what a training loop of your own needs.

    f, penalty = r1_penalty(critic, real)            γ/2 E‖∇f‖²             at real samples
    f, penalty = r2_penalty(critic, fake)            γ/2 E‖∇f‖²             at generated ones
    f, penalty = gradient_penalty(critic, x)         λ E(‖∇f‖ - 1)²         at interpolates, say
    f, penalty = divergence_penalty(critic, x)       k E‖∇f‖ᵖ

f is what `critic(x)` would be, for the rest of the loss: the critic is not run again. For a piecewise linear
one the step then costs a third more than without the penalty; by double backpropagation it costs twice as
much.

A lazy penalty is one that is only due at some steps. Its weight is then multiplied by their distance:

    f, penalty = r1_penalty(critic, real, gamma=16 * 10.0, due=step % 16 == 0)

Source: Mescheder et al. 2018 (1801.04406) for R1 and R2; Gulrajani et al. 2017 (1704.00028); Wu et al. 2018
(WGAN-div, 1712.01026); Karras et al. 2020 (StyleGAN2, 1912.04958) for lazy regularization.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from gncompanion.constraints.gradient_penalty import GradientPenalty, ZeroCenteredPenalty
from gncompanion.constraints.pointwise_penalty import PointwisePenalty
from gncompanion.constraints.wasserstein_divergence import WassersteinDivergence
from gncompanion.input_gradient import (
    HasAux,
    check_has_aux,
    gradient_norm,
    parted,
    value_and_input_gradient,
)
from gncompanion.tools.checks import flag

__all__ = ["divergence_penalty", "gradient_penalty", "r1_penalty", "r2_penalty"]


def r1_penalty(
    critic: Callable[..., Any],
    real: Tensor,
    *args: Any,
    gamma: float = 10.0,
    due: bool = True,
    method: str = "auto",
    has_aux: HasAux = False,
    **kwargs: Any,
) -> tuple[Any, ...]:
    """Score real samples, and penalise the gradient there: γ/2 E‖∇f‖².

    Args:
        critic: Any callable, usually an nn.Module, with one value per sample: (N, ...) -> (N,) or (N, 1).
        real: Real samples, (N, ...).
        *args: Further inputs of the critic, such as labels (N,).
        gamma: The penalty's weight γ ≥ 0.
        due: Whether there is a penalty at this step; without one the critic is just called.
        method: How the gradient is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.
        has_aux: Whether the critic returns more than its value: True for (value, anything else), the value's
            name for a dictionary.
        **kwargs: Further keyword inputs of the critic.

    Returns:
        The values f, shaped as the critic's, and the penalty, a scalar; add it to the critic's loss. With
        `has_aux`, as a third what else the critic returned, with its own gradient.

    Raises:
        ValueError: The weight, `due` or the method is out of range, or `value_and_input_gradient` refuses the
            critic or the samples.

    Example:
        >>> import torch
        >>> f, penalty = r1_penalty(torch.nn.Linear(3, 1), torch.zeros(2, 3), gamma=2.0)
        >>> f.shape, penalty.shape
        (torch.Size([2, 1]), torch.Size([]))
    """
    rule = ZeroCenteredPenalty(gamma, method=method)
    return _with_penalty(rule, critic, real, *args, due=due, has_aux=has_aux, **kwargs)


def r2_penalty(
    critic: Callable[..., Any],
    fake: Tensor,
    *args: Any,
    gamma: float = 10.0,
    due: bool = True,
    method: str = "auto",
    has_aux: HasAux = False,
    **kwargs: Any,
) -> tuple[Any, ...]:
    """Score generated samples, and penalise the gradient there: γ/2 E‖∇f‖².

    Args:
        critic: Any callable, usually an nn.Module, with one value per sample: (N, ...) -> (N,) or (N, 1).
        fake: Generated samples, (N, ...), detached from the generator.
        *args: Further inputs of the critic, such as labels (N,).
        gamma: The penalty's weight γ ≥ 0.
        due: Whether there is a penalty at this step; without one the critic is just called.
        method: How the gradient is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.
        has_aux: Whether the critic returns more than its value: True for (value, anything else), the value's
            name for a dictionary.
        **kwargs: Further keyword inputs of the critic.

    Returns:
        The values f, shaped as the critic's, and the penalty, a scalar; add it to the critic's loss. With
        `has_aux`, as a third what else the critic returned, with its own gradient.

    Raises:
        ValueError: As `r1_penalty`.

    Example:
        >>> import torch
        >>> critic = torch.nn.Linear(3, 1)
        >>> f, penalty = r2_penalty(critic, torch.zeros(2, 3), gamma=2.0)
        >>> torch.allclose(penalty, critic.weight.square().sum())
        True
    """
    return r1_penalty(critic, fake, *args, gamma=gamma, due=due, method=method, has_aux=has_aux, **kwargs)


def gradient_penalty(
    critic: Callable[..., Any],
    x: Tensor,
    *args: Any,
    weight: float = 10.0,
    target: float = 1.0,
    one_sided: bool = False,
    due: bool = True,
    method: str = "auto",
    has_aux: HasAux = False,
    **kwargs: Any,
) -> tuple[Any, ...]:
    """Score points, and penalise there how far the gradient's norm is from a target: λ E(‖∇f‖ - target)².

    Args:
        critic: Any callable, usually an nn.Module, with one value per sample: (N, ...) -> (N,) or (N, 1).
        x: Points, (N, ...): WGAN-GP's lie between a real and a generated sample.
        *args: Further inputs of the critic, such as labels (N,).
        weight: The penalty's weight λ ≥ 0.
        target: The norm that is asked for, ≥ 0.
        one_sided: Whether only norms above the target are penalised.
        due: Whether there is a penalty at this step; without one the critic is just called.
        method: How the gradient is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.
        has_aux: Whether the critic returns more than its value: True for (value, anything else), the value's
            name for a dictionary.
        **kwargs: Further keyword inputs of the critic.

    Returns:
        The values f, shaped as the critic's, and the penalty, a scalar; add it to the critic's loss. With
        `has_aux`, as a third what else the critic returned, with its own gradient.

    Raises:
        ValueError: The weight, the target, a switch or the method is out of range, or
            `value_and_input_gradient` refuses the critic or the points.

    Example:
        >>> import torch
        >>> f, penalty = gradient_penalty(lambda x: 3 * x.sum(1), torch.ones(2, 1), weight=1.0)
        >>> f, penalty
        (tensor([3., 3.]), tensor(4.))
    """
    rule = GradientPenalty(weight, target=target, one_sided=one_sided, method=method)
    return _with_penalty(rule, critic, x, *args, due=due, has_aux=has_aux, **kwargs)


def divergence_penalty(
    critic: Callable[..., Any],
    x: Tensor,
    *args: Any,
    k: float = 2.0,
    p: float = 6.0,
    due: bool = True,
    method: str = "auto",
    has_aux: HasAux = False,
    **kwargs: Any,
) -> tuple[Any, ...]:
    """Score points, and add WGAN-div's k E‖∇f‖ᵖ there.

    Args:
        critic: Any callable, usually an nn.Module, with one value per sample: (N, ...) -> (N,) or (N, 1).
        x: Points of r(x), (N, ...).
        *args: Further inputs of the critic, such as labels (N,).
        k: The coefficient, > 0.
        p: The power, > 1.
        due: Whether there is a penalty at this step; without one the critic is just called.
        method: How the gradient is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.
        has_aux: Whether the critic returns more than its value: True for (value, anything else), the value's
            name for a dictionary.
        **kwargs: Further keyword inputs of the critic.

    Returns:
        The values f, shaped as the critic's, and the penalty, a scalar; add it to the critic's loss. With
        `has_aux`, as a third what else the critic returned, with its own gradient.

    Raises:
        ValueError: k, p, `due` or the method is out of range, or `value_and_input_gradient` refuses the
            critic or the points.

    Example:
        >>> import torch
        >>> divergence_penalty(lambda x: 3 * x.sum(1), torch.ones(2, 1), k=0.5, p=2.0)[1]
        tensor(4.5000)
    """
    rule = WassersteinDivergence(k, p=p, method=method)
    return _with_penalty(rule, critic, x, *args, due=due, has_aux=has_aux, **kwargs)


def _with_penalty(
    rule: PointwisePenalty,
    critic: Callable[..., Any],
    x: Tensor,
    *args: Any,
    due: bool,
    has_aux: HasAux,
    **kwargs: Any,
) -> tuple[Any, ...]:
    aside = check_has_aux(has_aux)
    if not flag("due", due):
        f, aux = parted(critic(x, *args, **kwargs), has_aux)
        return (f, f.new_zeros(()), aux) if aside else (f, f.new_zeros(()))
    f, g, *rest = value_and_input_gradient(critic, x, *args, method=rule.method, has_aux=has_aux, **kwargs)
    return f, rule.mean(gradient_norm(f, g)), *rest
