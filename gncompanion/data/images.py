"""Images: whole numbers in memory, scaled to [−1, 1] as they are drawn.

    x = 2 · pixel / white − 1

`Images` holds any set of one size as one uint8 array; where the array comes from (scikit-learn, a folder, a
download) is the business of the function that makes it. The array goes to the device that draws, once, if
that has room for it; else each batch goes.
"""

from functools import cached_property
from weakref import WeakValueDictionary

import torch
from torch import Generator, Tensor

from gncompanion.tools.checks import whole
from gncompanion.tools.digests import content_digest

__all__ = ["Images", "digits"]

_COPIES: WeakValueDictionary[tuple[str, str], Tensor] = WeakValueDictionary()  # on devices, while in use


class Images:
    """A set of images of one size.

    Args:
        name: One word.
        pixels: The images, (N, C, H, W), uint8, from 0 (drawn as −1) to `white` (drawn as 1).
        labels: The label of each image, (N,), int64 from 0 on; None = there are no labels.
        white: The greatest value that a pixel can have, from 1 to 255.
        flip: Whether to mirror each drawn image left to right with probability ½.
        digest: Digest of the content, where it is known already; None = it is computed when it is asked for.

    Raises:
        ValueError: An array is empty, of another type or shape, or out of range.

    Example:
        >>> black_and_white = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1)
        >>> Images("two", black_and_white).images.flatten()
        tensor([-1.,  1.])
    """

    def __init__(
        self,
        name: str,
        pixels: Tensor,
        *,
        labels: Tensor | None = None,
        white: int = 255,
        flip: bool = False,
        digest: str | None = None,
    ) -> None:
        _require_array("pixels", pixels, torch.uint8, ndim=4)
        whole("white", white, high=255)
        if white < 255 and pixels.max() > white:  # a large mapped array is not read for nothing
            raise ValueError(f"a pixel is {int(pixels.max())}, above white = {white}")
        if labels is not None:
            _require_array("labels", labels, torch.int64, ndim=1)
            if len(labels) != len(pixels) or labels.min() < 0:
                raise ValueError(f"labels must be {len(pixels)} numbers from 0 on, one an image")
        self.name, self.pixels, self.labels, self.white, self.flip = name, pixels, labels, white, flip
        self.shape: tuple[int, ...] = tuple(pixels.shape[1:])
        self.n_classes = None if labels is None else int(labels.max()) + 1
        self._digest = digest
        self._near: dict[torch.device, tuple[Tensor, Tensor | None]] = {}  # shared with equal sets

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def digest(self) -> str:
        if self._digest is not None:
            return self._digest
        arrays = [self.pixels] if self.labels is None else [self.pixels, self.labels]
        definition = f"{tuple(self.pixels.shape)}, white={self.white}"
        return content_digest(definition, *(array.cpu().contiguous().numpy().data for array in arrays))

    @property
    def images(self) -> Tensor:
        """The whole set, (N, C, H, W), float32 in [−1, 1], made anew at each call."""
        return self._scaled(self.pixels)

    def sample(self, n: int, generator: Generator) -> tuple[Tensor, Tensor | None]:
        device = generator.device
        pixels, labels = self._arrays(device)
        index = torch.randint(len(self), (n,), generator=generator, device=device).to(pixels.device)
        x = self.drawn(pixels[index].to(device), generator)
        return x, None if labels is None else labels[index].to(device)

    def drawn(self, pixels: Tensor, generator: Generator) -> Tensor:
        """Make samples of pixels that were drawn: scale them, and flip each at random if the set is flipped.

        Args:
            pixels: The pixels, (n, C, H, W), uint8.
            generator: The source of random numbers, on the pixels' device.

        Returns:
            The samples, (n, C, H, W), float32 in [−1, 1].
        """
        x = self._scaled(pixels)
        if self.flip:
            n, device = len(pixels), generator.device
            mirrored = torch.rand(n, 1, 1, 1, generator=generator, device=device) < 0.5
            x = torch.where(mirrored, x.flip(-1), x)
        return x

    def lies_on(self, device: torch.device) -> bool:
        """Tell whether all batches are drawn from memory of this device, to which the set goes if it fits."""
        return self._arrays(device)[0].device.type == device.type

    def _arrays(self, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Pixels and labels on the device that draws, if they take no more than half of its free memory."""
        if device not in self._near:
            self._near[device] = self._shared(device)
        return self._near[device]

    def _shared(self, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Find the copy that a set of equal content has made there, or make one."""
        if device == self.pixels.device:
            return self.pixels, self.labels
        key = (self.digest, str(device))
        if (pixels := _COPIES.get(key)) is None:
            if device.type == "cuda" and self.pixels.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
                return self.pixels, self.labels
            pixels = _COPIES[key] = self.pixels.to(device)
        return pixels, None if self.labels is None else self.labels.to(device)

    def _scaled(self, pixels: Tensor) -> Tensor:
        return 2 * (pixels.float() / self.white) - 1


def digits() -> Images:
    """Open the 1797 handwritten digits that come with scikit-learn: (1, 8, 8), 17 grey levels, 10 classes.

    Returns:
        The data set; never flipped, since digits have a handedness.

    Source: Alpaydin and Kaynak, UCI Optical Recognition of Handwritten Digits (its test set), by
    scikit-learn.
    """
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    pixels = torch.from_numpy(values).to(torch.uint8).reshape(-1, 1, 8, 8)
    return Images("digits", pixels, labels=torch.from_numpy(labels).long(), white=16)


def _require_array(name: str, array: Tensor, dtype: torch.dtype, *, ndim: int) -> None:
    if array.dtype != dtype or array.ndim != ndim or array.numel() == 0:
        raise ValueError(
            f"{name} must be {dtype} of {ndim} dimensions, not empty; got {array.dtype} {tuple(array.shape)}"
        )
