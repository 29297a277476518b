"""Many GANs at once: each run's critic loss is that of the package's constraints, and runs do not meet."""

import pytest
import torch

from gncompanion import constraints, data, models
from gncompanion.constraints import Score
from gncompanion.constraints.sampling import SAMPLINGS
from gncompanion.theory import many_gans
from gncompanion.theory.many_gans import CriticRule, Games, Layers, train_games

SIDES = 2 * torch.randn(2, 3, 40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
RULES = {
    "none": (CriticRule("none"), "none", {}),
    "gp": (CriticRule("gp", 10.0, at="both"), "gp", {"at": "both"}),
    "gp-one-sided": (
        CriticRule("gp-one-sided", 3.0, at="fake"),
        "gp-one-sided",
        {"weight": 3.0, "at": "fake"},
    ),
    "wgan-div": (CriticRule("wgan-div", 2.0, at="real"), "wgan-div", {"at": "real"}),
    "gn": (CriticRule("gn"), "gn", {}),
    "sn": (CriticRule("sn"), "sn", {"n_iterations": 400}),
    "sn-regularization": (
        CriticRule("sn-regularization", 0.5),
        "sn-regularization",
        {"weight": 0.5, "n_iterations": 40},
    ),
}


def critics() -> list[models.MLPCritic]:
    made = []
    for seed in range(3):
        random = torch.Generator().manual_seed(seed)
        made.append(models.MLPCritic(2, width=16, depth=3, generator=random).double())
        for parameter in made[-1].parameters():
            parameter.data *= 3  # so steep that one-sided penalties have something to do
    return made


@pytest.mark.parametrize("name", RULES)
def test_losses_are_the_package_s(name: str) -> None:
    rule, constraint, options = RULES[name]
    stacked, random = Layers(critics()), torch.Generator().manual_seed(0)
    for _ in range(400 if rule.kind.startswith("sn") else 0):  # power iteration to its end
        stacked.norms()
    found = many_gans.critic_losses(stacked, rule, *SIDES, random)
    for critic, real, fake, loss in zip(critics(), *SIDES, found, strict=True):
        built = constraints.build(constraint, **options)
        built.prepare(critic)
        score = Score(built, critic.eval())
        expected = score(fake).mean() - score(real).mean()
        expected = expected + built.penalty(score, real, fake, generator=torch.Generator())
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("name", SAMPLINGS)
def test_points_are_drawn_as_the_package_draws_them(name: str) -> None:
    random = torch.Generator().manual_seed(1)
    real, fake = torch.randn(2, 4, 20_000, 2, generator=random)
    real += torch.tensor([3.0, 0.0])
    points = many_gans.looked_at(real, fake, name, random)
    drawn = SAMPLINGS[name](real[0], fake[0], random)
    assert points.shape[1] == len(drawn)
    for ours in points:
        assert torch.allclose(ours.mean(0), drawn.mean(0), atol=0.06)  # five standard errors
        assert torch.allclose(ours.std(0), drawn.std(0), rtol=0.05)


def test_a_run_does_not_depend_on_the_others() -> None:
    loss = [
        many_gans.critic_losses(Layers(critics()[:n]), CriticRule("gn"), *SIDES[:, :n], torch.Generator())
        for n in (1, 3)
    ]
    assert loss[0][0].item() == pytest.approx(loss[1][0].item(), abs=1e-12)


def test_games_bring_the_distance_down() -> None:
    games = Games(data.load("ring"), CriticRule("gn"), [0, 1], n_dis=3, depth=3)
    found = train_games(games, [0, 80], n_samples=100)
    before, after = found["w1"]
    assert max(after) < 0.8 * min(before)


def test_clipped_weights_stay_within() -> None:
    games = Games(data.load("ring"), CriticRule("none", clip=0.01), [0, 1], width=8)
    assert abs(max(train_games(games, [3], n_samples=10)["reported"][0])) < 1e-3  # c⁴ leaves no slope


@pytest.mark.parametrize("looks", [[3, 1], [1, 1], [-1]])
def test_looks_rise(looks: list[int]) -> None:
    with pytest.raises(ValueError, match="rising numbers of steps"):
        train_games(Games(data.load("ring"), CriticRule("gn"), [0]), looks)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind='gradient' must be one of none, gp"):
        CriticRule("gradient")
