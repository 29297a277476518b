"""CIFAR and STL-10 as torchvision reads them: archives of the right form, with checksums of their own."""

import hashlib
import pickle
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets
from torchvision.transforms.functional import resize

from gncompanion.data import load

N = {"train": 5, "test": 3, "unlabeled": 4}


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()


def archive(folder: Path, kind: type, contents: dict[str, bytes], patch: pytest.MonkeyPatch) -> None:
    """Pack the files as the set's archive, and let torchvision expect just these checksums."""
    inner = folder / kind.base_folder
    inner.mkdir()
    for name, content in contents.items():
        (inner / name).write_bytes(content)
    with tarfile.open(folder / kind.filename, "w:gz") as packed:
        packed.add(inner, kind.base_folder)
    sums = {name: md5(inner / name) for name in contents}
    for listed in ("train_list", "test_list"):
        patch.setattr(kind, listed, [[name, sums[name]] for name, _ in getattr(kind, listed) if name in sums])
    if hasattr(kind, "meta"):
        patch.setattr(kind, "meta", {**kind.meta, "md5": sums[kind.meta["filename"]]})
    patch.setattr(kind, "tgz_md5", md5(folder / kind.filename))
    for name in contents:
        (inner / name).unlink()
    inner.rmdir()


@pytest.mark.parametrize(("kind", "key"), [("CIFAR10", "labels"), ("CIFAR100", "fine_labels")])
def test_cifar_is_unpacked_from_its_archive(
    kind: str, key: str, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = getattr(datasets, kind)
    random = np.random.default_rng(0)
    names = {"train": maker.train_list[0][0], "test": maker.test_list[0][0]}
    truth = {
        split: {"data": random.integers(0, 256, (N[split], 3072), dtype=np.uint8), key: list(range(N[split]))}
        for split in names
    }
    contents = {name: pickle.dumps(truth[split]) for split, name in names.items()}
    contents[maker.meta["filename"]] = pickle.dumps({maker.meta["key"]: ["a", "b"]})
    archive(data_folder, maker, contents, monkeypatch)
    for split in names:
        data = load(kind.lower(), split=split)
        assert torch.equal(data.pixels, torch.from_numpy(truth[split]["data"]).reshape(-1, 3, 32, 32))
        assert (data.labels.tolist(), data.flip) == (truth[split][key], True)
    digest = data.digest
    (data_folder / maker.filename).unlink()
    (data_folder / maker.base_folder / names["test"]).unlink()
    again = load(kind.lower(), split="test", flip=False)  # prepared once, the rest is no longer needed
    assert (again.digest, again.flip) == (digest, False)


def test_stl10_is_scaled_down(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    truth = {split: random.integers(0, 256, (n, 3, 96, 96), dtype=np.uint8) for split, n in N.items()}
    contents = {f"{split}_X.bin": pixels.transpose(0, 1, 3, 2).tobytes() for split, pixels in truth.items()}
    contents |= {f"{split}_y.bin": bytes(range(1, N[split] + 1)) for split in ("train", "test")}
    archive(data_folder, datasets.STL10, contents, monkeypatch)
    for split, pixels in truth.items():
        data = load("stl10", split=split)
        assert torch.equal(data.pixels, resize(torch.from_numpy(pixels), [48, 48], antialias=True))
        labels = None if split == "unlabeled" else list(range(N[split]))
        assert (None if data.labels is None else data.labels.tolist()) == labels
    assert torch.equal(load("stl10", split="test", size=96).pixels, torch.from_numpy(truth["test"]))
    both = load("stl10", split="train+unlabeled", size=96)
    whole = np.concatenate([truth["train"], truth["unlabeled"]])
    assert torch.equal(both.pixels, torch.from_numpy(whole)) and both.labels is None


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine alone, by HTTP."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("download", [False, True])
def test_a_damaged_archive_is_kept_and_said_to_be(
    download: bool, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = bytes(range(1, 4))
    contents = {"test_X.bin": bytes(3 * 3 * 96 * 96), "test_y.bin": labels}
    archive(data_folder, datasets.STL10, contents, monkeypatch)
    file = data_folder / datasets.STL10.filename
    shutil.copy(file, tmp_path / file.name)  # what the network has
    damaged = file.read_bytes()[:-7]
    file.write_bytes(damaged)
    with served(tmp_path) as address:
        monkeypatch.setattr(datasets.STL10, "url", f"{address}/{file.name}")
        with pytest.raises(FileNotFoundError, match=rf"{file} is damaged, its MD5 is not \w+: it is kept as"):
            load("stl10", split="test", download=download)
        assert file.read_bytes() == damaged
        file.unlink()
        assert load("stl10", split="test", download=True).labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "stl10"])
def test_a_missing_set_says_what_to_fetch(name: str, data_folder: Path) -> None:
    kind = getattr(datasets, name.upper())
    remedy = f"put {kind.filename} there \\(from {kind.url}, MD5 {kind.tgz_md5}\\), or load it with download"
    with pytest.raises(FileNotFoundError, match=remedy):
        load(name)
    assert not list(data_folder.glob("prepared/*.npy"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cifar10", {"split": "val"}, "unknown split of CIFAR10 'val'"),
        ("stl10", {"split": "all"}, "unknown split of STL10 'all'"),
        ("stl10", {"size": 97}, "size=97 must be an integer from 1 to 96"),
        ("stl10", {"size": 0}, "size=0 must be an integer from 1 to 96"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(name, **options)
