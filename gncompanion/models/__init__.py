"""Networks: `build("dcgan", (1, 8, 8), generator=torch.Generator().manual_seed(0))` is a pair (G, D).

`registry` has the families' names; each family is a file of its own.
"""

from gncompanion.models.attention import SelfAttention
from gncompanion.models.autogan import AutoGANCritic, AutoGANGenerator
from gncompanion.models.biggan import BigGANCritic, BigGANGenerator
from gncompanion.models.blocks import ACTIVATIONS, Critic, Generator
from gncompanion.models.dcgan import DCGANCritic, DCGANGenerator
from gncompanion.models.e2gan import E2GANGenerator
from gncompanion.models.mlp import MLPCritic, MLPGenerator
from gncompanion.models.registry import NETWORKS, Family, build
from gncompanion.models.resnet import ResNetCritic, ResNetGenerator
from gncompanion.models.stage_critic import StageCritic

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
