"""What gradient normalization costs on a GPU, and what each switch for speed brings: everything in one call.

    python benchmarks/gpu.py --out gpu-results                    some ten minutes on one GPU
    python benchmarks/gpu.py --out /tmp/gpu --device cpu --quick  a rehearsal without one

Four settings of the papers' CIFAR-10 table (GN and GN-CR, each on the CNN and on the ResNet), trained on
noise of CIFAR-10's size, which costs the same. Each in several ways, one switch after the other:

    (i)    double backpropagation, in a plain loop as the official code has it, with torch's defaults
    (ii)   the primitive, in the same loop
    (iii)  the package's loop (data on the device, fused optimizer, averages in one call), then TF32
           everywhere, channels last, and iterations replayed as CUDA graphs
    (iv)   bfloat16 on top; and cuDNN's choice of kernels by trial

Written to the folder, again after each measurement: gpu.json, with iterations a second, peak memory, hours of
a 200 000-step run, whether captured training is bit-equal to the plain loop, and the gradient's relative
errors; and gpu.png.
"""

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor

from gncompanion import constraints, models
from gncompanion.cost import Spread, now
from gncompanion.data import Images
from gncompanion.training import LOSSES, Networks, Schedule, Training, Watch, critic_step, generator_step

matplotlib.use("agg")
import matplotlib.pyplot as plt

STEPS = 200_000  # of a whole run, in all four settings
CNN = {"network": "dcgan", "loss": "bce", "schedule": {"n_dis": 1}}
RESNET = {
    "network": "resnet",
    "loss": "hinge",
    "schedule": {"n_dis": 5, "lr_critic": 4e-4, "lr_decay": "linear"},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "CNN, GN": {**CNN, "constraint": "gn"},
    "CNN, GN-CR": {**CNN, "constraint": "gn+cr"},
    "ResNet, GN": {**RESNET, "constraint": "gn"},
    "ResNet, GN-CR": {**RESNET, "constraint": "gn+cr"},
}
FAST = {"precision": "tf32", "channels_last": True, "captured": True}
WAYS: dict[str, dict[str, Any]] = {
    "(i) double backpropagation, plain loop": {"method": "autograd"},
    "(ii) primitive, plain loop": {},
    "(iii a) primitive, package's loop": {"schedule": {}},
    "(iii b) + TF32 in matrix products": {"schedule": {"precision": "tf32"}},
    "(iii c) + channels last": {"schedule": {"precision": "tf32", "channels_last": True}},
    "(iii) + CUDA graph": {"schedule": FAST},
    "(iv) + bfloat16": {"schedule": {**FAST, "precision": "bfloat16"}},
    "(iii) + kernels by trial": {"schedule": FAST, "trial": True},
    "(iv) + kernels by trial": {"schedule": {**FAST, "precision": "bfloat16"}, "trial": True},
}


def players(setting: dict[str, Any], method: str, device: str, width: int | None) -> Networks:
    """The networks of a setting, fresh."""
    options: dict[str, Any] = {"method": method}
    if "+" in setting["constraint"]:
        options = {"gn": options, "cr": {"weight": 5.0}}
    rule = constraints.build(setting["constraint"], **options)
    sizes = {} if width is None else {"width": width}
    weights = torch.Generator().manual_seed(0)
    generator, critic = models.build(setting["network"], (3, 32, 32), generator=weights, **sizes)
    rule.prepare(critic)
    return Networks(generator.to(device), critic.to(device), rule, LOSSES[setting["loss"]])


def plain_loop(net: Networks, images: Images, schedule: Schedule, device: str, chunk: int) -> Iterator[float]:
    """Train as the official code does, with torch's defaults; yield the seconds of `chunk` iterations."""
    random, host = torch.Generator(device).manual_seed(0), torch.Generator().manual_seed(0)
    rates = {net.critic: schedule.lr_critic, net.generator: schedule.lr_generator}
    adam = {module: torch.optim.Adam(module.parameters(), lr, schedule.betas) for module, lr in rates.items()}
    average = {name: value.clone() for name, value in net.generator.state_dict().items()}

    def descend(module: torch.nn.Module, loss: Tensor) -> None:
        adam[module].zero_grad()
        loss.backward()
        adam[module].step()

    while True:
        start = now(device)
        for _ in range(chunk):
            for _ in range(schedule.n_dis):
                real = images.sample(schedule.batch_critic, host)[0].to(device)  # a batch, from the host
                descend(net.critic, critic_step(net, real, random)[0])
            descend(net.generator, generator_step(net, schedule.batch_generator, random))
            for name, value in net.generator.state_dict().items():
                average[name].copy_(0.9999 * average[name] + 0.0001 * value)
        yield now(device) - start


class Clock(Watch):
    """Notes the time at each row of the log, when the host has waited for the device."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def row(self, row: dict[str, float]) -> None:
        self.times.append(now())


def chunks(setting: dict[str, Any], way: dict[str, Any], options: argparse.Namespace) -> list[float]:
    """The seconds of each chunk of iterations but the first."""
    net = players(setting, way.get("method", "linear"), options.device, options.width)
    off = {"captured": False, "channels_last": False}  # by default the device would decide
    given = {**off, **setting["schedule"], **way.get("schedule", {})}
    if options.device == "cpu":
        given["captured"] = False
    batches = {"batch_critic": options.batch, "batch_generator": 2 * options.batch}
    length = {"steps": options.chunk * (options.chunks + 1), "log_every": options.chunk}
    schedule = Schedule(**given, **batches, **length, checkpoint_every=10**9)
    if "schedule" not in way:
        loop = plain_loop(net, options.images, schedule, options.device, options.chunk)
        return [next(loop) for _ in range(options.chunks + 1)][1:]
    clock = Clock()
    Training(net, options.images, schedule).run(watch=clock, progress=False)
    return [after - before for before, after in zip(clock.times, clock.times[1:], strict=False)]


def measure(setting: dict[str, Any], way: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Speed and memory of one setting, trained in one way."""
    on_gpu = options.device != "cpu"
    trial: AbstractContextManager[None] = (
        torch.backends.cudnn.flags(enabled=True, benchmark=True) if way.get("trial") else nullcontext()
    )
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    with trial:
        seconds = chunks(setting, way, options)
    found = Spread.of(seconds)
    speed = options.chunk / found.median
    return {
        "iterations_per_second": speed,
        "range": [options.chunk / found.high, options.chunk / found.low],
        "peak_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
        "hours_of_200k_steps": STEPS / speed / 3600,
    }


def bit_equal(setting: dict[str, Any], options: argparse.Namespace) -> dict[str, bool]:
    """Whether captured training ends in the weights of the plain loop, by precision."""
    if options.device == "cpu":
        raise RuntimeError("needs a GPU")

    def weights(precision: str, captured: bool) -> Tensor:
        net = players(setting, "linear", options.device, options.width)
        batches = {"batch_critic": options.batch, "batch_generator": 2 * options.batch}
        settings = {
            **setting["schedule"],
            **batches,
            "steps": 12,
            "channels_last": True,
            "precision": precision,
        }
        run = Training(net, options.images, Schedule(**settings, captured=captured))
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False):
            run.run(progress=False)
        modules = (net.critic, net.generator, run.average)
        return torch.cat([t.flatten().double() for module in modules for t in module.state_dict().values()])

    return {
        precision: torch.equal(weights(precision, captured=False), weights(precision, captured=True))
        for precision in ("float32", "tf32", "bfloat16")
    }


def gradient_errors(network: str, options: argparse.Namespace) -> dict[str, float]:
    """‖found − exact‖ / ‖exact‖ of a fresh GN critic's weight gradient, exact in float64, by precision."""
    net = players({**CNN, "network": network, "constraint": "gn"}, "linear", options.device, options.width)
    random = torch.Generator(options.device).manual_seed(1)
    x = options.images.sample(2 * options.batch, random)[0]

    def gradient(precision: str, dtype: torch.dtype) -> Tensor:
        schedule, critic = Schedule(precision=precision), net.critic.to(dtype)
        with schedule.arithmetic():
            with schedule.autocast(x.device):
                real, fake = net.score(x.to(dtype)).chunk(2)
                loss = net.loss.critic(real, fake)
            found = torch.autograd.grad(loss, list(critic.parameters()))
        return torch.cat([part.double().flatten() for part in found])

    exact = gradient("float32", torch.float64)
    ways = ("float32", "tf32", "bfloat16")
    return {way: float((gradient(way, torch.float32) - exact).norm() / exact.norm()) for way in ways}


def draw(found: dict[str, dict[str, Any]], device: str, file: Path) -> None:
    """Iterations a second, relative to (i), one panel a setting."""
    figure, axes = plt.subplots(1, len(found), figsize=(3.2 * len(found), 3.6), sharey=True, squeeze=False)
    for ax, (setting, ways) in zip(axes[0], found.items(), strict=True):
        speeds = [way["iterations_per_second"] for way in ways.values()]
        bars = ax.barh(range(len(ways)), [speed / speeds[0] for speed in speeds], color="#0072b2")
        ax.bar_label(bars, [f"{speed:.3g}/s" for speed in speeds], padding=2, fontsize=7)
        ax.set(title=setting, yticks=range(len(ways)), yticklabels=ways, xlabel="speed, relative to (i)")
        ax.margins(x=0.25)
    axes[0, 0].invert_yaxis()
    figure.suptitle(f"iterations a second on {device}", fontsize="small")
    figure.tight_layout()
    figure.savefig(file, dpi=150)
    plt.close(figure)


def parsed() -> argparse.Namespace:
    """The command line, with what --quick changes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.json and gpu.png")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=64, help="real samples per critic step")
    parser.add_argument("--chunk", type=int, default=20, help="iterations timed together")
    parser.add_argument("--chunks", type=int, default=5, help="how often, after one to warm up")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS), metavar="SETTING")
    parser.add_argument("--quick", action="store_true", help="tiny networks and few iterations")
    options = parser.parse_args()
    options.width = 4 if options.quick else None
    if options.quick:
        options.batch, options.chunk, options.chunks = 2, 2, 2
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(
        256, (500 if options.quick else 50_000, 3, 32, 32), dtype=torch.uint8, generator=random
    )
    options.images = Images("noise", pixels, flip=True)
    return options


def device_name(device: str) -> str:
    """The GPU's name, or the processor's kind and the number of threads."""
    if device == "cpu":
        return f"{platform.machine()}, {torch.get_num_threads()} threads"
    return torch.cuda.get_device_name()


def main() -> None:
    """Measure everything; print a line a measurement."""
    options = parsed()
    options.out.mkdir(parents=True, exist_ok=True)
    name = device_name(options.device)
    result: dict[str, Any] = {"device": name, "torch": torch.__version__, "batch": options.batch, "speed": {}}

    def note(title: str, work: Callable[[], Any], into: dict[str, Any]) -> None:
        try:
            into[title] = work()
        except RuntimeError as error:  # one way that fails must not cost the others' results
            into[title] = {"error": str(error).splitlines()[0]}
        print(f"{title:44} {json.dumps(into[title])}", flush=True)
        (options.out / "gpu.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    for network in ("dcgan", "resnet"):
        errors = result.setdefault("gradient_error", {})
        note(network, lambda network=network: gradient_errors(network, options), errors)
    for title in options.settings:
        print(title)
        ways = result["speed"].setdefault(title, {})
        for way, how in WAYS.items():
            note(way, lambda how=how, title=title: measure(SETTINGS[title], how, options), ways)
        equal = result.setdefault("captured_is_bit_equal", {})
        note(title, lambda title=title: bit_equal(SETTINGS[title], options), equal)
    sound = {
        title: {way: found for way, found in ways.items() if "error" not in found}
        for title, ways in result["speed"].items()
    }
    draw(sound, name, options.out / "gpu.png")


if __name__ == "__main__":
    main()
