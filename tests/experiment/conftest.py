"""For all tests of experiments: a look at the steps that are trained."""

import pytest
from torch import Tensor

from gncompanion.training import Training


@pytest.fixture
def steps_done(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps that are trained in a test, as they are done."""
    done, iterate = [], Training._iterate

    def noted(self: Training) -> Tensor:
        done.append(self.step + 1)
        return iterate(self)

    monkeypatch.setattr(Training, "_iterate", noted)
    return done
