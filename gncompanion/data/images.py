"""Images: whole numbers in memory, scaled to [−1, 1] as they are drawn.

    x = 2 · pixel / white − 1

`Images` holds any set of one size as one uint8 array; where the array comes from (scikit-learn, a folder, a
download) is the business of the function that makes it.
"""

from functools import cached_property
from pathlib import Path

import torch
from torch import Generator, Tensor

from gncompanion.data.base import digest

__all__ = ["Images", "digits", "image_folder"]


class Images:
    """A set of images of one size.

    Args:
        name: One word.
        pixels: (N, C, H, W), uint8, from 0 (drawn as −1) to `white` (drawn as 1).
        labels: (N,), int64 from 0 on, or None.
        white: The greatest value that a pixel can have.
        flip: Whether to mirror each drawn image left to right with probability ½.

    Raises:
        ValueError: The arrays are empty, of another type or shape, or out of range.
    """

    def __init__(
        self, name: str, pixels: Tensor, *, labels: Tensor | None = None, white: int = 255, flip: bool = False
    ) -> None:
        _require_array("pixels", pixels, torch.uint8, ndim=4)
        if pixels.max() > white:
            raise ValueError(f"a pixel is {int(pixels.max())}, above white = {white}")
        if labels is not None:
            _require_array("labels", labels, torch.int64, ndim=1)
            if len(labels) != len(pixels) or labels.min() < 0:
                raise ValueError(f"labels must be {len(pixels)} numbers from 0 on, one an image")
        self.name, self.pixels, self.labels, self.white, self.flip = name, pixels, labels, white, flip
        self.shape: tuple[int, ...] = tuple(pixels.shape[1:])
        self.n_classes = None if labels is None else int(labels.max()) + 1

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def digest(self) -> str:
        arrays = [self.pixels] if self.labels is None else [self.pixels, self.labels]
        definition = f"{tuple(self.pixels.shape)}, white={self.white}"
        return digest(definition, *(array.cpu().contiguous().numpy().data for array in arrays))

    @property
    def images(self) -> Tensor:
        """(N, C, H, W), float32 in [−1, 1]: the whole set, made anew at each call."""
        return self._scaled(self.pixels)

    def sample(self, n: int, generator: Generator) -> tuple[Tensor, Tensor | None]:
        device = generator.device
        index = torch.randint(len(self), (n,), generator=generator, device=device).to(self.pixels.device)
        x = self._scaled(self.pixels[index].to(device))
        if self.flip:
            mirrored = torch.rand(n, 1, 1, 1, generator=generator, device=device) < 0.5
            x = torch.where(mirrored, x.flip(-1), x)
        return x, None if self.labels is None else self.labels[index].to(device)

    def _scaled(self, pixels: Tensor) -> Tensor:
        return 2 * (pixels.float() / self.white) - 1


def digits() -> Images:
    """The 1797 handwritten digits that come with scikit-learn: (1, 8, 8), 17 grey levels, 10 classes.

    Returns:
        The data set; never flipped, since digits have a handedness.

    Source: Alpaydin and Kaynak, UCI Optical Recognition of Handwritten Digits (its test set), by
    scikit-learn.
    """
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    pixels = torch.from_numpy(values).to(torch.uint8).reshape(-1, 1, 8, 8)
    return Images("digits", pixels, labels=torch.from_numpy(labels).long(), white=16)


def image_folder(folder: str | Path, *, flip: bool = False) -> Images:
    """All images of a folder, in colour and of one size.

    Images lie either in the folder itself (no labels) or in its subfolders, to any depth (one class a
    subfolder, in alphabetical order).

    Args:
        folder: Its path.
        flip: Whether to mirror each drawn image left to right with probability ½.

    Returns:
        The data set, named after the folder; (3, H, W), held in memory as uint8.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: There are no images, some lie beside the subfolders, one cannot be read, or the sizes
            differ.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS

    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in IMG_EXTENSIONS)
    if not files:
        raise ValueError(f"no images in {folder}: looked for {', '.join(IMG_EXTENSIONS)}")
    return Images(folder.resolve().name, _read(files), labels=_labels(files, folder), flip=flip)


def _labels(files: list[Path], folder: Path) -> Tensor | None:
    beside = [file for file in files if file.parent == folder]
    if len(beside) == len(files):
        return None
    if beside:
        raise ValueError(f"{beside[0]} lies beside subfolders with images: move it into one of them")
    names = [file.relative_to(folder).parts[0] for file in files]
    classes = sorted(set(names))
    return torch.tensor([classes.index(name) for name in names])


def _read(files: list[Path]) -> Tensor:
    from torchvision.datasets.folder import default_loader
    from torchvision.transforms.functional import pil_to_tensor

    pixels: Tensor | None = None
    for i, file in enumerate(files):
        try:
            image = pil_to_tensor(default_loader(str(file)))
        except OSError as error:
            raise ValueError(f"{file} cannot be read as an image") from error
        if pixels is None:  # one array from the start: a list of images would need the memory twice
            pixels = torch.empty(len(files), *image.shape, dtype=torch.uint8)
        if image.shape != pixels.shape[1:]:
            first, other = (f"{s[1]}x{s[2]}" for s in (pixels.shape[1:], image.shape))
            raise ValueError(f"{file} is {other} (height x width), {files[0]} and those before it {first}")
        pixels[i] = image
    return pixels


def _require_array(name: str, array: Tensor, dtype: torch.dtype, *, ndim: int) -> None:
    if array.dtype != dtype or array.ndim != ndim or array.numel() == 0:
        raise ValueError(
            f"{name} must be {dtype} of {ndim} dimensions, not empty; got {array.dtype} {tuple(array.shape)}"
        )
