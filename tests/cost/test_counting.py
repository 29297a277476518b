"""Counts against sums done by hand, and what the issue of cost rests on."""

import time

import pytest
import torch
from torch import nn

from gncompanion.cost import METHODS, PARTS, Cost, LiveMemory, count, iteration, parts, seconds
from gncompanion.models import build

N, WIDTH, DEPTH = 8, 16, 2
PLANE = {"network": "mlp", "shape": (2,), "batch": N, "width": WIDTH, "depth": DEPTH, "z_dim": 3}


def one_pass(network: nn.Module, samples: int) -> int:
    """FLOPs of one pass through a perceptron's layers: a product and a sum a weight and sample."""
    return 2 * samples * sum(weight.numel() for weight in network.parameters() if weight.dim() == 2)


@pytest.fixture
def networks() -> tuple[nn.Module, nn.Module]:
    return build("mlp", (2,), generator=torch.Generator().manual_seed(0), width=WIDTH, depth=DEPTH, z_dim=3)


def test_units_of_work_of_a_perceptron(networks: tuple[nn.Module, nn.Module]) -> None:
    generator, critic = networks
    first = 2 * WIDTH * 2 * 2 * N  # the first layer's backward to x, which weight gradients do without
    unit = one_pass(critic, 2 * N)
    plain, fast = (count(method, **PLANE) for method in ("unconstrained", "GN, primitive"))
    assert plain["critic"].flops == 3 * unit - first
    assert fast["critic"].flops == 4 * unit
    assert plain["generator"].flops == fast["generator"].flops == 2 * unit
    of_noise = 2 * WIDTH * 3  # the generator's first layer, likewise, a sample
    own = 3 * one_pass(generator, 2 * N) - of_noise * 2 * N
    assert fast["critic_turn"].flops == 4 * unit + one_pass(generator, N)
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


@pytest.mark.parametrize("method", METHODS)
def test_each_part_moves_what_it_should(
    method: str, networks: tuple[nn.Module, nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gncompanion.cost.counting.models.build", lambda *_, **__: networks)
    work, moves = parts(method, **PLANE), {}
    for part, do in work.items():
        before = [torch.cat([p.detach().flatten() for p in net.parameters()]) for net in networks]
        do()
        after = [torch.cat([p.detach().flatten() for p in net.parameters()]) for net in networks]
        moves[part] = tuple(not torch.equal(*pair) for pair in zip(before, after, strict=True))
    generator, critic, neither = (True, False), (False, True), (False, False)
    assert moves == dict(zip(PARTS, (critic, neither, critic, generator), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize(("network", "n_dis", "allowed"), [("dcgan", 1, 0.80), ("resnet", 5, 0.85)])
def test_an_iteration_against_wgan_gp_as_usually_written(network: str, n_dis: int, allowed: float) -> None:
    fast, penalty = (
        iteration(count(method, network, only=["critic_turn", "generator_turn"]), n_dis)
        for method in ("GN, primitive", "GP, double backpropagation")
    )
    assert fast.flops <= allowed * penalty.flops
    assert fast.bytes <= 1.01 * penalty.bytes


def test_seconds_are_taken_in_turns() -> None:
    calls = []

    def work(name: str) -> None:
        calls.append(name)
        end = time.process_time() + (0.02 if name == "slow" else 0)
        while time.process_time() < end:
            pass

    times = seconds({"slow": lambda: work("slow"), "fast": lambda: work("fast")}, rounds=3)
    assert calls == ["slow", "fast"] * 4  # one round to warm up
    assert [len(found) for found in times.values()] == [3, 3]
    assert min(times["slow"]) >= 0.02 > max(times["fast"])


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown method 'GN, primitiv', did you mean 'GN, primitive'\?"):
        count("GN, primitiv")
