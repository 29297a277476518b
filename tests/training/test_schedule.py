"""Bad numbers are refused by name, value and remedy; the learning rates in closed form."""

import re
from dataclasses import FrozenInstanceError, fields
from math import inf, nan

import pytest
import torch

from gncompanion.training import Schedule
from gncompanion.training import loop as training

COUNTS = (
    "steps",
    "n_dis",
    "batch_critic",
    "batch_generator",
    "accumulation",
    "log_every",
    "checkpoint_every",
)
BAD = [
    *(
        (name, value, "must be an integer from 1 on")
        for name in COUNTS
        for value in (0, -1, 1.0, True, "5", None)
    ),
    *(
        (name, value, "must be a positive, finite number, such as 0.0002")
        for name in ("lr_critic", "lr_generator")
        for value in (0, -2e-4, inf, nan, "2e-4", True, None)
    ),
    *(
        ("betas", value, "must be two numbers in [0, 1), such as (0.0, 0.9)")
        for value in ((0.0, 1.0), (-0.1, 0.9), (0.9,), (0, 0, 0), 0.9, "09", ("0", "0.9"), None)
    ),
    *(
        ("ema_decay", value, "must be in [0, 1), or None for no average")
        for value in (1, 1.5, -0.1, nan, "0.9", False)
    ),
    *(("ema_start", value, "must be an integer from 0 on") for value in (-1, 1.0, False, None)),
    *(
        (name, value, "must be True or False")
        for name in ("channels_last", "captured")
        for value in (1, "yes")
    ),
]


@pytest.mark.parametrize(("name", "value", "remedy"), BAD)
def test_a_bad_value_is_refused(name: str, value: object, remedy: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'{name}={value!r} {remedy}')}$"):
        Schedule(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lr_decay", "liner", "unknown lr_decay 'liner', did you mean 'linear'? (valid: constant, linear)"),
        ("lr_decay", None, "unknown lr_decay None (valid: constant, linear)"),
        (
            "precision",
            "float16",
            "unknown precision 'float16', did you mean 'bfloat16'? (valid: float32, tf32, bfloat16)",
        ),
    ],
)
def test_an_unknown_name_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Schedule(**{name: value})


def test_every_field_is_tested() -> None:
    assert {name for name, *_ in BAD} | {"lr_decay", "precision"} == {f.name for f in fields(Schedule)}


def test_the_edges_are_valid() -> None:
    Schedule(**dict.fromkeys(COUNTS, 1), betas=(0, 0), ema_decay=0, ema_start=0, lr_critic=1e-30)
    Schedule(ema_decay=None)


def test_a_schedule_is_plain_and_fixed() -> None:
    assert Schedule(betas=[0.5, 0.9]) == Schedule(betas=(0.5, 0.9))
    with pytest.raises(FrozenInstanceError):
        Schedule().steps = 5
    assert training.Schedule is Schedule


def test_learning_rates() -> None:
    linear = Schedule(steps=4, lr_decay="linear")
    assert [linear.lr_factor(k) for k in range(4)] == [1, 0.75, 0.5, 0.25]
    assert {Schedule(steps=4).lr_factor(k) for k in range(4)} == {1.0}


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("float32", torch.float32), ("tf32", torch.float32), ("bfloat16", torch.bfloat16)],
)
def test_autocast(precision: str, dtype: torch.dtype) -> None:
    with Schedule(precision=precision).autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_tf32_is_on_inside_and_as_it_was_outside(precision: str) -> None:
    rules = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)
    before = [rule.fp32_precision for rule in rules]
    with pytest.raises(KeyError), Schedule(precision=precision).arithmetic():
        inside = [rule.fp32_precision for rule in rules]
        raise KeyError
    assert inside == (["tf32", "tf32"] if precision == "tf32" else before)
    assert [rule.fp32_precision for rule in rules] == before


@pytest.mark.parametrize(
    ("device", "precision", "processes", "channels_last", "captured"),
    [
        ("cpu", "bfloat16", 1, False, False),
        ("cuda", "float32", 1, False, True),
        ("cuda", "tf32", 1, True, True),
        ("cuda", "bfloat16", 4, True, False),
    ],
)
def test_the_device_decides_what_is_left_open(
    device: str, precision: str, processes: int, channels_last: bool, captured: bool
) -> None:
    open_ = Schedule(precision=precision)
    decided = open_.decided(torch.device(device), processes=processes)
    assert (decided.channels_last, decided.captured) == (channels_last, captured)
    said = Schedule(precision=precision, channels_last=not channels_last, captured=not captured)
    assert said.decided(torch.device(device), processes=processes) == said


def test_accumulation_divides_both_batches() -> None:
    assert Schedule(batch_critic=4, batch_generator=8, accumulation=4).accumulation == 4
    with pytest.raises(ValueError, match=r"^accumulation=4 must be a number that divides batch_generator=6$"):
        Schedule(batch_critic=4, batch_generator=6, accumulation=4)
