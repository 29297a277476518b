"""Networks by name: `build("dcgan", (1, 8, 8), generator=torch.Generator().manual_seed(0))` is a pair (G, D).

A family is a generator, a critic, and the sizes of square images that both know; size and channels follow
from the data's shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter, signature

import torch

from gncompanion.models import autogan, biggan, dcgan, resnet
from gncompanion.models.attention import SelfAttention
from gncompanion.models.autogan import AutoGANCritic, AutoGANGenerator
from gncompanion.models.biggan import BigGANCritic, BigGANGenerator
from gncompanion.models.blocks import ACTIVATIONS, Critic, Generator
from gncompanion.models.dcgan import DCGANCritic, DCGANGenerator, StageCritic
from gncompanion.models.e2gan import E2GANGenerator
from gncompanion.models.mlp import MLPCritic, MLPGenerator
from gncompanion.models.resnet import ResNetCritic, ResNetGenerator
from gncompanion.tools.names import pick, require_known

__all__ = [
    "ACTIVATIONS",
    "NETWORKS",
    "AutoGANCritic",
    "AutoGANGenerator",
    "BigGANCritic",
    "BigGANGenerator",
    "Critic",
    "DCGANCritic",
    "DCGANGenerator",
    "E2GANGenerator",
    "Family",
    "Generator",
    "MLPCritic",
    "MLPGenerator",
    "ResNetCritic",
    "ResNetGenerator",
    "SelfAttention",
    "StageCritic",
    "build",
]


@dataclass(frozen=True)
class Family:
    """A generator and the critic that goes with it.

    Args:
        generator: makes the generator.
        critic: makes the critic.
        sizes: of the square images both can be built for; empty = for points (d,) instead.
    """

    generator: Callable[..., Generator]
    critic: Callable[..., Critic]
    sizes: tuple[int, ...] = ()


NETWORKS: dict[str, Family] = {
    "mlp": Family(MLPGenerator, MLPCritic),
    "dcgan": Family(DCGANGenerator, DCGANCritic, tuple(dcgan.LAYOUTS)),
    "resnet": Family(ResNetGenerator, ResNetCritic, tuple(resnet.LAYOUTS)),
    "stage": Family(DCGANGenerator, StageCritic, tuple(dcgan.LAYOUTS)),
    "biggan": Family(BigGANGenerator, BigGANCritic, tuple(biggan.LAYOUTS)),
    "autogan": Family(AutoGANGenerator, AutoGANCritic, tuple(autogan.LAYOUTS)),
    "e2gan": Family(E2GANGenerator, AutoGANCritic, tuple(autogan.LAYOUTS)),
}

_FROM_SHAPE = {"size", "channels", "in_dim", "out_dim", "generator"}


def build(
    name: str, shape: tuple[int, ...], *, generator: torch.Generator, **options: object
) -> tuple[Generator, Critic]:
    """Build both networks for data of one shape, their weights a function of `generator` alone.

    Args:
        name: a key of `NETWORKS`.
        shape: of one sample: (d,) for points, (channels, size, size) for images.
        generator: source of the initial weights, on the CPU; those of G are drawn first, then those of D.
        options: further arguments of the two classes (`width`, `z_dim`, `activation`, `n_layers` …); each
            goes to whichever of the two has it, or to both.

    Returns:
        Generator, (N, z_dim) to (N, *shape), and critic, (N, *shape) to (N,).

    Raises:
        ValueError: if there is no such network, it has no form for this shape, neither class has an option,
            an option without a default is missing, or an option's value is out of range.
    """
    family = pick("network", name, NETWORKS)
    fixed = _fixed(name, tuple(shape))
    makers = (family.generator, family.critic)
    known = [
        {p.name: p for p in signature(m).parameters.values() if p.name not in _FROM_SHAPE} for m in makers
    ]
    _check_options(name, options, known[0] | known[1])
    with torch.random.fork_rng(devices=[]):  # torch's layers draw default weights before ours replace them
        made = [
            maker(**arguments, **{k: v for k, v in options.items() if k in names}, generator=generator)
            for maker, arguments, names in zip(makers, fixed, known, strict=True)
        ]
    return made[0], made[1]


def _check_options(name: str, options: dict[str, object], known: dict[str, Parameter]) -> None:
    for option in options:
        require_known(f"unknown {name} option", option, sorted(known))
    missing = [p.name for p in known.values() if p.default is p.empty and p.name not in options]
    if missing:
        raise ValueError(f"network {name!r} needs a value for {', '.join(missing)}")


def _fixed(name: str, shape: tuple[int, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Return what the data's shape fixes: arguments of the generator, and of the critic."""
    match shape, NETWORKS[name].sizes:
        case (d,), ():
            return {"out_dim": d}, {"in_dim": d}
        case (channels, size, also), sizes if size == also and size in sizes:
            return ({"size": size, "channels": channels},) * 2
    forms = "; ".join(f"{known!r} for {_form(family)}" for known, family in NETWORKS.items())
    raise ValueError(f"network {name!r} has no form for data of shape {shape}: there are {forms}")


def _form(family: Family) -> str:
    return f"(channels, s, s) with s in {family.sizes}" if family.sizes else "points (d,)"
