"""Inception: its weights are named where they are missing, and its features are pytorch-fid's own."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gncompanion.metrics import (
    Inception,
    batches,
    evaluate,
    extract,
    inception,
    open_reference,
    require_weights,
    to_uint8,
    weights_file,
)
from gncompanion.tools import paths
from tests.helpers.draws import seeded
from tests.helpers.pictures import pictures


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
    network = Inception(verify=False)
    assert network.name == "unverified-inception"
    real, fake = pictures(6), pictures(6, seed=1)
    kept = open_reference(real, network, name="fields", digest="d", folder=tmp_path / "references")
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
    kept = open_reference(real, network, name="fields", digest="d", folder=tmp_path / "references")
    ours = evaluate(extract(network, batches(fake)), kept).frechet
    folders = [str(saved(tmp_path / name, x)) for name, x in (("real", real), ("fake", fake))]
    command = [sys.executable, "-W", "ignore", "-m", "pytorch_fid", *folders, "--device", "cpu"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=paths.root()).stdout
    assert ours == pytest.approx(float(printed.split("FID:")[1]), rel=1e-6)
