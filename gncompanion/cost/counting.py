"""What a constraint costs: FLOPs and bytes, counted, and seconds, measured, of the parts of an iteration.

    critic            given samples, N real and N generated: loss, weight gradients, the optimizer's step
    generator         given 2N samples: through the frozen critic to the loss, and back to the samples
    critic_turn       a critic's step of training: the same, but it draws the N samples from the generator
    generator_turn    a generator's step of training: the generator before and after, and its optimizer's step

    iteration         n_dis · critic_turn + generator_turn

FLOPs are those of convolutions and matrix products, bytes the most that tensors held at once beyond weights,
moments and the given samples (`live_memory`). Both are exact: on fake tensors, which have shapes and no
content, they cost a second at any size. Seconds are taken in turns, one call a method and round, so that a
busy machine is busy for all of them; on a CPU they are processor time, which other programs do not take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Adam
from torch.utils.flop_counter import FlopCounterMode

from gncompanion import constraints, models
from gncompanion.constraints import Constraint
from gncompanion.cost.live_memory import LiveMemory
from gncompanion.tools.names import pick
from gncompanion.training import LOSSES, Networks, critic_step, generator_step

__all__ = ["METHODS", "PARTS", "Cost", "Method", "count", "iteration", "parts", "seconds"]

PARTS = ("critic", "generator", "critic_turn", "generator_turn")
TWICE, FAST = {"method": "autograd"}, {"method": "linear"}


@dataclass(frozen=True)
class Method:
    """A constraint, and how its gradients are found.

    Args:
        constraint: a name of `constraints.CONSTRAINTS`.
        options: its own.
        in_generator: what is otherwise in the generator's step.
    """

    constraint: str
    options: Mapping[str, Any] = field(default_factory=dict)
    in_generator: Mapping[str, Any] = field(default_factory=dict)

    def rules(self) -> tuple[Constraint, Constraint]:
        """Make the constraint of the critic's step, and that of the generator's."""
        both = (self.options, {**self.options, **self.in_generator})
        return tuple(constraints.build(self.constraint, **options) for options in both)


METHODS: dict[str, Method] = {
    "unconstrained": Method("none"),
    "clipping": Method("clipping"),
    "SN": Method("sn"),
    "GP, double backpropagation": Method("gp", TWICE),
    "GP, primitive": Method("gp", FAST),
    "WGAN-div, double backpropagation": Method("wgan-div", TWICE),
    "WGAN-div, primitive": Method("wgan-div", FAST),
    "GN, double backpropagation": Method("gn", TWICE),
    "GN, generator simplified": Method("gn", TWICE, FAST),  # Faster GN-GAN's idea
    "GN, primitive": Method("gn", FAST),
}


class Cost(NamedTuple):
    """What a piece of work needs.

    Attributes:
        flops: floating point operations of convolutions and matrix products.
        bytes: the most that its tensors hold at once.
    """

    flops: int
    bytes: int


class _Given(nn.Module):
    """A generator that costs nothing: it returns the samples it was given."""

    z_dim = 1

    def __init__(self, samples: Tensor) -> None:
        super().__init__()
        self.samples = samples

    def forward(self, z: Tensor) -> Tensor:
        return self.samples


def parts(
    method: str,
    network: str = "dcgan",
    shape: tuple[int, ...] = (3, 32, 32),
    *,
    batch: int = 64,
    device: str = "cpu",
    seed: int = 0,
    **options: Any,
) -> dict[str, Callable[[], None]]:
    """Make networks, data and optimizers, and the work of each of `PARTS`.

    Args:
        method: a name of `METHODS`.
        network: a name of `models.NETWORKS`.
        shape: of one sample.
        batch: real samples N a critic step, ≥ 1; as many generated ones, and twice as many in the
            generator's step, as in the papers.
        device: where.
        seed: of weights and samples.
        **options: the networks' own, such as `width`.

    Returns:
        A function without arguments a part.

    Raises:
        ValueError: for an unknown method, network or option.
    """
    rule, rule_in_generator = pick("method", method, METHODS).rules()
    weights, random = torch.Generator().manual_seed(seed), torch.Generator(device).manual_seed(seed)
    generator, critic = models.build(network, shape, generator=weights, **options)
    rule.prepare(critic)
    if device != "cpu":  # fake networks cannot be moved, not even to where they are
        generator.to(device), critic.to(device)
    optimizers = [Adam(net.parameters(), 2e-4, (0.0, 0.9), fused=True) for net in (critic, generator)]
    real, fake, given = (
        torch.randn(n, *shape, generator=random, device=device) for n in (batch, batch, 2 * batch)
    )
    loss = LOSSES["hinge"]

    def improve_critic(source: nn.Module) -> None:
        players = Networks(source, critic, rule, loss)
        _descend(optimizers[0], critic_step(players, real, random)[0])
        rule.after_step(critic)

    def generator_loss(source: nn.Module) -> Tensor:
        return generator_step(Networks(source, critic, rule_in_generator, loss), 2 * batch, random)

    return {
        "critic": lambda: improve_critic(_Given(fake)),
        "generator": lambda: generator_loss(_Given(given.detach().requires_grad_())).backward(),
        "critic_turn": lambda: improve_critic(generator),
        "generator_turn": lambda: _descend(optimizers[1], generator_loss(generator)),
    }


def _descend(optimizer: Adam, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def count(method: str, *arguments: Any, only: Collection[str] = PARTS, **settings: Any) -> dict[str, Cost]:
    """Count FLOPs and bytes of each part without doing the work.

    Args:
        method: as in `parts`.
        *arguments: as in `parts`.
        only: which of `PARTS`.
        **settings: as in `parts`.

    Returns:
        The cost of each part.
    """
    found = {}
    with FakeTensorMode():
        work = parts(method, *arguments, **settings)
        for part in only:
            with FlopCounterMode(display=False) as counter:  # first: it keeps tensors alive
                work[part]()
            with LiveMemory() as memory:  # now Adam's moments are there
                work[part]()
            found[part] = Cost(counter.get_total_flops(), memory.peak)
    return found


def iteration(turns: Mapping[str, Cost], n_dis: int) -> Cost:
    """Add up an iteration's FLOPs, and find the most bytes that it holds at once.

    Args:
        turns: what `count` found, both turns among it.
        n_dis: critic steps an iteration.
    """
    critic, generator = turns["critic_turn"], turns["generator_turn"]
    return Cost(n_dis * critic.flops + generator.flops, max(critic.bytes, generator.bytes))


def seconds(
    work: Mapping[str, Callable[[], None]], *, rounds: int, device: str = "cpu"
) -> dict[str, list[float]]:
    """Time several functions in turns, after one round to warm up.

    Args:
        work: the functions, by name.
        rounds: calls of each.
        device: where they work. A GPU is waited for; of a CPU it is the time of all threads together.

    Returns:
        Seconds of each call, by name.
    """
    clock = time.process_time if device == "cpu" else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, do in work.items():
            start = clock()
            do()
            if device != "cpu":
                torch.cuda.synchronize()
            times[name].append(clock() - start)
    return {name: found[1:] for name, found in times.items()}
