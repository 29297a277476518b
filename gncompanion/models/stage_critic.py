"""The critic of Theorem 5's experiment, of any depth.

    f(x) = head(f_n(x))        f_k = the first k convolutions, each with its activation

Wu et al. measure the Lipschitz constants of the subnetworks f_k as k grows, so that the network is a plain
chain whose prefixes can be cut off. It starts as the DCGAN's critic does.

Source: Wu et al. 2021 (2109.02235), Theorem 5; the authors' working repository
(basiclab/Faster-GNGAN-PyTorch).
"""

import torch

from gncompanion.models.blocks import Critic
from gncompanion.models.dcgan import LAYOUTS, activated, convolutions, flat_head, scaled_normal
from gncompanion.models.initialisation import initialise
from gncompanion.models.layouts import layout_for
from gncompanion.tools.checks import whole

__all__ = ["MAX_LAYERS", "StageCritic"]

MAX_LAYERS = 32


class StageCritic(Critic):
    """A critic with any number of convolutions from 1 to `MAX_LAYERS`.

    There are min(3, n_layers) stages. Stage s = 0, 1, 2 with m convolutions has m − 1 of 3x3, stride 1, to
    2ˢ·width channels, then one of 4x4, stride 2, to twice as many. The convolutions are shared out evenly and
    the remainder goes, one each, to the first stages: 8 are (3, 3, 2), 2 are (1, 1). For 3, 6 and 9 this is
    the authors' network, m = 1, 2, 3; the other depths are ours.

    `features` is the plain list convolution, activation, convolution, activation, … whose first 2k entries
    are the theorem's subnetwork f_k; `head` flattens and adds the last, linear layer.

    Args:
        n_layers: Number of convolutions, 1 to 32.
        size: Height and width of the images, a key of `dcgan.LAYOUTS`.
        channels: Number of channels of the images.
        width: Number of channels of the first stage; None = the layout's.
        activation: A name from `blocks.ACTIVATIONS`.
        generator: Source of the initial weights; None = torch's global generator.

    Raises:
        ValueError: n_layers is no integer from 1 to 32, there is no such size or activation, or another
            number is not a positive integer.
    """

    def __init__(
        self,
        n_layers: int,
        size: int = 32,
        *,
        channels: int = 3,
        width: int | None = None,
        activation: str = "leaky_relu",
        generator: torch.Generator | None = None,
    ) -> None:
        whole("n_layers", n_layers, high=MAX_LAYERS)
        _, width = layout_for("StageCritic", size, LAYOUTS, width=width, channels=channels)
        stages = min(3, n_layers)
        counts = [n_layers // stages + (s < n_layers % stages) for s in range(stages)]
        wide, small = width * 2**stages, size // 2**stages
        features = activated(convolutions(counts, channels, width), activation)
        super().__init__(features, flat_head(wide * small**2))
        initialise(self, scaled_normal(width), generator)
