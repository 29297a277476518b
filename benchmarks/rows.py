"""What the papers' rows ask of a GPU: memory by accumulation, and hours, counted and not measured.

    python -m benchmarks.rows > benchmarks/rows.json                  on fake tensors: some minutes, no GPU

Memory is the most that the tensors of a step hold at once (`gncompanion.cost.live_memory`), besides weights
and Adam's two moments; an allocator takes more, and so does the CUDA context. Hours are the FLOPs of all
convolutions and matrix products at a rate that is assumed, 100 TFLOP/s: at small images a GPU reaches less.
"""

import json
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Adam

from gncompanion import models
from gncompanion.constraints import build
from gncompanion.cost import flops
from gncompanion.cost.live_memory import LiveMemory
from gncompanion.papers import rows, tables
from gncompanion.training import LOSSES, Networks, improve_critic, improve_generator

SIZES = {"cifar10": 32, "cifar100": 32, "stl10": 48}
NAMES = (
    "09_cifar10_cnn_gn-gan", "09_cifar10_resnet_gn-gan", "09_cifar10_resnet_gn-gan-cr",
    "09_stl10_cnn_gn-gan", "09_stl10_resnet_gn-gan", "12_cifar10_biggan_gn",
    "09_celeba-hq-128_resnet_gn-gan", "09_celeba-hq-256_resnet_gn-gan",
)  # fmt: skip
RATE = 100e12  # FLOP/s, assumed
PARTS = (1, 2, 4, 8)


def step_costs(row: rows.Row, accumulation: int) -> dict[str, float]:
    """GiB of each player's step, and the FLOPs of an iteration."""
    (method,) = row.methods.values()
    size, schedule = row.dataset_options.get("size", SIZES.get(row.dataset)), row.schedule
    with FakeTensorMode():
        random = torch.Generator().manual_seed(0)
        G, D = models.build(row.network, (3, size, size), generator=random, **row.network_options)
        rule = build(method["constraint"], **method.get("constraint_options", {}))
        net = Networks(G, D, rule, LOSSES[method["loss"]])
        adams = [Adam(player.parameters(), 2e-4, (0.0, 0.9), fused=True) for player in (D, G)]
        real = torch.rand(schedule.batch_critic, 3, size, size)
        y = None if net.n_classes is None else torch.zeros(schedule.batch_critic, dtype=torch.int64)
        turns = {
            "critic": lambda: improve_critic(net, adams[0], real, random, y, parts=accumulation),
            "generator": lambda: improve_generator(
                net, adams[1], schedule.batch_generator, random, parts=accumulation
            ),
        }
        found: dict[str, float] = {}
        operations = {name: flops(turn) for name, turn in turns.items()}  # Adam's moments come into being
        for name, turn in turns.items():
            with LiveMemory() as memory:
                turn()
            found[f"{name}, GiB"] = round(memory.peak / 2**30, 2)
    weights = 4 * sum(3 * p.numel() for player in (G, D) for p in player.parameters())
    found["weights and moments, GiB"] = round(weights / 2**30, 2)
    iteration = schedule.n_dis * operations["critic"] + operations["generator"]
    found["TFLOP an iteration"] = round(iteration / 1e12, 3)
    found["hours at 100 TFLOP/s"] = round(iteration * schedule.steps / RATE / 3600, 1)
    return found


def main() -> None:
    """Count the rows and print them as JSON."""
    found: dict[str, Any] = {}
    for file in tables.row_files():
        if file.stem in NAMES:
            row = rows.read(file)
            large = "hq" in file.stem
            found[file.stem] = {str(n): step_costs(row, n) for n in (PARTS if large else (1,))}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
