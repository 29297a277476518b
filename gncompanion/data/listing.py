"""Which files of a folder are its images: one rule for every set that is a folder.

    images      .jpg .jpeg .jpe .jfif .png .gif .webp .bmp .tif .tiff .ppm .pgm .pbm .pnm, in capitals too, to
                any depth
    links       to files and to folders are followed
    left out    what is hidden (a name with a dot in front) or belongs to a system (__MACOSX, @eaDir, …), and
                files that are no images (notes.txt, Thumbs.db)
    refused     by name: a link to nothing, a link that leads back, what is neither file nor folder, an image
                of a kind that is not read (.avif, .heic, …), a class without images

Nothing that looks like an image is passed over in silence, since with a class that is missing every label
after it is another.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

__all__ = ["IMAGE_KINDS", "class_names", "image_files", "numbered"]

IMAGE_KINDS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
UNREAD_KINDS = (  # images all the same, so that leaving them out would be wrong
    *(".avif", ".heic", ".heif", ".jxl", ".jp2", ".j2k", ".jpx", ".jpf", ".tga", ".psd", ".dds", ".exr"),
    *(".hdr", ".pfm", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"),
)
SYSTEM = ("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found")


def image_files(folder: Path) -> list[Path]:
    """List the images of a folder, to any depth.

    Args:
        folder: The folder.

    Returns:
        The files, at least one, in alphabetical order folder by folder.

    Raises:
        ValueError: There are no images, or what is there is refused by the rule; names it.
    """
    files = sorted(_walk(folder, (os.path.realpath(folder),)))
    if not files:
        raise ValueError(f"no images in {folder}: looked for {', '.join(IMAGE_KINDS)}")
    return files


def class_names(files: list[Path], folder: Path) -> list[str] | None:
    """Name the class of each image: the subfolder of the set's folder that it lies in.

    Args:
        files: The images, from `image_files`.
        folder: The set's folder.

    Returns:
        One name an image; None if all lie in the folder itself, which then has no classes.

    Raises:
        ValueError: Some images lie beside the subfolders, or a subfolder holds none; names it.
    """
    beside = [file for file in files if file.parent == folder]
    if len(beside) == len(files):
        return None
    if beside:
        raise ValueError(f"{beside[0]} lies beside subfolders with images: move it into one of them")
    names = [file.relative_to(folder).parts[0] for file in files]
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not _left_out(entry.name) and entry.name not in names:
            raise ValueError(
                f"{entry} is the folder of a class, but holds no images (looked for "
                f"{', '.join(IMAGE_KINDS)}): fill or remove it, since without it all labels after it change"
            )
    return names


def numbered(files: list[Path]) -> list[Path]:
    """Put images whose names are numbers in the order of these.

    Args:
        files: The images: 1.jpg, 2.jpg, … or 00000.png, 00001.png, …

    Returns:
        The files, so that 10.jpg comes after 9.jpg.

    Raises:
        ValueError: A name is no number, or the numbers are not all of those from 0 or 1 on, once each; names
            the first such file.
    """
    for file in files:
        if not (file.stem.isascii() and file.stem.isdigit()):
            raise ValueError(f"{file} is not named by a number, as 1.jpg is, but the set is split by number")
    ordered = sorted(files, key=lambda file: int(file.stem))
    first = int(ordered[0].stem)
    if first > 1:
        raise ValueError(f"{ordered[0]} is the first image, but the numbers have to begin with 0 or 1")
    for before, file in pairwise(ordered):
        if (step := int(file.stem) - int(before.stem)) != 1:
            what = "has the same number as" if step == 0 else "does not follow upon"
            raise ValueError(f"{file} {what} {before}, but the set is split by number")
    return ordered


def _walk(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    """Find the images below a folder, whose own real path is the last of those above."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ValueError(f"{folder} cannot be listed: {error.strerror}") from error
    for entry in entries:
        if _left_out(entry.name):
            continue
        if entry.is_dir():
            real = os.path.realpath(entry)
            if real in above:
                raise ValueError(f"{entry} leads back to a folder that it lies in: remove the link")
            yield from _walk(entry, (*above, real))
        elif not entry.exists():
            raise ValueError(f"{entry} is a link to nothing ({entry.readlink()}): restore or remove it")
        elif entry.suffix.lower() in UNREAD_KINDS:
            raise ValueError(f"{entry} is of a kind of image that is not read here: convert or remove it")
        elif entry.suffix.lower() in IMAGE_KINDS:
            if not entry.is_file():
                raise ValueError(f"{entry} is neither a file nor a folder: remove it")
            yield entry


def _left_out(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM
