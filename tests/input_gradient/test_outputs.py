"""Critics that return more than their value: every gradient is that of double backpropagation."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gncompanion import GradientNorm, divergence_penalty, gradient_penalty, r1_penalty, r2_penalty
from gncompanion.constraints.gradient_norm import FORMULAS
from gncompanion.input_gradient import unsupported_reason, value_and_input_gradient
from tests.helpers.double_backpropagation import largest_error
from tests.helpers.draws import normal, seeded

N = 5
LABELS = torch.tensor([0, 2, 1, 1, 0])
TARGET = normal(12, seed=8)


class Judge(nn.Module):
    """(N, 1, 8, 8) -> a value, the features of two layers, and the logits of three classes, as one likes."""

    def __init__(self, returned: Callable[..., Any], act: nn.Module) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 4, 2, 1), nn.Conv2d(6, 12, 4, 2, 1)
        self.act, self.returned = act, returned
        self.value, self.classes = nn.Linear(48, 1), nn.Linear(48, 3)
        for seed, parameter in enumerate(self.double().parameters()):
            nn.init.normal_(parameter, std=0.3, generator=seeded(seed))

    def forward(self, x: Tensor) -> Any:
        low = self.act(self.first(x))
        high = self.act(self.second(low))
        h = high.flatten(1)
        return self.returned(self.value(h), low, high, self.classes(h))


def matched(*features: Tensor) -> Tensor:
    """Feature matching: the channels' means against a target's."""
    return sum((h.mean((0, 2, 3)) - TARGET[: h.shape[1]]).square().sum() for h in features)


def classified(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, LABELS)


# What the critic returns; how it is declared; what is done with the rest.
RETURNED: dict[str, tuple[Callable[..., Any], Any, Callable[[Any], Tensor]]] = {
    "features": (lambda f, low, high, logits: (f, [low, high]), True, lambda aux: matched(*aux)),
    "logits": (lambda f, low, high, logits: (f, logits), True, classified),
    "a list": (
        lambda f, low, high, logits: [f, high, logits],
        True,
        lambda aux: matched(aux[0]) + classified(aux[1]),
    ),
    "a dictionary": (
        lambda f, low, high, logits: {"h": high, "score": f, "p": logits.softmax(1)},
        "score",
        lambda aux: matched(aux["h"]) - aux["p"].log()[torch.arange(N), LABELS].mean(),
    ),
    "nothing that learns": (lambda f, low, high, logits: (f, {"n": 3}), True, lambda aux: torch.zeros(())),
    "the value, too": (lambda f, low, high, logits: (f, f), True, lambda aux: aux.square().sum()),
}
ACTIVATIONS = {"fast": nn.LeakyReLU(0.2), "in place": nn.ReLU(inplace=True), "twice": nn.ELU()}


def by_hand(critic: Judge, x: Tensor, has_aux: Any) -> tuple[Tensor, Tensor, Any]:
    """The oracle: f and g as one writes them, and the rest picked out by hand."""
    out = critic(x)
    f = out[has_aux] if isinstance(has_aux, str) else out[0]
    rest = {k: v for k, v in out.items() if k != has_aux} if isinstance(has_aux, str) else out[1:]
    (g,) = torch.autograd.grad(f.sum(), x, create_graph=True)
    return f, g, rest[0] if isinstance(rest, tuple | list) and len(rest) == 1 else rest


def gradients(critic: Judge, loss: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    source = normal(N, 1, 8, 8, seed=3).requires_grad_()
    wanted = {"x": source, **dict(critic.named_parameters())}
    found = torch.autograd.grad(
        loss(source * 1.0), list(wanted.values()), allow_unused=True, materialize_grads=True
    )
    return dict(zip(wanted, found, strict=True))


def error(critic: Judge, has_aux: Any, total: Callable[[Tensor, Tensor, Any], Tensor]) -> float:
    """By how much the largest gradient of a loss of (f, g, aux) differs from the oracle's."""
    expected = gradients(critic, lambda x: total(*by_hand(critic, x, has_aux)))
    found = gradients(critic, lambda x: total(*value_and_input_gradient(critic, x, has_aux=has_aux)))
    return largest_error(found, expected)


@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("name", RETURNED)
def test_all_gradients_are_those_of_double_backpropagation(name: str, act: str) -> None:
    returned, has_aux, loss = RETURNED[name]
    critic = Judge(returned, ACTIVATIONS[act])

    def total(f: Tensor, g: Tensor, aux: Any) -> Tensor:
        return FORMULAS["gn"](f, g).sum() + loss(aux)

    assert error(critic, has_aux, total) <= 1e-12  # float64: some thousand roundings of 2e-16
    expected = gradients(critic, lambda x: total(*by_hand(critic, x, has_aux)))
    score = GradientNorm(critic, has_aux=has_aux)
    wrapped = gradients(critic, lambda x: (lambda f, aux: f.sum() + loss(aux))(*score(x)))
    assert largest_error(wrapped, expected) <= 1e-12
    why = unsupported_reason(critic, normal(N, 1, 8, 8), has_aux=has_aux)
    assert (why is None) == (act != "twice")


def test_what_lies_aside_may_be_smooth_and_what_comes_back_may_not() -> None:
    class Back(Judge):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            f, logits = super().forward(x)
            return f + logits.softmax(1)[:, :1], logits

    critic = Back(lambda f, low, high, logits: (f, logits), nn.ReLU())
    x = normal(N, 1, 8, 8)
    assert "softmax" in (unsupported_reason(critic, x, has_aux=True) or "")
    assert error(critic, True, lambda f, g, y: (f * g.sum()).sum() + y.exp().sum()) <= 1e-12


@pytest.mark.parametrize("due", [True, False])
@pytest.mark.parametrize("penalty", [r1_penalty, r2_penalty, gradient_penalty, divergence_penalty])
def test_penalties_give_back_the_rest(penalty: Callable[..., Any], due: bool) -> None:
    returned, has_aux, loss = RETURNED["a dictionary"]
    critic = Judge(returned, nn.LeakyReLU(0.2))
    alone = Judge(lambda f, *rest: f, nn.LeakyReLU(0.2))
    x = normal(N, 1, 8, 8, seed=3)
    f, value, aux = penalty(critic, x, due=due, has_aux=has_aux)
    assert [*map(torch.equal, (f, value), penalty(alone, x, due=due))] == [True, True]
    assert torch.equal(loss(aux), loss(critic(x)))
    (f.sum() + value + loss(aux)).backward()
    assert all(p.grad is not None for p in critic.parameters())


def test_without_gradients_nothing_has_a_graph() -> None:
    critic = Judge(RETURNED["features"][0], nn.ReLU())
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            f, g, features = value_and_input_gradient(critic, normal(N, 1, 8, 8), has_aux=True)
        assert not any(t.requires_grad for t in (f, g, *features))


def test_a_hook_on_what_lies_aside_is_respected_and_changes_nothing_else() -> None:
    class Hooked(Judge):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            f, logits = super().forward(x)
            logits.register_hook(lambda grad: 2 * grad)
            return f, logits

    critic = Hooked(RETURNED["logits"][0], nn.ReLU())
    assert unsupported_reason(critic, normal(N, 1, 8, 8), has_aux=True) is None
    assert error(critic, True, lambda f, g, y: (f * g.sum()).sum() + y.exp().sum()) <= 1e-12


@pytest.mark.parametrize(
    ("out", "has_aux", "message"),
    [
        ((1, 2), False, "must return one tensor, not tuple: has_aux=True takes"),
        ({"score": 1}, False, "must return one tensor, not dict: has_aux says .* such as has_aux='score'"),
        ({"score": 1}, True, r"needs a critic that returns \(value, anything else\), not dict: has_aux says"),
        (torch.ones(N), True, r"has_aux=True needs a critic that returns \(value, anything else\), not Te"),
        (torch.ones(N), "score", "has_aux='score' needs a critic that returns a dictionary, not Tensor"),
        ({"value": 1, "h": 2}, "valu", "dictionary has no 'valu', did you mean 'value'"),
        (
            (torch.ones(N, 3), 1),
            True,
            r"must give one value per sample, \(5,\) or \(5, 1\); it gave \(5, 3\)",
        ),
        (([torch.ones(N)], 1), True, "the critic's value must be a tensor, not list"),
        ((torch.ones(N), 1), 1, "has_aux=1 must be False, True, or the name of the value"),
        ((torch.ones(N), 1), "", "has_aux='' must be False, True, or the name of the value"),
    ],
)
def test_what_does_not_fit_is_refused(out: Any, has_aux: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        value_and_input_gradient(lambda x: out, torch.ones(N, 2), has_aux=has_aux)
