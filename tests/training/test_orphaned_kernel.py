"""A training in a notebook whose papermill is killed: the kernel, which nobody can tell, saves and ends."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gncompanion.training import checkpoint
from tests.conftest import notebook_json

SLOW = """import time
from pathlib import Path
from gncompanion.experiment import Experiment
from gncompanion.training import Training

iterate = Training._iterate

def slowly(self):  # Jupyter's own poller ends an orphan within a second, in the middle of a step
    if self.step == 3:
        Path("started").touch()
        time.sleep(4)
    return iterate(self)

Training._iterate = slowly
far = {"steps": 10**6, "batch_critic": 4, "batch_generator": 4, "log_every": 10**6, "checkpoint_every": 10**6}
Experiment("ring", "mlp", schedule=far, device="cpu").run("run")"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a parent's number stays on Windows")
def test_an_orphaned_kernel_ends_with_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "notebook.ipynb").write_text(notebook_json(SLOW))
    command = [sys.executable, "-m", "papermill", "notebook.ipynb", "out.ipynb", "--no-progress-bar"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as papermill:
        kernels = []
        try:
            deadline = time.monotonic() + 120
            while not (tmp_path / "started").exists():
                assert papermill.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            kernels = psutil.Process(papermill.pid).children(recursive=True)
            papermill.send_signal(signal.SIGKILL)
            _, alive = psutil.wait_procs(kernels, timeout=30)
            assert not alive
        finally:
            for one in (*kernels, papermill):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
    state = checkpoint.newest(tmp_path / "run")
    assert state is not None
    assert state["step"] == 4  # the step in progress was done
