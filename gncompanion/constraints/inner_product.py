"""The counter-experiment: ⟨∇D / ‖∇D‖, x⟩ in place of D / ‖∇D‖.

On a linear piece D(x) = ⟨g, x⟩ + c, so with p = ⟨g, x⟩ and n = ‖g‖

    p / n = (D(x) - c) / n

is D / n without the piece's intercept c. For a network without biases c = 0 and the two are equal; with
biases the intercept is lost, and every bias has exactly zero gradient, since no bias enters g. Biases that
start at zero therefore stay at zero, and such a critic trains as one without biases.

The options take the difference to gradient normalization apart:

    intercept     value      gradient with respect to the weights
    "lost"        p / n      that of p / n
    "value"       D / n      with c held constant: biases still get none
    "full"        D / n      that of D / n: "gn-0"

`squash` replaces each a / n by a / (n + |a|), whose values lie in [-1, 1]: with the full intercept it is
"gn". `freeze_biases` keeps the biases where they start, whatever the score. `scale` and `shift` give critic
and inner product other coordinates, x′ = scale · x + shift, such as pixels in [0, 1] for images in [-1, 1]:
unlike D / n the inner product depends on where the origin lies.

Source: Su Jianlin, kexue.fm/archives/8757, second doubt; the remark on the biases is a comment under it. The
options are ours.
"""

from __future__ import annotations

from math import isfinite

from torch import Tensor, nn

from gncompanion.constraints.gradient_constraint import GradientConstraint
from gncompanion.constraints.gradient_norm import ratio
from gncompanion.input_gradient import gradient_norm
from gncompanion.tools.checks import flag, is_number, positive, require
from gncompanion.tools.names import require_known

__all__ = ["INTERCEPTS", "InnerProduct"]

INTERCEPTS = ("lost", "value", "full")


class InnerProduct(GradientConstraint):
    """Score by ⟨g, x⟩ / n, with as much of the intercept given back as wanted; 0 where both vanish.

    Args:
        intercept: One of `INTERCEPTS`; the counter-experiment itself has it "lost".
        squash: Whether the score is a / (n + |a|) instead of a / n.
        freeze_biases: Whether all parameters called "bias" are kept from learning.
        scale: The factor of the coordinates that the critic sees, positive and finite.
        shift: The number added to each of them, finite.
        method: How g is found: "auto", "linear" or "autograd", as in `value_and_input_gradient`.

    Raises:
        ValueError: The intercept or the method is unknown, a switch is neither True nor False, or a number is
            out of range.
    """

    def __init__(
        self,
        *,
        intercept: str = "lost",
        squash: bool = False,
        freeze_biases: bool = False,
        scale: float = 1.0,
        shift: float = 0.0,
        method: str = "auto",
    ) -> None:
        require_known("unknown intercept", intercept, INTERCEPTS)
        super().__init__(method=method)
        self.intercept = intercept
        self.squash, self.freeze_biases = flag("squash", squash), flag("freeze_biases", freeze_biases)
        self.scale = positive("scale", scale)
        require("shift", shift, is_number(shift) and isfinite(shift), "a finite number")
        self.shift = float(shift)

    def prepare(self, critic: nn.Module) -> None:
        if self.freeze_biases:
            for name, parameter in critic.named_parameters():
                if name.split(".")[-1] == "bias":
                    parameter.requires_grad_(False)

    def combine(self, f: Tensor, g: Tensor, x: Tensor) -> Tensor:
        """Compute the scores from values and gradients.

        Args:
            f: The critic's values, (N,) or (N, 1).
            g: Its input gradients, (N, ...).
            x: The points, shaped like g.

        Returns:
            The scores, shaped like f.
        """
        a = (g * x).flatten(1).sum(1).view_as(f)
        if self.intercept == "value":
            a = a + (f - a).detach()
        elif self.intercept == "full":
            a = f.to(g.dtype)
        n = gradient_norm(f, g)
        return ratio(a, n + a.abs() if self.squash else n)

    def score(self, critic: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        if (self.scale, self.shift) != (1.0, 0.0):
            x = self.scale * x + self.shift
        return self.combine(*self.value_and_gradient(critic, x, y), x)
