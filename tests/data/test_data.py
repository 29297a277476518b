import math
from collections.abc import Callable

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.datasets import load_digits
from torch import Tensor

from gncompanion.data import (
    DATASETS,
    Dataset,
    GaussianGrid,
    GaussianRing,
    Images,
    Pair,
    concentric_spheres,
    digits,
    gaussians_on_line,
    load,
    parallel_lines,
    shifted,
    shifted_boxes,
)
from tests.helpers.draws import seeded


def pixels(*shape: int) -> Tensor:
    return torch.randint(256, shape, generator=seeded(), dtype=torch.uint8)


# Every data set


def every_dataset() -> list[Dataset]:
    pairs = [parallel_lines(1.0), shifted_boxes(2.0, 3), concentric_spheres(1.0, 4), gaussians_on_line(1.0)]
    sides = [side for pair in pairs for side in (pair.real, pair.fake)]
    plain = Images("plain", pixels(5, 3, 4, 6), flip=True)
    return [GaussianRing(), GaussianGrid(), digits(), plain, *sides]


@pytest.mark.parametrize("dataset", every_dataset(), ids=lambda d: d.name)
def test_one_face(dataset: Dataset) -> None:
    state = torch.get_rng_state()
    x, y = dataset.sample(33, seeded())
    assert x.shape == (33, *dataset.shape)
    assert x.dtype == torch.float32
    if dataset.n_classes is None:
        assert y is None
    else:
        assert y.shape == (33,)
        assert y.dtype == torch.int64
        assert 0 <= y.min() <= y.max() < dataset.n_classes
    assert len(dataset.digest) == 16
    assert int(dataset.digest, 16) >= 0
    assert torch.equal(x, dataset.sample(33, seeded())[0])
    assert not torch.equal(x, dataset.sample(33, seeded(1))[0])
    assert torch.equal(state, torch.get_rng_state())


def test_digests_tell_data_sets_apart_and_no_more() -> None:
    assert len({d.digest for d in every_dataset()}) == len(every_dataset())
    assert [d.digest for d in every_dataset()] == [d.digest for d in every_dataset()]
    assert GaussianRing(std=0.03).digest != GaussianRing().digest


# Toys


def test_the_ring_is_a_ring() -> None:
    ring = GaussianRing(n_modes=6, radius=3.0)
    assert ring.centers.norm(dim=1).tolist() == pytest.approx([3.0] * 6, abs=1e-6)  # float32
    neighbours = (ring.centers - ring.centers.roll(1, 0)).norm(dim=1)
    assert neighbours.tolist() == pytest.approx([3.0] * 6, abs=1e-6)  # a hexagon's edge is its radius
    assert ring.centers[0].tolist() == [3, 0]


def test_the_grid_is_a_grid() -> None:
    centers = GaussianGrid(side=3, spacing=2.0).centers
    assert sorted(map(tuple, centers.tolist())) == [(a, b) for a in (-2, 0, 2) for b in (-2, 0, 2)]


@pytest.mark.parametrize("toy", [GaussianRing(std=0.1), GaussianGrid(side=3)])
def test_a_mixture_has_the_moments_that_it_states(toy: GaussianRing | GaussianGrid) -> None:
    n = 40_000
    x, y = toy.sample(n, seeded())
    residual = x - toy.centers[y]
    # Five standard errors: of a standard deviation from 2n numbers, of a mean, of a share.
    assert residual.std().item() == pytest.approx(toy.std, rel=5 / math.sqrt(4 * n))
    assert residual.mean(0).abs().max() < 5 * toy.std / math.sqrt(n)
    share = y.bincount(minlength=toy.n_classes) / n
    assert (share - 1 / toy.n_classes).abs().max() < 5 / math.sqrt(n * toy.n_classes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianRing(n_modes=0), "n_modes must be an integer from 1 on, not 0"),
        (lambda: GaussianRing(n_modes=2.5), "n_modes must be an integer"),
        (lambda: GaussianRing(std=-1.0), "std must be positive and finite, not -1.0"),
        (lambda: GaussianRing(radius="x"), "radius must be positive and finite, not 'x'"),
        (lambda: GaussianGrid(spacing=math.inf), "spacing must be positive and finite, not inf"),
        (lambda: shifted_boxes(1.0, 0), "dim must be an integer from 1 on, not 0"),
        (lambda: shifted_boxes(math.nan), "shift must be 2 finite numbers"),
        (lambda: shifted(GaussianRing(), [1.0]), r"shift must be 2 finite numbers, not \[1.0\]"),
        (lambda: concentric_spheres(-1.0), "outer_radius must be positive"),
        (lambda: gaussians_on_line(1.0, 0.0), "std_real must be positive"),
    ],
)
def test_senseless_distributions_are_refused(make: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# Pairs


def first(x: Tensor) -> Tensor:
    return x.flatten(1)[:, 0]


def radius(x: Tensor) -> Tensor:
    return x.norm(dim=1)


@pytest.mark.parametrize(
    ("pair", "critic", "w1"),
    [
        (parallel_lines(0.7), first, 0.7),
        (parallel_lines(-0.7), first, 0.7),
        (parallel_lines(0.0), first, 0.0),
        (shifted_boxes(2.5, 1), first, 2.5),
        (shifted_boxes(2.5, 10), first, 2.5),
        (shifted(GaussianGrid(), [3.0, 4.0]), lambda x: x @ torch.tensor([0.6, 0.8]), 5.0),
        (shifted(digits(), [0.25] * 64), lambda x: x.flatten(1).mean(1) * 8, 2.0),
        (concentric_spheres(1.5, 2), radius, 1.5),
        (concentric_spheres(-0.5, 64), radius, 0.5),
        (gaussians_on_line(2.0, 0.5, 0.5), first, 2.0),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_coupling_and_a_1_lipschitz_critic_both_attain_w1(pair: Pair, critic: Callable, w1: float) -> None:
    # Drawn with one seed, real and fake are coupled as the optimal plan couples them; the critics have
    # slope 1. So the first number is no less than W1 and the second no more: equal, they prove it.
    (x, _), (y, _) = pair.real.sample(500, seeded()), pair.fake.sample(500, seeded())
    cost = (x - y).flatten(1).norm(dim=1).mean().item()
    gain = (critic(x).double().mean() - critic(y).double().mean()).abs().item()
    assert pair.w1 == pytest.approx(w1, abs=1e-12)
    assert cost == pytest.approx(w1, abs=1e-5)  # samples are float32, of size ten at most
    assert gain == pytest.approx(w1, abs=1e-5)


@pytest.mark.parametrize(
    ("gap", "a", "b"), [(1.0, 1.0, 2.0), (-0.3, 2.0, 0.5), (0.0, 1.0, 3.0), (2.0, 1.0, 1.0)]
)
def test_gaussians_on_the_line_by_quadrature_of_quantiles(gap: float, a: float, b: float) -> None:
    def difference(z: float) -> float:
        return abs(gap + b * z - a * z) * norm.pdf(z)

    expected, _ = quad(difference, -40, 40, points=[0 if a == b else -gap / (b - a)], epsabs=1e-13, limit=200)
    assert gaussians_on_line(gap, a, b).w1 == pytest.approx(expected, abs=1e-10)  # quad's own accuracy


def test_gaussians_on_the_line_have_their_moments() -> None:
    pair = gaussians_on_line(3.0, 0.5, 2.0)
    for side, mean, std in ((pair.real, 0.0, 0.5), (pair.fake, 3.0, 2.0)):
        x, _ = side.sample(20_000, seeded())
        assert x.mean().item() == pytest.approx(mean, abs=5 * std / math.sqrt(20_000))
        assert x.std().item() == pytest.approx(std, rel=5 / math.sqrt(40_000))


def test_boxes_and_lines_lie_where_they_should() -> None:
    x, _ = shifted_boxes(2.0, 2).fake.sample(2000, seeded())
    low, high = x.amin(0), x.amax(0)
    assert (low >= torch.tensor([1.5, -0.5])).all()
    assert (high <= torch.tensor([2.5, 0.5])).all()
    assert ((high - low) > 0.99).all()  # 2000 draws leave 1 % free with probability 40 · 0.99²⁰⁰⁰ < 1e-7
    x, _ = parallel_lines(2.0).fake.sample(2000, seeded())
    assert (x[:, 0] == 2).all()
    assert x[:, 1].min() >= 0
    assert x[:, 1].max() <= 1


# Images


def test_digits_are_scikit_learns() -> None:
    bunch, data = load_digits(), digits()
    assert (len(data), data.shape, data.n_classes) == (1797, (1, 8, 8), 10)
    assert torch.equal(data.images[:, 0], torch.from_numpy(bunch.images / 8 - 1).float())
    assert data.labels.tolist() == bunch.target.tolist()
    assert data.digest == "75f20a3093b70293"  # the same digits on every machine and with every version


def test_a_drawn_digit_keeps_its_label() -> None:
    data = digits()
    x, y = data.sample(200, seeded())
    same = (data.images == x[:, None]).flatten(2).all(2)
    assert same.sum(1).min() == same.sum(1).max() == 1
    assert torch.equal(data.labels[same.int().argmax(1)], y)


def test_black_is_minus_one_and_white_is_one() -> None:
    for white in (1, 16, 255):
        ramp = torch.arange(white + 1, dtype=torch.uint8).reshape(1, 1, 1, -1)
        images = Images("ramp", ramp, white=white).images.flatten()
        assert images[0] == -1
        assert images[-1] == 1
        steps = images.diff()
        assert steps.min() > 0
        assert steps.tolist() == pytest.approx([2 / white] * white, abs=2e-7)  # float32 near 1


def test_flips_mirror_half_of_the_images_left_to_right() -> None:
    data = Images("one", torch.arange(24, dtype=torch.uint8).reshape(1, 2, 3, 4), flip=True)
    x, _ = data.sample(1000, seeded())
    straight = (x == data.images).flatten(1).all(1)
    mirrored = (x == data.images.flip(3)).flatten(1).all(1)
    assert (straight ^ mirrored).all()
    assert abs(mirrored.sum() - 500) < 5 * math.sqrt(250)  # five standard deviations
    assert data.digest == Images("one", data.pixels).digest
    plain, _ = Images("one", data.pixels).sample(100, seeded())
    assert (plain == data.images).all()


def test_all_images_are_drawn() -> None:
    data = Images("ramp", torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1), labels=torch.arange(10))
    x, y = data.sample(1000, seeded())
    assert y.bincount().min() > 50  # 100 expected, standard deviation 9.5
    assert torch.equal(x, data.images[y])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"pixels": torch.rand(2, 1, 4, 4)},
            r"pixels must be torch.uint8 of 4 dim.*torch.float32 \(2, 1, 4, 4\)",
        ),
        ({"pixels": pixels(2, 4, 4)}, "pixels must be torch.uint8 of 4 dimensions"),
        ({"pixels": pixels(0, 1, 4, 4)}, "not empty"),
        ({"pixels": pixels(2, 1, 4, 4), "white": 16}, "above white = 16"),
        ({"pixels": pixels(2, 1, 4, 4), "labels": torch.zeros(3).long()}, "2 numbers from 0 on"),
        ({"pixels": pixels(2, 1, 4, 4), "labels": torch.tensor([0, -1])}, "2 numbers from 0 on"),
        ({"pixels": pixels(2, 1, 4, 4), "labels": torch.zeros(2)}, r"labels must be torch\.int64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Images("bad", **arguments)


# Names


def test_every_name_without_a_needed_option_loads() -> None:
    fetched = {"cifar10", "cifar100", "stl10", "celeba-hq", "lsun-church", "folder"}
    assert set(DATASETS) == {"ring", "grid", "digits"} | fetched
    for name in set(DATASETS) - fetched:
        assert load(name).name == name


def test_options_reach_the_data_set() -> None:
    assert load("ring", n_modes=3, radius=1.0) == GaussianRing(n_modes=3, radius=1.0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "rings",
            {},
            r"unknown data set 'rings', did you mean 'ring'\? \(valid: ring, grid, digits, cifar10,",
        ),
        ("mnist", {}, r"unknown data set 'mnist' \(valid: "),
        ("ring", {"n_mode": 3}, r"'n_mode', did you mean 'n_modes'\? \(valid: n_modes, radius, std\)"),
        ("digits", {"flip": True}, "unknown option of data set 'digits' 'flip'"),
        ("folder", {}, "data set 'folder' needs a value for folder"),
    ],
)
def test_unknown_names_and_options_are_refused(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(name, **options)
