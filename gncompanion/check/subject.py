"""What is checked: a copy of the critic in float64, at a point where no zero hides anything, and its inputs.

Zero biases, gains of one and layers that start at zero would make wrong gradients look right, so weights
whose entries are all equal are moved a little, in the copy.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from gncompanion.check.loading import first_line
from gncompanion.check.state import State
from gncompanion.input_gradient import HasAux, parted

__all__ = ["Subject", "draw", "quiet", "subject_of", "twice_differentiable"]


@dataclass(frozen=True)
class Subject:
    """A critic to check, and what it is checked on.

    Attributes:
        critic: The copy.
        real: Samples, (N, ...).
        fake: As many others.
        labels: Further inputs of the critic: nothing, or labels (N,).
        lowest: The type with the least precision among all that the forward computes.
        note: Why the copy is not in float64; None where it is.
        has_aux: Whether the critic returns more than its value, as in `value_and_input_gradient`.
    """

    critic: Callable[..., Any]
    real: Tensor
    fake: Tensor
    labels: tuple[Tensor, ...]
    lowest: torch.dtype
    note: str | None
    has_aux: HasAux = False

    def value(self, x: Tensor) -> Any:
        """Compute the critic's values at x."""
        return self.both(x)[0]

    def both(self, x: Tensor) -> tuple[Any, Any]:
        """Compute the critic's values at x, and what else it returns."""
        return parted(self.critic(x, *self.labels), self.has_aux)

    def weights(self) -> dict[str, Tensor]:
        """Return the weights that want a gradient, by name."""
        named = self.critic.named_parameters() if isinstance(self.critic, nn.Module) else ()
        return {name: p for name, p in named if p.requires_grad}

    @property
    def tolerance(self) -> float:
        """Return √ε of the least precise type: far above rounding, far below any wrong gradient."""
        return math.sqrt(torch.finfo(self.lowest).eps)


def draw(
    shape: tuple[int, ...], *, batch: int, labels: int | None, device: torch.device, seed: int
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Draw a critic's inputs.

    Args:
        shape: Shape of one sample.
        batch: Number of samples N.
        labels: Number of classes, of which labels are drawn; None = the critic takes no labels.
        device: Where to check.
        seed: Seed of the draw.

    Returns:
        Two batches of samples (N, *shape) in float64, and the critic's further inputs: none, or labels (N,).
    """
    random = torch.Generator().manual_seed(seed)
    real, fake = (torch.randn(batch, *shape, generator=random, dtype=torch.float64) for _ in range(2))
    further = () if labels is None else (torch.randint(labels, (batch,), generator=random).to(device),)
    return real.to(device), fake.to(device), further


def subject_of(
    critic: Callable[..., Any],
    inputs: tuple[Tensor, Tensor, tuple[Tensor, ...]],
    *,
    in_its_own_type: bool = False,
    has_aux: HasAux = False,
) -> Subject:
    """Copy a critic for a check.

    Args:
        critic: The critic; it is left as it is.
        inputs: Two batches of samples and the critic's further inputs, from `draw`.
        in_its_own_type: Whether the copy keeps the critic's type, which it does anyway where its forward does
            not run in float64.
        has_aux: Whether the critic returns more than its value.

    Returns:
        The copy with its inputs.

    Raises:
        ValueError: The critic cannot be copied, or its forward raises in its own type too.
    """
    own, note = _type_of(critic), None
    if not in_its_own_type:
        try:
            return replace(_subject(critic, inputs, torch.float64, None), has_aux=has_aux)
        except Exception as error:
            note = f"its forward does not run in float64 ({first_line(error)})"
    try:
        return replace(_subject(critic, inputs, own, note), has_aux=has_aux)
    except Exception as error:
        remedy = "does it take labels?" if inputs[2] else "is --shape right, and does it need --labels?"
        raise ValueError(
            f"the critic's forward raised {first_line(error)}, for x of shape {tuple(inputs[0].shape)}: "
            f"{remedy}"
        ) from None


def _subject(
    critic: Callable[..., Any],
    inputs: tuple[Tensor, Tensor, tuple[Tensor, ...]],
    dtype: torch.dtype,
    note: str | None,
) -> Subject:
    real, fake, labels = inputs
    copied = _copied(critic)
    if isinstance(copied, nn.Module):
        _cast(copied.to(real.device), dtype)
    real, fake = real.to(dtype), fake.to(dtype)
    with quiet(), _Lowest() as seen:
        copied(real.clone().requires_grad_() * 1, *labels)  # what is lazy has its weights now
    if isinstance(copied, nn.Module):
        _move_off_zero(copied)
    return Subject(copied, real, fake, labels, seen.lowest(dtype), note)


def _copied(critic: Callable[..., Any]) -> Callable[..., Any]:
    """A deep copy; results that a module keeps, which torch does not copy, as plain values."""
    kept: dict[int, Tensor] = {}
    for module in critic.modules() if isinstance(critic, nn.Module) else ():
        kept |= {
            id(t): t.detach().clone()
            for t in vars(module).values()
            if isinstance(t, Tensor) and not t.is_leaf
        }
    try:
        return copy.deepcopy(critic, kept)
    except Exception as error:
        raise ValueError(f"the critic cannot be copied: {first_line(error)}") from None


def _type_of(critic: Callable[..., Any]) -> torch.dtype:
    tensors = critic.parameters() if isinstance(critic, nn.Module) else iter(())
    return next((p.dtype for p in tensors if p.is_floating_point()), torch.get_default_dtype())


def _cast(critic: nn.Module, dtype: torch.dtype) -> None:
    """Cast weights, buffers, and tensors that are plain attributes."""
    critic.to(dtype)
    for module in critic.modules():
        for key, value in vars(module).items():
            if isinstance(value, Tensor) and value.is_floating_point():
                vars(module)[key] = value.detach().to(dtype)


def _move_off_zero(critic: nn.Module) -> None:
    random = torch.Generator().manual_seed(1)
    for p in critic.parameters():
        if p.requires_grad and p.numel() and bool((p == p.flatten()[0]).all()):
            size = 0.1 if p.dim() < 2 else 0.5 / math.sqrt(p[0].numel())
            step = torch.randn(p.shape, generator=random, dtype=torch.float64)
            p.data += size * step.to(p)


class _Lowest(TorchFunctionMode):
    """Notes the floating point types of all results that want a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[torch.dtype] = set()

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves(result) if isinstance(t, Tensor)]
        self.types |= {t.dtype for t in tensors if t.requires_grad}
        return result

    def lowest(self, default: torch.dtype) -> torch.dtype:
        """Return the type with the largest ε."""
        return max({default, *self.types}, key=lambda dtype: torch.finfo(dtype).eps)


@contextmanager
def quiet(state: State | None = None) -> Iterator[None]:
    """Silence warnings, and begin from a state where one is given."""
    if state is not None:
        state.restore()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Have attention computed by torch's reference kernel, the one that can be differentiated twice."""
    with sdpa_kernel(SDPBackend.MATH):
        yield
