"""Counts against sums done by hand, and what the issue of cost rests on."""

import pytest
from torch import nn

from gncompanion.cost import Cost, LiveMemory, count, iteration, parts
from tests.cost.conftest import PLANE, WIDTH, N


def one_pass(network: nn.Module, samples: int) -> int:
    """FLOPs of one pass through a perceptron's layers: a product and a sum a weight and sample."""
    return 2 * samples * sum(weight.numel() for weight in network.parameters() if weight.dim() == 2)


def test_units_of_work_of_a_perceptron(networks: tuple[nn.Module, nn.Module]) -> None:
    generator, critic = networks
    first = 2 * WIDTH * 2 * 2 * N  # the first layer's backward to x, which weight gradients do without
    unit = one_pass(critic, 2 * N)
    plain, fast = (count(method, **PLANE) for method in ("unconstrained", "GN, primitive"))
    assert plain["critic"].flops == 3 * unit - first
    last = 2 * WIDTH * 2 * N  # the last layer's tangent, for which no weight waits
    assert fast["critic"].flops == 4 * unit - last
    assert plain["generator"].flops == fast["generator"].flops == 2 * unit
    of_noise = 2 * WIDTH * 3  # the generator's first layer, likewise, a sample
    own = 3 * one_pass(generator, 2 * N) - of_noise * 2 * N
    assert fast["critic_turn"].flops == 4 * unit - last + one_pass(generator, N)
    assert fast["generator_turn"].flops == 2 * unit + own
    whole = 5 * fast["critic_turn"].flops + fast["generator_turn"].flops
    assert iteration(fast, 5) == Cost(
        whole, max(fast[turn].bytes for turn in ("critic_turn", "generator_turn"))
    )


def test_bytes_are_those_of_real_networks(networks: tuple[nn.Module, nn.Module]) -> None:
    work = parts("GN, primitive", **PLANE)["critic"]
    work()
    with LiveMemory() as memory:
        work()
    assert memory.peak == count("GN, primitive", **PLANE, only=["critic"])["critic"].bytes


@pytest.mark.slow
@pytest.mark.parametrize(("network", "n_dis", "allowed"), [("dcgan", 1, 0.80), ("resnet", 5, 0.85)])
def test_an_iteration_against_wgan_gp_as_usually_written(network: str, n_dis: int, allowed: float) -> None:
    fast, penalty = (
        iteration(count(method, network, only=["critic_turn", "generator_turn"]), n_dis)
        for method in ("GN, primitive", "GP, double backpropagation")
    )
    assert fast.flops <= allowed * penalty.flops
    assert fast.bytes <= 1.01 * penalty.bytes
