"""The page's table of FLOPs is what is counted now, for every family, and its sentences agree with it."""

import re

import pytest

from benchmarks.critic_families import FAMILIES, PAGE, WAYS, counted, is_fast, ratios
from benchmarks.critic_zoo import Entry
from gncompanion.models import MLPCritic

pytestmark = pytest.mark.filterwarnings("ignore:.*samples influence each other")

TEXT = PAGE.read_text(encoding="utf-8")


def table(name: str) -> dict[str, list[float]]:
    (block,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- end -->", TEXT, flags=re.DOTALL)
    cells = [
        [c.strip() for c in line.strip("|").split("|")] for line in block.splitlines() if line[:1] == "|"
    ]
    return {first: [float(number) for number in rest] for first, *rest in cells[2:]}


@pytest.mark.parametrize("name", FAMILIES)
def test_flops_are_those_that_are_counted(name: str) -> None:
    fast = is_fast(FAMILIES[name])
    found = ratios(counted(FAMILIES[name]))
    assert table("flops")[name if fast else f"{name} †"] == pytest.approx(found, abs=0.0051)
    twice, once = (found[0], found[2]), (found[1], found[3])
    share = {"MLP, 784 inputs": 0.604}.get(name, 0.04)  # of the first layer, at most
    assert all(1.98 < t <= 6 / (3 - share) + 1e-3 for t in twice)
    assert all(o <= (4 if fast else 6) / (3 - share) + 1e-3 for o in once)


def test_every_family_is_in_both_tables() -> None:
    for name in ("flops", "seconds"):
        rows = [re.sub(r" †| \(.* ms\)", "", row) for row in table(name)]
        assert rows == list(FAMILIES)
        assert all(len(numbers) == len(WAYS) - 1 for numbers in table(name).values())


@pytest.mark.parametrize(("width", "depth"), [(200, 2), (256, 3)])
def test_a_plain_step_of_a_perceptron_saves_the_first_layers_input_gradient(width: int, depth: int) -> None:
    perceptron = Entry(lambda: MLPCritic(784, width=width, depth=depth), (784,))
    weights = [weight.numel() for weight in perceptron.make().parameters() if weight.dim() == 2]
    share, last = weights[0] / sum(weights), weights[-1] / sum(weights)
    twice, once, *_ = ratios(counted(perceptron))
    assert once == pytest.approx((4 - last) / (3 - share), rel=1e-12)  # no weight needs the last tangent
    assert twice == pytest.approx(6 / (3 - share), rel=1e-3)  # the last layer's second backward is smaller
    assert {f"{share:.2f}", f"{once:.2f}", f"{twice:.2f}"} <= set(re.findall(r"\d\.\d\d", TEXT))
