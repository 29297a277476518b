"""Where torch has no second derivative: attention is right all the same, all else says what and how."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gncompanion.input_gradient import value_and_input_gradient
from tests.helpers.double_backpropagation import FORMULA, gradients, inputs, largest_error
from tests.helpers.draws import seeded


def in_plain_sight(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.mT / 2).softmax(-1) @ v


class Attention(nn.Module):
    """Images of 2 channels as 16 tokens, attention by a kernel of torch or in plain sight, a linear layer."""

    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.tokens, self.out, self.fused = nn.Linear(2, 12), nn.Linear(4, 1), fused
        for p in self.double().parameters():
            nn.init.normal_(p, generator=seeded(1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.tokens(x.flatten(2).mT)[:, None].chunk(3, dim=-1)
        attend = F.scaled_dot_product_attention if self.fused else in_plain_sight
        h = attend(q, k, v)
        return self.out(h.squeeze(1).mean(1))


@pytest.mark.parametrize("method", ["auto", "autograd"])
def test_fused_attention_is_differentiated_twice(method: str) -> None:
    x = inputs((2, 4, 4))
    found = gradients(Attention(fused=True), x, FORMULA["gn"], method)
    expected = gradients(Attention(fused=False), x, FORMULA["gn"], "autograd")
    assert largest_error(found, expected) <= 1e-10  # some thousand roundings of 1e-16


def test_multi_head_attention_is_differentiated_twice() -> None:
    critic = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True).double()
    head = nn.Linear(4, 1).double()
    f, g = value_and_input_gradient(lambda x: head(critic(x)).mean(1), inputs((5, 4)))
    assert g.shape == (4, 5, 4)
    grads = torch.autograd.grad((g.square().sum() + f.sum()), list(critic.parameters()), allow_unused=True)
    assert any(grad is not None and bool(grad.abs().max() > 0) for grad in grads)


class Fast(torch.autograd.Function):
    """A custom operation, as fast implementations come: with a first derivative only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        return 2 * ctx.saved_tensors[0] * grad


class Opaque(Fast):
    """The same, which does not even say so, as kernels that autograd does not see."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
        with torch.no_grad():
            return 2 * ctx.saved_tensors[0] * grad


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (Opaque.apply, r"not made of torch's own \(custom functions: Opaque\).*reference implementation"),
        (Fast.apply, r"once_differentiable.*custom functions: Fast.*reference implementation"),
        (lambda h: h.sigmoid().cumprod(1).logcumsumexp(1), None),
        (lambda h: F.hardsigmoid(F.softplus(h)), "hardsigmoid_backward is not implemented.*reference"),
    ],
)
def test_what_has_no_second_derivative_is_named(operation: Any, message: str | None) -> None:
    first = nn.Linear(3, 4).double()
    f, g = value_and_input_gradient(lambda x: operation(first(x)).sum(1), inputs((3,)))
    torch.autograd.grad(f.sum(), first.weight, retain_graph=True)
    if message is None:  # all of these have one
        torch.autograd.grad(g.square().sum(), first.weight)
        return
    with pytest.raises(RuntimeError, match=message):
        torch.autograd.grad(g.square().sum(), first.weight)
