"""Adversarial losses, each a critic's and a generator's function of the scores alone.

With f the critic's scores, r of real and q of generated samples, both minimised:

    name             critic                                            generator
    non_saturating   mean softplus(−f(r)) + mean softplus(f(q))        mean softplus(−f(q))
    hinge            mean max(1 − f(r), 0) + mean max(1 + f(q), 0)     −mean f(q)
    wasserstein      −mean f(r) + mean f(q)                            −mean f(q)

"bce" is another name of "non_saturating": softplus(−f) = −log σ(f) is binary cross-entropy with logits. Where
gradient normalization holds the scores between −1 and 1, the hinge never cuts a term off: it is the
Wasserstein loss + 2, with the same gradients. And the probability σ(f) that cross-entropy sees is confined to
[0.269, 0.731].

Source: Goodfellow et al. (arXiv 1406.2661); the hinge, Lim and Ye (arXiv 1705.02894) and Miyato et al. (arXiv
1802.05957); Arjovsky et al. (arXiv 1701.07875).
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import relu, softplus

__all__ = ["LOSSES", "Loss"]


@dataclass(frozen=True)
class Loss:
    """The two sides of an adversarial game.

    Attributes:
        critic: The critic's loss: real scores (N,) and generated scores (M,) to a scalar.
        generator: The generator's loss: generated scores (M,) to a scalar.
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]


_non_saturating = Loss(
    critic=lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
    generator=lambda fake: softplus(-fake).mean(),
)
_hinge = Loss(
    critic=lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
    generator=lambda fake: -fake.mean(),
)
_wasserstein = Loss(
    critic=lambda real, fake: fake.mean() - real.mean(),
    generator=lambda fake: -fake.mean(),
)

LOSSES: dict[str, Loss] = {
    "non_saturating": _non_saturating,
    "bce": _non_saturating,
    "hinge": _hinge,
    "wasserstein": _wasserstein,
}
