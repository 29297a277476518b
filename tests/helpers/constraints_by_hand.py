"""Every constraint in closed form on a linear critic."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from tests.helpers.critics_by_hand import NORM, B, W


def slopes(x: Tensor, other: Tensor) -> Tensor:
    return ((x - other) * W).flatten(1).sum(1).abs() / (x - other).flatten(1).norm(dim=1)


class Row(NamedTuple):
    """What a constraint, with its default options but for these, makes of f(x) = ⟨W, x⟩ + B."""

    score: Callable[[Tensor], Tensor] = lambda f: f
    penalty: Callable[[Tensor, Tensor, Tensor], Tensor | float] = lambda real, fake, moved: 0.0
    options: dict[str, float] = {}  # noqa: RUF012


ROWS = {
    "none": Row(),
    "clipping": Row(),
    "gp": Row(penalty=lambda real, fake, moved: 10 * (NORM - 1) ** 2),
    "gp-one-sided": Row(options={"target": 2.0}),  # no penalty below the target
    "gp-difference": Row(penalty=lambda real, fake, moved: 10 * (slopes(real, fake) - 1).square().mean()),
    "r1": Row(penalty=lambda real, fake, moved: 3 / 2 * NORM**2, options={"gamma": 3.0}),
    "r2": Row(penalty=lambda real, fake, moved: 10 / 2 * NORM**2),
    "sn": Row(lambda f: (f - B) / NORM + B),
    "sn-operator": Row(lambda f: (f - B) / NORM + B),
    "sn-regularization": Row(penalty=lambda real, fake, moved: 0.1 / 2 * NORM**2),
    "wgan-div": Row(penalty=lambda real, fake, moved: 2 * NORM**6),
    "gn": Row(lambda f: f / (NORM + f.abs())),
    "gn-0": Row(lambda f: f / NORM),
    "gn-1": Row(lambda f: f / (NORM + 1)),
    "gn-batch": Row(lambda f: f / (NORM + f.abs())),
    "gn-smoothed": Row(lambda f: f / (NORM + f.abs())),
    "gran": Row(lambda f: 2 * f * NORM / (NORM**2 + 0.1), options={"eps": 0.1, "K": 2.0}),
    "gran-eps": Row(lambda f: 2 * f / (NORM + 0.1), options={"eps": 0.1, "K": 2.0}),
    "pgn": Row(lambda f: (1 - f) / ((1 - W).norm() + (1 - f).abs())),
    "inner-product": Row(lambda f: (f - B) / NORM),
    "scale": Row(lambda f: 3 * f, options={"K": 3.0}),
    "cr": Row(penalty=lambda real, fake, moved: 5 * ((real - moved) * W).flatten(1).sum(1).square().mean()),
}

ELSEWHERE = ("sn", "sn-operator", "gn-batch", "gn-smoothed")  # the latter two in test_continuous.py
SCORING = [n for n in ROWS if n not in ELSEWHERE and ROWS[n].score is not Row().score]
