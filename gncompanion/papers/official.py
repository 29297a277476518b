"""What the official configurations say, family by family of rows, and where ours differ.

    family ──settings, source @ commit──> what a row must say      deviations ──> what it says instead, why

Numbers are facts and were read off the files named; no code was taken. A setting that no source states is
not here, and no row claims one for it. `rows_page` lays all of it out beside the rows' files, as
docs/rows.md has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

__all__ = ["CONSISTENCY", "FAMILIES", "OfficialRows", "family_of"]

GN, FG = "basiclab/GNGAN-PyTorch @ b320584", "basiclab/Faster-GNGAN-PyTorch"
MIMICRY = "kwotsin/mimicry @ a7fda06"
AUTOGAN, E2GAN = "VITA-Group/AutoGAN @ a5eeef0", "Yuantian013/E2GAN @ 49a20c0"
CIFAR = {"FID train": {"split": "train"}, "FID test": {"split": "test", "n_samples": 10_000}}
STL = {
    "FID 50k": {"split": "train+unlabeled"},
    "FID 10k": {"split": "train+unlabeled", "n_samples": 10_000},
}
ADAM = {"betas": [0.0, 0.9], "n_samples": 50_000}
CONSISTENCY = {"weight": 5.0, "fill": -1.0, "rounded": True}

WITH_REPLACEMENT = "real images are drawn with replacement; there an epoch's are shuffled"
RESIZE = "images reach Inception by pytorch-fid's resizing; the tables' by TensorFlow 1's"
BUFFERS = "the average's batch statistics are the generator's; there they are averaged too"
ALL = (WITH_REPLACEMENT, RESIZE)


@dataclass(frozen=True)
class OfficialRows:
    """Rows with one official configuration.

    Attributes:
        rows: Patterns of the names of their files, without the ending.
        source: The repository, its commit, and the files in it.
        settings: What these say, by the names of a row's fields; those of `constraint_options` beside them.
        deviations: The settings in which our rows differ, by name, with the reason.
        remarks: What differs and is no setting.
    """

    rows: tuple[str, ...]
    source: str
    settings: Mapping[str, Any]
    deviations: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ALL


def _icc(net: str, **settings: Any) -> dict[str, Any]:
    cnn: dict[str, Any] = {"network": "dcgan", "loss": "bce", "n_dis": 1, "lr_decay": "constant"}
    resnet: dict[str, Any] = {"network": "resnet", "loss": "hinge", "n_dis": 5, "lr_decay": "linear"}
    common = {"batch_critic": 64, "batch_generator": 128, "lr_generator": 2e-4, "judged_every": 5000}
    evaluated = {"training_mode": False, "average": False, "dataset_options": {"flip": True}}
    return {**(cnn if net == "cnn" else resnet), **common, **evaluated, **ADAM, **settings}


def _gn() -> Iterator[OfficialRows]:
    where = {
        "cifar10": ("CIFAR10", CIFAR, "3703761 eval_cifar10.sh"),
        "stl10": ("STL10", STL, "3703761 eval_stl10.sh"),
    }
    for data, (name, references, script) in where.items():
        for net, rate in (("cnn", 2e-4), ("resnet", 4e-4)):
            for kind, options in (
                ("", {"constraint": "gn"}),
                ("-CR", {"constraint": "gn+cr", **CONSISTENCY}),
            ):
                file = f"config/GN-GAN{kind}_{name}_{'CNN' if net == 'cnn' else 'RES'}.txt"
                budget = {"steps": 200_000, "lr_critic": rate, "ema_decay": 0.9999, "ema_start": 0}
                yield OfficialRows(
                    (f"09_{data}_{net}_gn-gan{kind.lower()}",),
                    f"{GN}: {file}; evaluation: {FG} @ 96c8f63 train_gan.py, {script}",
                    _icc(net, **options, **budget, references=references),
                )


def _sn() -> Iterator[OfficialRows]:
    for data, name, references in (("cifar10", "CIFAR10", CIFAR), ("stl10", "STL10", STL)):
        for net in ("cnn", "resnet"):
            network = {} if net == "cnn" else {"network": "sngan", "network_options": {"variant": "authors"}}
            for kind, options in (
                ("reimplemented", {"constraint": "sn"}),
                ("cr", {"constraint": "sn+cr", **CONSISTENCY, "weight": 10.0}),
            ):
                upper = "SN-GAN" if kind == "reimplemented" else "SN-GAN-CR"
                steps = 200_000 if (data, net, kind) == ("stl10", "cnn", "reimplemented") else 100_000
                file = f"config/{upper}_{name}_{'CNN' if net == 'cnn' else 'RES'}.txt"
                budget = {"steps": steps, "lr_critic": 2e-4, "ema_decay": None}
                yield OfficialRows(
                    (f"09_{data}_{net}_sn-gan-{kind}",),
                    f"{FG} @ d4180f9: {file}, sn_gan.py; evaluation: @ 96c8f63 train_gan.py",
                    _icc(net, **network, **options, **budget, loss="hinge", references=references),
                )


def _large(name: str, data: Mapping[str, Any], start: int, n_samples: int) -> dict[str, Any]:
    return {
        "network": "resnet", "constraint": "gn", "loss": "hinge", "steps": 100_000, "n_dis": 5,
        "batch_critic": 64, "batch_generator": 128, "lr_critic": 2e-4, "lr_generator": 2e-4,
        "betas": [0.0, 0.9], "lr_decay": "constant", "ema_decay": 0.9999, "ema_start": start,
        "judged_every": 1000, "n_samples": n_samples, "average": True, "training_mode": True,
        "dataset": name, "dataset_options": data,
    }  # fmt: skip


FROM_ZERO = {"ema_start": "one less: steps are counted from 0 here, from 1 there"}
SELDOMER = {"judged_every": "every 2500 steps, for hours of judging less"}
LARGE = (*ALL, BUFFERS, "batches of 100 are judged, there of 128; in training mode their statistics differ")
BIGGAN = {
    "network": "biggan", "loss": "hinge", "steps": 125_000, "n_dis": 4, "batch_critic": 50,
    "batch_generator": 50, "lr_critic": 2e-4, "lr_generator": 1e-4, "betas": [0.0, 0.999],
    "lr_decay": "constant", "ema_decay": 0.9999, "ema_start": 1000, "judged_every": 5000,
    "n_samples": 50_000, "average": False, "training_mode": True, "dataset_options": {"flip": True},
    "network_options": {"n_classes": 10, "z_dim": 128},
}  # fmt: skip
BIGGAN_REMARKS = (
    *(
        *ALL,
        BUFFERS,
        "generated samples get the labels of the real ones beside them; there, ones drawn uniformly",
    ),
    *("batches of 100 are judged, there of 50", "FG @ 96c8f63 judged the averaged generator"),
)
MIMICRY_SETTINGS: dict[str, Any] = {
    "network": "sngan", "steps": 100_000, "n_dis": 5, "batch_critic": 64, "batch_generator": 64,
    "lr_critic": 2e-4, "lr_generator": 2e-4, **ADAM, "lr_decay": "linear", "ema_decay": None,
    "dataset_options": {"flip": False},
}  # fmt: skip
MIMICRY_REMARKS = (
    *(RESIZE, "that the paper used this toolkit is inferred from its numbers, not stated"),
    *("on STL-10 all 100 000 unlabeled images are the reference; there 50 000 of them",),
    *("ε, K and the losses of GraND and GraNC, and the dagger's constant: NOT FOUND, ours",),
)
SEARCHED: dict[str, Any] = {
    "constraint": "sn", "loss": "hinge", "n_dis": 5, "betas": [0.0, 0.9], "lr_decay": "constant",
    "ema_decay": 0.999, "n_samples": 50_000, "average": True, "training_mode": False,
}  # fmt: skip
USUAL = {"batch_critic": 64, "batch_generator": 128, "lr_critic": 2e-4, "lr_generator": 2e-4}
STL_SEARCHED = {
    "dataset_options": {"split": "train+unlabeled", "flip": False},
    "references": {"FID 50k": {"split": "train+unlabeled"}},
}
CIFAR_SEARCHED = {"dataset_options": {"flip": False}, "references": {"FID train": {"split": "train"}}}

FAMILIES: tuple[OfficialRows, ...] = (
    *_gn(),
    *_sn(),
    OfficialRows(
        ("09_celeba-hq-128_resnet_gn-gan",),
        f"{GN}: config/GN-GAN_CELEBAHQ128_RES.txt, train_ddp.py",
        _large("celeba-hq", {"size": 128, "split": "train", "flip": True}, 10_000, 3_000),
        FROM_ZERO | SELDOMER,
        LARGE,
    ),
    OfficialRows(
        ("09_celeba-hq-256_resnet_gn-gan",),
        f"{GN}: config/GN-GAN_CELEBAHQ256_RES.txt, train_ddp.py",
        _large("celeba-hq", {"size": 256, "split": "all", "flip": True}, 10_000, 10_000),
        FROM_ZERO | SELDOMER,
        LARGE,
    ),
    OfficialRows(
        ("09_lsun-church-256_resnet_gn-gan",),
        f"{GN}: config/GN-GAN_CHURCH256_RES.txt, train_ddp.py, datasets.py",
        _large("lsun-church", {"size": 256, "resize": "squash", "flip": True}, 20_000, 10_000),
        FROM_ZERO | SELDOMER,
        LARGE,
    ),
    OfficialRows(
        ("12_cifar10_biggan_gn",),
        f"{GN}: config/GN-GAN_CIFAR10_BIGGAN.txt, train.py",
        {**BIGGAN, "constraint": "gn"},
        FROM_ZERO,
        BIGGAN_REMARKS,
    ),
    OfficialRows(
        ("12_cifar10_biggan_gn-cr",),
        f"{GN}: config/GN-GAN-CR_CIFAR10_BIGGAN.txt, train.py",
        {**BIGGAN, "constraint": "gn+cr", **CONSISTENCY},
        FROM_ZERO,
        BIGGAN_REMARKS,
    ),
    OfficialRows(
        ("09_*_wacv_wgan-gp*",),
        f"{MIMICRY}: README.md, torch_mimicry/nets/wgan_gp",
        {**MIMICRY_SETTINGS, "network_options": {"variant": "mimicry", "pooling": "mean"}},
        remarks=MIMICRY_REMARKS,
    ),
    OfficialRows(
        ("09_*_wacv_*",),
        f"{MIMICRY}: README.md, torch_mimicry/nets/sngan",
        {**MIMICRY_SETTINGS, "network_options": {"variant": "mimicry", "pooling": "sum"}},
        remarks=(*MIMICRY_REMARKS, "SNGAN alone is that toolkit's: the others' sum over space is ours"),
    ),
    OfficialRows(
        ("09_cifar10_autogan",),
        f"{AUTOGAN}: exps/autogan_cifar10_a.sh, train.py, datasets.py",
        {**SEARCHED, **USUAL, **CIFAR_SEARCHED, "network": "autogan", "steps": 50_000},
    ),
    OfficialRows(
        ("09_stl10_autogan",),
        f"{AUTOGAN}: exps/autogan_cifar10_a2stl10.sh, train.py, datasets.py",
        {**SEARCHED, **USUAL, **STL_SEARCHED, "network": "autogan", "steps": 50_000},
    ),
    OfficialRows(
        ("09_cifar10_e2gan",),
        f"{E2GAN}: eval/exps/derive.sh, eval/train_derived.py, eval/datasets.py",
        {**SEARCHED, **USUAL, **CIFAR_SEARCHED, "network": "e2gan", "steps": 150_000},
    ),
    OfficialRows(
        ("09_stl10_e2gan",),
        f"{E2GAN}: eval/exps/derive_stl.sh, eval/train_derived.py, eval/datasets.py",
        {
            **SEARCHED, **STL_SEARCHED, "network": "e2gan", "steps": 600_000, "batch_critic": 16,
            "batch_generator": 32, "lr_critic": 5e-5, "lr_generator": 5e-5,
        },
    ),
)  # fmt: skip


def family_of(name: str) -> OfficialRows | None:
    """Find the family of a row by its file's name, without the ending; None = a control of ours."""
    return next((family for family in FAMILIES if any(fnmatch(name, p) for p in family.rows)), None)
