"""Two processes that stop between two rows of the log: each goes on with what it had noted itself."""

import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from torch import distributed as dist

from gncompanion.training import Schedule, Training, Watch, checkpoint
from tests.helpers.trainings import RING, players

SCHEDULE = Schedule(steps=16, batch_critic=4, batch_generator=4, log_every=8, checkpoint_every=16)


class FromTwoOn(Watch):
    """Wants to stop from the second step on; asked at the first and third, or at each if they are slow."""

    asked = 0

    def stopping(self) -> bool:
        self.asked += 1
        return self.asked >= 2


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    whole, stopped, resumed = (
        Training(players("gn"), RING, SCHEDULE, folder=folder / name) for name in ("whole", "cut", "cut")
    )
    whole.run(watch=Watch())
    stopped.run(watch=FromTwoOn())
    resumed.load(checkpoint.newest(folder / "cut"))
    first = resumed.step
    resumed.run(watch=Watch())
    torch.save((whole.log, resumed.log, first), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_a_run_stopped_between_rows_has_the_log_of_one_left_alone(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch.distributed", "gncompanion.training", "pytest"])
    processes = [context.Process(target=work, args=(rank, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        process.kill()
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    for rank in range(2):
        whole, resumed, first = torch.load(tmp_path / f"{rank}.pt")
        assert first in (2, 3)
        assert resumed == whole  # to the last bit
