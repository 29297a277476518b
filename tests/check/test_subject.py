"""Whatever type a critic computes in, it is compared in the best that it can do, and judged by the worst."""

import pytest
import torch
from torch import Tensor, nn

from gncompanion.check import check_critic


class Cast(nn.Module):
    """A critic, part of which computes in another type."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.first, self.last, self.dtype = nn.Linear(3, 8), nn.Linear(8, 1), dtype

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x).to(self.dtype).relu().to(x.dtype))


class PlainAttribute(nn.Module):
    """A critic with a constant that is no buffer."""

    def __init__(self, *, hidden: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        constant = torch.tensor([[1.0], [2.0], [3.0]])
        self.constant = {"": constant} if hidden else constant

    def forward(self, x: Tensor) -> Tensor:
        constant = self.constant[""] if isinstance(self.constant, dict) else self.constant
        return self.layer(x) + x.relu() @ constant


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_tolerance_is_that_of_the_least_precise_type(dtype: torch.dtype) -> None:
    report = check_critic(Cast(dtype), (3,))
    assert report.tolerance == torch.finfo(dtype).eps ** 0.5
    assert report.right
    assert report.dtype == "float64"
    assert (report.errors.largest < 1e-13) == (dtype == torch.float64)


def test_a_plain_attribute_is_cast_as_well() -> None:
    report = check_critic(PlainAttribute(hidden=False), (3,))
    assert (report.dtype, report.remedies, report.right) == ("float64", (), True)


def test_what_does_not_run_in_float64_is_compared_in_its_own_type() -> None:
    report = check_critic(PlainAttribute(hidden=True), (3,))
    assert (report.dtype, report.right) == ("float32", True)
    assert report.tolerance == torch.finfo(torch.float32).eps ** 0.5
    (note,) = report.remedies
    assert note.startswith("its forward does not run in float64 (RuntimeError: ")
    assert note.endswith("compared with less precision")


def test_lazy_layers_get_their_weights() -> None:
    report = check_critic(nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(1)), (3,))
    assert report.right
    assert report.errors.worst_weight is not None


def test_a_weight_kept_as_a_result_is_copied() -> None:
    """As older ways to normalize weights leave it: an attribute made by autograd, which torch cannot copy."""

    class Kept(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.raw = nn.Parameter(torch.ones(1, 3))
            self.weight = self.raw * 2

        def forward(self, x: Tensor) -> Tensor:
            self.weight = self.raw * 2
            return x.relu() @ self.weight.T

    assert check_critic(Kept(), (3,)).right


def test_a_function_has_no_weights_to_compare() -> None:
    def critic(x: Tensor) -> Tensor:
        return x.relu().sum(1)

    report = check_critic(critic, (3,))
    assert (report.critic, report.right) == ("critic", True)
    assert report.errors.weight_gradients is None
    assert "no weights are seen" in str(report)
