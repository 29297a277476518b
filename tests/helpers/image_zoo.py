"""Image files of every kind that people have, each with what it must be read as: pixels, or a refusal."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

Pixels = NDArray[np.uint8]
ORIENTATION = 0x0112
TURNS: dict[int, Callable[[Pixels], Pixels]] = {  # EXIF 2.3, table of Orientation: how the stored rows lie
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: np.rot90(a),
}


def random_image(*shape: int, dtype: str = "uint8") -> NDArray[np.generic]:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def on_white(colour: Pixels, alpha: Pixels) -> Pixels:
    exact = (alpha.astype(float) * colour + (255.0 - alpha) * 255) / 255
    return np.floor(exact + 0.5).astype(np.uint8)


def in_colour(grey: Pixels) -> Pixels:
    return np.repeat(grey[..., None], 3, axis=2)


def png(rows: NDArray[np.uint16], *chunks: bytes) -> bytes:
    """A PNG of 16 bits a channel, (H, W) grey or (H, W, 2 to 4), as Pillow does not write it in colour."""
    height, width, channels = *rows.shape, *((1,) if rows.ndim == 2 else ())
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def tiff(samples: NDArray[np.generic], kind: int) -> bytes:
    """An uncompressed colour TIFF, (H, W, 3), of SampleFormat 1 = unsigned or 3 = floating point."""
    height, width, _ = samples.shape
    bits, data = samples.dtype.itemsize * 8, samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2)]
    tags += [(273, 4, 1, 20), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(data)), (339, 3, 3, 14)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    start = 20 + len(data)
    return struct.pack("<2sHI3H3H", b"II", 42, start, bits, bits, bits, kind, kind, kind) + data + directory


def sound(folder: Path) -> dict[str, Pixels]:
    """Write one file a kind that is read.

    Args:
        folder: Where to; it is made.

    Returns:
        What each file must be read as, (H, W, 3), by its name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return {**_eight_bits(folder), **_sixteen_bits(folder), **_transparent(folder), **_turned(folder),
            **_several_frames(folder)}  # fmt: skip


def _eight_bits(folder: Path) -> dict[str, Pixels]:
    colour, grey = random_image(5, 7, 3), random_image(5, 7)
    truth: dict[str, Pixels] = {}
    for kind in ("png", "bmp", "ppm", "tiff", "TIF"):
        Image.fromarray(colour).save(folder / f"rgb.{kind}")
        Image.fromarray(grey).save(folder / f"grey.{kind}")
        truth |= {f"rgb.{kind}": colour, f"grey.{kind}": in_colour(grey)}
    Image.fromarray(colour).save(folder / "lossless.webp", lossless=True)
    palette = Image.fromarray(colour).quantize(16)
    for kind in ("png", "gif", "bmp"):
        palette.save(folder / f"palette.{kind}")
        truth[f"palette.{kind}"] = np.asarray(palette.convert("RGB"))
    Image.fromarray(grey > 127).save(folder / "one-bit.png")
    Image.fromarray(grey > 127).save(folder / "one-bit.pbm")
    black_and_white = in_colour(np.where(grey > 127, 255, 0).astype(np.uint8))
    ink = random_image(5, 7, 4)
    Image.fromarray(ink, "CMYK").save(folder / "cmyk.tiff")
    flat = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    Image.fromarray(flat).convert("CMYK").save(folder / "cmyk.jpg", quality=100)
    Image.fromarray(flat).save(folder / "flat.JPG", quality=100)
    Image.fromarray(flat).save(folder / "flat.jfif", "JPEG", quality=100)
    jpegs = {name: _by_pillow(folder / name) for name in ("flat.JPG", "flat.jfif", "cmyk.jpg")}
    assert all(np.abs(pixels.astype(int) - flat).max() <= 2 for pixels in jpegs.values())  # rounding of YCbCr
    left = 255 - ink.astype(int)
    cmyk = np.floor(left[..., :3] * left[..., 3:] / 255 + 0.5).astype(np.uint8)  # (1 − ink)(1 − black)
    return truth | jpegs | {"lossless.webp": colour, "one-bit.png": black_and_white,
                            "one-bit.pbm": black_and_white, "cmyk.tiff": cmyk}  # fmt: skip


def _by_pillow(file: Path) -> Pixels:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def _sixteen_bits(folder: Path) -> dict[str, Pixels]:
    grey, colour = random_image(5, 7, dtype="uint16"), random_image(5, 7, 3, dtype="uint16")
    (folder / "grey16.png").write_bytes(png(grey))
    (folder / "rgb16.png").write_bytes(png(colour))
    (folder / "rgb16.tiff").write_bytes(tiff(colour, 1))
    (folder / "grey16.pgm").write_bytes(b"P5 7 5 65535\n" + grey.astype(">u2").tobytes())
    Image.fromarray(grey).save(folder / "grey16.tiff")
    Image.fromarray(grey.astype(">u2")).save(folder / "grey16-big-endian.tiff")
    greys = ("grey16.png", "grey16.pgm", "grey16.tiff", "grey16-big-endian.tiff")
    truth = dict.fromkeys(greys, in_colour((grey >> 8).astype(np.uint8)))
    return truth | dict.fromkeys(("rgb16.png", "rgb16.tiff"), (colour >> 8).astype(np.uint8))


def _transparent(folder: Path) -> dict[str, Pixels]:
    layers, grey = random_image(5, 7, 4), random_image(5, 7, 2)
    deep = random_image(5, 7, 4, dtype="uint16")
    Image.fromarray(layers).save(folder / "rgba.png")
    Image.fromarray(layers).save(folder / "rgba.webp", lossless=True, exact=True)
    Image.fromarray(grey, "LA").save(folder / "la.png")
    (folder / "rgba16.png").write_bytes(png(deep))
    spots = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    Image.fromarray(spots).quantize(2).save(folder / "palette.transparent.gif", transparency=0)
    Image.fromarray(spots).save(folder / "one-colour-transparent.png", transparency=(0, 0, 255))
    index = np.asarray(Image.fromarray(spots).quantize(2))
    laid = on_white(layers[..., :3], layers[..., 3:])
    high = (deep >> 8).astype(np.uint8)
    return {
        "rgba.png": laid,
        "rgba.webp": laid,
        "la.png": on_white(in_colour(grey[..., 0]), grey[..., 1:]),
        "rgba16.png": on_white(high[..., :3], high[..., 3:]),
        "palette.transparent.gif": np.where(index[..., None] == 0, 255, spots).astype(np.uint8),
        "one-colour-transparent.png": np.array([[[255, 0, 0], [255, 255, 255]]], np.uint8),
    }


def _turned(folder: Path) -> dict[str, Pixels]:
    stored, truth = random_image(5, 7, 3), {}
    for orientation, turn in TURNS.items():
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        for kind in ("png", "tiff"):
            name = f"orientation-{orientation}.{kind}"
            Image.fromarray(stored).save(folder / name, exif=exif)
            truth[name] = turn(stored)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    half = np.repeat(np.array([[[0] * 3] * 8, [[255] * 3] * 8], np.uint8), 8, axis=0)
    Image.fromarray(half).save(folder / "telephone.jpg", exif=exif, quality=100)
    return {**truth, "telephone.jpg": np.rot90(half, -1)}  # blocks of one colour lose nothing


def _several_frames(folder: Path) -> dict[str, Pixels]:
    frames = [np.full((4, 6, 3), value, np.uint8) for value in (255, 0)]
    first, second = (Image.fromarray(frame) for frame in frames)
    for name, options in (("moving.gif", {}), ("moving.webp", {"lossless": True}), ("pages.tiff", {}),
                          ("moving.png", {})):  # fmt: skip
        first.save(folder / name, save_all=True, append_images=[second], **options)
    first.save(folder / "two-pictures.jpg", "MPO", save_all=True, append_images=[second], quality=100)
    names = ("moving.gif", "moving.webp", "pages.tiff", "moving.png", "two-pictures.jpg")
    return dict.fromkeys(names, frames[0])


def refused(folder: Path) -> dict[str, str]:
    """Write one file a kind that is refused.

    Args:
        folder: Where to; it is made.

    Returns:
        What the message must hold, beside the file's name, by that name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return {**_of_no_scale(folder), **_broken(folder), **_too_large(folder)}


def _of_no_scale(folder: Path) -> dict[str, str]:
    Image.fromarray(np.ones((4, 4), np.float32)).save(folder / "float.tiff")
    (folder / "rgb-float.tiff").write_bytes(tiff(np.ones((4, 4, 3), np.float32), 3))
    Image.fromarray(np.full((4, 4), 70_000, np.int32)).save(folder / "int32.tiff")
    transparent = chunk(b"tRNS", struct.pack(">H", 1))
    (folder / "transparent16.png").write_bytes(png(random_image(4, 4, dtype="uint16"), transparent))
    return {
        "float.tiff": "floating point, and nothing says which is white",
        "rgb-float.tiff": "cannot be read",
        "int32.tiff": "signed or of 32 bits, and nothing says which is white",
        "transparent16.png": "one of its 16-bit colours is transparent: save it with 8 bits",
    }


def _broken(folder: Path) -> dict[str, str]:
    images = {
        kind: folder / f"cut-off.{kind}" for kind in ("png", "jpg", "gif", "bmp", "tiff", "webp", "ppm")
    }
    for file in images.values():
        Image.fromarray(random_image(40, 40, 3)).save(file)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    whole = png(random_image(4, 4, dtype="uint16"))
    (folder / "flipped.png").write_bytes(whole.replace(whole[50:54], b"????"))
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no image at all")
    (folder / "postscript.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\nshowpage\n")
    names = [
        *(file.name for file in images.values()),
        "flipped.png",
        "empty.png",
        "text.jpg",
        "postscript.jpg",
    ]
    return dict.fromkeys(names, "cannot be read")


def _too_large(folder: Path) -> dict[str, str]:
    huge = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    (folder / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", huge) + chunk(b"IDAT", b""))
    large = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 0, 0, 0, 0)  # between Pillow's warning and its error
    (folder / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", large) + chunk(b"IDAT", b""))
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1), zip=True)
    Image.fromarray(random_image(4, 4)).save(folder / "text-bomb.png", pnginfo=text)
    bomb = "could be decompression bomb"
    return {"bomb.png": bomb, "large.png": bomb, "text-bomb.png": "too large"}
