"""What the settings of a row may be, each declared once: how it is read, checked, and named in messages.

The declarations are for what a user writes; the types that a row is made of have rules of their own beside.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from gncompanion import constraints, data, models
from gncompanion.papers.scoring import METRIC_FAMILIES
from gncompanion.tools.kinds import Flag, Kind, Maybe, Name, Real, Text, Whole
from gncompanion.tools.nested_kinds import Options, Record, Several, Table
from gncompanion.training import LOSSES
from gncompanion.training.devices import Device

__all__ = ["FIELDS"]


def _among(table: Collection[str]) -> Callable[[], list[str]]:
    return lambda: list(table)  # looked up when asked: a name may be added to a registry later


_METHOD: dict[str, Any] = {"constraint": "gn", "loss": "hinge"}
_METHODS = Record(
    _METHOD,
    {
        "constraint": Name("gn", _among(constraints.CONSTRAINTS), joined="+"),
        "constraint_options": Options({"weight": 10.0}),
        "loss": Name("hinge", _among(LOSSES)),
    },
    optional=("constraint_options",),
)
_COUNT, _BATCH = Whole(1, 10**9, such_as=1000), Whole(1, 10**5, such_as=64)
_RATE = Real(0.0, 1e30, such_as=2e-4, above=True)  # one too large stops a training with its own message
_SHARE = Real(0.0, 1.0, such_as=0.9, below=True)

FIELDS: dict[str, Kind] = {
    "methods": Table({"GN": _METHOD}, _METHODS),
    "seeds": Several(Whole(0, 10**9, such_as=0), such_as=[0, 1, 2], lone=False),
    "dataset": Name("digits", _among(data.DATASETS)),
    "dataset_options": Options({"flip": True}),
    "network": Name("dcgan", _among(models.NETWORKS)),
    "network_options": Options({"width": 64}),
    "steps": _COUNT,
    "n_dis": Whole(1, 1000, such_as=5),
    "batch_critic": _BATCH,
    "batch_generator": _BATCH,
    "lr_critic": _RATE,
    "lr_generator": _RATE,
    "betas": Several(_SHARE, such_as=[0.0, 0.9], repeats=True, count=2, lone=False),
    "lr_decay": Name("constant", ("constant", "linear")),
    "ema_decay": Maybe(Real(0.0, 1.0, such_as=0.9999, below=True)),
    "ema_start": Whole(0, 10**9, such_as=0),
    "precision": Name("float32", ("float32", "tf32", "bfloat16")),
    "accumulation": Whole(1, 10**4, such_as=2),
    "channels_last": Maybe(Flag()),
    "captured": Maybe(Flag()),
    "log_every": _COUNT,
    "checkpoint_every": _COUNT,
    "judged_every": Maybe(_COUNT),
    "metrics": Name("classifier", METRIC_FAMILIES),
    "n_samples": Whole(2, 10**7, such_as=50_000),
    "references": Table({"FID": {"split": "train"}}, Options({"split": "train"})),
    "average": Flag(),
    "training_mode": Flag(),
    "published_weights": Flag(),
    "printed": Table({"FID": "21.7"}, Text("21.7", numbers=False), least=0),
    "source": Text("Table 3"),
    "device": Device(usable=False),
    "data_title": Text("CIFAR-10"),
    "label": Text("small"),
}
