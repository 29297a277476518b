"""Names to objects with options: how a constraint, a network or a data set is made from plain values.

    make("data set", "ring", DATASETS, {"n_modes": 12})

A table maps each name to a maker, a class or a function. What a user gives are the maker's own arguments;
what the caller supplies, such as the shape of the data, goes to the makers that take it.
"""

from collections.abc import Callable, Collection, Mapping
from inspect import Parameter, signature
from os import PathLike
from typing import Any, TypeVar

from gncompanion.tools.checks import is_number, require
from gncompanion.tools.names import pick, require_known

__all__ = ["check_options", "check_values", "make", "options"]

T = TypeVar("T")

LARGEST = {"width": 10**4, "depth": 100, "size": 4096, "n_modes": 10**5, "side": 300, "n_iterations": 10**4}
LARGEST_OTHER = 10**6  # whatever an integer counts, more of them than this take more memory than there is
KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {  # by annotation
    "int": (lambda value: type(value) is int, "an integer"),
    "float": (is_number, "a number"),
    "bool": (lambda value: type(value) is bool, "True or False"),
    "str": (lambda value: isinstance(value, str), "text"),
    "Path": (lambda value: isinstance(value, PathLike), "a path"),
    "None": (lambda value: value is None, "None"),
}


def make(
    kind: str,
    name: Any,
    table: Mapping[str, Callable[..., T]],
    given: Mapping[str, Any],
    **supplied: Any,
) -> T:
    """Make the object that bears a name.

    Args:
        kind: What the table holds, for the message: "data set".
        name: A key of the table.
        table: The makers by name.
        given: The user's options, by name.
        **supplied: Further arguments, for the makers that take them; the user's options come before them.

    Returns:
        What the maker returns.

    Raises:
        ValueError: The name is unknown, the maker has no such option, one is of another kind than annotated
            or far too large, or one without a default is missing.
    """
    maker = pick(kind, name, table)
    known = options(maker)
    taken = {key: value for key, value in supplied.items() if key in known}
    check_options(f"{kind} {name!r}", given, known, supplied=taken)
    check_values(f"{kind} {name!r}", given, known)
    return maker(**taken | dict(given))


def options(maker: Callable[..., Any], *, reserved: Collection[str] = ()) -> dict[str, Parameter]:
    """List the arguments of a maker.

    Args:
        maker: A class or a function.
        reserved: Names that are no user's options.

    Returns:
        The parameters by name, in the maker's order.
    """
    return {name: p for name, p in signature(maker).parameters.items() if name not in reserved}


def check_options(
    what: str, given: Collection[str], known: Mapping[str, Parameter], *, supplied: Collection[str] = ()
) -> None:
    """Refuse options that a maker does not have, and the lack of one that it needs.

    Args:
        what: What is to be made, as the message begins: "data set 'ring'".
        given: The names of the options.
        known: The maker's parameters, from `options`.
        supplied: The names of those arguments that the caller adds.

    Raises:
        ValueError: An option is unknown, or one without a default is missing.
    """
    for option in given:
        require_known(f"{what} has no option", option, known)
    required = (name for name, p in known.items() if p.default is p.empty and p.kind is not p.VAR_KEYWORD)
    if missing := [name for name in required if name not in {*given, *supplied}]:
        raise ValueError(f"{what} needs a value for {', '.join(missing)}")


def check_values(what: str, given: Mapping[str, Any], known: Mapping[str, Parameter]) -> None:
    """Refuse options of another kind than the maker's annotations say, and integers that are far too large.

    An annotation that is not made of int, float, bool, str, Path and None is not looked at.

    Args:
        what: What is to be made, as the message begins: "data set 'ring'".
        given: The options by name.
        known: The maker's parameters, from `options`.

    Raises:
        ValueError: An option is of another kind, or too large.
    """
    for option, value in given.items():
        kinds = _kinds(known[option].annotation) if option in known else []
        fits = not kinds or any(KINDS[kind][0](value) for kind in kinds)
        require(f"{what}: {option}", value, fits, " or ".join(KINDS[kind][1] for kind in kinds))
        largest = LARGEST.get(option, LARGEST_OTHER)
        small = option == "seed" or type(value) is not int or value <= largest
        require(f"{what}: {option}", value, small, f"an integer of at most {largest}")


def _kinds(annotation: Any) -> list[str]:
    """The names in an annotation, if all of them are among `KINDS`."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    names = [name.strip().rpartition(".")[2] for name in text.split("|")]
    return names if all(name in KINDS for name in names) else []
