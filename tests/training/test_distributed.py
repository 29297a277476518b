"""GradientNorm and DistributedDataParallel: two processes with half a batch each, against one with all of it.

outside    DistributedDataParallel(GradientNorm(critic))
inside     GradientNorm(DistributedDataParallel(critic))
"""

import multiprocessing
import os
import time
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from gncompanion import GradientNorm
from gncompanion.models import DCGANCritic, MLPCritic
from gncompanion.training import LOSSES
from tests.helpers.draws import seeded

N, ROUNDS, SECONDS = 8, 2, 60
METHODS = ("linear", "autograd", "auto")
OPTIONS: dict[str, dict[str, bool]] = {
    "plain": {},
    "find_unused": {"find_unused_parameters": True},
    "static": {"static_graph": True},
}
CRITICS = {
    "mlp": lambda: MLPCritic(64, width=8, depth=2, generator=seeded()),
    "dcgan": lambda: DCGANCritic(8, 1, width=2, generator=seeded()),
}


class Case(NamedTuple):
    critic: str
    place: str
    options: str
    method: str
    dtype: torch.dtype

    @property
    def is_refused(self) -> bool:
        """With these options DistributedDataParallel ends the critic with an autograd function of its own."""
        return self.place == "inside" and self.options == "find_unused" and self.method == "linear"

    @property
    def is_forgotten(self) -> bool:
        """A static graph's all-reduce waits for the first backward, and that is the input gradient's."""
        return self.place == "inside" and self.options == "static"


PLACES = ("outside", "inside")
CASES = [
    *(Case(*c, torch.float64) for c in product(("mlp",), PLACES, ("find_unused", "static"), METHODS)),
    *(
        Case(critic, place, "plain", method, dtype)
        for critic, place, method, dtype in product(
            CRITICS, PLACES, METHODS[:2], (torch.float64, torch.float32)
        )
    ),
]
Found = dict[Case, tuple[Any, Any]]


def rounds(critic: nn.Module, scored: nn.Module, batches: Tensor, part: slice) -> dict[str, list[Tensor]]:
    """Alternate critic steps (hinge, plain gradient descent) and generator's steps; gather both gradients."""
    found: dict[str, list[Tensor]] = {"critic": [], "generator": []}
    for real, fake in batches[..., part, :, :, :]:
        critic.zero_grad()
        LOSSES["hinge"].critic(*scored(torch.cat([real, fake])).chunk(2)).backward()
        found["critic"].append(torch.cat([parameter.grad.flatten() for parameter in critic.parameters()]))
        with torch.no_grad():
            for parameter in critic.parameters():
                parameter -= 1e-3 * parameter.grad
        critic.zero_grad()
        critic.requires_grad_(False)
        loss = LOSSES["hinge"].generator(scored(fake.requires_grad_()))
        critic.requires_grad_(True)
        loss.backward()
        assert all(parameter.grad is None for parameter in critic.parameters())
        found["generator"].append(fake.grad)
    return found


def batches(dtype: torch.dtype) -> Tensor:
    """Real and generated images, (ROUNDS, 2, N, 1, 8, 8)."""
    return torch.randn(ROUNDS, 2, N, 1, 8, 8, generator=seeded(1), dtype=torch.float64).to(dtype)


def one_process(case: Case, samples: slice = slice(0, N)) -> dict[str, list[Tensor]]:
    critic = CRITICS[case.critic]().to(case.dtype)
    return rounds(critic, GradientNorm(critic, method=case.method), batches(case.dtype), samples)


def one_of_two(case: Case, rank: int) -> dict[str, list[Tensor]] | str:
    critic = CRITICS[case.critic]().to(case.dtype)
    if case.place == "outside":
        normalized = GradientNorm(critic, method=case.method)
        scored = DistributedDataParallel(normalized, **OPTIONS[case.options])
    else:
        parallel = DistributedDataParallel(critic, **OPTIONS[case.options])
        scored = GradientNorm(parallel, method=case.method)
    half = slice(rank * N // 2, (rank + 1) * N // 2)
    try:
        return rounds(critic, scored, batches(case.dtype), half)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.save([one_of_two(case, rank) for case in CASES], folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What each of two processes computes, by case."""
    folder = tmp_path_factory.mktemp("processes")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torch.distributed", "gncompanion.training.losses", "gncompanion.models", "pytest"]
    )
    processes = [context.Process(target=work, args=(rank, folder)) for rank in range(2)]
    deadline = time.monotonic() + SECONDS
    for process in processes:
        process.start()
    for process in processes:
        process.join(max(0, deadline - time.monotonic()))
        process.kill()
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    of_rank = [torch.load(folder / f"{rank}.pt") for rank in range(2)]
    return dict(zip(CASES, zip(*of_rank, strict=True), strict=True))


def error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def assert_synchronised(case: Case, found: tuple[Any, Any]) -> None:
    # Sums in another order. In float32 one process is itself 1e-6 off float64, and two may be twice that
    # apart; without the other's half they are 1e-1 apart.
    tolerance = 1e-12 if case.dtype == torch.float64 else 5e-6
    expected = one_process(case)
    for rank, gradients in enumerate(found):
        assert isinstance(gradients, dict), gradients
        for ours, theirs in zip(gradients["critic"], expected["critic"], strict=True):
            assert error(ours, theirs) <= tolerance
        for ours, theirs in zip(gradients["generator"], expected["generator"], strict=True):
            # the mean is over half as many samples, and there is nothing to average with the other process
            assert error(ours, 2 * theirs.chunk(2)[rank]) <= tolerance


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [c for c in CASES if not (c.is_refused or c.is_forgotten)],
    ids=lambda case: "-".join(map(str, case)),
)
def test_two_processes_are_one(case: Case, found: Found) -> None:
    assert_synchronised(case, found[case])


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.is_refused], ids=lambda case: "-".join(map(str, case))
)
def test_what_cannot_be_recorded_is_refused(case: Case, found: Found) -> None:
    assert all(outcome.startswith("Unsupported: ") for outcome in found[case])


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.is_forgotten], ids=lambda case: "-".join(map(str, case))
)
def test_what_would_not_be_synchronised_is_refused(case: Case, found: Found) -> None:
    assert all(outcome.startswith("ValueError: ") for outcome in found[case])
    assert all("wrap GradientNorm(critic) in it instead" in outcome for outcome in found[case])


def test_half_a_batch_alone_has_another_gradient() -> None:
    case = Case("dcgan", "", "", "linear", torch.float64)
    whole, half = one_process(case), one_process(case, slice(0, N // 2))
    assert error(half["critic"][0], whole["critic"][0]) > 0.01
