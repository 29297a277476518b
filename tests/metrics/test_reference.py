"""References are made once, and know what they were made from."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from gncompanion.metrics import Statistics, extract, reference
from tests.helpers.pictures import Moments, moments_reference, pictures


def test_reference_is_made_once(tmp_path: Path) -> None:
    x, moments = pictures(9), Moments()
    first, again = (moments_reference(x, moments, tmp_path / "new") for _ in range(2))
    assert moments.seen == [4, 4, 1]
    values = extract(Moments(), [x]).values
    for found in (first, again):
        assert torch.equal(found.values, values)
        assert (found.statistics.mean == Statistics.of(values).mean).all()
        assert (found.statistics.covariance == Statistics.of(values).covariance).all()
        assert (found.statistics.n, found.made_by) == (9, "moments 0")


def test_reference_knows_where_it_came_from(tmp_path: Path) -> None:
    x, moments = pictures(9), Moments()
    moments_reference(x, moments, tmp_path)
    moments_reference(x, moments, tmp_path, digest="e")
    moments_reference(x[:8], moments, tmp_path)
    other = Moments()
    other.digest = "1"
    moments_reference(x, other, tmp_path)
    files = sorted(tmp_path.glob("fields-moments-*.npz"))
    assert len(files) == 4
    with np.load(files[0]) as content:
        assert re.fullmatch(r"[89] images [de], features by moments [01]", str(content["origin"]))
    files[0].write_bytes(files[1].read_bytes())
    with pytest.raises(ValueError, match=r"holds the reference of .*, not of .*: remove it"):
        moments_reference(x, moments, tmp_path)
        moments_reference(x, moments, tmp_path, digest="e")
        moments_reference(x[:8], moments, tmp_path)
        moments_reference(x, other, tmp_path)


def test_reference_keeps_evenly_spaced_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "MAX_FEATURES", 3)
    x = pictures(9)
    found = moments_reference(x, Moments(), tmp_path)
    assert torch.equal(found.values, extract(Moments(), [x[::3]]).values)
    assert found.statistics.n == 9


def test_a_failed_reference_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images lie in"):
        moments_reference(pictures(9) * 2, Moments(), tmp_path)
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize("damage", ["flipped", "cut off", "empty", "another format"])
def test_a_damaged_reference_is_named(damage: str, tmp_path: Path) -> None:
    kept = moments_reference(pictures(9), Moments(), tmp_path)
    [file] = tmp_path.glob("*.npz")
    content = bytearray(file.read_bytes())
    content[content.index(kept.values.numpy().tobytes()) + 5] ^= 1
    spoilt = {"flipped": content, "cut off": content[:-300], "empty": b"", "another format": b"{}"}
    file.write_bytes(spoilt[damage])
    with pytest.raises(ValueError, match=rf"{file} is damaged \(.+\): delete it, and it is made anew"):
        moments_reference(pictures(9), Moments(), tmp_path)
    file.unlink()
    assert moments_reference(pictures(9), Moments(), tmp_path).statistics.n == 9
