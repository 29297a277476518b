"""Names to objects with options: how a constraint, a network or a data set is made from plain values.

    make("data set", "ring", DATASETS, {"n_modes": 12})

A table maps each name to a maker, a class or a function. What a user gives are the maker's own arguments;
what the caller supplies, such as the shape of the data, goes to the makers that take it.
"""

from collections.abc import Callable, Collection, Mapping
from inspect import Parameter, signature
from typing import Any, TypeVar

from gncompanion.tools.names import pick, require_known

__all__ = ["check_options", "make", "options"]

T = TypeVar("T")


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
        ValueError: The name is unknown, the maker has no such option, or one without a default is missing.
    """
    maker = pick(kind, name, table)
    known = options(maker)
    taken = {key: value for key, value in supplied.items() if key in known}
    check_options(f"{kind} {name!r}", given, known, supplied=taken)
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
