"""Every layer and operation that is replayed with frozen gates, against double backpropagation."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gncompanion.input_gradient import value_and_input_gradient
from tests.helpers.double_backpropagation import FORMULA, N, compare, gradients, inputs, largest_error
from tests.helpers.draws import seeded


@pytest.mark.parametrize("parallel", [False, True], ids=["plain", "with a skip"])
@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(8, 8),
        nn.Linear(8, 5, bias=False),
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2),
        nn.Conv2d(4, 4, 3, padding="same", padding_mode="circular"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect", bias=False),
        nn.ConvTranspose2d(4, 6, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.LeakyReLU(0.1),
        nn.LeakyReLU(0.1, inplace=True),
        nn.LeakyReLU(-0.5),
        nn.PReLU(4),
        nn.PReLU(),
        nn.ReLU6(),
        nn.Hardtanh(-0.5, 0.5),
        nn.Hardtanh(inplace=True),
        nn.Hardshrink(),
        nn.Softshrink(),
        nn.Threshold(0.1, 0.3),
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.AdaptiveMaxPool2d(3),
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
        nn.AdaptiveAvgPool2d(3),
        nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.PixelShuffle(2),
        nn.PixelUnshuffle(2),
        nn.ZeroPad2d(1),
        nn.Identity(),
        nn.Flatten(),
        nn.BatchNorm2d(4).eval(),
        nn.BatchNorm2d(4, affine=False).eval(),
        nn.Dropout(0.5).eval(),
    ],
    ids=str,
)
def test_every_supported_layer(layer: nn.Module, parallel: bool) -> None:
    class Critic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.layer = nn.Conv2d(2, 4, 3, padding=1), copy.deepcopy(layer)
            self.skip, self.last = nn.Conv2d(2, 4, 1), nn.LazyLinear(1)

        def forward(self, x: Tensor) -> Tensor:
            h = self.layer(self.first(x) + (self.skip(x) if parallel else 0))
            return self.last(F.leaky_relu(h).flatten(1))

    critic, x = Critic().double(), inputs((2, 8, 8))
    critic(x)
    for parameter in critic.parameters():
        nn.init.normal_(parameter, std=0.3, generator=seeded(4))
    assert compare(critic, x, FORMULA["gn"]) <= 1e-12
    value_and_input_gradient(critic, x, method="linear", verify=True)


@pytest.mark.parametrize(
    "operation",
    [
        lambda h, w: h @ w.T,
        lambda h, w: torch.matmul(h.unsqueeze(1).relu(), w).squeeze(1) * (h.detach() @ w[0])[:, None],
        lambda h, w: h + w[0],
        lambda h, w: w[0] - h,
        lambda h, w: torch.sub(h, w[0], alpha=2),
        lambda h, w: 1 - h * w[0],
        lambda h, w: -h / w[0].exp(),
        lambda h, w: torch.cat([h, w[0].expand(N, -1)], 1),
        lambda h, w: torch.stack([h, h * w[0]], 1).sum(1),
        lambda h, w: torch.stack([h, h.abs()], -1).mean((1, 2), keepdim=True).flatten(1),
        lambda h, w: h.view(N, 2, -1).transpose(1, 2).permute(0, 2, 1).reshape(N, -1) * w[0],
        lambda h, w: h[:, 1:] - h[:, :-1] * w[0, 1:],
        lambda h, w: torch.cat(h.split(2, dim=1)[::-1], dim=1) + w[1],
        lambda h, w: h.clone().contiguous().mul_(w[0]).add_(w[1]).unsqueeze(1).squeeze(1),
        lambda h, w: (h * w[0]).view(N, 2, 3).relu_().flatten(1) * w[1],
        lambda h, w: h.detach().abs() + h * (h.detach() > 0) + w[0],
        lambda h, w: F.prelu(h, w[0].abs()),
        lambda h, w: h.relu() * w[0] + h,
        lambda h, w: F.leaky_relu(h.view(N, 2, 3), 0.3).flatten(1) * w[0] + h,
        lambda h, w: torch.cat([piece.relu() for piece in h.split(2, dim=1)], 1) * w[0] - h,
        lambda h, w: F.relu(-F.leaky_relu(h * w[0], 0.3)),
        lambda h, w: h.narrow(1, 0, 3).clamp(min=-0.1).float().double() * w[0, :3],
    ],
)
def test_every_supported_operation(operation: Callable[[Tensor, Tensor], Tensor]) -> None:
    class Critic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.weight, self.last = (
                nn.Linear(3, 6),
                nn.Parameter(torch.empty(6, 6)),
                nn.LazyLinear(1),
            )

        def forward(self, x: Tensor) -> Tensor:
            return self.last(operation(F.relu(self.first(x)) + self.first(x), self.weight))

    critic, x = Critic().double(), inputs((3,))
    critic(x)
    for parameter in critic.parameters():
        nn.init.normal_(parameter, generator=seeded(5))
    tolerance = (
        1e-5 if "float" in operation.__code__.co_names else 1e-12
    )  # one of them passes through float32
    assert compare(critic, x, FORMULA["gn"]) <= tolerance


@pytest.mark.parametrize(
    "operation",
    [
        lambda h, w: F.linear(input=h, weight=w, bias=w[0]),
        lambda h, w: F.linear(h, bias=w[0], weight=w) + torch.add(input=h, other=w[1]),
        lambda h, w: F.conv1d(input=h[:, None], weight=w[:, None, :3], padding=1).flatten(1),
        lambda h, w: torch.cat(tensors=[F.leaky_relu(input=h, negative_slope=0.3), h], dim=1),
        lambda h, w: torch.addmm(w[0], h, w) + torch.addmm(input=w[1], mat1=h, mat2=w, beta=0.5, alpha=2),
        lambda h, w: h.unsqueeze(2).squeeze() * w[0],
        lambda h, w: h.view(N, 2, 3).mean(axis=2) @ w[:2],
        lambda h, w: (w[:2, :3] @ h.view(N, 3, 2)).flatten(1),
        lambda h, w: h[:, :1].expand(-1, 4) + h[:, :1].expand_as(w[:N, :4]),
        lambda h, w: h[torch.arange(N), torch.tensor([3, 0, 5, 1])][:, None] * w[0],
        lambda h, w: h[..., 1:3] @ w[:2],
        lambda h, w: h[:, None, ..., 0] @ w[:1],
        lambda h, w: h.gather(1, torch.arange(N)[:, None] % 6) * w[0],
        lambda h, w: h.view(N, 3, 2).max(2).values @ w[:3] + h.min(dim=1, keepdim=True).values,
        lambda h, w: h.view(N, 3, 2).sort(-1).values.flatten(1) * w[0],
        lambda h, w: F.max_pool1d(h.view(N, 2, 3), 2).flatten(1) @ w[:2],
        lambda h, w: torch.maximum(h, h @ w) - torch.minimum(h, w[0]),
        lambda h, w: torch.where(h > 0, h * w[0], w[1]) + torch.where(w[2] > 0, 0.5, h),
        lambda h, w: h.type_as(w) + h.to(w) * w[0].expand_as(h),
        lambda h, w: torch.max(h, 0.2 * h) - torch.min(w[0], h),
        lambda h, w: h.view(N, 3, 2).amax(2) @ w[:3] + h.amin(-1, keepdim=True),
        lambda h, w: h.topk(3, dim=1).values @ w[:3] + h.median(1, keepdim=True).values,
        lambda h, w: h.kthvalue(2, 1, True).values * w[0] + h.cummax(1).values,
        lambda h, w: h.view(N * 3, 2).relu().view(N, -1) * w[0] + w[1],
        lambda h, w: F.linear(h.view(N * 2, 3), w[:4, :3], w[0, :4]).clamp(-1, 1).view(N, 8),
        lambda h, w: (torch.cat([h.view(N * 2, 3), w[:1, :3].expand(N * 2, -1)], 1) - w[0]).view(N, 12),
        lambda h, w: F.conv1d(h.view(N * 2, 1, 3), w[:2, None, :3], w[0, :2]).view(N, -1),
        lambda h, w: h.flip(1).roll(shifts=1, dims=1) * w[0] + h.cumsum(dim=1),
        lambda h, w: h.repeat(1, 2)[:, 3:9] @ w + h[:, :3].repeat_interleave(2, dim=1),
        lambda h, w: torch.stack(h.unbind(1)[::-1], 1) + h.select(1, 2)[:, None] * w[0],
        lambda h, w: h.view(N, 2, 3).mT.flatten(1) * w[0] + h.view(N, 2, 3).movedim(1, -1).flatten(1),
        lambda h, w: torch.einsum("nd, ed -> ne", h, w) + torch.einsum("nd,nd->nd", [h, h.detach()]),
        lambda h, w: torch.bmm(w.expand(N, -1, -1), h[:, :, None]).squeeze(2) + torch.mv(h, w[0])[:, None],
        lambda h, w: (h.view(N, 1, 6) @ w.expand(N, -1, -1)).flatten(1) + h.index_select(1, torch.arange(6)),
        lambda h, w: h.masked_fill(h < 0, -0.3) * w[0] + h.clip(-1, 1),
        lambda h, w: F.fold(F.unfold(h.view(N, 1, 2, 3), 2), (2, 3), 2).flatten(1) * w[0],
        lambda h, w: F.max_pool3d(h.view(N, 1, 1, 2, 3), (1, 2, 1)).flatten(1) @ w[:3],
        lambda h, w: h[:, :1].expand(-1, 6).relu() * w[0],
    ],
)
def test_what_public_critics_use(operation: Callable[[Tensor, Tensor], Tensor]) -> None:
    test_every_supported_operation(operation)


@pytest.mark.parametrize(
    "gate",
    [
        lambda h: F.dropout(h, 0.4),
        lambda h: F.dropout(h * 1.0, 0.4, inplace=True),
        lambda h: torch.dropout(h, 0.4, True) + F.dropout(h, 1.0) + F.dropout(h, 0.0),
        lambda h: F.dropout2d(h.view(N, 3, 2, 1), 0.2).flatten(1),
        lambda h: nn.AlphaDropout(0.4)(h) + nn.FeatureAlphaDropout(0.4)(h.view(N, 3, 2)).flatten(1),
        lambda h: nn.RReLU()(h) + F.rrelu(h),
    ],
)
def test_what_is_drawn_is_drawn_once(gate: Callable[[Tensor], Tensor]) -> None:
    class Critic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.middle, self.last = nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, 1)
            for p in self.double().parameters():
                nn.init.normal_(p, generator=seeded(5))

        def forward(self, x: Tensor) -> Tensor:
            return self.last(gate(F.relu(self.middle(gate(self.first(x))))))

    found, states = [], []
    for method in ("linear", "autograd"):
        torch.manual_seed(7)
        found.append(gradients(Critic(), inputs((3,)), FORMULA["gn"], method))
        states.append(torch.get_rng_state())
    assert largest_error(*found) <= 1e-12 and torch.equal(*states)


def test_hardsigmoid_of_which_torch_has_no_second_derivative() -> None:
    class Critic(nn.Module):
        def __init__(self, gate: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.first, self.last, self.gate = nn.Linear(3, 6), nn.Linear(6, 1), gate
            for p in self.double().parameters():
                nn.init.normal_(p, generator=seeded(5))

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.gate(self.first(x)))

    fast = gradients(Critic(F.hardsigmoid), inputs((3,)), FORMULA["gn"], "linear")
    oracle = gradients(Critic(lambda h: F.relu6(h + 3) / 6), inputs((3,)), FORMULA["gn"], "autograd")
    assert largest_error(fast, oracle) <= 1e-7  # torch computes the slope 1/6 in float32
