"""What a critic returns: one value per sample, and perhaps more beside it, such as features.

critic(x)                  has_aux        f            aux
f                          False          the whole    none
(f, features)              True           the first    the second
(f, features, logits)      True           the first    (features, logits)
{"score": f, "h": h}       "score"        that entry   {"h": h}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_map_only

from gncompanion.tools.checks import require
from gncompanion.tools.names import require_known

__all__ = ["HasAux", "check_has_aux", "detached", "one_value_per_sample", "parted"]

HasAux = bool | str


def check_has_aux(has_aux: HasAux) -> bool:
    """Tell whether a critic returns more than its value; refuse what is neither a truth value nor a name."""
    valid = isinstance(has_aux, bool) or (isinstance(has_aux, str) and has_aux != "")
    require("has_aux", has_aux, valid, "False, True, or the name of the value in a critic's dictionary")
    return has_aux is not False


def parted(out: Any, has_aux: HasAux) -> tuple[Any, Any]:
    """Part what a critic returned into its value and what else there is.

    Args:
        out: What it returned.
        has_aux: False = the value alone; True = a tuple or list, the value first; a name = a dictionary, the
            value under this name.

    Returns:
        The value, whatever it is, and the rest; None where there is none.

    Raises:
        ValueError: It did not return what `has_aux` says.
    """
    if has_aux is False:
        if not isinstance(out, Tensor):
            raise ValueError(f"the critic must return one tensor, not {type(out).__name__}: {_remedy(out)}")
        return out, None
    if isinstance(has_aux, str):
        if not isinstance(out, Mapping):
            raise ValueError(
                f"has_aux={has_aux!r} needs a critic that returns a dictionary, not {type(out).__name__}"
            )
        require_known("the critic's dictionary has no", has_aux, out)
        return out[has_aux], {name: value for name, value in out.items() if name != has_aux}
    if not isinstance(out, tuple | list) or len(out) < 2:
        raise ValueError(
            "has_aux=True needs a critic that returns (value, anything else), not "
            f"{type(out).__name__}{f': {_remedy(out)}' if isinstance(out, Mapping) else ''}"
        )
    value, *rest = out
    return value, rest[0] if len(rest) == 1 else tuple(rest)


def _remedy(out: Any) -> str:
    if isinstance(out, Mapping):
        return f"has_aux says under which name the value is, such as has_aux={next(iter(out), 'score')!r}"
    return "has_aux=True takes (value, anything else), and gives the rest back with its own gradient"


def detached(aux: Any) -> Any:
    """Cut all tensors off their graphs, in tuples, lists and dictionaries to any depth."""
    return tree_map_only(Tensor, Tensor.detach, aux)


def one_value_per_sample(f: Any, n: int) -> Tensor:
    """Refuse values that are not one tensor of one number for each of n samples; return them."""
    if not isinstance(f, Tensor):
        raise ValueError(f"the critic's value must be a tensor, not {type(f).__name__}")
    if n == f.numel() == 1 and f.dim() == 0:  # what squeeze() makes of a batch of one
        return f
    if f.numel() != n or f.dim() == 0 or f.shape[0] != n:
        raise ValueError(
            f"the critic must give one value per sample, ({n},) or ({n}, 1); it gave {tuple(f.shape)}. "
            "Average a map of outputs over its positions inside the critic."
        )
    return f
