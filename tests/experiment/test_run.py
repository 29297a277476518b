"""A finished run: its score and its samples are those that were trained, and looking changes nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch

from gncompanion.experiment import Experiment, Run
from tests.helpers.experiments import DIGITS, RING, SHORT, same

pytestmark = pytest.mark.usefixtures("runs")


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Experiment(**DIGITS, constraint="gn").run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def ring_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    schedule = {**SHORT, "ema_decay": None}
    return Experiment(**{**RING, "schedule": schedule}).run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def conditional_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    network = {"network": "biggan", "network_options": {"n_classes": 10, "width": 2, "z_dim": 4}}
    short = {**SHORT, "steps": 1}
    return Experiment(**{**DIGITS, **network, "schedule": short}).run(tmp_path_factory.mktemp("run"))


class TestRun:
    def test_the_score_is_the_constraints(self, digits_run: Run) -> None:
        x = digits_run.real(6).requires_grad_()
        f = digits_run.critic(x)
        (g,) = torch.autograd.grad(f.sum(), x)
        n = g.flatten(1).norm(dim=1)
        # float32's rounding, once more on the way through the fast method
        torch.testing.assert_close(digits_run.score(x), f / (n + f.abs()), rtol=1e-5, atol=1e-6)
        assert not digits_run.critic.training

    def test_samples_can_be_drawn_again(self, digits_run: Run) -> None:
        x = digits_run.sample(5)
        assert x.shape == (5, 1, 8, 8)
        assert not x.requires_grad
        assert torch.equal(x, digits_run.sample(5))
        assert not torch.equal(x, digits_run.sample(5, seed=1))
        assert not torch.equal(x, digits_run.sample(5, average=True))

    def test_what_is_sampled(self, digits_run: Run) -> None:
        z = []
        generators = {False: digits_run._players.generator, True: digits_run._average}
        for average, generator in generators.items():
            hook = generator.register_forward_pre_hook(lambda _, args: z.append(args[0]))
            x = digits_run.sample(5, average=average)
            hook.remove()
            with torch.no_grad():
                assert torch.equal(x, generator.eval()(z[-1]))
                assert torch.equal(
                    digits_run.sample(5, average=average, training_mode=True), generator.train()(z[-1])
                )
        assert torch.equal(*z)

    @pytest.mark.parametrize("average", [False, True])
    @pytest.mark.parametrize("training_mode", [False, True])
    def test_sampling_changes_nothing(self, training_mode: bool, average: bool, tmp_path: Path) -> None:
        run = Experiment(**DIGITS).run(tmp_path)
        generator = run._average if average else run._players.generator
        modules = list(generator.modules())
        for k, module in enumerate(modules):
            module.training = k % 2 == 0
        before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
        one, two = (run.sample(16, average=average, training_mode=training_mode) for _ in range(2))
        assert torch.equal(one, two)
        assert same(before, generator.state_dict())
        assert [module.training for module in modules] == [k % 2 == 0 for k in range(len(modules))]

    def test_modes_come_back_after_an_error(self, digits_run: Run) -> None:
        def fail(*_: Any) -> None:
            raise KeyError

        generator = digits_run._players.generator.train()
        hook = generator.register_forward_pre_hook(fail)
        with pytest.raises(KeyError):
            digits_run.sample(3)
        hook.remove()
        assert all(module.training for module in generator.modules())

    def test_no_average_to_sample_from(self, ring_run: Run) -> None:
        with pytest.raises(ValueError, match="no averaged weights: its schedule has ema_decay=None"):
            ring_run.sample(3, average=True)

    def test_real_samples(self, ring_run: Run) -> None:
        x = ring_run.real(1000)
        assert x.shape == (1000, 2)
        assert torch.equal(x, ring_run.real(1000))
        assert not torch.equal(x, ring_run.real(1000, seed=1))
        # on the ring: σ = 0.02, and 6σ in two dimensions happen once in 10⁷
        assert (torch.cdist(x, ring_run.dataset.centers).min(1).values < 0.12).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 10]), r"labels lie in \[0, 10\], but must be from 0 to 9"),
        (torch.tensor([-1, 3]), r"labels lie in \[-1, 3\], but must be from 0 to 9"),
        (torch.tensor([0.0, 1.0]), r"labels must be integers of shape \(2,\), not torch\.float32 \(2,\)"),
        (torch.tensor([0, 1, 2]), r"labels must be integers of shape \(2,\), not torch\.int64 \(3,\)"),
    ],
    ids=str,
)
def test_labels_out_of_range_are_refused(labels: torch.Tensor, message: str, conditional_run: Run) -> None:
    with pytest.raises(ValueError, match=message):
        conditional_run.sample(2, y=labels)
    with pytest.raises(ValueError, match=message):
        conditional_run.score(conditional_run.real(2), labels)
