"""Each recipe of the page is run, and ends in the weights of the same loop by double backpropagation."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import cross_entropy, softplus

from gncompanion import GradientNorm
from gncompanion.constraints.consistency import flip_and_translate
from gncompanion.input_gradient import Unsupported
from tests.docs.recipes import PAGE, RECIPES, by_hand, normalized, norms, run, weights, world
from tests.helpers.draws import seeded

EXACT = {"rtol": 1e-10, "atol": 1e-12}  # float64: a few steps of some thousand roundings of 2e-16
RUN = {
    "Gradient normalization",
    "WGAN-GP",
    "R1 and R2 with the relativistic loss",
    "Lazy R1, every 16 steps",
    "Gradient normalization with consistency regularization",
    "A conditional critic",
    "A critic that returns more than its value",
    "Mixed precision",
    "DistributedDataParallel",
    "FSDP",
    "Gradient accumulation",
    "Averaged generator",
}


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """What recipes draw is float64 too, and the global generator is given back."""
    with torch.random.fork_rng(devices=[]):
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(torch.float32)


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    return (1 - real).clamp_min(0).mean() + (1 + fake).clamp_min(0).mean()


def gn_loss(critic: nn.Module, real: Tensor, fake: Tensor, step: int = 0) -> Tensor:
    return hinge(normalized(critic, real), normalized(critic, fake))


def same(found: dict[str, Any], expected: dict[str, Any], player: str = "critic") -> None:
    assert not torch.equal(weights(found, player), weights(world(), player)), "it has not learned"
    torch.testing.assert_close(weights(found, player), weights(expected, player), **EXACT)


def test_every_recipe_is_tested_and_short() -> None:
    assert RECIPES.keys() == RUN | {"Lightning"} and PAGE.count("```python") == len(RECIPES)
    for title, code in RECIPES.items():
        assert len([line for line in code.splitlines() if line.strip()]) <= (
            19 if title == "Lightning" else 14
        )


def test_gradient_normalization() -> None:
    found = run("Gradient normalization")
    expected = by_hand(gn_loss, lambda critic, real, fake: -normalized(critic, fake).mean())
    same(found, expected), same(found, expected, "generator")
    assert all(parameter.requires_grad for parameter in found["critic"].parameters())


def test_wgan_gp() -> None:
    def loss(critic: nn.Module, real: Tensor, fake: Tensor, step: int) -> Tensor:
        epsilon = torch.rand(len(real))[:, None, None, None]
        _, n = norms(critic, epsilon * real + (1 - epsilon) * fake)
        return critic(fake).mean() - critic(real).mean() + 10 * (n - 1).square().mean()

    same(run("WGAN-GP"), by_hand(loss))


def zero_centered(critic: nn.Module, x: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    f, n = norms(critic, x)
    return f, gamma / 2 * n.square().mean()


def test_r1_and_r2() -> None:
    def loss(critic: nn.Module, real: Tensor, fake: Tensor, step: int) -> Tensor:
        (f_real, r1), (f_fake, r2) = zero_centered(critic, real, 10), zero_centered(critic, fake, 10)
        return softplus(-(f_real - f_fake)).mean() + r1 + r2

    found = run("R1 and R2 with the relativistic loss")
    expected = by_hand(loss, lambda critic, real, fake: softplus(-(critic(fake) - critic(real))).mean())
    same(found, expected), same(found, expected, "generator")


def test_lazy_r1() -> None:
    def loss(critic: nn.Module, real: Tensor, fake: Tensor, step: int) -> Tensor:
        f_real, r1 = zero_centered(critic, real, 160)
        return softplus(-f_real).mean() + softplus(critic(fake)).mean() + (r1 if step in (0, 16) else 0)

    same(run("Lazy R1, every 16 steps", batches=18), by_hand(loss, batches=18))


def test_consistency_regularization() -> None:
    random = seeded()

    def loss(critic: nn.Module, real: Tensor, fake: Tensor, step: int) -> Tensor:
        moved = normalized(critic, flip_and_translate(real, 0.2, random))
        return gn_loss(critic, real, fake) + 5 * (normalized(critic, real) - moved).square().mean()

    same(run("Gradient normalization with consistency regularization"), by_hand(loss))


def test_a_conditional_critic() -> None:
    labels = [y for _, y in world(n_classes=3)["labelled_batches"]]

    def loss(critic: nn.Module, real: Tensor, fake: Tensor, step: int) -> Tensor:
        return hinge(*(normalized(critic, x, labels[step]) for x in (real, fake)))

    found = run("A conditional critic", n_classes=3)
    torch.testing.assert_close(weights(found), weights(by_hand(loss, n_classes=3)), **EXACT)
    _, n = norms(found["critic"], found["real"], found["y"])
    torch.testing.assert_close(found["r1"], 5 * n.square().mean(), **EXACT)


def test_a_critic_that_returns_more_than_its_value() -> None:
    options = {"n_classes": 3, "beside": True}
    labels = [y for _, y in world(**options)["labelled_batches"]]

    def d_loss(critic: nn.Module, real: Tensor, fake: Tensor, step: int) -> Tensor:
        f_real, f_fake = (normalized(lambda x: critic(x)[0], x) for x in (real, fake))
        return hinge(f_real, f_fake) + cross_entropy(critic(real)[1][1], labels[step])

    def g_loss(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        matched = critic(fake)[1][0].mean(0) - critic(real)[1][0].mean(0)
        return matched.square().sum() - normalized(lambda x: critic(x)[0], fake).mean()

    found = run("A critic that returns more than its value", **options)
    expected = by_hand(d_loss, g_loss, **options)
    for player in ("critic", "generator"):
        assert not torch.equal(weights(found, player), weights(world(**options), player))
        torch.testing.assert_close(weights(found, player), weights(expected, player), **EXACT)


def test_mixed_precision() -> None:
    torch.set_default_dtype(torch.float32)
    once = {"dtype": torch.float32, "batches": 1}
    found, expected, start = run("Mixed precision", **once), by_hand(gn_loss, **once), weights(world(**once))
    way, exact = weights(found) - start, weights(expected) - start
    assert way.dtype == torch.float32
    # bfloat16 rounds to 4e-3, a few times in a row; more than float32's 6e-8 shows that it was used
    assert 1e-4 < (way - exact).norm() / exact.norm() < 5e-2


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What torchrun would set."""
    for name, value in (
        ("RANK", "0"),
        ("WORLD_SIZE", "1"),
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", "0"),
    ):
        monkeypatch.setenv(name, value)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_distributed_data_parallel() -> None:
    same(run("DistributedDataParallel"), by_hand(gn_loss))


@pytest.mark.usefixtures("one_process")
def test_fully_sharded() -> None:
    same(run("FSDP"), by_hand(gn_loss))


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("method", ["auto", "linear", "autograd"])
def test_a_critic_sharded_inside_raises_as_the_page_says(method: str) -> None:
    """FSDP gives the weights back after the forward, and the gradient still needs them."""
    dist.init_process_group("gloo")
    critic = fully_shard(world()["critic"], mesh=init_device_mesh("cpu", (1,)))
    with pytest.raises((RuntimeError, Unsupported)):
        GradientNorm(critic, method=method)(torch.ones(2, 1, 8, 8)).sum().backward()


def test_gradient_accumulation() -> None:
    found, start = run("Gradient accumulation"), world()
    torch.manual_seed(1)
    fake = [start["generator"](torch.randn(6, 128)) for _ in range(4)]
    loss = gn_loss(start["critic"], torch.cat(start["batches"]), torch.cat(fake).detach())
    loss.backward(), start["d_optimizer"].step()
    same(found, start)
    assert all(not p.grad.any() if p.grad is not None else True for p in found["critic"].parameters())


def test_the_averaged_generator() -> None:
    found, names = run("Averaged generator"), world()
    torch.manual_seed(1)
    average = copy.deepcopy(names["generator"])
    for step, real in enumerate(names["batches"]):
        loss = -normalized(names["critic"], names["generator"](torch.randn(len(real), 128))).mean()
        names["g_optimizer"].zero_grad(), loss.backward(), names["g_optimizer"].step()
        with torch.no_grad():
            for mean, new in zip(average.parameters(), names["generator"].parameters(), strict=True):
                mean.copy_(new if step == 0 else 0.999 * mean + 0.001 * new)
    same(found, names, "generator")
    expected = torch.cat([weight.flatten() for weight in average.parameters()])
    torch.testing.assert_close(
        torch.cat([w.flatten() for w in found["average"].module.parameters()]), expected
    )
    assert found["samples"].shape == (8, 1, 8, 8)


def test_lightnings_recipe_is_python() -> None:
    compile(RECIPES["Lightning"], "Lightning", "exec")


def test_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")
    torch.set_default_dtype(torch.float32)
    names = run("Lightning", dtype=torch.float32)
    module = names["GNGAN"](names["critic"], names["generator"])
    before = weights(names), weights(names, "generator")
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", default_root_dir=tmp_path, **quiet)
    trainer.fit(module, torch.utils.data.DataLoader(torch.stack(names["batches"]), batch_size=None))
    for old, player in zip(before, ("critic", "generator"), strict=True):
        assert not torch.equal(old, weights(names, player)) and weights(names, player).isfinite().all()
