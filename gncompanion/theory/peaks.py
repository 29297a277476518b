"""A rich critic by hand: whatever value and slope are wanted at each of finitely many points.

    D(y) = Σ_i τ_i min(1, 2 h_i(y)) + δ max(−h_i(y), min(h_i(y), ⟨u_i, y − x_i⟩))
    h_i(y) = max(0, 1 − K‖y − x_i‖₁)

with K so large that the peaks h_i do not overlap. It is piecewise linear, hence a ReLU network, since
max(a, b) = b + max(a − b, 0). Near x_i it is τ_i + δ ⟨u_i, y − x_i⟩, so that f = τ_i, g = δ u_i, n = δ, and

    score               there            its gradient there        best value of E_P s − E_Q s
    ⟨g / n, x⟩          ⟨u_i, x_i⟩       u_i                       Σ ‖x_i‖ |p_i − q_i|, at u_i = ±x_i / ‖x_i‖
    f / n               τ_i / δ          u_i, whatever it is       ∞, as δ → 0
    f / (n + |f|)       τ_i / (1 + δ)    (δ / (1 + δ))² u_i        Σ |p_i − q_i| = 2 TV, as δ → 0

for distributions with masses p_i and q_i at x_i ≠ 0, τ_i = sign(p_i − q_i), |u_i| = 1.

Source: ours.
"""

from __future__ import annotations

from torch import Tensor, nn

from gncompanion.tools.checks import positive, require

__all__ = ["Peaks", "mean_difference_critic"]


class Peaks(nn.Module):
    """The critic with given values and slopes at given points.

    Args:
        points: The points x_i, (n, d), all different.
        signs: The values τ_i there, (n,), each −1, 0 or 1.
        directions: The unit vectors u_i, (n, d).
        slope: The slope δ there.

    Raises:
        ValueError: Two points are the same, shapes differ, or the slope is not positive and finite.
    """

    def __init__(self, points: Tensor, signs: Tensor, directions: Tensor, *, slope: float = 1.0) -> None:
        super().__init__()
        require("directions", directions.shape, directions.shape == points.shape, "shaped like the points")
        apart = (points[:, None] - points).abs().sum(2)
        apart = apart[~apart.new_ones(apart.shape).bool().triu().tril()]  # but for the diagonal
        require("points", len(points), bool((apart > 0).all()), "points of which no two are the same")
        self.points, self.signs, self.directions = points, signs, directions
        self.slope = positive("slope", slope)
        self.steepness = 4 / apart.min().item() if len(points) > 1 else 1.0

    def forward(self, y: Tensor) -> Tensor:
        """Score points, (N, d) -> (N,)."""
        offsets = y[:, None] - self.points
        h = (1 - self.steepness * offsets.abs().sum(2)).clamp(min=0)
        tilt = (offsets * self.directions).sum(2)
        return (self.signs * (2 * h).clamp(max=1) + self.slope * tilt.minimum(h).maximum(-h)).sum(1)


def mean_difference_critic(real: Tensor, fake: Tensor) -> nn.Linear:
    """Make the affine critic that is best for ⟨∇D/‖∇D‖, x⟩ and for D/‖∇D‖: the means' difference.

    Args:
        real: Points of P, (n, d).
        fake: Points of Q, (m, d), whose mean is another.

    Returns:
        The critic; the value of either score is ‖E_P x − E_Q x‖.
    """
    critic = nn.Linear(real.shape[1], 1, dtype=real.dtype)
    critic.weight.data[0] = real.mean(0) - fake.mean(0)
    return critic
