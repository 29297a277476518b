"""SN-GAN's residual networks as two public repositories build them, for rows whose critic feels its scale.

    variant     upsampling  hidden width of a critic block  48 x 48 critic  last bias  biases start
    "mimicry"   bilinear    its input's channels            five blocks     yes        as in PyTorch
    "authors"   nearest     its output's channels           four blocks     no         from 0

Both sum over space before the last layer, and start weights from Xavier's uniform law, with gain √2 in the
residual branches and 1 elsewhere. The blocks are those of `resnet`, whose networks are the same but for a
mean over space, a last bias and Kaiming's law: gradient normalization does not feel a critic's scale,
spectral normalization does, and a sum over 8 x 8 places is 64 times the mean.

Source: kwotsin/mimicry at a7fda06 (torch_mimicry/nets/sngan, nets/wgan_gp, modules/resblocks.py), whose
WGAN-GP critic takes the mean; basiclab/Faster-GNGAN-PyTorch at 96c8f63 and d4180f9 (sn_gan.py), the baselines
of GN-GAN's authors. The layout for scikit-learn's 8 x 8 digits is ours.
"""

from math import sqrt

import torch
from torch import nn

from gncompanion.models.blocks import ACTIVATIONS, Critic, Generator, SumOverSpace
from gncompanion.models.initialisation import InitialisationRule, Layer, initialise, uniform
from gncompanion.models.layouts import layout_for
from gncompanion.models.resnet import LAYOUTS as RESNETS
from gncompanion.models.resnet import CriticBlock, GeneratorBlock, Layout, critic_blocks
from gncompanion.tools.names import pick, require_known

__all__ = ["LAYOUTS", "SNGANCritic", "SNGANGenerator"]

LAYOUTS: dict[str, dict[int, Layout]] = {
    "mimicry": {**{s: RESNETS[s] for s in (8, 32)}, 48: Layout((8, 4, 2, 1), (1, 2, 4, 8, 16), halvings=4)},
    "authors": {s: RESNETS[s] for s in (8, 32, 48)},
}
SIZES = (8, 32, 48)


class SNGANGenerator(Generator):
    """The residual generator; images lie in [-1, 1].

    Args:
        size: Height and width of the images: 8, 32 or 48.
        channels: Number of channels of the images.
        variant: Whose networks: "mimicry" or "authors".
        width: Number of channels per unit of the layout; None = the layout's.
        z_dim: Dimension of the noise.
        generator: Source of the initial weights; None = torch's global generator.

    Raises:
        ValueError: There is no such variant or size, or another number is not a positive integer.
    """

    def __init__(
        self,
        size: int = 32,
        channels: int = 3,
        *,
        variant: str = "mimicry",
        width: int | None = None,
        z_dim: int = 128,
        generator: torch.Generator | None = None,
    ) -> None:
        layouts = pick("variant", variant, LAYOUTS)
        layout, width = layout_for("SN-GAN", size, layouts, width=width, channels=channels, z_dim=z_dim)
        first, *rest = (units * width for units in layout.generator)
        small, mode = size // 2 ** len(rest), "bilinear" if variant == "mimicry" else "nearest"
        layers = nn.Sequential(nn.Linear(z_dim, first * small**2), nn.Unflatten(1, (first, small, small)))
        for wide in rest:
            layers.append(GeneratorBlock(first, wide, mode=mode))
            first = wide
        layers.extend([nn.BatchNorm2d(first), nn.ReLU(), nn.Conv2d(first, channels, 3, padding=1), nn.Tanh()])
        super().__init__(z_dim, layers)
        initialise(self, _xavier(self, variant), generator)


class SNGANCritic(Critic):
    """The residual critic, without its spectral normalization.

    Args:
        size: Height and width of the images: 8, 32 or 48.
        channels: Number of channels of the images.
        variant: Whose networks: "mimicry" or "authors".
        pooling: What the last layer sees of each channel: "sum" or "mean" over space.
        width: Number of channels per unit of the layout; None = the layout's.
        activation: A name from `blocks.ACTIVATIONS`.
        generator: Source of the initial weights; None = torch's global generator.

    Raises:
        ValueError: There is no such variant, size, pooling or activation, or another number is not a positive
            integer.
    """

    def __init__(
        self,
        size: int = 32,
        channels: int = 3,
        *,
        variant: str = "mimicry",
        pooling: str = "sum",
        width: int | None = None,
        activation: str = "relu",
        generator: torch.Generator | None = None,
    ) -> None:
        layouts = pick("variant", variant, LAYOUTS)
        layout, width = layout_for("SN-GAN", size, layouts, width=width, channels=channels)
        make_activation = pick("activation", activation, ACTIVATIONS)
        require_known("unknown pooling", pooling, ("sum", "mean"))
        wide, mimicry = [units * width for units in layout.critic], variant == "mimicry"
        features = critic_blocks(
            channels, wide, halvings=layout.halvings, activation=activation, narrow=mimicry
        )
        mean = [nn.AvgPool2d(size // 2**layout.halvings), nn.Flatten()]
        pool = [SumOverSpace()] if pooling == "sum" else mean
        head = nn.Sequential(make_activation(), *pool, nn.Linear(wide[-1], 1, bias=mimicry))
        super().__init__(features, head)
        initialise(self, _xavier(self, variant), generator)


def _xavier(network: nn.Module, variant: str) -> InitialisationRule:
    """The rule by which a network's layers start; those of residual branches have the gain √2."""
    blocks = (CriticBlock, GeneratorBlock)
    branches = [block.residual for block in network.modules() if isinstance(block, blocks)]
    residual = {id(layer) for branch in branches for layer in branch.modules()}

    def rule(layer: Layer, generator: torch.Generator | None) -> None:
        if variant == "mimicry":
            uniform(layer, generator)  # for the bias
        elif isinstance(bias := getattr(layer, "bias", None), torch.Tensor):
            nn.init.zeros_(bias)
        gain = sqrt(2) if id(layer) in residual else 1.0
        nn.init.xavier_uniform_(layer.weight, gain, generator=generator)

    return rule
