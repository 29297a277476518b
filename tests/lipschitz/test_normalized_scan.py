"""The normalized critic's values at the ends of its pieces, against the critic itself and closed forms."""

import pytest
import torch

from gncompanion import GradientNorm, value_and_input_gradient
from gncompanion.lipschitz import (
    normalized_ends,
    piece_gradients,
    rises_and_jumps,
    scan_line,
    scan_normalized,
    walk_uphill,
)
from tests.helpers.scanned_critics import CRITICS, ROUNDING, every_critic, hinges, point, segment


@every_critic
def test_normalized_ends_are_the_limits_of_the_normalized_critic(kind: str) -> None:
    make, shape = CRITICS[kind]
    critic = make(6)
    scan = scan_line(critic, *segment(6, *shape))
    ends = normalized_ends(scan, piece_gradients(critic, scan).norm)
    width = scan.t.diff()
    near = 1e-6 * width  # from inside; D̂ moves by at most 1e-6 of the segment's length, 16 here
    for end, t in ((0, scan.t[:-1] + near), (1, scan.t[1:] - near)):
        assert (GradientNorm(critic)(scan.at(t)) - ends[:, end]).abs().max() <= 1.6e-5
    norms = piece_gradients(critic, scan).norm
    f, n, m = scan.f[1:-1], norms[:-1], norms[1:]
    formula = f * (n - m) / ((n + f.abs()) * (m + f.abs()))
    assert (ends[1:, 0] - ends[:-1, 1] - formula).abs().max() <= ROUNDING
    assert formula.abs().max() > 1e-3


@every_critic
def test_jumps_and_rises_add_up(kind: str) -> None:
    make, shape = CRITICS[kind]
    critic, ends = make(8), segment(8, *shape)
    torn = scan_normalized(critic, *ends)
    first, last = GradientNorm(critic)(torch.stack(ends))
    assert abs(torn.jumps.sum() + torn.rises.sum() - (last - first)) <= ROUNDING
    assert len(torn.jumps) == len(torn.rises) - 1 == len(torn.scan.crossings)
    ratio = torn.norm.log().diff().abs()
    assert (torn.jumps.abs() <= (ratio / 4).tanh() + ROUNDING).all()  # the largest over all f, at f² = n₋ n₊


def test_normalized_ends_where_value_and_gradient_vanish() -> None:
    critic = hinges([0.5], [1.0])
    scan = scan_line(critic, point(0.0), point(1.0))
    ends = normalized_ends(scan, piece_gradients(critic, scan).norm)
    assert ends.tolist() == [[0, 0], [0, pytest.approx(1 / 3, abs=ROUNDING)]]


@every_critic
def test_rises_and_jumps_add_up_to_the_differences(kind: str) -> None:
    make, shape = CRITICS[kind]
    critic = make(8)
    (y, x), (b, a) = segment(8, *shape), segment(9, *shape)
    x, y = torch.stack([x, a]), torch.stack([y, b])
    parts = rises_and_jumps(critic, x, y)
    score = GradientNorm(critic)
    assert (parts.sum(1) - (score(x) - score(y))).abs().max() <= ROUNDING
    assert (parts[:, 0].abs() <= (x - y).flatten(1).norm(dim=1)).all()  # the pieces' slope is 1 at most
    assert torch.equal(parts[0], rises_and_jumps(critic, x[:1], y[:1])[0])


@every_critic
def test_a_walk_uphill_splits_the_rise_of_the_normalized_critic(kind: str) -> None:
    make, shape = CRITICS[kind]
    critic, places = make(8), torch.tensor([0.0, 0.1, 0.5])
    x = torch.stack(segment(8, *shape))
    walks = walk_uphill(critic, x, places)
    _, g = value_and_input_gradient(critic, x)
    uphill = g.detach() / g.detach().flatten(1).norm(dim=1).view(-1, *[1] * len(shape))
    score = GradientNorm(critic)
    for k, place in enumerate(places.tolist()):
        rise, on_pieces, net, total = walks.changes[:, :, k].unbind(1)
        assert (score(x + place * uphill) - score(x) - rise).abs().max() <= ROUNDING
        assert (on_pieces + net - rise).abs().max() <= ROUNDING
        assert (net.abs() <= total + ROUNDING).all() and (on_pieces.abs() <= place + ROUNDING).all()
    assert abs(walks.cosine - 1) <= 1e-9 and 0 < walks.steepest <= 1 + 1e-9
    assert walks.changes[:, 3, -1].max() > 0  # some jump was met
