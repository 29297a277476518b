"""Checkpoints, damaged in every way that a disk knows."""

import hashlib
import io
import pickle
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gncompanion.training import checkpoint

CONTENT = {
    "weights": {
        "a": torch.tensor([1.0, float("nan"), float("-inf")]),
        "b": [torch.ones(2, dtype=torch.bfloat16)],
    },
    "state": (torch.arange(5, dtype=torch.uint8), torch.tensor(7)),
    "log": [{"step": 1, "loss": 0.1 + 0.2}, {}],
    "nothing": None,
    "name": "gn",
}


def saved(folder: Path, *steps: int) -> list[Path]:
    return [checkpoint.save(folder, step, {"value": torch.full((1000,), float(step))}) for step in steps]


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "made", 12, CONTENT)
    found = checkpoint.newest(tmp_path / "made")
    assert found.pop("step") == 12
    assert found.keys() == CONTENT.keys()
    a, b = found["weights"]["a"], found["weights"]["b"][0]
    assert (
        a.view(torch.int32).tolist() == CONTENT["weights"]["a"].view(torch.int32).tolist()
    )  # NaN's bits too
    assert b.dtype == torch.bfloat16
    assert torch.equal(b, CONTENT["weights"]["b"][0])
    assert [tensor.tolist() for tensor in found["state"]] == [[0, 1, 2, 3, 4], 7]
    assert (found["log"], found["nothing"], found["name"]) == (CONTENT["log"], None, "gn")


def test_the_name_is_the_step_and_the_digest(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 500, CONTENT)
    assert path.name == f"step-000500-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pt"


def test_tensors_go_to_the_device(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    assert checkpoint.newest(tmp_path, device="meta")["value"].device.type == "meta"


@pytest.mark.parametrize("folder", ["", "missing"])
def test_there_may_be_none(folder: str, tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path / folder) is None
    assert checkpoint.ordered(tmp_path / folder) == []


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    files = saved(tmp_path, 5, 10, 15, 999_999, 1_000_000)  # a step more than the name has zeros for
    assert checkpoint.ordered(tmp_path) == files[:-3:-1]
    assert set(tmp_path.iterdir()) == set(files[-2:])
    assert checkpoint.newest(tmp_path)["step"] == 1_000_000


def test_those_to_be_kept_stay_and_are_found_by_their_step(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20, 25):
        checkpoint.save(tmp_path, step, {"value": step}, keep_every=10)
    assert [file.name[:11] for file in checkpoint.ordered(tmp_path)] == [
        "step-000025", "step-000020", "step-000010"
    ]  # fmt: skip
    assert [checkpoint.at(tmp_path, step)["value"] for step in (10, 20, 25)] == [10, 20, 25]
    with pytest.raises(FileNotFoundError, match=r"no checkpoint of step 15 in .* \(there: 10, 20, 25\)"):
        checkpoint.at(tmp_path, 15)


def test_a_damaged_one_that_was_kept_is_an_error(tmp_path: Path) -> None:
    damage(checkpoint.save(tmp_path, 10, {"value": 1}, keep_every=10), "empty")
    saved(tmp_path, 20)
    with pytest.raises(RuntimeError, match="step-000010"):
        checkpoint.at(tmp_path, 10)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    others = [tmp_path / name for name in ("settings.json", "step-final.pt", "step-000001-0123456z.pt")]
    for other in others:
        other.touch()
    saved(tmp_path, 1, 2, 3)
    assert all(other.exists() for other in others)
    assert checkpoint.newest(tmp_path)["step"] == 3


def flip(data: bytearray) -> bytearray:
    position = random.Random(len(data)).randrange(len(data))
    data[position] ^= 1 << position % 8
    return data


DAMAGES: dict[str, Callable[[bytearray], bytearray]] = {
    "truncated to half": lambda data: data[: len(data) // 2],
    "last byte missing": lambda data: data[:-1],
    "empty": lambda data: data[:0],
    "one bit flipped": flip,
    "first byte changed": lambda data: bytes([data[0] ^ 255]) + data[1:],
    "zeros at the end": lambda data: data[:-512] + bytes(512),
    "bytes appended": lambda data: data + b"\0",
}


def damage(path: Path, kind: str) -> None:
    path.write_bytes(DAMAGES[kind](bytearray(path.read_bytes())))


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_one_is_passed_over_with_a_warning(kind: str, tmp_path: Path) -> None:
    sound, broken = saved(tmp_path, 5, 10)
    damage(broken, kind)
    with pytest.warns(UserWarning, match=f"^damaged: {broken.name}; using {sound.name}, the one before,"):
        found = checkpoint.newest(tmp_path)
    assert found["step"] == 5
    assert torch.equal(found["value"], torch.full((1000,), 5.0))


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    first, second = saved(tmp_path, 5, 10)
    damage(first, "empty")
    damage(second, "one bit flipped")
    message = f"every checkpoint in {tmp_path} is damaged ({second.name}, {first.name}): delete the folder"
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}$"):
        checkpoint.newest(tmp_path)


def test_a_partial_file_is_no_checkpoint_and_goes_with_the_next(tmp_path: Path) -> None:
    first, second = saved(tmp_path, 5, 10)
    leftover = tmp_path / ".step-000015-0123abcd.pt.4711"  # as a kill in mid-write leaves it
    leftover.write_bytes(second.read_bytes()[:100])
    assert checkpoint.newest(tmp_path)["step"] == 10
    (third,) = saved(tmp_path, 15)
    assert set(tmp_path.iterdir()) == {second, third}
    assert not first.exists()


@pytest.mark.parametrize(
    "content", [{"value": 1}, CONTENT]
)  # the second with another digest, and so another name
def test_a_damaged_one_is_replaced_by_the_step_done_again(content: dict[str, Any], tmp_path: Path) -> None:
    sound = checkpoint.save(tmp_path, 5, {"value": 1})
    damage(checkpoint.save(tmp_path, 10, {"value": 1}), "truncated to half")
    again = checkpoint.save(tmp_path, 10, content)
    assert set(tmp_path.iterdir()) == {sound, again}
    assert checkpoint.newest(tmp_path)["step"] == 10


def undecodable(folder: Path, step: int, data: bytes) -> Path:
    """A file that bears the digest of what it holds, which is no checkpoint."""
    path = folder / f"step-{step:06d}-{hashlib.sha256(data).hexdigest()[:8]}.pt"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data", [b"", b"no checkpoint", b"PK\x03\x04" + bytes(100), pickle.dumps({"step": 9}, 2)]
)
def test_one_that_cannot_be_decoded_is_passed_over(data: bytes, tmp_path: Path) -> None:
    saved(tmp_path, 5)
    broken = undecodable(tmp_path, 10, data)
    with pytest.warns(UserWarning, match=rf"^damaged: {broken.name} \(\w+Error.*\); using step-000005-"):
        assert checkpoint.newest(tmp_path)["step"] == 5


def test_one_that_holds_something_else_is_passed_over(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    buffer = io.BytesIO()
    torch.save(torch.ones(3), buffer)
    undecodable(tmp_path, 10, buffer.getvalue())
    with pytest.warns(UserWarning, match="^damaged: .* using step-000005-"):
        assert checkpoint.newest(tmp_path)["step"] == 5


def test_one_that_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 1)
    fitting = checkpoint.save(tmp_path, 5, layer.state_dict())
    wrong = checkpoint.save(tmp_path, 10, torch.nn.Linear(3, 1).state_dict())

    def use(content: dict[str, Any]) -> None:
        layer.load_state_dict({name: value for name, value in content.items() if name != "step"})

    with pytest.warns(UserWarning) as caught:
        assert checkpoint.newest(tmp_path, use=use)["step"] == 5
    message = str(caught[0].message)
    assert re.match(rf"damaged: {wrong.name} \(RuntimeError .* size mismatch for weight: ", message)
    assert message.endswith(f"; using {fitting.name}, the one before, instead")
    assert "\n" not in message
    fitting.unlink()
    with pytest.raises(RuntimeError, match=rf"every checkpoint in .* is damaged \({wrong.name} \(Runtime"):
        checkpoint.newest(tmp_path, use=use)


@pytest.mark.parametrize("fault", [MemoryError, OSError, torch.OutOfMemoryError])
def test_what_is_no_fault_of_the_file_is_not_taken_for_damage(fault: type[Exception], tmp_path: Path) -> None:
    def use(_: dict[str, Any]) -> None:
        raise fault("not enough")

    saved(tmp_path, 5, 10)
    with pytest.raises(fault, match="not enough"):
        checkpoint.newest(tmp_path, use=use)


def test_one_of_another_run_is_refused(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 5, {checkpoint.SETTINGS_DIGEST: 0x0A})
    other = checkpoint.save(tmp_path, 10, {checkpoint.SETTINGS_DIGEST: 0x0B})
    message = f"{other} is a checkpoint of another run: its settings have the digest b, and those of this "
    with pytest.raises(ValueError, match=re.escape(message)):
        checkpoint.newest(tmp_path, settings_digest=0x0A)
    assert checkpoint.newest(tmp_path)["step"] == 10
    other.unlink()
    assert checkpoint.newest(tmp_path, settings_digest=0x0A)["step"] == 5
    saved(tmp_path, 20)  # as former versions did
    assert checkpoint.newest(tmp_path, settings_digest=0x0A)["step"] == 20
