"""For tests and notebooks alike: what a session draws, trains and prepares goes to a folder of its own.

Validating a notebook must not rewrite the committed figures, nor pass on the strength of an old training run.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Send figures, runs and data, those of the notebooks' kernels too, to a temporary folder.

    nbval looks for its file of patterns from the working directory on; here it is found from any.
    """
    if getattr(config.option, "nbval_sanitize_with", "") is None:
        config.option.nbval_sanitize_with = str(Path(__file__).parent / "tests" / "nbval_sanitize.cfg")
    folder = Path(tempfile.mkdtemp(prefix="gncompanion-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["GNCOMPANION_FIGURES"] = str(folder / "figures")
    os.environ["GNCOMPANION_RUNS"] = str(folder / "runs")
    os.environ["GNCOMPANION_DATA"] = str(folder / "data")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the networks are small: more threads wait for each other
