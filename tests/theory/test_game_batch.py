"""Games in a batch train as the package's own training does, each as it would alone."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from gncompanion.constraints import build
from gncompanion.data import load
from gncompanion.models import MLPGenerator
from gncompanion.theory.critic_batch import values_and_gradients
from gncompanion.theory.game_batch import Game, GameBatch, Sizes
from gncompanion.theory.game_scores import SCORES, STEPS_BETWEEN
from gncompanion.training import LOSSES, Networks, Schedule, Training

SIZES = Sizes(width=8, depth=2, z_dim=3, batch=16, rate=1e-3)
RING = load("ring")


def batch(*games: Game, **options: object) -> GameBatch:
    return GameBatch(games, RING, SIZES, **options)


def alone(game: Game, steps: int) -> tuple[Tensor, Tensor]:
    """Train one game by `Training`, from the weights of the batch; return both networks' numbers."""
    games = batch(game)
    critic = games.shape.critic(games.critics[0].detach().clone())
    generator = MLPGenerator(3, 2, width=8, depth=2)
    vector_to_parameters(games.generators[0].detach().clone(), generator.parameters())
    name, options = (SCORES | STEPS_BETWEEN)[game.score]
    rule = build(name, **options)
    rates = {"lr_critic": 1e-3, "lr_generator": 1e-3, "ema_decay": None}
    schedule = Schedule(steps=steps, batch_critic=16, batch_generator=16, **rates)
    Training(Networks(generator, critic, rule, LOSSES[game.loss]), RING, schedule, seed=0).run()
    return tuple(parameters_to_vector(m.parameters()).detach() for m in (critic, generator))


@pytest.mark.parametrize("score", [*SCORES, *STEPS_BETWEEN])
def test_it_trains_as_training_does(score: str) -> None:
    for loss in ("hinge", "wasserstein"):
        game = Game(score, loss=loss, seed=3)
        games = batch(Game("GN", seed=3), game)  # the other one must not matter
        games.play(3)
        for found, expected in zip((games.critics[1], games.generators[1]), alone(game, 3), strict=True):
            torch.testing.assert_close(found.detach(), expected, rtol=1e-4, atol=1e-5)  # float32


def test_biases_start_and_learn_as_they_should() -> None:
    games = batch(*(Game("D/n", biases=kind) for kind in ("none", "zero", "random", "frozen")))
    first = games.critics.detach().clone()
    games.play(2)
    for row, (starts, learns) in enumerate([(False, False), (False, True), (True, True), (True, False)]):
        for (_, old), (_, new) in zip(*map(games.shape.layers, (first, games.critics.detach())), strict=True):
            assert old[row].any() == starts
            assert torch.equal(old[row], new[row]) != learns


def test_zero_biases_of_the_inner_product_are_no_biases() -> None:
    games = batch(Game("inner", biases="none"), Game("inner", biases="zero"), Game("inner"))
    games.play(5)
    assert torch.equal(games.critics[0], games.critics[1])
    assert not torch.equal(games.critics[0], games.critics[2])


def test_putting_the_scale_back_changes_no_distance() -> None:
    games, x = batch(Game("GN", reset=True), Game("GN")), torch.randn(2, 50, 2)
    with torch.no_grad():
        games.critics *= 1.7  # another scale for every layer, and other pieces
        before = values_and_gradients(games.shape, games.critics, x)
        games._reset_scale()
        after = values_and_gradients(games.shape, games.critics, x)
    distance, again = (f / g.norm(dim=2) for f, g in (before, after))
    torch.testing.assert_close(again, distance, rtol=1e-4, atol=1e-5)
    assert torch.equal(before[0][1], after[0][1]) and not torch.allclose(before[0][0], after[0][0])
    now = games._layer_norms()
    for norm, first in zip(now, games._first, strict=True):
        torch.testing.assert_close(norm[0], first[0])
        assert not torch.isclose(norm[1], first[1])


def test_coordinates_move_what_the_critic_sees_and_nothing_else() -> None:
    games = batch(Game("inner"), Game("inner", scale=0.5, shift=(4.0, 1.0)))
    x = torch.randn(2, 5, 2)
    torch.testing.assert_close(games.moved(x)[1], 0.5 * x[1] + torch.tensor([4.0, 1.0]))
    assert torch.equal(*games.sample(7))


def test_a_batch_goes_on_from_another() -> None:
    trained = batch(Game("GN", seed=1), Game("GN", seed=0))
    trained.play(2)
    kept, fresh = (batch(Game("inner", seed=0), start=trained, keep_critics=k) for k in (True, False))
    assert torch.equal(kept.generators[0], trained.generators[1])
    assert torch.equal(kept.critics[0], trained.critics[1])
    assert torch.equal(fresh.critics[0], batch(Game("inner", seed=0)).critics[0])
    kept.play(1)
    assert not torch.equal(kept.generators[0], trained.generators[1])


def test_a_look_at_a_critic_by_hand() -> None:
    games = batch(Game("inner", biases="none"))
    with torch.no_grad():  # D(x) = ⟨(3, 0), x⟩ on the right half plane, 0 on the left
        games.critics.zero_()
        for weight, _ in games.shape.layers(games.critics):
            weight[0, 0, 0] = 1.0
        games.shape.layers(games.critics)[0][0][0, 0, 0] = 3.0
        games.generators.zero_()
        games.generators[0, -2:] = torch.tensor(
            [0.0, 2.0]
        )  # all samples at (0, 2): x ⟂ ∇D, and on the border
        look = games.look(torch.tensor([[4.0, 0.0], [0.0, 4.0]]))
    assert look.norm.item() == 0.5
    assert look.cos_real.item() == 0.5 and look.cos_fake.item() == 0
    assert look.value.item() == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    "bad", [{"score": "outer"}, {"score": "GN", "biases": "some"}, {"score": "GN", "loss": "bce"}]
)
def test_an_unknown_name_is_refused(bad: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="unknown"):
        Game(**bad)


def test_each_seed_has_its_own_data_and_equal_seeds_the_same() -> None:
    games = batch(*(Game(s, seed=k) for s, k in product(("GN", "D/n"), (0, 1))))
    real = games._real(4)
    assert torch.equal(real[0], real[2]) and not torch.equal(real[0], real[1])
