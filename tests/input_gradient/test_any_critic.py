"""Critics at random, out of the rules and the side doors: their gradients are right, whatever they do.

Each critic is a list of moves between two linear layers. It is called twice before one backward, as with real
and with generated samples, by method "auto" and by double backpropagation, from equal states. Where the
oracle itself raises, as autograd does when a tensor that it saved was changed, nothing is compared.
"""

import os
import threading
import warnings
from collections import Counter
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gncompanion.input_gradient import gradient_norm, unsupported_reason, value_and_input_gradient
from gncompanion.input_gradient.tape import tensors_in
from tests.helpers.draws import normal, seeded
from tests.input_gradient.test_side_doors import Scaled, Tripled

N, D = 4, 6
Move = Callable[["Random", Tensor], Tensor]
EXAMPLES = int(os.environ.get("GNCOMPANION_EXAMPLES", "250"))  # thousands after a change of the recorder


class Random(nn.Module):
    """x (N, 3) -> a linear layer, the moves, a linear layer -> (N, 1); and what lies beside the way."""

    def __init__(self, moves: list[str], beside: bool) -> None:
        super().__init__()
        self.moves, self.beside = moves, beside
        self.first, self.middle, self.last = nn.Linear(3, D), nn.Linear(D, D), nn.Linear(D, 1)
        self.norm, self.gain = nn.BatchNorm1d(D), nn.Parameter(torch.zeros(D))
        self.bias = nn.Parameter(torch.zeros(D))  # only added, which autograd keeps no copy of
        self.register_buffer("shift", torch.zeros(D))
        self.register_buffer("noise", torch.zeros(N, D))
        self.random, self.kept = seeded(5), []
        for seed, tensor in enumerate((*self.double().parameters(), self.shift, self.noise)):
            nn.init.normal_(tensor, std=0.7, generator=seeded(seed))
        self.norm.eval()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, list[Tensor]]:
        h = self.first(x)
        self.kept, self.aside = [h * 1.0], [h * 2.0]
        for move in self.moves:
            h = MOVES[move](self, h)
        f = LAST.get(self.moves[-1], lambda f: f)(self.last(h))
        return f if not self.beside else (f, [*self.kept, *self.aside, self.middle(h).softmax(1), f * f])


def changed(h: Tensor, change: Callable[[], object]) -> Tensor:
    """h, after a change that autograd does not record."""
    with torch.no_grad():
        change()
    return h


def in_a_thread(h: Tensor, change: Callable[[], object]) -> Tensor:
    worker = threading.Thread(target=change)
    worker.start()
    worker.join()
    return h


def in_place_through_a_view(m: Random, h: Tensor) -> Tensor:
    h = m.middle(h)
    h.view(N, 2, -1)[:, 0].mul_(0.5)
    return h


def assigned(m: Random, h: Tensor) -> Tensor:
    h = h * 1.0
    h[:, 0] = m.gain[0]
    return h


def kept_aside(m: Random, h: Tensor, aside: Tensor) -> Tensor:
    m.aside.append(aside)
    return h


def redrawn(m: Random, h: Tensor) -> Tensor:
    h = h + m.noise
    m.noise.normal_(generator=m.random)
    return h


def redrawn_by_data(m: Random, h: Tensor) -> Tensor:
    m.noise.data.normal_(generator=m.random)
    return h - m.noise


def stepped(m: Random, h: Tensor) -> Tensor:
    h = h + m.bias
    return changed(h, lambda: m.bias.add_(0.3))


def stepped_by_data(m: Random, h: Tensor) -> Tensor:
    h = h + m.bias
    m.bias.data.mul_(1.3)
    return h


def replaced(m: Random, h: Tensor) -> Tensor:
    h = m.middle(h)
    m.middle.weight.data = m.middle.weight.data * 1.5
    return h


def by_an_array(m: Random, h: Tensor) -> Tensor:
    h = h + m.shift
    m.shift.numpy()[:] += 0.5
    return h


def hooked(m: Random, h: Tensor) -> Tensor:
    h = h * 1.0
    h.register_hook(lambda grad: 1.5 * grad)
    return h


def looked_at(m: Random, h: Tensor) -> Tensor:
    h = h * 1.0
    h.register_hook(lambda grad: None)
    return h


def node_hooked(m: Random, h: Tensor) -> Tensor:
    h = h * 1.0
    h.grad_fn.register_hook(lambda inputs, outputs: tuple(None if g is None else 1.5 * g for g in inputs))
    return h


MOVES: dict[str, Move] = {
    "linear": lambda m, h: m.middle(h),
    "linear by name": lambda m, h: F.linear(bias=m.bias, weight=m.middle.weight, input=h),
    "weight norm": lambda m, h: F.linear(h, m.middle.weight / m.middle.weight.norm()),
    "relu": lambda m, h: h.relu(),
    "leaky relu": lambda m, h: F.leaky_relu(h, 0.2),
    "relu in place": lambda m, h: (h * 1.0).relu_(),
    "leaky relu in place, and before": lambda m, h: (
        (z := m.middle(h)) * 0.0 + F.leaky_relu(z + 1.0, 0.2, True)
    ),
    "clamp": lambda m, h: h.clamp(-1.0, 1.5),
    "sorted": lambda m, h: h.view(N, 3, 2).sort(2).values.flatten(1),
    "maximum": lambda m, h: torch.maximum(h, m.middle(h)),
    "where": lambda m, h: torch.where(h > 0, h, m.gain),
    "gain": lambda m, h: h * m.gain,
    "shift": lambda m, h: h - m.shift,
    "in place": lambda m, h: (h * 2.0).add_(m.gain).mul_(0.7),
    "batch norm": lambda m, h: m.norm(h),
    "a zero with a slope": lambda m, h: torch.maximum(z := h - h.detach(), 0.2 * z) + h,
    "at the kinks": lambda m, h: (z := h - h.detach()).relu() + F.leaky_relu(z, 0.3) + z.clamp(0, 1) + h,
    "ties": lambda m, h: torch.stack([z := h - h.detach(), 2 * z, m.gain * z], 1).amax(1) + h,
    "ties in choices": lambda m, h: (
        torch.stack([z := h - h.detach(), 2 * z], 1).max(1).values + h.min(1, True)[0]
    ),
    "greatest": lambda m, h: torch.cat(
        [h.topk(4, 1).values, h.view(N, 3, 2).amin((1, 2))[:, None], h[:, :1]], 1
    ),
    "dropout": lambda m, h: F.dropout(h, 0.3),
    "dropout in place": lambda m, h: F.dropout(h * 1.0, 0.3, inplace=True),
    "channels dropped": lambda m, h: F.dropout2d(h.view(N, 3, 2, 1), 0.4).flatten(1),
    "alpha dropout": lambda m, h: F.alpha_dropout(h, 0.3, training=True),
    "random relu": lambda m, h: F.rrelu(h, training=True),
    "folded": lambda m, h: F.linear(h.view(3 * N, 2), m.middle.weight[:2, :2], m.bias[:2]).relu().view(N, D),
    "folded, and a constant": lambda m, h: (h.reshape(2 * N, 3) - m.shift[:3] * m.gain[:3]).view(N, D),
    "expanded": lambda m, h: h[:, :1].expand(-1, D).relu(),
    "moved about": lambda m, h: h.flip(1).roll(1, 1).cumsum(1).repeat(1, 2)[:, ::2],
    "einsum": lambda m, h: torch.einsum("nd,ed->ne", h, m.middle.weight),
    "masked": lambda m, h: h.masked_fill(h < 0, 0.3),
    "convolved": lambda m, h: F.conv1d(h[:, None], m.middle.weight[:2, None, :3], m.bias[:2], padding=1).mean(
        1
    ),
    "weight replaced": replaced,
    "cat": lambda m, h: torch.cat([h[:, :2], h[:, 2:] * m.gain[2:]], 1),
    "permuted": lambda m, h: h.view(N, 2, 3).transpose(1, 2).reshape(N, D),
    "pooled": lambda m, h: F.max_pool1d(h[:, None], 2).squeeze(1).repeat(1, 2),
    "kept": lambda m, h: changed(h, lambda: m.kept.append(h)),
    "skip": lambda m, h: h + m.kept[-1],
    "skip by relu": lambda m, h: h.relu() - m.kept[-1].relu(),
    "detached": lambda m, h: h + 0.3 * h.detach(),
    "gated by itself": lambda m, h: h * (h.detach() > 0),
    "quietly": lambda m, h: changed(h, lambda: h.sum().item()) + 1.0,
    "read by data": lambda m, h: h + float(h.data.mean()),
    "smooth": lambda m, h: F.softplus(h),
    "square": lambda m, h: h * h.abs(),
    "custom": lambda m, h: Tripled.apply(h),
    "custom in place": lambda m, h: Scaled.apply(m.middle(h)),
    "view in place": in_place_through_a_view,
    "assigned": assigned,
    "changed quietly": lambda m, h: changed(z := h + 1.0, lambda: z.mul_(0.5)),
    "changed by data": lambda m, h: changed(z := h + 1.0, lambda: z.data.mul_(0.5)),
    "changed by an array": lambda m, h: changed(z := h + 1.0, lambda: z.detach().numpy().__imul__(0.5)),
    "changed in a thread": lambda m, h: in_a_thread(z := h + 1.0, lambda: z.detach().mul_(0.5)),
    "noise redrawn": redrawn,
    "noise redrawn by data": redrawn_by_data,
    "bias stepped": stepped,
    "bias stepped by data": stepped_by_data,
    "shift moved": lambda m, h: changed(h + m.shift, lambda: m.shift.lerp_(h.detach().mean(0), 0.5)),
    "shift by an array": by_an_array,
    "shift in a thread": lambda m, h: in_a_thread(h + m.shift, lambda: m.shift.add_(0.5)),
    "aside": lambda m, h: kept_aside(m, h, F.softplus(m.middle(h))),
    "aside, its own noise": lambda m, h: kept_aside(m, h, F.rrelu(h - m.noise, training=True).exp()),
    "aside, in place": lambda m, h: kept_aside(m, h, (h * 1.0).sigmoid_()),
    "aside, through the way": lambda m, h: kept_aside(m, h, h.view(N, 2, 3)[:, 0].tanh()),
    "back from aside": lambda m, h: h + m.aside[-1].flatten(1).mean(1, True),
    "back from aside, detached": lambda m, h: h + m.aside[-1].detach().flatten(1).mean(1, True),
    "smooth in place": lambda m, h: (h * 1.0).tanh_(),
    "hook": hooked,
    "hook that looks": looked_at,
    "hook on a node": node_hooked,
}
LAST: dict[str, Callable[[Tensor], Tensor]] = {  # what then also happens to the value itself
    "custom in place": lambda f: Scaled.apply(f),
    "changed quietly": lambda f: changed(f, lambda: f.mul_(0.5)),
    "changed by data": lambda f: changed(f, lambda: f.data.mul_(0.5)),
    "in place": lambda f: f.mul_(0.5),
}


def weight_gradients(moves: list[str], method: str, beside: bool) -> list[Tensor]:
    critic, total = Random(moves, beside), torch.zeros((), dtype=torch.float64)
    torch.manual_seed(3)  # some moves draw
    for seed in (1, 2):
        x = normal(N, 3, seed=seed)
        f, g, *aux = value_and_input_gradient(critic, x, method=method, has_aux=beside)
        n = gradient_norm(f, g)
        total = total + (f / (n + f.abs() + 0.1)).sum() + 0.1 * (n - 1).square().sum()
        total = total + sum((h - 0.3).square().sum() for h in tensors_in(aux))
    weights = list(critic.parameters())
    return list(torch.autograd.grad(total, weights, allow_unused=True, materialize_grads=True))


def outcome(moves: list[str], beside: bool) -> str:
    """How "auto" went against double backpropagation: "fast", "twice", "not compared" or what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            oracle = weight_gradients(moves, "autograd", beside)
            state = torch.get_rng_state()
        except (RuntimeError, ValueError):
            return "not compared"
        try:
            found = weight_gradients(moves, "auto", beside)
        except (RuntimeError, ValueError) as error:
            return f"loud: {error}"
        if not torch.equal(state, torch.get_rng_state()):
            return "wrong: it drew another number of times"
        scale = max(1.0, *(float(grad.abs().max()) for grad in oracle))
        error = max(float((a - b).abs().max()) for a, b in zip(found, oracle, strict=True))
        if not error <= 1e-10 * scale:  # some hundred roundings of 1e-16, through at most eight layers
            return f"wrong by {error / scale:.1e}"
        why = unsupported_reason(Random(moves, beside), normal(N, 3, seed=1), has_aux=beside)
        return f"{'twice' if why else 'fast'}{', beside' * beside}"


FINE = ("fast", "twice", "fast, beside", "twice, beside", "not compared")
LISTS = st.lists(st.sampled_from(sorted(MOVES)), min_size=1, max_size=7)


def test_whatever_a_critic_does_its_gradient_is_right() -> None:
    counts: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(LISTS, st.booleans())
    def check(moves: list[str], beside: bool) -> None:
        found = outcome(moves, beside)
        counts[found] += 1
        assert found in FINE, (moves, beside)

    check()
    print(dict(counts))
    assert all(counts[way] >= EXAMPLES / 20 for way in FINE[:4])  # it tells something of each


@pytest.mark.parametrize("move", sorted(MOVES))
def test_each_move_by_itself(move: str) -> None:
    for moves in ([move], ["linear", move, "relu"], ["relu", "linear", move]):
        assert all(outcome(moves, beside) in FINE for beside in (False, True))
