"""What the primitive needs of torch beyond its public names, in one place, each with its reason.

version         there is no public way to ask whether a tensor was changed in place
is_view         nor whether it shows another tensor's memory
is_transformed  nor whether a transform of torch.func is at work
storage_key     nor whether two tensors share memory
hooks_made      nor whether a node of autograd's graph has a hook
owned           a tensor from a weak reference may outlive its Python object, unless torch is told

excluded_from_compile    as torch.compiler.disable, which imports the compiler and takes seconds
"""

from __future__ import annotations

import torch
import torch._C._functorch
import torch._compile
from torch import Tensor
from torch.utils.hooks import RemovableHandle

__all__ = [
    "excluded_from_compile",
    "hooks_made",
    "is_transformed",
    "is_view",
    "owned",
    "storage_key",
    "version",
]

excluded_from_compile = torch._compile._disable_dynamo


def version(tensor: Tensor) -> int:
    """Count the changes in place that autograd has seen; an inference tensor is not counted: −1."""
    return -1 if tensor.is_inference() else tensor._version


def is_view(tensor: Tensor) -> bool:
    """Tell whether a tensor is a view of another."""
    return tensor._is_view()


def storage_key(tensor: Tensor) -> int | None:
    """Name the memory of a tensor: equal for tensors that share it; None where it has none of its own."""
    try:
        key: int = tensor.untyped_storage()._cdata
        return key
    except (NotImplementedError, RuntimeError):  # sparse tensors and wrappers
        return None


def hooks_made() -> int:
    """Count all hooks ever registered, on tensors, nodes and modules alike."""
    return RemovableHandle.next_id


def is_transformed() -> bool:
    """Tell whether a transform of torch.func, such as grad or vmap, is at work."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def owned(tensor: Tensor | None) -> Tensor | None:
    """Take hold of what a weak reference gave, as torch.utils.weak does."""
    if tensor is not None and hasattr(tensor, "_fix_weakref"):
        tensor._fix_weakref()
    return tensor
