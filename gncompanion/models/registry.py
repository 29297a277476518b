"""Networks by name, in pairs.

    build("dcgan", (1, 8, 8), generator=torch.Generator().manual_seed(0))      ->  G, D

A family is a generator, a critic, and the sizes of square images that both know; size and channels follow
from the data's shape.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from gncompanion.models import autogan, biggan, dcgan, resnet, sngan
from gncompanion.models.autogan import AutoGANCritic, AutoGANGenerator
from gncompanion.models.biggan import BigGANCritic, BigGANGenerator
from gncompanion.models.blocks import Critic, Generator
from gncompanion.models.dcgan import DCGANCritic, DCGANGenerator
from gncompanion.models.e2gan import E2GANGenerator
from gncompanion.models.mlp import MLPCritic, MLPGenerator
from gncompanion.models.resnet import ResNetCritic, ResNetGenerator
from gncompanion.models.sngan import SNGANCritic, SNGANGenerator
from gncompanion.models.stage_critic import StageCritic
from gncompanion.tools import registry
from gncompanion.tools.names import pick

__all__ = ["NETWORKS", "Family", "build"]


@dataclass(frozen=True)
class Family:
    """A generator and the critic that goes with it.

    Attributes:
        generator: Makes the generator.
        critic: Makes the critic.
        sizes: The sizes of the square images for which both can be built; empty = points (d,) instead.
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
    "sngan": Family(SNGANGenerator, SNGANCritic, sngan.SIZES),
}

_FROM_SHAPE = {"size", "channels", "in_dim", "out_dim", "generator"}


def build(
    name: str, shape: tuple[int, ...], *, generator: torch.Generator, **options: Any
) -> tuple[Generator, Critic]:
    """Build both networks for data of one shape, their weights a function of `generator` alone.

    Args:
        name: A key of `NETWORKS`.
        shape: The shape of one sample: (d,) for points, (channels, size, size) for images.
        generator: Source of the initial weights, on the CPU; those of G are drawn first, then those of D.
        **options: Further arguments of the two classes (`width`, `z_dim`, `activation`, `n_layers` …); each
            goes to whichever of the two has it, or to both.

    Returns:
        The generator, (N, z_dim) to (N, *shape), and the critic, (N, *shape) to (N,).

    Raises:
        ValueError: There is no such network, it has no form for this shape, neither class has an option, an
            option without a default is missing, or an option's value is out of range.

    Example:
        >>> G, D = build("mlp", (2,), generator=torch.Generator().manual_seed(0), width=16)
        >>> D(G(torch.zeros(5, G.z_dim))).shape
        torch.Size([5])
    """
    family = pick("network", name, NETWORKS)
    for_generator, for_critic = _from_shape(name, tuple(shape))
    of_generator, of_critic = (
        registry.options(maker, reserved=_FROM_SHAPE) for maker in (family.generator, family.critic)
    )
    registry.check_options(f"network {name!r}", options, of_generator | of_critic)
    registry.check_values(f"network {name!r}", options, of_generator | of_critic)
    with torch.random.fork_rng(devices=[]):  # torch's layers draw default weights before ours replace them
        G = family.generator(**for_generator, **_among(of_generator, options), generator=generator)
        D = family.critic(**for_critic, **_among(of_critic, options), generator=generator)
    return G, D


def _among(known: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {option: value for option, value in options.items() if option in known}


def _from_shape(name: str, shape: tuple[int, ...]) -> tuple[dict[str, int], dict[str, int]]:
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
