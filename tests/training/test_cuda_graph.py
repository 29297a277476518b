"""An iteration waits for no device; what a CUDA graph makes of it, with a stand-in and on a GPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gncompanion import constraints, data
from gncompanion.data import Images
from gncompanion.models import build
from gncompanion.training import LOSSES, WARM_UP, Captured, Networks, Schedule, Training, require_capturable
from gncompanion.training import cuda_graph as graph_capture
from gncompanion.training.distributed import Share

DIGITS = data.load("digits")
SMALL = {"steps": 8, "batch_critic": 6, "batch_generator": 5, "n_dis": 2, "log_every": 8}
WITHOUT_WAITING = [
    *("none", "clipping", "sn", "gp", "gp-one-sided", "wgan-div", "gn", "gn-0", "gn-1", "pgn"),
    *("inner-product", "cr", "gn+cr", "r1+r2"),
]


def training(constraint: str = "gn", *, device: str = "cpu", **settings: Any) -> Training:
    rule = constraints.build(constraint, shape=DIGITS.shape)
    weights = torch.Generator().manual_seed(0)
    generator, critic = build("dcgan", DIGITS.shape, generator=weights, width=2, z_dim=3)
    rule.prepare(critic)
    players = Networks(generator.to(device), critic.to(device), rule, LOSSES["hinge"])
    return Training(players, DIGITS, Schedule(**{**SMALL, **settings}), seed=3)


class NoWaiting(TorchDispatchMode):
    """Raises where the host would have to know what the device computes."""

    WAITING = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2", "is_nonzero")

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if (name := function.overloadpacket.__name__) in self.WAITING:
            raise AssertionError(f"the host waits for {name}")
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("constraint", WITHOUT_WAITING)
def test_an_iteration_waits_for_nothing(constraint: str, precision: str) -> None:
    run = training(constraint, precision=precision)
    with NoWaiting():
        for _ in range(2):
            run._iterate()


def test_waiting_is_noticed() -> None:
    with NoWaiting(), pytest.raises(AssertionError, match="the host waits for _local_scalar_dense"):
        torch.ones(2).sum().item()


def test_without_a_gpu_it_is_refused() -> None:
    message = "captured=True records CUDA graphs: it needs a GPU, not device 'cpu'"
    with pytest.raises(ValueError, match=message):
        training(captured=True).run()
    with pytest.raises(ValueError, match=message):
        Captured(lambda: torch.ones(1), torch.Generator())


def test_several_processes_are_refused() -> None:
    with pytest.raises(ValueError, match="captured=True is for one process, not 2: set captured=False"):
        require_capturable(torch.device("cuda"), processes=2)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """CUDA's part played on the CPU: what is called, in order."""
    events: list[str] = []

    @contextmanager
    def quietly(*_: Any, **__: Any) -> Iterator[None]:
        yield

    @contextmanager
    def recording(graph: Any, *, stream: Any) -> Iterator[None]:
        events.append("record")
        yield
        events.append("recorded")

    stream = SimpleNamespace(wait_stream=lambda other: events.append("wait"))
    graph = SimpleNamespace(
        register_generator_state=lambda generator: events.append("register"),
        replay=lambda: events.append("replay"),
    )
    monkeypatch.setattr(graph_capture, "require_capturable", lambda *_, **__: None)
    monkeypatch.setattr(Tensor, "record_stream", lambda self, stream: None)
    for name, value in {
        "Stream": lambda device: stream,
        "current_stream": lambda device: stream,
        "stream": quietly,
        "graph": recording,
        "CUDAGraph": lambda: graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return events


def test_calls_are_warmed_up_recorded_once_and_replayed(stand_in: list[str]) -> None:
    def work() -> Tensor:
        stand_in.append("work")
        return torch.ones(2)

    captured = Captured(work, torch.Generator())
    results = [captured() for _ in range(WARM_UP + 3)]
    assert stand_in == [
        *["wait", "work", "wait"] * WARM_UP,
        *["register", "record", "work", "recorded"],
        *["replay"] * 3,
    ]
    assert len({result.data_ptr() for result in results}) == len(results)  # the next replay spoils none


def test_what_cannot_be_recorded_says_what_to_do(stand_in: list[str]) -> None:
    def work() -> Tensor:
        if "record" in stand_in:
            raise RuntimeError("operation not permitted when stream is capturing")
        return torch.ones(2)

    captured = Captured(work, torch.Generator())
    for _ in range(WARM_UP):
        captured()
    with pytest.raises(RuntimeError, match=r"cannot be captured: .* Set captured=False\.$"):
        captured()


def test_a_schedule_that_is_captured_is_played_so(
    stand_in: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gncompanion.training.loop.require_capturable", lambda *_, **__: None)
    training(captured=True).run()
    assert stand_in.count("replay") == 8 - WARM_UP


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@needs_gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("constraint", ["none", "sn", "gp", "gn", "clipping"])
def test_captured_is_the_plain_loop_bit_for_bit(constraint: str, precision: str) -> None:
    def run(*, captured: bool) -> Training:
        settings = {"precision": precision, "captured": captured, "lr_decay": "linear", "ema_decay": 0.9}
        done = training(constraint, device="cuda", **settings)
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False):
            done.run()
        return done

    plain, captured = run(captured=False), run(captured=True)
    assert plain.log == captured.log
    for module, other in zip(plain._modules().values(), captured._modules().values(), strict=True):
        for one, two in zip(module.state_dict().values(), other.state_dict().values(), strict=True):
            assert torch.equal(one, two)


def gradients(critic: nn.Module, x: Tensor, precision: str = "float32") -> Tensor:
    with Schedule(precision=precision).autocast(x.device):
        loss = constraints.build("gn", method="linear").score(critic, x).mean()
    found = torch.autograd.grad(loss, list(critic.parameters()))
    return torch.cat([gradient.double().flatten() for gradient in found])


@pytest.fixture
def critic_and_images() -> tuple[nn.Module, Tensor]:
    random = torch.Generator().manual_seed(0)
    _, critic = build("dcgan", (3, 32, 32), generator=random, width=8)
    return critic, torch.rand(8, 3, 32, 32, generator=random) * 2 - 1


def test_bfloat16_rounds_the_gradient_as_stated(critic_and_images: tuple[nn.Module, Tensor]) -> None:
    critic, x = critic_and_images
    exact = gradients(critic.double(), x.double())
    errors = {
        precision: float((gradients(critic.float(), x, precision) - exact).norm() / exact.norm())
        for precision in ("float32", "tf32", "bfloat16")
    }
    # 4e-3 a factor, through 8 layers forward, backward and forward again, partly cancelling
    assert 1e-3 < errors["bfloat16"] < 5e-2
    assert errors["float32"] < 5e-6
    assert errors["tf32"] == errors["float32"]  # there is no TF32 on a CPU


def test_channels_last_changes_the_order_of_memory_only(critic_and_images: tuple[nn.Module, Tensor]) -> None:
    critic, x = critic_and_images
    plain = gradients(critic.double(), x.double())
    turned = gradients(critic.to(memory_format=torch.channels_last), x.double())
    assert float((turned - plain).norm() / plain.norm()) < 1e-12  # sums in another order, in float64
    run = training(channels_last=True)
    run.run()
    weights = [p for p in run.players.critic.parameters() if p.dim() == 4 and p.shape[1] > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)


def test_what_need_not_be_recorded_goes_on_without(stand_in: list[str]) -> None:
    random, drawn = torch.Generator().manual_seed(0), []

    def work() -> Tensor:
        drawn.append(torch.rand(2, generator=random))
        if stand_in[-1] == "record":
            raise RuntimeError("operation not permitted when stream is capturing")
        return drawn[-1]

    captured = Captured(work, random, required=False)
    found = [captured() for _ in range(WARM_UP)]
    with pytest.warns(UserWarning, match=r"cannot be captured: .* It goes on without\.$"):
        found.append(captured())
    found.append(captured())
    again = torch.Generator().manual_seed(0)
    assert all(torch.equal(one, torch.rand(2, generator=again)) for one in found)  # no draw was lost


def test_the_default_captures_where_that_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for device, processes, near, captured in [
        ("cpu", 1, True, False),
        ("cuda", 1, True, True),
        ("cuda", 1, False, False),
        ("cuda", 2, True, False),
    ]:
        run = training()
        run.device, run.share = torch.device(device), Share(0, processes)
        monkeypatch.setattr(Images, "lies_on", lambda self, device, near=near: near)
        assert run._captured() is captured
