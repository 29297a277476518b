"""Self-attention of SA-GAN: every place of an image looks at every other.

    q = W_q x,   k = pool(W_k x),   v = pool(W_v x)            1x1 convolutions to C/8, C/8 and C/2 channels
    x ↦ x + γ W_o · Σⱼ v_j softmax_j ⟨q_i, k_j⟩                γ = 0 at first; pool: 2x2 maximum

In a critic it ends piecewise linearity: ∇²f ≠ 0 where γ ≠ 0, Assumption 4 of Wu et al. (2021) and with it the
bound of Theorem 6 no longer hold. The fast input gradient refuses it, also at γ = 0, since it multiplies two
tensors that depend on x: gradient normalization then differentiates twice.

Source: Zhang et al. 2019 (SA-GAN, 1805.08318), in the form of the official GN-GAN code (models/biggan.py),
which has no biases, and pools keys and values.
"""

import torch
from torch import Tensor, nn

from gncompanion.models.blocks import LearnedScale
from gncompanion.tools.checks import require

__all__ = ["SelfAttention"]


class SelfAttention(nn.Module):
    """The attention block; its weights are drawn with those of the network that holds it.

    Args:
        channels: Number of channels of the image, a multiple of 8.

    Raises:
        ValueError: The number of channels is no multiple of 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        require("channels", channels, channels >= 8 and channels % 8 == 0, "a multiple of 8")
        self.query = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.key = nn.Sequential(nn.Conv2d(channels, channels // 8, 1, bias=False), nn.MaxPool2d(2))
        self.value = nn.Sequential(nn.Conv2d(channels, channels // 2, 1, bias=False), nn.MaxPool2d(2))
        self.out = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.scale = LearnedScale()

    def forward(self, x: Tensor) -> Tensor:
        """Let every place attend to every other.

        Args:
            x: Images, (N, C, H, W), with even H and W.

        Returns:
            Images of the same shape.
        """
        query, key, value = (part(x).flatten(2) for part in (self.query, self.key, self.value))
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=2)  # (N, H·W, H·W/4), rows of sum 1
        attended = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        out: Tensor = x + self.scale(self.out(attended))
        return out
