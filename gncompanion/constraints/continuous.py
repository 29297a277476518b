"""Continuous relatives of gradient normalization: the critic divided by a norm that does not jump.

GN's f / (n + |f|) is torn at the borders between linear pieces, where n = ‖∇f‖ jumps and f does not. With f
and n_j the critic's values and gradient norms at the samples x_j of a batch:

    gn-batch      f(x) / (n̄ + |f(x)|)          n̄    = mean over j of n_j
    gn-smoothed   f(x) / (n̄(x) + |f(x)|)       n̄(x) = Σ_j k(x, x_j) n_j / Σ_j k(x, x_j)

with a Gaussian kernel k(x, x′) = exp(−‖x − x′‖² / 2h²), its h in proportion to the batch's spread. A wide
kernel gives gn-batch, a narrow one GN: x is one of the x_j.

Continuous in this sense: with the batch's norms n_j, its points x_j and h as they are, each is a continuous
function of x, for any continuous f. From one batch to the next, n̄ varies, and while the batch itself moves a
sample that crosses a border changes n̄ by its share in the mean. Neither is bounded in slope by Theorem 6: on
a piece of slope n,

    ‖∇‖ = n n̄ / (n̄ + |f|)²  for gn-batch,

which exceeds 1 near f = 0 where n > n̄. A third relative needs nothing new: GN on a critic with a smooth
activation ("softplus-20"), whose n is continuous; its gradient has the term −f ∇n / (n + |f|)² that Theorem 6
takes for zero.

Source: ours, to answer the first doubt of kexue.fm/archives/8757.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gncompanion.constraints.gradient_constraint import GradientConstraint
from gncompanion.constraints.gradient_norm import ratio
from gncompanion.input_gradient import gradient_norm
from gncompanion.tools.checks import flag, positive

__all__ = ["BatchGradientNormalization", "SmoothedGradientNormalization"]


class BatchGradientNormalization(GradientConstraint):
    """Score by f / (n̄ + |f|), n̄ being the batch's mean gradient norm; 0 where f = n̄ = 0.

    In the critic's step the batch is real and generated samples together, in the generator's step the
    generated ones.

    Args:
        detach: Whether n̄ is held constant in the critic's gradient too, which drops GN's regularizing term;
            False = it is differentiated with respect to the weights. With respect to x it is constant either
            way.
        method: How g is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.

    Raises:
        ValueError: The method is unknown, or `detach` is neither True nor False.
    """

    def __init__(self, *, detach: bool = True, method: str = "auto") -> None:
        super().__init__(method=method)
        self.detach = flag("detach", detach)

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        f, g = self.value_and_gradient(critic, x, y)
        n = gradient_norm(f, g).mean().expand_as(f)
        return ratio(f, (n.detach() if self.detach else n) + f.abs())


class SmoothedGradientNormalization(GradientConstraint):
    """Score by f / (n̄(x) + |f|), n̄(x) being the kernel average of the batch's gradient norms around x.

    The norms n_j are differentiated with respect to the weights, as GN's are. With respect to x the kernel's
    weights are, its centres x_j and width h are not: the generator follows the slope of the continuous
    function that the batch defines.

    Args:
        bandwidth: The kernel's width h > 0, in units of the root mean squared distance of the batch's
            samples.
        method: How g is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.

    Raises:
        ValueError: The method is unknown, or the bandwidth is not positive and finite.
    """

    def __init__(self, bandwidth: float = 0.5, *, method: str = "auto") -> None:
        super().__init__(method=method)
        self.bandwidth = positive("bandwidth", bandwidth, such_as=0.5)

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        f, g = self.value_and_gradient(critic, x, y)
        n = _kernel_weights(x.flatten(1), self.bandwidth) @ gradient_norm(f, g).flatten()
        return ratio(f, n.view_as(f) + f.abs())


def _kernel_weights(x: Tensor, bandwidth: float) -> Tensor:
    """k(x_i, x_j) / Σ_j k(x_i, x_j) of samples (N, d), (N, N); differentiable in x_i, not in x_j."""
    squared = (x.unsqueeze(1) - x.detach()).square().sum(dim=2)
    width = bandwidth**2 * squared.detach().mean()
    return torch.softmax(-squared / (2 * width.clamp_min(torch.finfo(x.dtype).tiny)), dim=1)
