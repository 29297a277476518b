"""The rows against the official configurations, value by value, and the page that says so."""

from pathlib import Path

import pytest

from gncompanion.papers import tables
from gncompanion.papers.official import FAMILIES, family_of
from gncompanion.papers.rows import read
from gncompanion.papers.rows_page import page, said
from gncompanion.tools import paths

FILES = {file.stem: file for file in tables.row_files()}
OFFICIAL = {name: file for name, file in FILES.items() if family_of(name)}


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_row_says_what_the_official_configuration_says(name: str) -> None:
    family, row = family_of(name), read(OFFICIAL[name])
    for setting, official in family.settings.items():
        ours = said(row, setting)
        if setting in family.deviations:
            assert ours != official, f"{setting}={ours!r} no longer deviates"
        else:
            assert ours == official, f"{setting}: official {official!r}, ours {ours!r}"
    assert family.deviations.keys() <= family.settings.keys()


def test_numbers_read_off_the_official_files() -> None:
    """Some of them once more, as they stand there, so that the list above cannot drift with the rows."""
    read_off = {
        "09_cifar10_cnn_gn-gan": {"steps": 200_000, "n_dis": 1, "lr_critic": 2e-4, "loss": "bce"},
        "09_cifar10_resnet_gn-gan-cr": {"n_dis": 5, "lr_critic": 4e-4, "lr_decay": "linear", "weight": 5.0},
        "09_stl10_cnn_sn-gan-cr": {"steps": 100_000, "lr_critic": 2e-4, "loss": "hinge", "weight": 10.0},
        "09_stl10_cnn_sn-gan-reimplemented": {"steps": 200_000, "lr_decay": "constant", "ema_decay": None},
        "09_cifar10_resnet_sn-gan-reimplemented": {"steps": 100_000, "network": "sngan"},
        "12_cifar10_biggan_gn": {"steps": 125_000, "n_dis": 4, "betas": [0.0, 0.999], "lr_generator": 1e-4},
        "09_celeba-hq-128_resnet_gn-gan": {"n_samples": 3_000, "lr_critic": 2e-4},
        "09_lsun-church-256_resnet_gn-gan": {"ema_start": 20_000, "judged_every": 1000},
        "09_stl10_e2gan": {"steps": 600_000, "batch_critic": 16, "batch_generator": 32, "lr_critic": 5e-5},
        "09_stl10_autogan": {"steps": 50_000, "batch_critic": 64, "ema_decay": 0.999},
        "09_cifar100_wacv_sngan": {"steps": 100_000, "n_dis": 5, "batch_generator": 64, "lr_decay": "linear"},
    }
    for name, numbers in read_off.items():
        settings = family_of(name).settings
        assert {key: settings[key] for key in numbers} == numbers, name


def test_every_family_has_rows_and_every_other_row_is_a_control() -> None:
    for family in FAMILIES:
        assert any(family_of(name) is family for name in FILES), family.rows
    controls = FILES.keys() - OFFICIAL.keys()
    kinds = ("_sn-gan", "-control", "_wgan-gp", "_eps", "_twin-no-labels", "_twin-attention")
    assert all(name.endswith(kinds) for name in controls), sorted(controls)


def test_controls_differ_from_gn_gan_in_the_constraint_alone() -> None:
    for data in ("cifar10", "stl10"):
        for net in ("cnn", "resnet"):
            for ours, theirs in (("gn-gan", "sn-gan"), ("gn-gan-cr", "sn-gan-cr-control")):
                gn, sn = (read(FILES[f"09_{data}_{net}_{kind}"]) for kind in (ours, theirs))
                same = ("dataset", "dataset_options", "network", "network_options", "schedule", "protocol")
                assert all(getattr(gn, name) == getattr(sn, name) for name in same)
                assert said(gn, "loss") == said(sn, "loss")


def test_the_page_is_in_step_with_the_rows() -> None:
    told = Path(paths.root() / "docs" / "rows.md").read_text(encoding="utf-8")
    assert told == page(), 'renew it: python -c "from gncompanion.papers.rows_page import page; …"'


def test_twins_are_their_rows_but_for_the_networks() -> None:
    twins = [name for name in FILES if "_twin-" in name]
    assert len(twins) == 4
    for name in twins:
        twin, row = read(FILES[name]), read(FILES[name.partition("_twin-")[0]])
        (seed, *_) = twin.seeds
        (method,) = row.methods
        own, other = (one.experiments()[method, seed].portable_settings() for one in (twin, row))
        changed = {"n_classes": None} if "no-labels" in name else {"attention": True}
        other["network_options"] = {**other["network_options"], **changed}
        assert own == other  # so that notebook 12 finds the run
