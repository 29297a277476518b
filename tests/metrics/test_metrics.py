"""Scores against closed forms, direct definitions and the libraries' own numbers on the same pixels."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from math import exp, log
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gncompanion import data
from gncompanion.metrics import (
    Features,
    Inception,
    Reference,
    Statistics,
    batches,
    distances,
    evaluate,
    extract,
    frechet_distance,
    inception,
    inception_score,
    kernel_distance,
    reference,
    require_weights,
    to_uint8,
    train_classifier,
    weights_file,
)
from gncompanion.metrics import reference as reference_module  # the function; its module is patched by name
from gncompanion.tools import paths
from tests.helpers.draws import seeded


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=seeded(seed))


def pictures(n: int, *, size: int = 32, channels: int = 3, seed: int = 0) -> Tensor:
    """Smooth colour fields in [−1, 1]."""
    coarse = torch.rand(n, channels, 4, 4, generator=seeded(seed)) * 2 - 1
    return nn.functional.interpolate(coarse, size, mode="bilinear")


class Moments:
    """A feature map that needs no weights: mean and deviation of each channel, and three logits."""

    name = "moments"
    digest = "0"
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        assert pixels.dtype == torch.uint8
        self.seen.append(len(pixels))
        x = pixels.float().flatten(2) / 255
        return torch.cat([x.mean(2), x.std(2)], 1), 5 * x.mean(2)


# Images


def test_uint8_is_what_a_saved_png_holds(tmp_path: Path) -> None:
    from torchvision.utils import save_image

    x = torch.cat([noise(2, 3, 16, 16).tanh(), torch.linspace(-1, 1, 768).reshape(1, 3, 16, 16)])
    for i, image in enumerate(x):
        save_image((image + 1) / 2, tmp_path / f"{i}.png")
        saved = torch.from_numpy(np.array(Image.open(tmp_path / f"{i}.png"))).permute(2, 0, 1)
        assert torch.equal(to_uint8(x)[i], saved)


def test_drawn_pixels_come_back_as_they_were() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(to_uint8(data.Images("grey", pixels).images), pixels)
    assert to_uint8(pixels) is pixels


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.full((1, 1, 2, 2), 1.01), "images lie in [1.01, 1.01], not in [−1, 1]"),
        (torch.full((1, 1, 2, 2), torch.nan), "images lie in [nan, nan], not in"),
        (torch.zeros(3, 2, 2), "images must be (N, C, H, W), uint8 or floating point in [−1, 1], not"),
        (torch.zeros(1, 3, 2, 2, dtype=torch.int64), "not torch.int64 of shape (1, 3, 2, 2)"),
    ],
)
def test_what_is_no_image_is_refused(images: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        to_uint8(images)


def test_batches_of_a_size_change_nothing() -> None:
    x = pictures(11)
    ones, fives = (extract(Moments(), batches(x, size)) for size in (1, 5))
    assert torch.equal(ones.values, fives.values)
    assert [len(batch) for batch in batches(x, 5)] == [5, 5, 1]
    with pytest.raises(ValueError, match="size of a batch must be a positive integer, not 0"):
        next(batches(x, 0))


def test_extract_takes_any_stream_of_images() -> None:
    x = pictures(6)
    whole = extract(Moments(), [x])
    mixed = extract(Moments(), (b for b in (x[:2], x[2:2], to_uint8(x[2:]))))
    assert torch.equal(whole.values, mixed.values)
    assert torch.equal(whole.first(2).logits, whole.logits[:2])
    assert whole.made_by == "moments 0"
    with pytest.raises(ValueError, match="there are no images"):
        extract(Moments(), [])
    with pytest.raises(ValueError, match="first 7 of 6 images"):
        whole.first(7)


@pytest.mark.parametrize("broken", [0, 1])
def test_features_that_are_not_finite_are_refused(broken: int) -> None:
    class Broken(Moments):
        def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
            made = list(super().__call__(pixels))
            made[broken] = made[broken] * torch.nan
            return made[0], made[1]

    with pytest.raises(ValueError, match="moments gives features that are not finite"):
        extract(Broken(), [pictures(2)])


# Fréchet distance


def gaussian(d: int, seed: int) -> Statistics:
    root = noise(d, d, seed=seed).double()
    return Statistics(noise(d, seed=seed + 1).double().numpy(), (root @ root.T).numpy(), 10)


@pytest.fixture(params=["pytorch-fid", "eigenvalues"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the two ways to compute the Fréchet distance."""
    assert distances._has_pytorch_fid()
    monkeypatch.setattr(distances, "_has_pytorch_fid", lambda: request.param == "pytorch-fid")


@pytest.mark.usefixtures("both_ways")
def test_frechet_distance_of_commuting_gaussians() -> None:
    # With A and B diagonal, ‖μ − ν‖² + Σ (√a − √b)².
    a, b = noise(5).double().exp().numpy(), noise(5, seed=1).double().exp().numpy()
    mu, nu = noise(5, seed=2).double().numpy(), noise(5, seed=3).double().numpy()
    expected = ((mu - nu) ** 2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    found = frechet_distance(Statistics(mu, np.diag(a), 9), Statistics(nu, np.diag(b), 9))
    assert found == pytest.approx(expected, rel=1e-12)  # rounding of float64


@pytest.mark.usefixtures("both_ways")
def test_frechet_distance_of_one_gaussian_to_a_linear_image_of_it() -> None:
    # B = T A T with T symmetric positive is the optimal map's image: distance² = tr (1 − T) A (1 − T).
    a = gaussian(6, 0)
    root = noise(6, 6, seed=7).double().numpy()
    t = root @ root.T + np.eye(6)
    b = Statistics(a.mean + 1, t @ a.covariance @ t, 10)
    expected = 6 + np.trace((np.eye(6) - t) @ a.covariance @ (np.eye(6) - t))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)  # a condition of some 1e4
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-10 * np.trace(a.covariance))


@pytest.mark.usefixtures("both_ways")
def test_frechet_distance_of_features_is_pytorch_fids_own() -> None:
    from pytorch_fid.fid_score import calculate_frechet_distance

    x, y = noise(200, 24), noise(150, 24, seed=1) @ noise(24, 24, seed=2)
    arrays = [f(z.double().numpy()) for z in (x, y) for f in (lambda z: z.mean(0), lambda z: np.cov(z.T))]
    with pytest.warns(DeprecationWarning, match="disp"):
        expected = calculate_frechet_distance(*arrays)
    assert frechet_distance(Statistics.of(x), Statistics.of(y)) == pytest.approx(expected, rel=1e-10)


def test_frechet_distance_of_fewer_images_than_features() -> None:
    # Rank 9 in 24 dimensions. The exact trace of (A B)^½ is the nuclear norm of the product of the centred
    # features; the matrix root of pytorch-fid, taken of a singular matrix, has half the digits.
    x, y = noise(10, 24), noise(10, 24, seed=1)
    a, b = Statistics.of(x), Statistics.of(y)
    cx, cy = ((z - z.mean(0)).double() / 3 for z in (x, y))
    nuclear = torch.linalg.matrix_norm(cx @ cy.T, "nuc").item()
    expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance) + np.trace(b.covariance) - 2 * nuclear
    assert distances._by_eigenvalues(a, b) == pytest.approx(expected, rel=1e-7)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)


def test_statistics() -> None:
    x = noise(7, 3).double()
    s, centred = Statistics.of(x), (x - x.mean(0)).numpy()
    np.testing.assert_allclose(s.covariance, centred.T @ centred / 6, rtol=1e-13, atol=1e-15)
    assert s.n == 7
    assert Statistics.of(x[:, :1]).covariance.shape == (1, 1)
    with pytest.raises(ValueError, match=re.escape("N ≥ 2 images, not (1, 3)")):
        Statistics.of(x[:1])
    with pytest.raises(ValueError, match="3 features cannot be compared with 1"):
        frechet_distance(s, Statistics.of(x[:, :1]))
    with pytest.raises(ValueError, match="the Fréchet distance is nan"):
        frechet_distance(Statistics(s.mean * np.nan, s.covariance, 7), s)


# Inception Score


def test_score_of_handmade_probabilities() -> None:
    k = 4
    certain = 1e3 * torch.eye(k).repeat(5, 1)  # every class as often, each time certain
    assert inception_score(certain, splits=5) == pytest.approx((k, 0), abs=1e-12)
    assert inception_score(torch.zeros(20, k), splits=5) == pytest.approx((1, 0), abs=1e-12)
    # p = (¾, ¼) and (¼, ¾): the marginal is even and KL = ¾ ln 3/2 + ¼ ln 1/2.
    leaning = torch.tensor([[log(3.0), 0.0], [0.0, log(3.0)]]).repeat(3, 1)
    expected = exp(0.75 * log(1.5) + 0.25 * log(0.5))
    assert inception_score(leaning, splits=1) == pytest.approx((expected, 0), rel=1e-6)  # logits in float32


def test_score_is_split_in_the_order_of_the_images() -> None:
    logits = torch.cat([1e3 * torch.eye(3), torch.zeros(3, 3)])
    assert inception_score(logits, splits=2) == pytest.approx((2, 1))  # 3 and 1
    with pytest.raises(ValueError, match="6 images cannot be split into 7 parts of at least 1"):
        inception_score(logits, splits=7)


# Kernel distance


def cubic_mmd(x: Tensor, y: Tensor) -> float:
    """The unbiased estimate, written out as sums over pairs."""
    k = [[(float(a @ b) / len(a) + 1) ** 3 for b in (*x, *y)] for a in (*x, *y)]
    n = len(x)
    pairs = [(i, j) for i in range(n) for j in range(n)]
    same = sum(k[i][j] + k[n + i][n + j] for i, j in pairs if i != j) / (n * (n - 1))
    return same - 2 * sum(k[i][n + j] for i, j in pairs) / n**2


def test_kernel_distance_is_the_direct_sum() -> None:
    x, y = noise(12, 5).double(), noise(12, 5, seed=1).double() + 0.5
    distance, sd = kernel_distance(x, y, splits=1)
    assert distance == pytest.approx(cubic_mmd(x, y), rel=1e-12)  # float64, another order of summation
    assert sd == 0


def test_kernel_distance_of_one_feature_in_closed_form() -> None:
    # x = ±1 and y = 0 in one dimension: k(x, y) = 1; of four x, two of each sign, k(x, x′) is 8 or 0.
    x, y = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]]), torch.zeros(4, 1)
    assert kernel_distance(x, y, splits=1)[0] == pytest.approx(8 / 3 + 1 - 2)


def test_kernel_distance_is_drawn_from_its_seed() -> None:
    x, y = noise(40, 5), noise(60, 5, seed=1)
    before = np.random.get_state()[1].copy()
    assert kernel_distance(x, y, splits=4) == kernel_distance(x, y, splits=4, seed=0)
    assert kernel_distance(x, y, splits=4) != kernel_distance(x, y, splits=4, seed=1)
    assert (np.random.get_state()[1] == before).all()
    with pytest.raises(ValueError, match="40 images cannot be split into 21 parts of at least 2"):
        kernel_distance(x, y, splits=21)


def test_kernel_distance_is_unbiased() -> None:
    # Of one distribution its mean is 0: within four standard errors of 200 estimates.
    found = [
        kernel_distance(noise(20, 4, seed=2 * i), noise(20, 4, seed=2 * i + 1), splits=1)[0]
        for i in range(200)
    ]
    assert abs(np.mean(found)) < 4 * np.std(found) / 200**0.5


# References


def make(images: Tensor, feature_map: Moments, folder: Path, *, digest: str = "d") -> Reference:
    return reference(images, feature_map, name="fields", digest=digest, folder=folder, batch_size=4)


def test_reference_is_made_once(tmp_path: Path) -> None:
    x, moments = pictures(9), Moments()
    first, again = (make(x, moments, tmp_path / "new") for _ in range(2))
    assert moments.seen == [4, 4, 1]
    values = extract(Moments(), [x]).values
    for found in (first, again):
        assert torch.equal(found.values, values)
        assert (found.statistics.mean == Statistics.of(values).mean).all()
        assert (found.statistics.covariance == Statistics.of(values).covariance).all()
        assert (found.statistics.n, found.made_by) == (9, "moments 0")


def test_reference_knows_where_it_came_from(tmp_path: Path) -> None:
    x, moments = pictures(9), Moments()
    make(x, moments, tmp_path)
    make(x, moments, tmp_path, digest="e")
    make(x[:8], moments, tmp_path)
    other = Moments()
    other.digest = "1"
    make(x, other, tmp_path)
    files = sorted(tmp_path.glob("fields-moments-*.npz"))
    assert len(files) == 4
    with np.load(files[0]) as content:
        assert re.fullmatch(r"[89] images [de], features by moments [01]", str(content["origin"]))
    files[0].write_bytes(files[1].read_bytes())
    with pytest.raises(ValueError, match=r"holds the reference of .*, not of .*: remove it"):
        make(x, moments, tmp_path)
        make(x, moments, tmp_path, digest="e")
        make(x[:8], moments, tmp_path)
        make(x, other, tmp_path)


def test_reference_keeps_evenly_spaced_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[reference_module.__module__], "MAX_FEATURES", 3)
    x = pictures(9)
    found = make(x, Moments(), tmp_path)
    assert torch.equal(found.values, extract(Moments(), [x[::3]]).values)
    assert found.statistics.n == 9


def test_a_failed_reference_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images lie in"):
        make(pictures(9) * 2, Moments(), tmp_path)
    assert not list(tmp_path.glob("*.npz"))


# All together


def test_evaluate_is_each_score(tmp_path: Path) -> None:
    real, fake = pictures(20), pictures(24, seed=1)
    found, kept = extract(Moments(), [fake]), make(real, Moments(), tmp_path)
    scores = evaluate(found, kept, splits=4, seed=3)
    assert scores.frechet == frechet_distance(Statistics.of(found.values), kept.statistics)
    assert (scores.score, scores.score_sd) == inception_score(found.logits, splits=4)
    assert (scores.kernel, scores.kernel_sd) == kernel_distance(found.values, kept.values, splits=4, seed=3)
    assert (scores.n, scores.n_reference) == (24, 20)


def test_only_inceptions_scores_bear_the_papers_names(tmp_path: Path) -> None:
    moments, kept = extract(Moments(), [pictures(20)]), make(pictures(20), Moments(), tmp_path)
    assert set(evaluate(moments, kept, splits=2).named()) == {
        "Fréchet distance (moments)",
        "score (moments)",
        "score (moments) sd",
        "kernel distance × 1000 (moments)",
        "kernel distance × 1000 (moments) sd",
    }
    named = evaluate(
        Features(moments.values, moments.logits, "inception 0"),
        Reference(kept.statistics, kept.values + 1, "inception 0"),
        splits=2,
    ).named()
    assert set(named) == {"FID", "IS", "IS sd", "KID × 1000", "KID × 1000 sd"}
    assert named["KID × 1000"] > 1000  # of a shift by 1 in six features


def test_other_feature_maps_are_not_compared(tmp_path: Path) -> None:
    fake = extract(Moments(), [pictures(20)])
    kept = make(pictures(20), Moments(), tmp_path)
    with pytest.raises(ValueError, match="features by moments 1 cannot be compared with those by moments 0"):
        evaluate(Features(fake.values, fake.logits, "moments 1"), kept)


# The classifier


@pytest.mark.slow
def test_classifier_of_digits_orders_what_is_worse(tmp_path: Path) -> None:
    digits = data.load("digits")
    order = torch.randperm(len(digits), generator=seeded())
    x, y = digits.images[order], digits.labels[order]
    classifier = train_classifier(x[:1200], y[:1200], steps=300)
    assert classifier.accuracy(x[1200:], y[1200:]) > 0.95  # seen: 0.98
    kept = reference(x[:900], classifier, name="digits", digest=digits.digest, folder=tmp_path)

    def scores(images: Tensor) -> tuple[float, float, float]:
        found = evaluate(extract(classifier, batches(images)), kept, splits=5)
        return found.frechet, found.kernel, -found.score

    held_out, noisy, one_class = x[900:], (x[900:] + 0.5 * noise(897, 1, 8, 8)).clamp(-1, 1), x[y == 3]
    for better, worse in zip(scores(held_out), scores(noisy), strict=True):
        assert better < worse
    for better, worse in zip(scores(held_out), scores(one_class), strict=True):
        assert better < worse


def test_classifier_is_a_function_of_its_seed() -> None:
    x, y = pictures(32, size=7, channels=2), torch.arange(32) % 4
    state = torch.get_rng_state()
    one, same, other = (train_classifier(x, y, steps=3, seed=seed, width=2) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.digest == same.digest != other.digest
    features, logits = one(to_uint8(x))
    assert features.shape == (32, 64)
    assert logits.shape == (32, 4)
    with pytest.raises(ValueError, match=re.escape("labels must be int64 of shape (32,), not torch.float32")):
        train_classifier(x, y.float())


# Inception


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path / "hub" / "checkpoints"


def test_missing_weights_are_named_before_anything_is_built(hub: Path) -> None:
    for needs in (require_weights, Inception):
        with pytest.raises(FileNotFoundError) as raised:
            needs()
        message = str(raised.value)
        for part in ("pt_inception-2015-12-05-6726825d.pth", "SHA-256 6726825d…", str(hub), "TORCH_HOME"):
            assert part in message
        assert inception.URL in message
    assert not hub.exists()


def test_the_file_is_the_one_that_pytorch_fid_looks_for(hub: Path) -> None:
    from pytorch_fid.inception import FID_WEIGHTS_URL

    assert inception.URL == FID_WEIGHTS_URL
    assert weights_file() == hub / FID_WEIGHTS_URL.rsplit("/", 1)[1]


def test_other_weights_are_refused(hub: Path) -> None:
    hub.mkdir(parents=True)
    weights_file().write_bytes(b"damaged")
    found = hashlib.sha256(b"damaged").hexdigest()
    with pytest.raises(ValueError, match=rf"has the SHA-256 {found[:8]}…, not 6726825d…: it is damaged"):
        Inception()
    assert require_weights(verify=False) == found


def test_missing_libraries_are_named(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inception, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=re.escape("pip install 'gncompanion[metrics]'")):
        require_weights()


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A TORCH_HOME with weights of the right structure, drawn at random: what they measure are no FIDs."""
    from pytorch_fid import inception as theirs
    from torchvision.models.inception import Inception3

    home = tmp_path_factory.mktemp("torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(home))
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: None)
        patch.setattr(Inception3, "load_state_dict", lambda *_: None)
        network = theirs.fid_inception_v3()
        for layer in network.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, generator=seeded())  # features of order one
        weights_file().parent.mkdir(parents=True)
        torch.save(network.state_dict(), weights_file())
    yield home
    (home / "hub" / "checkpoints" / inception.FILE_NAME).unlink()  # 96 MB


def saved(folder: Path, images: Tensor) -> Path:
    folder.mkdir(parents=True)
    for i, pixels in enumerate(to_uint8(images)):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / f"{i:04d}.png")
    return folder


@pytest.mark.slow
def test_whole_path_with_inception(
    random_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytorch_fid.fid_score import calculate_activation_statistics
    from pytorch_fid.inception import InceptionV3

    monkeypatch.setenv("TORCH_HOME", str(random_weights))
    # A matrix root of 2048 features takes half a minute; the two agree, as the tests above show.
    monkeypatch.setattr(distances, "_has_pytorch_fid", lambda: False)
    network = Inception(verify=False)
    assert network.name == "unverified-inception"
    real, fake = pictures(6), pictures(6, seed=1)
    kept = reference(real, network, name="fields", digest="d", folder=tmp_path / "references")
    scores = evaluate(extract(network, batches(fake)), kept, splits=2)
    files = sorted(saved(tmp_path / "real", real).glob("*.png"))
    mean, covariance = calculate_activation_statistics(files, InceptionV3([3]), num_workers=0)
    np.testing.assert_array_equal(kept.statistics.mean, mean)  # the same operations on the same pixels
    np.testing.assert_array_equal(kept.statistics.covariance, covariance)
    assert scores.frechet > 0
    assert 1 <= scores.score <= 1008
    assert scores.n == scores.n_reference == 6


@pytest.mark.slow
def test_inception_takes_grey_images_as_colour(random_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(random_weights))
    network, grey = Inception(verify=False), to_uint8(pictures(2, channels=1))
    values, logits = network(grey)
    assert torch.equal(values, network(grey.repeat(1, 3, 1, 1))[0])
    assert values.shape == (2, 2048)
    last = torch.load(random_weights / "hub/checkpoints" / inception.FILE_NAME)["fc.weight"]
    torch.testing.assert_close(logits, values @ last.T)  # without the bias


@pytest.mark.skipif("GNCOMPANION_SLOW" not in os.environ, reason="ten minutes: set GNCOMPANION_SLOW=1")
def test_fid_is_that_of_pytorch_fids_command_line(
    random_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(random_weights))
    real, fake, network = pictures(256), pictures(256, seed=1), Inception(verify=False)
    kept = reference(real, network, name="fields", digest="d", folder=tmp_path / "references")
    ours = evaluate(extract(network, batches(fake)), kept).frechet
    folders = [str(saved(tmp_path / name, x)) for name, x in (("real", real), ("fake", fake))]
    command = [sys.executable, "-W", "ignore", "-m", "pytorch_fid", *folders, "--device", "cpu"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=paths.root()).stdout
    assert ours == pytest.approx(float(printed.split("FID:")[1]), rel=1e-6)
