"""Scans against networks whose kinks are known, dense grids, and automatic differentiation."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from gncompanion import GradientNorm
from gncompanion.input_gradient import value_and_input_gradient
from gncompanion.lipschitz import input_gradient_norms, line_scan, piece_gradients, scan_line
from gncompanion.models import DCGANCritic, MLPCritic
from tests.helpers.draws import seeded
from tests.helpers.scanned_critics import CRITICS, ROUNDING, every_critic, hinges, perceptron, point, segment


def gates(critic: nn.Module, x: Tensor) -> Tensor:
    """The signs of all pre-activations, seen by hooks on the critic itself: (N, units)."""
    seen = []
    kinks = [m for m in critic.modules() if isinstance(m, nn.ReLU | nn.LeakyReLU)]
    handles = [m.register_forward_hook(lambda _, z, __: seen.append(z[0].flatten(1) > 0)) for m in kinks]
    with torch.no_grad():
        critic(x)
    for handle in handles:
        handle.remove()
    return torch.cat(seen, dim=1)


def sawtooth(times: int) -> nn.Sequential:
    """Telgarsky's sawtooth, tent ∘ … ∘ tent with tent(h) = 2 relu(h) − 4 relu(h − ½)."""
    layers = []
    for _ in range(times):
        first, last = nn.Linear(1, 2), nn.Linear(2, 1)
        first.weight.data, first.bias.data = torch.ones(2, 1), torch.tensor([0.0, -0.5])
        last.weight.data, last.bias.data = torch.tensor([[2.0, -4.0]]), torch.zeros(1)
        layers += [first, nn.ReLU(), last]
    return nn.Sequential(*layers).double()


class TestKnownNetworks:
    def test_hinges_are_found_where_they_were_put(self) -> None:
        places, weights = [0.5, 0.125, 0.75, 0.25], [1.0, -2.0, 4.0, 0.5]
        scan = scan_line(hinges(places, weights), point(0.0), point(1.0))
        assert scan.crossings.tolist() == sorted(places)  # powers of two: no rounding at all
        assert scan.layer.tolist() == [0, 1, 1, 1, 1, 0]
        assert scan.slopes().tolist() == [0, -2, -1.5, -0.5, 3.5]
        assert scan.f.tolist() == [0, 0, -0.25, -0.625, -0.75, 0.125]

    def test_direction_and_length(self) -> None:
        critic = hinges([0.5, 0.3], [1.0, 3.0])
        scan = scan_line(critic, point(2.0), point(-2.0))
        assert torch.allclose(
            scan.crossings, torch.tensor([0.375, 0.425], dtype=torch.float64), atol=ROUNDING
        )
        assert scan.length == 4.0
        gradients = piece_gradients(critic, scan)
        assert gradients.norm.tolist() == [4.0, 3.0, 0.0]
        assert gradients.slope.tolist() == [-16.0, -12.0, 0.0]

    @pytest.mark.parametrize("times", [1, 2, 3, 6])
    def test_sawtooth_whose_units_are_zero_at_knots(self, times: int) -> None:
        scan = scan_line(sawtooth(times), point(0.0), point(1.0))
        assert scan.t.tolist() == [i / 2**times for i in range(2**times + 1)]  # dyadic: exact
        assert scan.f.tolist() == [i % 2 for i in range(2**times + 1)]
        assert (scan.layer.bincount()[1:].nonzero() + 1).flatten().tolist() == [2 * k - 1 for k in _to(times)]

    def test_one_knot_for_units_that_cross_together(self) -> None:
        scan = scan_line(hinges([0.3, 0.3, 0.7], [1.0, 1.0, 1.0]), point(0.0), point(1.0))
        assert len(scan.crossings) == 2

    def test_one_knot_where_a_homogeneous_network_passes_the_origin(self) -> None:
        critic = MLPCritic(3, width=20, depth=4, bias=False, generator=seeded()).double()
        x = torch.tensor([0.3, -1.1, 0.7])
        scan = scan_line(critic, x, -2 * x)
        assert scan.crossings.tolist() == [pytest.approx(1 / 3, abs=ROUNDING)]

    def test_kinks_at_the_ends_are_no_crossings(self) -> None:
        scan = scan_line(hinges([0.0, 0.5, 1.0], [1.0, 1.0, 1.0]), point(0.0), point(1.0))
        assert scan.crossings.tolist() == [0.5]

    def test_a_unit_that_touches_zero_does_not_cross(self) -> None:
        # |x − ½| as the input of a second unit: zero at the knot, positive on both sides.
        fold = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1, bias=False), nn.ReLU())
        fold[0].weight.data, fold[0].bias.data = torch.tensor([[1.0], [-1.0]]), torch.tensor([-0.5, 0.5])
        fold[2].weight.data = torch.ones(1, 2)
        last = nn.Linear(1, 1)
        last.weight.data, last.bias.data = torch.ones(1, 1), torch.zeros(1)
        scan = scan_line(nn.Sequential(*fold, last).double(), point(0.0), point(1.0))
        assert scan.t.tolist() == [0, 0.5, 1] and scan.layer.tolist() == [0, 1, 0]

    def test_a_leaky_relu_of_slope_one_has_no_kink_in_value(self) -> None:
        critic = nn.Sequential(nn.Linear(1, 5), nn.LeakyReLU(1.0), nn.Linear(5, 1)).double()
        scan = scan_line(critic, point(-9.0), point(9.0))
        assert piece_gradients(critic, scan).norm.diff().abs().max() <= ROUNDING


def _to(times: int) -> range:
    return range(1, times + 1)


@every_critic
class TestRandomNetworks:
    def test_gates_are_constant_on_pieces_and_change_between(self, kind: str) -> None:
        make, shape = CRITICS[kind]
        critic, ends = make(1), segment(1, *shape)
        scan = scan_line(critic, *ends)
        inside = [gates(critic, scan.at(torch.lerp(scan.t[:-1], scan.t[1:], w))) for w in (0.01, 0.5, 0.99)]
        assert all(torch.equal(inside[0], other) for other in inside[1:])
        assert (inside[1][:-1] != inside[1][1:]).any(dim=1).all()

    def test_a_dense_grid_sees_no_more(self, kind: str) -> None:
        make, shape = CRITICS[kind]
        critic, ends = make(2), segment(2, *shape)
        scan = scan_line(critic, *ends)
        grid = torch.linspace(0, 1, 4001, dtype=torch.float64)
        seen = gates(critic, scan.at(grid))
        changed = (seen[:-1] != seen[1:]).any(dim=1)
        counts = torch.histogram(scan.crossings, grid).hist
        assert torch.equal(changed, counts > 0)

    def test_values_are_the_critics_own(self, kind: str) -> None:
        make, shape = CRITICS[kind]
        critic, ends = make(3), segment(3, *shape)
        scan = scan_line(critic, *ends)
        f, g = value_and_input_gradient(critic, scan.at((scan.t[1:] + scan.t[:-1]) / 2), method="autograd")
        gradients = piece_gradients(critic, scan)
        assert (critic(scan.at(scan.t)) - scan.f).abs().max() <= ROUNDING
        assert (f - gradients.f).abs().max() <= ROUNDING
        assert (g.flatten(1).norm(dim=1) - gradients.norm).abs().max() <= ROUNDING
        assert (g.flatten(1) @ scan.direction.flatten() - gradients.slope).abs().max() <= ROUNDING

    def test_batches_do_not_show(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        make, shape = CRITICS[kind]
        critic, ends = make(4), segment(4, *shape)
        whole = scan_line(critic, *ends)
        norms = piece_gradients(critic, whole).norm
        monkeypatch.setattr(line_scan, "NUMBERS_AT_A_TIME", 500)
        batched = scan_line(critic, *ends)
        assert torch.allclose(whole.t, batched.t, rtol=0, atol=ROUNDING)
        assert torch.allclose(whole.f, batched.f, rtol=0, atol=ROUNDING)
        assert torch.equal(whole.layer, batched.layer)
        assert torch.allclose(norms, piece_gradients(critic, batched).norm, rtol=0, atol=ROUNDING)

    def test_a_part(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        make, shape = CRITICS[kind]
        critic, ends = make(5), segment(5, *shape)
        monkeypatch.setattr(line_scan, "NUMBERS_AT_A_TIME", 500)
        whole, part = scan_line(critic, *ends), scan_line(critic, *ends, max_crossings=7)
        assert torch.equal(part.t, whole.t[:9]) and torch.equal(part.f, whole.f[:9])
        assert part.length == pytest.approx(whole.length * whole.t[8].item(), rel=ROUNDING)
        every = scan_line(critic, *ends, max_crossings=len(whole.crossings))
        assert torch.equal(every.t, whole.t)


@pytest.mark.parametrize(
    ("kind", "segments"), [("wide", 60), ("deep", 60), ("many inputs", 60), ("convolutional", 20)]
)
def test_acceptance_on_200_segments(kind: str, segments: int) -> None:
    """D's jump ≤ 1e-12 at every crossing, and Theorem 6 on every piece."""
    make, shape = CRITICS[kind]
    for seed in range(segments):
        critic = make(seed)
        scan = scan_line(critic, *segment(seed, *shape))
        gradients = piece_gradients(critic, scan)
        half = gradients.slope * scan.t.diff() / 2
        ends = torch.stack([gradients.f - half, gradients.f + half])  # of each linear piece, from its middle
        jump = ends[0, 1:] - ends[1, :-1]
        assert (jump.abs() <= ROUNDING).all()
        assert (ends - torch.stack([scan.f[:-1], scan.f[1:]])).abs().max() <= ROUNDING
        third = scan.at(torch.lerp(scan.t[:-1], scan.t[1:], 1 / 3))
        slope = input_gradient_norms(GradientNorm(critic, method="autograd"), third)
        f, n = critic(third).detach(), gradients.norm
        assert (slope - (n / (n + f.abs())) ** 2).abs().max() <= ROUNDING


def test_chosen_pieces() -> None:
    critic = perceptron(0)
    scan = scan_line(critic, *segment(0, 2))
    chosen = torch.tensor([5, 0, 3])
    every, some = piece_gradients(critic, scan), piece_gradients(critic, scan, pieces=chosen)
    for whole, part in zip(every, some, strict=True):
        assert torch.allclose(whole[chosen], part, rtol=0, atol=ROUNDING)


def test_a_short_segment_far_from_the_origin() -> None:
    # Pre-activations of size 1e3 are known to 1e-13; the segment is 1e-6 long: places on it to 1e-7.
    critic = hinges([1000 + 2**-22, 1000 + 2**-21], [1.0, 1.0])
    scan = scan_line(critic, point(1000.0), point(1000 + 2**-20))
    assert torch.allclose(scan.crossings, torch.tensor([0.25, 0.5], dtype=torch.float64), atol=1e-7)


def test_float32_is_taken_in_float64_and_nothing_is_changed() -> None:
    critic = MLPCritic(2, width=16, generator=seeded()).train()
    before = {name: p.clone() for name, p in critic.named_parameters()}
    x0, x1 = (end.float().requires_grad_() for end in segment(0, 2))
    scan = scan_line(critic, x0, x1)
    assert scan.f.dtype == scan.t.dtype == torch.float64 and not scan.f.requires_grad
    assert torch.equal(scan.t, scan_line(critic.double(), x0.detach(), x1.detach()).t)
    assert critic.training and all(torch.equal(p, before[name]) for name, p in critic.named_parameters())


@pytest.mark.slow
def test_the_papers_critic_at_full_size() -> None:
    critic = DCGANCritic(32, 3, generator=seeded())
    x0, x1 = (2 * torch.rand(2, 3, 32, 32, generator=seeded()) - 1).double()
    scan = scan_line(critic, x0, torch.lerp(x0, x1, 1e-3))
    assert len(scan.crossings) > 10 and scan.layer.max() > 3
    some = torch.tensor([0, 5, 10])
    gradients = piece_gradients(critic, scan, pieces=some)
    half = gradients.slope * scan.t.diff()[some] / 2
    assert (gradients.f + half - scan.f[some + 1]).abs().max() <= ROUNDING * scan.f.abs().max()


def smooth() -> nn.Sequential:
    return nn.Sequential(nn.Linear(1, 3), nn.Softplus(), nn.Linear(3, 1))


@pytest.mark.parametrize(
    ("critic", "x0", "x1", "options", "message"),
    [
        (perceptron(0), torch.zeros(2), torch.zeros(2), {}, "one point"),
        (perceptron(0), torch.zeros(2), torch.zeros(3), {}, r"shapes \(2,\) and \(3,\)"),
        (perceptron(0), torch.zeros(2), torch.tensor([1.0, math.nan]), {}, "not finite"),
        (
            perceptron(0),
            torch.zeros(2),
            torch.ones(2),
            {"max_crossings": 0},
            "max_crossings=0 must be an integer",
        ),
        (smooth(), torch.zeros(1), torch.ones(1), {}, "Softplus after Linear"),
        (nn.Sequential(nn.Linear(1, 2), nn.ReLU()), torch.zeros(1), torch.ones(1), {}, "one output"),
        (
            nn.Sequential(nn.Conv2d(1, 1, 2), nn.MaxPool2d(2), nn.Linear(1, 1)),
            torch.zeros(1, 3, 3),
            torch.ones(1, 3, 3),
            {},
            "MaxPool2d is neither",
        ),
        (
            nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.LeakyReLU(0.1), nn.Linear(2, 1)),
            torch.zeros(1),
            torch.ones(1),
            {},
            "ReLU, LeakyReLU after",
        ),
    ],
)
def test_refusals(critic: nn.Module, x0: Tensor, x1: Tensor, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scan_line(critic, x0, x1, **options)


def test_neighbours_differ_in_one_unit() -> None:
    """On a generic segment no two units change together."""
    critic = perceptron(7, 32, 3)
    scan = scan_line(critic, *segment(7, 2))
    pattern = gates(critic, scan.at((scan.t[1:] + scan.t[:-1]) / 2))
    assert all((a != b).sum() == 1 for a, b in itertools.pairwise(pattern))
