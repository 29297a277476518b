"""Constraints against closed forms on linear critics, theorems, and double backpropagation written anew."""

import math
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from gncompanion.constraints import CONSTRAINTS, Composite, Constraint, GradientNorm, build
from gncompanion.constraints.clipping import WeightClipping
from gncompanion.constraints.consistency import ConsistencyRegularization, flip_and_translate
from gncompanion.constraints.divergence import WassersteinDivergence
from gncompanion.constraints.gradient_norm import FORMULAS, GradientNormalization
from gncompanion.constraints.inner_product import InnerProduct
from gncompanion.constraints.penalty import FiniteDifferencePenalty, GradientPenalty
from gncompanion.constraints.sampling import SAMPLINGS, sampling
from gncompanion.input_gradient import METHODS, gradient_norm, value_and_input_gradient
from gncompanion.losses import LOSSES
from gncompanion.models import DCGANCritic, MLPCritic, MLPGenerator

SHAPE, N = (1, 8, 8), 16
EXACT = {"rtol": 1e-12, "atol": 1e-14}  # float64: some thousand roundings of 1e-16


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


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


def gradients(value: Tensor, *of: nn.Module | Tensor) -> tuple[Tensor, ...]:
    """∂value of all weights of modules, and of tensors."""
    wanted = [t for thing in of for t in (thing.parameters() if isinstance(thing, nn.Module) else [thing])]
    return torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True)


def weight_gradients(value: Tensor, critic: nn.Module) -> Tensor:
    return torch.cat([grad.flatten() for grad in gradients(value, critic)])


# Every constraint, on a linear critic

W = normal(*SHAPE, seed=10)
W *= 1.7 / W.norm()
NORM, B = 1.7, 0.3
REAL, FAKE = normal(N, *SHAPE, seed=11), normal(N, *SHAPE, seed=12)


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


def test_the_table_has_every_constraint() -> None:
    assert ROWS.keys() == CONSTRAINTS.keys()


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_on_a_linear_critic(name: str) -> None:
    row, critic = ROWS[name], LinearCritic(W, B)
    constraint = build(name, shape=SHAPE, **row.options)
    f = critic(REAL)
    constraint.prepare(critic)
    score = partial(constraint.score, critic)
    torch.testing.assert_close(score(REAL), row.score(f), **EXACT)
    found = torch.as_tensor(constraint.penalty(score, REAL, FAKE, generator=seeded(5)), dtype=torch.float64)
    expected = row.penalty(REAL, FAKE, flip_and_translate(REAL, 0.2, seeded(5)))
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_steps_a_small_critic(name: str) -> None:
    critic = DCGANCritic(8, 1, width=4, generator=seeded())
    real, fake = normal(N, *SHAPE, seed=3).float(), normal(N, *SHAPE, seed=4).float()
    before = torch.get_rng_state()
    constraint = build(name, shape=SHAPE, **ROWS[name].options)
    constraint.prepare(critic)
    score = partial(constraint.score, critic)
    scores = score(torch.cat([real, fake]))
    loss = LOSSES["hinge"].critic(*scores.split(N)) + constraint.penalty(
        score, real, fake, generator=seeded()
    )
    loss.backward()
    assert scores.shape == (2 * N,)
    assert loss.shape == ()
    assert scores.isfinite().all()
    assert loss.isfinite()
    grads = [parameter.grad for parameter in critic.parameters() if parameter.grad is not None]
    assert all(grad.isfinite().all() for grad in grads)
    assert any(grad.any() for grad in grads)
    torch.optim.SGD(critic.parameters(), lr=0.1).step()
    constraint.after_step(critic)
    assert torch.equal(torch.get_rng_state(), before)


ELSEWHERE = ("sn", "sn-operator", "gn-batch", "gn-smoothed")  # the latter two in test_continuous.py
SCORING = [n for n in ROWS if n not in ELSEWHERE and ROWS[n].score is not Row().score]


@pytest.mark.parametrize("name", SCORING)
def test_scores_pass_labels_on(name: str) -> None:
    y, seen = torch.arange(N), []

    def critic(x: Tensor, labels: Tensor) -> Tensor:
        seen.append(labels)
        return LinearCritic(W, B)(x)

    build(name, **ROWS[name].options).score(critic, REAL, y)
    Composite(Constraint(), build(name, **ROWS[name].options)).score(critic, REAL, y)
    assert len(seen) == 2
    assert all(labels is y for labels in seen)


# Gradient normalization


@pytest.mark.parametrize(
    ("formula", "constants", "value"),
    [
        ("gn", {}, 12 / 17),
        ("gn-0", {}, 12 / 5),
        ("gn-1", {}, 2.0),
        ("gran", {"eps": 1.0}, 60 / 26),
        ("gran", {"eps": 1.0, "K": 2.0}, 120 / 26),
        ("gran-eps", {"eps": 1.0}, 2.0),
        ("gran-eps", {"eps": 1.0, "K": 2.0}, 4.0),
        ("pgn", {}, -11 / (math.sqrt(2**2 + 3**2) + 11)),
    ],
)
def test_formulas_by_hand(formula: str, constants: dict[str, float], value: float) -> None:
    critic = LinearCritic(torch.tensor([3.0, 4.0]), 1.0)  # n = 5, and f = 12 at (1, 2)
    score = GradientNormalization(formula, **constants).score(critic, torch.tensor([[1.0, 2.0]]).double())
    torch.testing.assert_close(score, torch.tensor([value], dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_gn_lies_between_minus_one_and_one(scale: float) -> None:
    critic = mlp()
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.mul_(scale)
    score = build("gn").score(critic, normal(500, 3, seed=0) * 100)
    assert 0.5 < score.abs().max() <= 1


GRADIENT_NORMS = {
    "gn": lambda f, n, m: (n / (n + f.abs())) ** 2,  # Theorem 6
    "gn-0": lambda f, n, m: torch.ones_like(n),
    "gn-1": lambda f, n, m: n / (n + 1),
    "gran": lambda f, n, m: 2 * n**2 / (n**2 + 0.1),
    "gran-eps": lambda f, n, m: 2 * n / (n + 0.1),
    "pgn": lambda f, n, m: n * m / (m + (1 - f).abs()) ** 2,  # m = ‖1 - g‖; no bound follows
    "inner-product": lambda f, n, m: torch.ones_like(n),
    "scale": lambda f, n, m: 3 * n,
}


WEIGHTS_OF_GRADIENTS = {
    "gn": lambda f, n: (n / (n + f.abs()) ** 2, -f / (n + f.abs()) ** 2),
    "gran": lambda f, n: (2 * n / (n**2 + 0.1), 2 * f * (0.1 - n**2) / (n**2 + 0.1) ** 2),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", WEIGHTS_OF_GRADIENTS)
def test_the_weights_gradient_is_the_tasks_and_the_norms(name: str, network: str) -> None:
    """∂f̂/∂W = α ∂f/∂W + β ∂n/∂W, with α and β worked out by hand: gradients reach W through the norm too."""
    make, shape = NETWORKS[network]
    critic, x = make(), normal(N, *shape, seed=6)
    f, g = value_and_input_gradient(critic, x, method="autograd")
    n = gradient_norm(f, g)
    alpha, beta = (weight.detach() for weight in WEIGHTS_OF_GRADIENTS[name](f, n))
    expected = weight_gradients((alpha * f + beta * n).sum(), critic)
    found = weight_gradients(build(name, **ROWS[name].options).score(critic, x).sum(), critic)
    assert (found - expected).norm() <= 1e-12 * expected.norm()  # some thousand roundings of 1e-16


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", SCORING)
def test_theorem_6_and_its_likes(name: str, network: str) -> None:
    make, shape = NETWORKS[network]
    critic, x = make(), normal(N, *shape, seed=6)
    (g,) = torch.autograd.grad(critic(x.requires_grad_()).sum(), x)
    n, m = g.flatten(1).norm(dim=1), (1 - g).flatten(1).norm(dim=1)
    expected = GRADIENT_NORMS[name](critic(x), n, m)
    score = build(name, **ROWS[name].options).score(critic, x)
    (found,) = torch.autograd.grad(score.sum(), x)
    torch.testing.assert_close(found.flatten(1).norm(dim=1), expected, **EXACT)


def test_what_layer_rescaling_leaves_unchanged() -> None:
    """W_k by s_k > 0 and b_k by s_1 ⋯ s_k multiplies f and n alike."""
    critic, x, scale = mlp(), normal(N, 3, seed=7), 1.0
    constraints = {name: build(name, **ROWS[name].options) for name in SCORING}
    before = {name: c.score(critic, x) for name, c in constraints.items()}
    with torch.no_grad():
        for layer, factor in zip(
            (m for m in critic.modules() if isinstance(m, nn.Linear)), (3.0, 0.2, 7.0, 5.0), strict=True
        ):
            scale *= factor
            layer.weight.mul_(factor)
            layer.bias.mul_(scale)
    changes = {name: (c.score(critic, x) - before[name]).abs().max() for name, c in constraints.items()}
    assert {name for name, change in changes.items() if change < 1e-12} == {"gn", "gn-0", "inner-product"}
    assert min(change for name, change in changes.items() if change >= 1e-12) > 1e-2


@pytest.mark.parametrize("method", ["linear", "autograd"])
@pytest.mark.parametrize("name", ["gn", "gn-0", "gn-1", "gran", "gran-eps", "inner-product", "pgn"])
def test_zero_over_zero_is_zero(name: str, method: str) -> None:
    one = name == "pgn"  # its 0 / 0 is at f = 1, g = 1
    critic = LinearCritic(torch.ones(3) if one else torch.zeros(3), float(one))
    x = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    score = build(name, **ROWS[name].options, method=method).score(critic, x)
    assert torch.equal(score, torch.zeros(2, dtype=torch.float64))
    assert all(grad.isfinite().all() for grad in gradients(score.sum(), x, critic))


def test_the_distance_to_no_zero_set_is_infinite() -> None:
    constant = LinearCritic(torch.zeros(3), -2.0)
    x = normal(2, 3, seed=0)
    assert torch.equal(build("gn-0").score(constant, x), torch.full((2,), -math.inf, dtype=torch.float64))
    assert torch.equal(build("gn").score(constant, x), torch.full((2,), -1.0, dtype=torch.float64))


# The counter-experiment


def intercept(critic: nn.Module, x: Tensor) -> Tensor:
    """c of D = ⟨g, ·⟩ + c on the piece of each x: what the layers, with their gates as at x, make of 0."""
    h, c = x, torch.zeros_like(x)
    for layer in (*critic.features, *critic.head):
        if isinstance(layer, nn.ReLU):
            c = c * (h > 0)
            h = h * (h > 0)
        else:
            h, c = layer(h), layer(c)
    return c.squeeze(1)


@pytest.mark.parametrize("bias", [False, True])
def test_inner_product_is_the_distance_without_the_intercept(bias: bool) -> None:
    critic, x = mlp(bias=bias), normal(N, 3, seed=8)
    f, g = value_and_input_gradient(critic, x, method="autograd")
    c = intercept(critic, x)
    assert (c.abs().min() > 0.01) if bias else torch.equal(c, torch.zeros_like(c))
    torch.testing.assert_close(
        build("inner-product").score(critic, x), (f - c) / gradient_norm(f, g), **EXACT
    )


@pytest.mark.parametrize("method", ["linear", "autograd"])
def test_inner_product_gives_biases_no_gradient(method: str) -> None:
    critic, x = mlp(), normal(N, 3, seed=8)
    for name in ("inner-product", "gn-0"):
        score = build(name, method=method).score(critic, x)
        for (parameter, _), grad in zip(
            critic.named_parameters(), gradients(score.sum(), critic), strict=True
        ):
            assert grad.any() == (name == "gn-0" or parameter.endswith("weight"))


# Penalties


@pytest.mark.parametrize("at", SAMPLINGS)
@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (partial(GradientPenalty, 3.0, target=2.0), 3 * 0.3**2),
        (partial(GradientPenalty, 3.0, target=2.0, one_sided=True), 0.0),
        (partial(GradientPenalty, 3.0, target=1.0, one_sided=True), 3 * 0.7**2),
        (partial(GradientPenalty, 3.0, target=0.0), 3 * 1.7**2),
        (partial(WassersteinDivergence, 0.5, p=3), 0.5 * 1.7**3),
    ],
)
def test_penalties_on_a_linear_critic(penalty: Callable[..., Constraint], expected: float, at: str) -> None:
    found = penalty(at=at).penalty(LinearCritic(W, B), REAL, FAKE, generator=seeded())
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), **EXACT)


def wgan_gp(critic: nn.Module, real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
    """Gulrajani et al.'s penalty, written for this test from their Algorithm 1."""
    epsilon = torch.rand(len(real), generator=random).double().reshape(-1, *(1 for _ in real.shape[1:]))
    x = (epsilon * real + (1 - epsilon) * fake).requires_grad_()
    (g,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return 10 * sum((g[i].norm() - 1) ** 2 for i in range(len(x))) / len(x)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("network", NETWORKS)
def test_equals_wgan_gp_by_double_backpropagation(network: str, method: str) -> None:
    make, shape = NETWORKS[network]
    critic, real, fake = make(), normal(N, *shape, seed=1), normal(N, *shape, seed=2)
    found = GradientPenalty(method=method).penalty(critic, real, fake, generator=seeded(9))
    expected = wgan_gp(critic, real, fake, seeded(9))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    error = (weight_gradients(found, critic) - weight_gradients(expected, critic)).norm()
    assert error <= 1e-12 * weight_gradients(wgan_gp(critic, real, fake, seeded(9)), critic).norm()


def test_a_penalty_on_the_normalized_score() -> None:
    """‖∇f̂‖ is Theorem 6's, so GN + GP is 10 ((n / (n + |f|))² - 1)², with gradients through f and n."""
    critic, real, fake = conv(), normal(N, *SHAPE, seed=1), normal(N, *SHAPE, seed=2)
    constraint = build("gn+gp", gp={"at": "real"})
    found = constraint.penalty(partial(constraint.score, critic), real, fake, generator=seeded())
    f, g = value_and_input_gradient(critic, real, method="autograd")
    n = gradient_norm(f, g)
    expected = 10 * ((n / (n + f.abs())) ** 2 - 1).square().mean()
    torch.testing.assert_close(found, expected, **EXACT)
    torch.testing.assert_close(weight_gradients(found, critic), weight_gradients(expected, critic), **EXACT)


def test_the_finite_difference_of_scores_in_a_column() -> None:
    critic = LinearCritic(W, B)
    expected = FiniteDifferencePenalty().penalty(critic, REAL, FAKE, generator=seeded())
    column = FiniteDifferencePenalty().penalty(
        lambda x, y: critic(x)[:, None], REAL, FAKE, generator=seeded()
    )
    assert torch.equal(column, expected)


@pytest.mark.parametrize(
    "penalty",
    [
        *(GradientPenalty(at=at) for at in SAMPLINGS),
        WassersteinDivergence(at="both"),
        FiniteDifferencePenalty(),
        ConsistencyRegularization(),
    ],
)
def test_penalties_pass_labels_on(penalty: Constraint) -> None:
    y, seen = torch.arange(N), []

    def score(x: Tensor, labels: Tensor) -> Tensor:
        assert labels.shape[0] == x.shape[0]
        seen.append(labels)
        return x.flatten(1).sum(1)

    penalty.penalty(score, REAL, FAKE, y=y, generator=seeded())
    assert seen
    assert all(torch.equal(labels, torch.cat([y] * (len(labels) // N))) for labels in seen)


# Sampling


def far_end(point: Tensor, start: Tensor, ends: Tensor) -> tuple[int, float]:
    """The one of `ends` towards which `point` lies on a segment from `start`, and how far along."""
    towards = (ends - start).flatten(1)
    step = (point - start).flatten()
    share = (towards @ step / towards.square().sum(1)).nan_to_num(0.0)
    off = (share[:, None] * towards - step).norm(dim=1)
    off[towards.norm(dim=1) == 0] = step.norm()
    end = int(off.argmin())
    assert off[end] < 1e-12  # roundings; two random segments are about 1 apart
    assert 0 <= share[end] <= 1
    return end, float(share[end])


@pytest.mark.parametrize("shape", [(5,), (2, 2, 3)])
def test_interpolates_lie_between_real_and_generated(shape: tuple[int, ...]) -> None:
    real, fake = normal(N, *shape, seed=1), normal(N, *shape, seed=2)
    found = [
        far_end(p, x, real) for p, x in zip(sampling("real-fake")(real, fake, seeded()), fake, strict=True)
    ]
    assert [end for end, _ in found] == list(range(N))
    assert len({share for _, share in found}) == N


@pytest.mark.parametrize("shape", [(5,), (2, 2, 3)])
@pytest.mark.parametrize("at", ["within", "pooled"])
def test_interpolates_of_other_pairs(at: str, shape: tuple[int, ...]) -> None:
    real, fake = normal(N, *shape, seed=1), normal(N, *shape, seed=2)
    pool = torch.cat([real, fake])
    ends = [far_end(p, x, pool)[0] for p, x in zip(sampling(at)(real, fake, seeded()), pool, strict=True)]
    assert sorted(ends) == list(range(2 * N))
    kept_apart = all((start < N) == (end < N) for start, end in enumerate(ends))
    assert kept_apart == (at == "within")
    assert ends != list(range(2 * N))


def test_raw_samples_are_themselves() -> None:
    random, before = seeded(), seeded().get_state()
    for at, expected in {"both": torch.cat([REAL, FAKE]), "real": REAL, "fake": FAKE}.items():
        assert torch.equal(sampling(at)(REAL, FAKE, random), expected)
    assert torch.equal(random.get_state(), before)


@pytest.mark.parametrize("at", ["real-fake", "within", "pooled"])
def test_the_generator_decides_the_points(at: str) -> None:
    first, again, other = (sampling(at)(REAL, FAKE, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.isclose(first, other).any(0).all()


def test_every_sampling_is_tested() -> None:
    assert SAMPLINGS.keys() == {"real-fake", "within", "pooled", "both", "real", "fake"}


# Clipping and consistency


def test_clipping_after_a_step() -> None:
    critic = conv()
    before = torch.cat([p.detach().flatten().clone() for p in critic.parameters()])
    WeightClipping(0.1).after_step(critic)
    after = torch.cat([p.detach().flatten() for p in critic.parameters()])
    outside = before.abs() > 0.1
    assert outside.any()
    assert torch.equal(after[~outside], before[~outside])
    assert torch.equal(after[outside], 0.1 * before[outside].sign())


def move(x: Tensor, flip: bool, down: int, right: int) -> Tensor:
    """Pixel by pixel: the flipped image, shifted, with zeros coming in."""
    moved, (height, width) = torch.zeros_like(x), x.shape[-2:]
    for row in range(height):
        for column in range(width):
            to_row, to_column = row + down, (width - 1 - column if flip else column) + right
            if 0 <= to_row < height and 0 <= to_column < width:
                moved[..., to_row, to_column] = x[..., row, column]
    return moved


@pytest.mark.parametrize(("share", "most"), [(0.0, (0, 0)), (0.2, (1, 2)), (0.34, (2, 3))])
def test_flip_and_translate_against_a_loop(share: float, most: tuple[int, int]) -> None:
    x = normal(2000, 2, 6, 10, seed=0)
    moved = flip_and_translate(x, share, seeded())
    down, right = (range(-m, m + 1) for m in most)
    counts = [
        int((moved == move(x, *motion)).flatten(1).all(1).sum())
        for motion in product((False, True), down, right)
    ]
    assert sum(counts) == len(x)  # each image made one of these motions
    mean = len(x) / len(counts)  # 5 standard deviations of a count are 5 √mean, and less than the mean
    assert all(abs(count - mean) < 5 * math.sqrt(mean) < mean for count in counts)
    assert torch.equal(moved, flip_and_translate(x, share, seeded()))
    assert not torch.equal(moved, flip_and_translate(x, share, seeded(1)))


def test_consistency_differentiates_both_branches() -> None:
    critic = LinearCritic(W, B)
    penalty = ConsistencyRegularization(3.0, share=0.4).penalty(critic, REAL, FAKE, generator=seeded(5))
    difference = (REAL - flip_and_translate(REAL, 0.4, seeded(5))).flatten(1)
    rises = difference @ W.flatten()
    torch.testing.assert_close(penalty, 3 * rises.square().mean(), **EXACT)
    (grad,) = torch.autograd.grad(penalty, critic.layer.weight)
    torch.testing.assert_close(grad, 6 * (rises[:, None] * difference).mean(0, keepdim=True), **EXACT)


def test_consistency_refuses_points() -> None:
    with pytest.raises(ValueError, match=r"needs images \(N, C, H, W\), not \(16, 3\)"):
        ConsistencyRegularization().penalty(
            mlp(), normal(N, 3, seed=0), normal(N, 3, seed=1), generator=seeded()
        )


# Hooks, composition, names


def test_no_constraint_does_nothing() -> None:
    critic, constraint = conv(), Constraint()
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    constraint.prepare(critic)
    constraint.after_step(critic)
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())
    assert torch.equal(constraint.score(critic, REAL), critic(REAL))
    assert constraint.penalty(critic, REAL, FAKE, generator=seeded()) == 0
    linear, y = LinearCritic(W, B), torch.arange(N)
    assert torch.equal(constraint.score(linear, REAL, y), linear(REAL, y))


def test_a_composite_runs_all_hooks_in_order() -> None:
    calls = []

    class Part(Constraint):
        def __init__(self, name: str) -> None:
            self.name = name

        def prepare(self, critic: nn.Module) -> None:
            calls.append(f"prepare {self.name}")

        def penalty(self, *args: Any, y: Tensor, **kwargs: Any) -> float:
            calls.append(f"penalty {self.name} with {y}")
            return {"a": 1.0, "b": 2.0}[self.name]

        def after_step(self, critic: nn.Module) -> None:
            calls.append(f"after {self.name}")

    composite, critic = Composite(Part("a"), InnerProduct(), Part("b")), mlp()
    x = normal(N, 3, seed=0)
    composite.prepare(critic)
    assert composite.penalty(critic, x, x, y="labels", generator=seeded()) == 3
    composite.after_step(critic)
    assert calls == [
        "prepare a",
        "prepare b",
        "penalty a with labels",
        "penalty b with labels",
        "after a",
        "after b",
    ]
    assert torch.equal(composite.score(critic, x), InnerProduct().score(critic, x))
    assert torch.equal(Composite(Part("a"), Part("b")).score(critic, x), critic(x))


def test_gn_and_cr_compare_normalized_scores() -> None:
    critic, constraint = conv(), build("gn+cr", cr={"weight": 3.0})
    score = partial(build("gn").score, critic)
    torch.testing.assert_close(constraint.score(critic, REAL), score(REAL), **EXACT)
    found = constraint.penalty(partial(constraint.score, critic), REAL, FAKE, generator=seeded(5))
    difference = score(REAL) - score(flip_and_translate(REAL, 0.2, seeded(5)))
    torch.testing.assert_close(found, 3 * difference.square().mean(), **EXACT)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build("gnn"), r"unknown constraint 'gnn', did you mean 'gn'\? \(valid: none, clipping, "),
        (lambda: build(None), "unknown constraint None"),
        (lambda: build("gn+gpp"), "unknown constraint 'gpp', did you mean 'gp'"),
        (lambda: build("gn+"), "unknown constraint ''"),
        (lambda: build("gn+inner-product"), "GradientNormalization and InnerProduct each define"),
        (lambda: build("gp", wieght=1.0), "'gp' has no option 'wieght', did you mean 'weight'"),
        (lambda: build("none", weight=1.0), "'none' has no option 'weight'"),
        (lambda: build("gn", formula="gran"), "'gn' has no option 'formula'"),
        (lambda: build("gn+cr", weight=1.0), r"it has no part 'weight' \(valid: gn, cr\)"),
        (lambda: build("gn+cr", cr=1.0), "the options of 'cr' must be a mapping, not 1.0"),
        (lambda: build("gn+cr", cr={"share": 1.0}), r"share=1.0 must lie in \[0, 1\)"),
        (lambda: build("gn", eps=0.1), r"eps is no constant of 'gn'.*\(valid: gran, gran-eps\)"),
        (lambda: build("gran"), "'gran' needs eps, such as 1e-2"),
        (lambda: build("gran-eps", K=2.0), "'gran-eps' needs eps"),
        (lambda: build("gran", eps=0.0), "eps=0.0 must be positive"),
        (lambda: build("gran", eps=0.1, K=-1.0), "K=-1.0 must be positive"),
        (lambda: build("gran", eps=0.1, K=math.nan), "K=nan must be positive"),
        (lambda: GradientNormalization("gm"), "unknown formula 'gm' "),
        (lambda: GradientNorm(mlp(), "gm"), "unknown formula 'gm'"),
        (lambda: build("gn", method="fast"), r"unknown method 'fast'.* \(valid: auto, linear, autograd\)"),
        (lambda: InnerProduct(method="fast"), "unknown method 'fast'"),
        (lambda: GradientPenalty(method="fast"), "unknown method 'fast'"),
        (lambda: WassersteinDivergence(method="fast"), "unknown method 'fast'"),
        (lambda: GradientPenalty(at="reel"), r"unknown sampling of r\(x\) 'reel', did you mean 'real'"),
        (lambda: WassersteinDivergence(at="reel"), "did you mean 'real'"),
        (lambda: GradientPenalty(-1.0), "weight=-1.0"),
        (lambda: GradientPenalty(math.nan), "weight=nan"),
        (lambda: GradientPenalty(target=-1.0), "target=-1.0"),
        (lambda: FiniteDifferencePenalty(-1.0), "weight=-1.0"),
        (lambda: WassersteinDivergence(0.0), "k=0.0 and p=6.0: .* needs k > 0 and p > 1"),
        (lambda: WassersteinDivergence(-1.0), "k=-1.0"),
        (lambda: WassersteinDivergence(p=1.0), "p=1.0"),
        (lambda: WeightClipping(0.0), "c=0.0"),
        (lambda: ConsistencyRegularization(-1.0), "weight=-1.0"),
        (lambda: ConsistencyRegularization(share=-0.1), "share=-0.1"),
        (lambda: build("sn", n_iterations=0), "n_iterations=0 must be an integer of at least 1"),
        (lambda: build("sn-operator", shape=SHAPE, n_iterations=1.5), "n_iterations=1.5"),
        (lambda: build("sn-operator"), "shape=None must be that of one input"),
    ],
)
def test_refusals(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# The module for a user's own GAN


class Conditional(nn.Module):
    """A critic as a user writes one: a column of values, labels, and a keyword of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inward, self.out = nn.Linear(3, 12), nn.Linear(12, 1)
        self.embed = nn.Embedding(4, 12)

    def forward(self, x: Tensor, y: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
        h = torch.relu(self.inward(x))
        f = self.out(h) * scale
        return f if y is None else f + (self.embed(y) * h).sum(1, keepdim=True)


def test_gradient_norm_keeps_a_column_and_passes_everything_on() -> None:
    critic, x, y = redrawn(Conditional()), normal(N, 3, seed=0), torch.arange(N) % 4
    f, g = value_and_input_gradient(critic, x, y, scale=0.3, method="autograd")
    expected = f / (gradient_norm(f, g) + f.abs())
    assert expected.shape == (N, 1)
    for found in (GradientNorm(critic)(x, y, scale=0.3), GradientNorm(critic)(x, y=y, scale=0.3)):
        torch.testing.assert_close(found, expected, **EXACT)


@pytest.mark.parametrize("formula", FORMULAS)
def test_gradient_norm_equals_the_constraint(formula: str) -> None:
    critic, options = conv(), ROWS[formula].options
    module = GradientNorm(critic, formula, **options)
    assert torch.equal(module(REAL), build(formula, **options).score(critic, REAL))
    assert repr(module).startswith(f"GradientNorm(\n  {formula!r}, ")


def test_gradient_norm_has_the_critics_state() -> None:
    module, other = GradientNorm(conv()), GradientNorm(DCGANCritic(8, 1, width=4).double())
    assert list(module.state_dict()) == [f"critic.{name}" for name in module.critic.state_dict()]
    other.load_state_dict(module.state_dict())
    assert torch.equal(module(REAL), other(REAL))


def test_gradient_norm_without_autograd() -> None:
    module = GradientNorm(conv())
    with torch.no_grad():
        score = module(REAL)
    assert not score.requires_grad
    assert torch.equal(score, module(REAL))


def test_gradient_norm_verifies_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def spy(critic: nn.Module, x: Tensor, *, method: str, verify: bool) -> tuple[Tensor, Tensor]:
        asked.append((method, verify))
        return value_and_input_gradient(critic, x, method=method, verify=verify)

    monkeypatch.setattr("gncompanion.constraints.gradient_norm.value_and_input_gradient", spy)
    GradientNorm(mlp(), method="linear", verify=True)(normal(N, 3, seed=0))
    GradientNorm(mlp())(normal(N, 3, seed=0))
    assert asked == [("linear", True), ("auto", False)]


def train(method: str) -> list[Tensor]:
    """A critic's and a generator's step, as a user writes them; returns all gradients and weights."""
    D = GradientNorm(redrawn(Conditional()), method=method)
    G = MLPGenerator(4, 3, width=8, generator=seeded(4)).double()
    steps = {module: torch.optim.SGD(module.parameters(), lr=0.5) for module in (D, G)}
    real, z, y = normal(N, 3, seed=5), normal(N, 4, seed=6), torch.arange(N) % 4
    loss = torch.relu(1 - D(real, y)).mean() + torch.relu(1 + D(G(z).detach(), y)).mean()
    steps[D].zero_grad()
    loss.backward()
    steps[D].step()
    found = [parameter.grad.clone() for parameter in D.parameters()]
    loss = -D(G(z), y).mean()
    steps[G].zero_grad()
    loss.backward()
    steps[G].step()
    return found + [parameter.grad for parameter in G.parameters()] + [*D.parameters(), *G.parameters()]


def test_a_training_step_equals_double_backpropagation() -> None:
    for fast, twice in zip(train("linear"), train("autograd"), strict=True):
        assert twice.norm() > 0
        assert (fast - twice).norm() <= 1e-12 * twice.norm()  # some thousand roundings of 1e-16
