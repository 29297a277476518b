"""Images of a folder: decoded once, if need be cut to a centred square and scaled.

    image_folder("faces", size=64)      the shorter side becomes 64 pixels, the middle of the longer is kept

CelebA-HQ and LSUN's churches are such folders, which everybody has to fetch on their own. Which files are
images is said in `listing`, and what they are read as in `decoding`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gncompanion.data.decoding import RULE, decoded, read_alike_before
from gncompanion.data.images import Images
from gncompanion.data.listing import class_names, image_files, numbered
from gncompanion.data.prepared import Allocate, open_prepared
from gncompanion.tools import paths
from gncompanion.tools.checks import whole
from gncompanion.tools.names import require_known

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["celeba_hq", "image_folder", "lsun_church"]

CELEBA_HQ_IMAGES, CELEBA_HQ_TRAIN = 30_000, 27_000


def image_folder(folder: str | Path, *, size: int | None = None, flip: bool = False) -> Images:
    """Open all images of a folder, in colour and of one size.

    Images lie either in the folder itself (no labels) or in its subfolders, to any depth (one class per
    subfolder, in alphabetical order); both may be links, and what is hidden is left out. They are turned as
    their EXIF orientation says, laid on white where they are transparent, decoded once and kept in
    `data()/prepared`.

    Args:
        folder: Path of the folder; a relative one that the working directory does not have lies in `data()`.
        size: Edge of the squares that images are scaled and cut to, in pixels; None = images stay as they
            are, and all have to be of one size.
        flip: Whether to mirror each drawn image left to right with probability ½.

    Returns:
        The data set, named after the folder; (3, H, W).

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: There are no images, some lie beside the subfolders, a subfolder holds none, one cannot be
            read or is of a kind that is not, the sizes differ and no size is given, or the size is not a
            positive integer.
        OSError: There is no room on the disk for the decoded images.
    """
    folder = _found(Path(folder).expanduser())
    return _prepared(folder.resolve().name, image_files(folder), folder, size=size, flip=flip)


def celeba_hq(
    *, size: int = 256, split: str = "all", folder: str | Path | None = None, flip: bool = True
) -> Images:
    """Open CelebA-HQ: 30 000 faces, from a folder of images named after their numbers, 1.jpg or 00000.png.

    Args:
        size: Edge of the images, in pixels; 128 or 256 in the papers, and any other works.
        split: "all", "train" (the first 27 000) or "test" (the 3000 after them, GN-GAN's reference at 128).
        folder: Folder of the images; None = `data()/celeba-hq`.
        flip: Whether to mirror each drawn image left to right with probability ½.

    Returns:
        The data set, (3, size, size).

    Raises:
        FileNotFoundError: The folder is missing; the message says what to fetch.
        ValueError: The split is unknown, there are not 30 000 images, or their names are not the numbers from
            0 or 1 on, once each.

    Source: Karras et al. 2018 (Progressive Growing of GANs, 1710.10196); the splits are those of GN-GAN's
    official code.
    """
    require_known("unknown split of CelebA-HQ", split, ("all", "train", "test"))
    folder = _fetched(
        "celeba-hq", folder, "the 30 000 images of CelebA-HQ, as PNG or JPEG (github.com/tkarras/"
        "progressive_growing_of_gans says how they are made; for non-commercial research only)"
    )  # fmt: skip
    files = numbered(image_files(folder))
    if len(files) != CELEBA_HQ_IMAGES:
        raise ValueError(f"CelebA-HQ has {CELEBA_HQ_IMAGES} images, but there are {len(files)} in {folder}")
    parts = {"all": files, "train": files[:CELEBA_HQ_TRAIN], "test": files[CELEBA_HQ_TRAIN:]}
    return _prepared(f"celeba-hq-{split}", parts[split], folder, size=size, flip=flip, labelled=False)


def lsun_church(
    *, size: int = 256, resize: str = "cut", folder: str | Path | None = None, flip: bool = True
) -> Images:
    """Open LSUN's churches seen from outside (its training images), from a folder of image files.

    Args:
        size: Edge of the images, in pixels; 256 in the papers, and any other works.
        resize: How images become squares: "cut" (the shorter side is scaled, the middle cut out) or "squash"
            (both sides are scaled, as in GN-GAN's official code).
        folder: Folder of the images; None = `data()/lsun-church`.
        flip: Whether to mirror each drawn image left to right with probability ½.

    Returns:
        The data set, (3, size, size).

    Raises:
        FileNotFoundError: The folder is missing; the message says what to fetch.
        ValueError: The way to resize is unknown.

    Source: Yu et al. 2015 (LSUN, 1506.03365); basiclab/GNGAN-PyTorch at b320584 (datasets.py) squashes.
    """
    require_known("unknown resize", resize, ("cut", "squash"))
    folder = _fetched(
        "lsun-church", folder, "the images of LSUN's church_outdoor_train, exported from its database to "
        "files (github.com/fyu/lsun: download.py -c church_outdoor, then data.py export)"
    )  # fmt: skip
    return _prepared(
        "lsun-church", image_files(folder), folder, size=size, flip=flip, labelled=False,
        squash=resize == "squash",
    )  # fmt: skip


def _fetched(name: str, folder: str | Path | None, what: str) -> Path:
    place = paths.data() / name if folder is None else Path(folder).expanduser()
    if not place.is_dir():
        raise FileNotFoundError(f"no folder {place}: put {what} there, or name their folder with folder=")
    return place


def _found(folder: Path) -> Path:
    """Look for a relative path in the working directory, and then where data sets lie."""
    if folder.is_dir():
        return folder
    if not folder.is_absolute() and (kept := paths.data() / folder).is_dir():
        return kept
    where = "" if folder.is_absolute() else f" in {Path.cwd()} or in {paths.data()}"
    raise FileNotFoundError(f"no folder {folder}{where}")


def _prepared(
    name: str,
    files: list[Path],
    folder: Path,
    *,
    size: int | None,
    flip: bool,
    labelled: bool = True,
    squash: bool = False,
) -> Images:
    if size is not None:
        whole("size", size)
    stats = ((file, file.stat()) for file in files)
    listing = "\n".join(f"{_text(file.relative_to(folder))} {s.st_size} {s.st_mtime_ns}" for file, s in stats)
    source = f"{_text(folder.resolve())} size={size} labelled={labelled}" + " squashed" * squash
    labels = _labels(files, folder) if labelled else None
    return open_prepared(
        name, f"{source} rule={RULE}\n{listing}", partial(_decode, files, labels, size, squash), flip=flip,
        former=f"{source}\n{listing}", still_holds=lambda: all(map(read_alike_before, files)),
    )  # fmt: skip


def _text(path: Path) -> str:
    """A path as text that UTF-8 can hold, whatever bytes its name is made of."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _labels(files: list[Path], folder: Path) -> Tensor | None:
    if (names := class_names(files, folder)) is None:
        return None
    classes = {name: label for label, name in enumerate(sorted(set(names)))}
    return torch.tensor([classes[name] for name in names])


def _decode(
    files: list[Path], labels: Tensor | None, size: int | None, squash: bool, allocate: Allocate
) -> Tensor | None:
    from tqdm import tqdm

    pixels: NDArray[np.uint8] | None = None
    read = _reader(size, squash)
    for i, file in enumerate(tqdm(files, f"prepare {files[0].parent.name}", disable=None, leave=False)):
        image = read(file)
        if pixels is None:
            pixels = allocate((len(files), *image.shape))
        if image.shape != pixels.shape[1:]:
            first, other = (f"{s[1]}x{s[2]}" for s in (pixels.shape[1:], image.shape))
            raise ValueError(
                f"{file} is {other} (height x width), {files[0]} and those before it {first}: "
                "give a size to bring them all to"
            )
        pixels[i] = image
    return labels


def _reader(size: int | None, squash: bool) -> Callable[[Path], NDArray[np.uint8]]:
    """Make the function that reads one image as (3, H, W)."""
    from PIL import Image
    from torchvision.transforms import functional as images

    def read(file: Path) -> NDArray[np.uint8]:
        image = decoded(file)
        if size is not None and squash:
            image = images.resize(image, [size, size], antialias=True)
        elif size is not None:  # bilinear with antialiasing
            short, long = sorted(image.size)
            if size * size * long / short > (Image.MAX_IMAGE_PIXELS or math.inf):
                raise ValueError(f"{file} is {long}x{short}, too long to be scaled to size={size}")
            image = images.center_crop(images.resize(image, size, antialias=True), [size, size])
        pixels: NDArray[np.uint8] = images.pil_to_tensor(image).numpy()
        return pixels

    return read
