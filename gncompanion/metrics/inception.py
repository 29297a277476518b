"""The Inception network of FID, KID and IS: pytorch-fid's, with its 2048 pooled features.

The logits are W·features with the W of its last layer and without the bias, as in the Inception Score's
original code. pytorch-fid looks for the weights in torch.hub's folder; here nothing is downloaded, since a
compute node often cannot, but a missing file is named before any work is done.

Source: Heusel et al. 2017 (FID, 1706.08500), whose weights of 2015-12-05 M. Seitzer ported (pytorch-fid);
Salimans et al. 2016 (IS, 1606.03498).
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["FILE_NAME", "Inception", "require_weights", "weights_file"]

FILE_NAME = "pt_inception-2015-12-05-6726825d.pth"
CHECKSUM_PREFIX = "6726825d"  # of the file's SHA-256
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE_NAME}"


def weights_file() -> Path:
    """Name the file that holds the weights: in torch.hub's folder, $TORCH_HOME/hub/checkpoints.

    Returns:
        The path; the file need not exist.
    """
    return Path(torch.hub.get_dir()) / "checkpoints" / FILE_NAME


def require_weights(*, verify: bool = True) -> str:
    """Refuse to go on unless FID can be computed: to be called before a long run.

    Args:
        verify: Whether the file must be the published one. Other weights exercise every step, but what
            comes out is no FID, and is not called so.

    Returns:
        The SHA-256 of the file, 64 hexadecimal digits.

    Raises:
        ModuleNotFoundError: pytorch-fid or torch-fidelity is not installed; the message says how to install
            them.
        FileNotFoundError: There is no file; the message says which, from where, and where to put it.
        ValueError: The file is not the published one.
    """
    if missing := [name for name in ("pytorch_fid", "torch_fidelity") if find_spec(name) is None]:
        raise ModuleNotFoundError(
            f"FID, KID and IS need {' and '.join(missing)}: pip install 'gncompanion[metrics]'"
        )
    file = weights_file()
    if not file.is_file():
        raise FileNotFoundError(
            f"FID, KID and IS need the Inception weights {FILE_NAME} (96 MB, SHA-256 {CHECKSUM_PREFIX}…), "
            f"which are not in {file.parent}. Download {URL} and put the file there, or set TORCH_HOME to a "
            "folder whose hub/checkpoints has it."
        )
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if verify and not digest.startswith(CHECKSUM_PREFIX):
        raise ValueError(
            f"{file} has the SHA-256 {digest[:8]}…, not {CHECKSUM_PREFIX}…: it is damaged, or holds other "
            f"weights. Download {URL} anew."
        )
    return digest


class Inception:
    """Inception features, of images of any size; grey ones are taken as colour images with equal channels.

    Args:
        device: Device to compute on.
        verify: Whether the weights must be the published ones; with others the name is
            "unverified-inception".

    Raises:
        ModuleNotFoundError: pytorch-fid or torch-fidelity is not installed.
        FileNotFoundError: There is no file of weights.
        ValueError: The weights are not the published ones.
    """

    def __init__(self, device: str | torch.device = "cpu", *, verify: bool = True) -> None:
        digest = require_weights(verify=verify)
        from pytorch_fid.inception import InceptionV3

        published = digest.startswith(CHECKSUM_PREFIX)
        self.name = "inception" if published else "unverified-inception"
        self.digest = digest[:16]
        self.device = torch.device(device)
        self._network = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval().to(self.device)
        weights = torch.load(weights_file(), map_location=self.device, weights_only=True)
        self._last = weights["fc.weight"]

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map images.

        Args:
            pixels: The images, (N, 1, H, W) or (N, 3, H, W), uint8.

        Returns:
            Features, (N, 2048), and logits, (N, 1008).
        """
        images = pixels.expand(-1, 3, -1, -1).float() / 255
        features: Tensor = self._network(images)[0].flatten(1)
        return features, features @ self._last.T
