"""Parameters that mean the same in every notebook that has them, by their names."""

from typing import Any

from gncompanion.tools.kinds import Kind, Name, Whole
from gncompanion.tools.nested_kinds import Options, Record, Table

__all__ = ["shared_kind"]

_DATASETS = ("dataset", "toy", "images")
_GAME = {"network": "dcgan", "width": 4, "steps": 80, "batch": 32}


def shared_kind(name: str, default: Any) -> Kind | None:
    """Look up what a parameter may be that several notebooks have.

    Args:
        name: The parameter's name.
        default: Its default, the example in messages.

    Returns:
        The kind; None if the name is no shared one.
    """
    if name in _DATASETS:
        return Name(default, _datasets)
    if name == "device":
        from gncompanion.training.devices import Device

        return Device(default)
    if name == "network":
        return Name(default, _networks)
    if name == "loss":
        return Name(default, _losses)
    return Table({"digits": _GAME}, _game(), names=Name("digits", _datasets)) if name == "games" else None


def _game() -> Kind:
    """A GAN of notebook 07, as its parameter `games` declares one."""
    kinds = {
        "network": Name("dcgan", _networks),
        "width": Whole(1, 4096, such_as=4),
        "steps": Whole(1, 10**7, such_as=80),
        "batch": Whole(2, 10**5, such_as=32),
        "options": Options({"flip": True}),
    }
    return Record(_GAME, kinds, optional=("options",))


def _datasets() -> list[str]:
    from gncompanion.data import DATASETS

    return list(DATASETS)


def _networks() -> list[str]:
    from gncompanion.models.registry import NETWORKS

    return list(NETWORKS)


def _losses() -> list[str]:
    from gncompanion.training import LOSSES

    return list(LOSSES)
