"""A perceptron small enough for sums by hand."""

import pytest
from torch import nn

from gncompanion.models import build
from tests.helpers.draws import seeded

N, WIDTH, DEPTH = 8, 16, 2
PLANE = {"network": "mlp", "shape": (2,), "batch": N, "width": WIDTH, "depth": DEPTH, "z_dim": 3}


@pytest.fixture
def networks() -> tuple[nn.Module, nn.Module]:
    return build("mlp", (2,), generator=seeded(), width=WIDTH, depth=DEPTH, z_dim=3)
