"""What is not known to be linear, a sample at a time, is refused by name or differentiated twice."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gncompanion.input_gradient import Unsupported, unsupported_reason, value_and_input_gradient
from tests.helpers.double_backpropagation import FORMULA, N, compare, gradients, inputs
from tests.helpers.draws import seeded


class Swap(torch.autograd.Function):
    """Gradient reversal: the identity forward, minus the identity backward."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        return -grad


class Weird(nn.Module):
    """Something between two linear layers that the fast method must not guess about."""

    def __init__(self, function: Callable[..., Tensor], *modules: nn.Module) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Linear(3, 6), nn.ModuleList(modules), nn.Linear(6, 1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x), *self.middle))


def in_place_through_a_view(h: Tensor) -> Tensor:
    view = h.view(-1, 2, 3)
    view[:, 0].relu_()
    return h


def in_place_with_a_weight_on_a_view(h: Tensor) -> Tensor:
    return h.clone().view(-1, 6).mul_(torch.arange(6.0, dtype=h.dtype).requires_grad_()).add_(1.0)


def in_place_on_a_constant(h: Tensor) -> Tensor:
    buffer = torch.zeros_like(h)
    buffer[:, :3] = h[:, :3]
    return h + buffer


def in_place_without_autograd(h: Tensor) -> Tensor:
    h = h * 1.0
    with torch.no_grad():
        h.mul_(2.0)
    return h.relu()


def replaced_between(h: Tensor, layer: nn.Linear) -> Tensor:
    h = layer(h)
    layer.weight.data = layer.weight.data.clone()
    return layer(h)


def drawn_under_a_hook(h: Tensor) -> Tensor:
    h = h * 1.0
    h.register_hook(lambda grad: None)
    return F.rrelu(h, 0.1, 0.1, training=True)


ROWS = torch.zeros(N, 1, dtype=torch.int64)

UNSUPPORTED = {
    "ELU": (lambda h, m: m(h), nn.ELU()),
    "Softplus": (lambda h, m: m(h), nn.Softplus()),
    "GELU": (lambda h, m: m(h), nn.GELU()),
    "Tanh": (lambda h, m: m(h), nn.Tanh()),
    "LayerNorm": (lambda h, m: m(h), nn.LayerNorm(6)),
    "attention": (lambda h, m: m(h[:, None], h[:, None], h[:, None])[0][:, 0], nn.MultiheadAttention(6, 2)),
    "softmax": (lambda h: h.softmax(1),),
    "a product of two": (lambda h: h * h.relu(),),
    "a quotient of two": (lambda h: h / (1 + h.abs()),),
    "a power": (lambda h: h**2,),
    "square": (lambda h: h.square(),),
    "bilinear": (lambda h, m: m(h, h), nn.Bilinear(6, 6, 6)),
    "einsum": (lambda h: torch.einsum("nd,nd->nd", h, h),),
    "a custom function": (Swap.apply,),
    "a custom function beside": (lambda h: h + Swap.apply(h).relu(),),
    "a view changed in place": (in_place_through_a_view,),
    "a weight on a view, in place": (in_place_with_a_weight_on_a_view,),
    "a constant changed in place": (in_place_on_a_constant,),
    "a change behind autograd's back": (in_place_without_autograd,),
    "data changed behind autograd's back": (lambda h: (h.data.mul_(2.0), h.relu())[1],),
    "weights made from x": (lambda h: F.linear(torch.ones(N, 6, dtype=h.dtype), h.mT @ h),),
    "a complex number": (lambda h: (h * (1 + 1j)).abs(),),
    "the weight replaced": (lambda h, m: replaced_between(h, m), nn.Linear(6, 6)),
    "a mask drawn under a hook": (lambda h: drawn_under_a_hook(h),),
}

COUPLED = {
    "BatchNorm1d": (lambda h, m: m(h), nn.BatchNorm1d(6)),
    "centring": (lambda h: h - h.mean(0),),
    "a mean over everything": (lambda h: h - h.mean(),),
    "the batch moved": (lambda h: h.transpose(0, 1).relu().transpose(0, 1),),
    "a permutation": (lambda h: h[torch.tensor([1, 0, 3, 2])],),
    "the batch first of a product": (lambda h: (h[None] @ torch.ones(N, 6, 6, dtype=h.dtype))[0],),
    "mixing from the left": (lambda h: torch.eye(N, dtype=h.dtype).flip(0) @ h,),
    "the batch in channels": (lambda h: h.reshape(1, -1).relu().reshape(-1, 6),),
    "fewer rows than the batch": (lambda h: h.view(-1, 3).gather(1, ROWS).expand(-1, 6),),
    "the batch rolled": (lambda h: h.roll(1, 0) + h.flip(0),),
    "the batch summed away": (lambda h: torch.einsum("nd,nm->md", h, torch.ones(N, N, dtype=h.dtype)),),
    "the batch concatenated": (lambda h: torch.cat([h, h])[:N],),
}


@pytest.mark.filterwarnings("ignore:.*gradient of the batch's summed values")
@pytest.mark.parametrize("name", [*UNSUPPORTED, *COUPLED])
def test_what_is_not_known_to_be_linear_is_differentiated_twice(name: str) -> None:
    torch.manual_seed(0)
    critic = Weird(*{**UNSUPPORTED, **COUPLED}[name]).double()
    x = inputs((3,))
    with pytest.raises(Unsupported):
        value_and_input_gradient(critic, x, method="linear")
    auto = gradients(critic, x, FORMULA["gn"], "auto")
    oracle = gradients(critic, x, FORMULA["gn"], "autograd")
    assert all(torch.equal(auto[k], oracle[k]) for k in oracle)


def test_the_refusal_names_the_module() -> None:
    critic = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.ELU()), nn.Linear(4, 1))
    why = unsupported_reason(critic, torch.randn(N, 3, generator=seeded()))
    assert why is not None and "ELU '1.1', elu" in why and 'method="autograd"' in why
    assert unsupported_reason(nn.Linear(3, 1), torch.zeros(N, 3)) is None


def test_coupled_samples_are_warned_of() -> None:
    critic = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    with pytest.warns(UserWarning, match="BatchNorm1d '1'.*gradient of the batch's summed values"):
        value_and_input_gradient(critic, torch.randn(N, 3, generator=seeded()))
    value_and_input_gradient(critic.eval(), torch.randn(N, 3, generator=seeded()))


def test_a_hook_that_changes_the_gradient_is_refused_and_one_that_looks_is_not() -> None:
    seen = []
    looking = Weird(lambda h: (h.register_hook(seen.append), h.relu())[1]).double()
    assert compare(looking, inputs((3,)), FORMULA["gn"]) <= 1e-12 and seen
    changing = Weird(lambda h: (h.register_hook(lambda g: 2 * g), h.relu())[1]).double()
    with pytest.raises(Unsupported, match="a hook on one of its activations"):
        value_and_input_gradient(changing, inputs((3,)), method="linear")
    auto, oracle = (gradients(changing, inputs((3,)), FORMULA["gn"], way) for way in ("auto", "autograd"))
    assert all(torch.equal(auto[k], oracle[k]) for k in oracle)
