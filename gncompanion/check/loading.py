"""A critic by name, its class's, its factory's or its own: "my_module:MyCritic", "path/to/file.py:critic"."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from inspect import Parameter
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from gncompanion.tools import registry
from gncompanion.tools.names import require_known

__all__ = ["load_critic"]


def load_critic(target: str, options: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """Import a critic, and build it where it is not built yet.

    The current folder, or that of the file, is put at the head of `sys.path`, where it stays: a critic may
    import more of its neighbours later.

    Args:
        target: "module:name" or "path/to/file.py:name", where the name, which may have dots, is a module of
            torch, or a class or a factory that makes a critic.
        options: Arguments of the class or of the factory, by name.

    Returns:
        The critic.

    Raises:
        ValueError: There is no such module, file or name, importing or building fails, an option is unknown
            or missing, or what comes out cannot be called; one line says which.
    """
    origin, colon, name = target.rpartition(":")
    if not (origin and colon and name):
        raise ValueError(
            f"{target!r} must be module:name or path/to/file.py:name, such as my_module:MyCritic"
        )
    found: Any = _from_file(Path(origin)) if origin.endswith(".py") else _from_module(origin)
    for part in name.split("."):
        if not hasattr(found, part):
            require_known(f"{origin} has no", part, _callables(found))
        found = getattr(found, part)
    return _built(target, found, options or {})


def _from_module(name: str) -> ModuleType:
    _put_on_path(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise ValueError(
                f"no module {error.name!r} in {Path.cwd()} or among the installed packages: go to its "
                f"folder, or give its file, such as path/to/{name.rpartition('.')[2]}.py:MyCritic"
            ) from None
        raise _not_imported(name, error) from None
    except Exception as error:
        raise _not_imported(name, error) from None


def _from_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise ValueError(f"there is no file {file} (seen from {Path.cwd()})")
    _put_on_path(file.resolve().parent)
    name = f"_checked_{file.stem}"  # a name of its own: a file torch.py must not hide torch
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file} cannot be read as a module of Python")
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _not_imported(str(file), error) from None
    return module


def _put_on_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _not_imported(name: str, error: Exception) -> ValueError:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return ValueError(f"{name} imports {error.name}, which is not installed here: install it first")
    return ValueError(f"{name} cannot be imported: {first_line(error)}")


def first_line(error: BaseException) -> str:
    """An exception as one line: its class and the first line of its text."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _callables(found: Any) -> list[str]:
    """The public names that might have been meant: what a module defines itself, if it defines anything."""
    names = [name for name, value in vars(found).items() if callable(value) and not name.startswith("_")]
    own = [
        name
        for name in names
        if getattr(vars(found)[name], "__module__", "") == getattr(found, "__name__", 0)
    ]
    return own or names


def _built(target: str, found: Any, options: Mapping[str, Any]) -> Callable[..., Any]:
    if isinstance(found, nn.Module):
        if options:
            raise ValueError(
                f"{target} is already built: options go to a class or a factory, not to an instance"
            )
        return found
    if not callable(found):
        raise ValueError(f"{target} is a {type(found).__name__}, not a critic, a class or a factory")
    _check_options(target, found, options)
    try:
        critic = found(**options)
    except Exception as error:
        raise ValueError(f"{target} cannot be built: {first_line(error)}") from None
    if not callable(critic):
        raise ValueError(
            f"{target} made a {type(critic).__name__}, not a critic: it must return what can be called"
        )
    return critic  # type: ignore[no-any-return]  # it was looked at


def _check_options(target: str, maker: Callable[..., Any], options: Mapping[str, Any]) -> None:
    try:
        declared = registry.options(maker)
    except (TypeError, ValueError):  # made in C, without a signature
        return
    known = {name: p for name, p in declared.items() if p.kind is not Parameter.VAR_POSITIONAL}
    if any(p.kind is Parameter.VAR_KEYWORD for p in known.values()):
        known |= {name: Parameter(name, Parameter.KEYWORD_ONLY) for name in options if name not in known}
    try:
        registry.check_options(target, options, known)
    except ValueError as error:
        remedy = (
            ""
            if " has no option " in str(error)
            else (
                ": give it by --option name=value; a critic that is itself a function needs a factory that "
                "returns it"
            )
        )
        raise ValueError(f"{error}{remedy}") from None
