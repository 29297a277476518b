"""What to install when a module is missing: the package itself needs torch alone, each use of it an extra."""

import re
from importlib import metadata
from importlib.util import find_spec

__all__ = ["complaint", "require_modules"]

_DISTRIBUTIONS = {"PIL": "pillow", "ot": "pot", "sklearn": "scikit-learn", "yaml": "pyyaml"}


def complaint(error: ModuleNotFoundError) -> str:
    """Say what an import has missed, and how to install it.

    Args:
        error: What the import raised.

    Returns:
        One line: the module and the extra that brings it; the error's own text where it says more than Python
        does, or where no extra brings the module.
    """
    module = (error.name or "").split(".")[0]
    extra = _extra(module) if str(error).startswith("No module named") else None
    return f"{module} is not installed: pip install 'gncompanion[{extra}]'" if extra else str(error)


def require_modules(*modules: str) -> None:
    """Refuse to begin while a module is missing.

    Args:
        modules: Names of modules, as they are imported.

    Raises:
        ModuleNotFoundError: One of them cannot be found; the message says what to install.
    """
    for module in modules:
        if find_spec(module) is None:
            raise ModuleNotFoundError(
                complaint(ModuleNotFoundError(f"No module named {module!r}", name=module)), name=module
            )


def _extra(module: str) -> str | None:
    """The first extra that declares what a module comes with; None if there is none."""
    wanted = _DISTRIBUTIONS.get(module, module).replace("_", "-").lower()
    try:
        declared = metadata.requires("gncompanion") or []
    except metadata.PackageNotFoundError:  # on the path, but not installed
        return None
    for line in declared:
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"""extra == ["']([\w-]+)["']""", line)
        if name and extra and name[0].replace("_", "-").lower() == wanted != "gncompanion":
            return extra[1]  # one extra may need another: that brings no module of ours
    return None
