"""Each defence of the recorder, taken away: critics at random notice."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gncompanion.input_gradient import rules, tape
from gncompanion.input_gradient.calls import Call, Replay
from gncompanion.input_gradient.recorder import Recorder
from tests.input_gradient.test_any_critic import test_whatever_a_critic_does_its_gradient_is_right as attack


def no_copies(patch: pytest.MonkeyPatch) -> None:
    save = tape.Tape.save
    patch.setattr(tape.Tape, "save", lambda self, tensor, *, private: save(self, tensor, private=True))


def no_guard_of_memory(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Recorder, "_holds", lambda self, tensor: False)


def gates_left_open(patch: pytest.MonkeyPatch) -> None:
    def rule(call: Call) -> Replay:
        return Replay(lambda a, u: u, (call.args[0],))

    patch.setitem(rules.RULES, Tensor.relu, rule)


def ties_to_the_first(patch: pytest.MonkeyPatch) -> None:
    def rule(call: Call) -> Replay:
        first = torch.maximum(*call.args) == call.args[0]
        return Replay(lambda a, x, y, first: torch.where(first, x, y), (*call.args, first))

    patch.setitem(rules.RULES, torch.maximum, rule)


def rows_of_the_first(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("gncompanion.input_gradient.linear_maps.per_row", lambda a, like: a.reshape(-1)[:1])
    patch.setattr("gncompanion.input_gradient.calls.per_row", lambda a, like: a.reshape(-1)[:1])


def changes_forgiven(patch: pytest.MonkeyPatch) -> None:
    for module in ("recorder", "stand_ins", "tracked"):
        patch.setattr(f"gncompanion.input_gradient.{module}.version", lambda tensor: 0)


MUTATIONS = [
    no_copies,
    no_guard_of_memory,
    gates_left_open,
    changes_forgiven,
    ties_to_the_first,
    rows_of_the_first,
]


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_defence_taken_away_is_noticed(
    mutation: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutation(monkeypatch)
    with pytest.raises(AssertionError):
        attack()
