"""A critic's value and its input gradient, differentiable in both: f = D(x), g = ∇ₓD(x).

    (f, g) = value_and_input_gradient(critic, x)

Every constraint of this package is a formula in these two, composed by ordinary autograd:

    gradient normalization   f / (‖g‖ + |f|)            gradient penalty   (‖g‖ - 1)²

A loss L(f, g) sends back a = ∂L/∂f (one scalar a sample) and G = ∂L/∂g (shaped like x). For a critic that is
piecewise linear in x, and whose samples do not touch each other, ∇²f = 0 almost everywhere (Assumption 4 of
GN-GAN), so

    ∂L/∂x = a·g        ∂L/∂W_l = Σ_samples δ_l ⊗ (a·h_l + t_l)        ∂L/∂b_l = Σ_samples a·δ_l

with h_l the input of layer l, δ_l = ∂f/∂z_l the sensitivity of its output, and t_l what reaches layer l of G,
pushed forward through the network linearised at x. That is four units of work (forward, input-backward,
tangent, weight products) where an unnormalised critic's step costs three and double backpropagation six; and
for a generator's step, which needs ∂L/∂x alone, two: the same as without normalization. `frozen_gates` has
the algorithm, `rules` the list of operations that it understands.

Source: Wu et al., ICCV 2021, Assumption 4, Theorem 6. The official code differentiates twice, in both steps.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.nn.parallel import DistributedDataParallel

from gncompanion.input_gradient.calls import CoupledSamples, Unsupported
from gncompanion.input_gradient.coupling import are_coupled, can_be_checked, known_coupling, remember
from gncompanion.input_gradient.frozen_gates import require_agreement, through_frozen_gates
from gncompanion.input_gradient.outputs import HasAux, check_has_aux, detached, one_value_per_sample, parted
from gncompanion.input_gradient.per_sample import norms
from gncompanion.input_gradient.recorder import Recorder
from gncompanion.input_gradient.second_derivative import CustomFunctions, DifferentiableAttention
from gncompanion.input_gradient.torch_internals import excluded_from_compile, is_transformed
from gncompanion.input_gradient.unmoved import unmoved

__all__ = ["METHODS", "Unsupported", "gradient_norm", "unsupported_reason", "value_and_input_gradient"]

METHODS = ("auto", "linear", "autograd")
REMEDY = 'Use method="autograd" (or "auto"), or piecewise linear layers such as LeakyReLU.'


@overload
def value_and_input_gradient(
    critic: Callable[..., Any],
    x: Tensor,
    *args: Any,
    method: str = "auto",
    verify: bool = False,
    has_aux: Literal[False] = False,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]: ...


@overload
def value_and_input_gradient(
    critic: Callable[..., Any],
    x: Tensor,
    *args: Any,
    method: str = "auto",
    verify: bool = False,
    has_aux: HasAux,
    **kwargs: Any,
) -> tuple[Any, ...]: ...


def value_and_input_gradient(
    critic: Callable[..., Any],
    x: Tensor,
    *args: Any,
    method: str = "auto",
    verify: bool = False,
    has_aux: HasAux = False,
    **kwargs: Any,
) -> tuple[Any, ...]:
    """Compute a critic's value and input gradient, both differentiable once more.

    Args:
        critic: Any callable, usually an nn.Module, with one value per sample: (N, ...) -> (N,) or (N, 1).
        x: Inputs (N, ...), of floating point type; left as they are, whether they require a gradient or not.
        *args: Further inputs of the critic, such as labels (N,).
        method: "linear" is the fast exact primitive, for critics piecewise linear in x; "autograd" is double
            backpropagation, for any critic; "auto" takes the first where every operation on the way from x to
            f is known to be (piecewise) linear, else the second.
        verify: Whether to check the recorded linear map against autograd, at the cost of one more forward and
            of waiting for the device: pushing x + g through it must give f + ‖g‖² for each sample.
        has_aux: Whether the critic returns more than its value: True for a tuple or list with the value
            first, such as (score, features); the value's name for a dictionary.
        **kwargs: Further keyword inputs of the critic.

    Returns:
        The values f in the critic's own shape, (N,) or (N, 1), and g (N, ...), shaped like x: the gradient of
        the values' sum with respect to x, which is each sample's own input gradient where samples do not
        touch each other. In a critic that couples them (batch normalization in training mode) it is not, and
        "auto" warns of it. With `has_aux`, also what else the critic returned, as it is: with the graph of
        the critic's own forward, which then stays in memory as long as it does.

    Raises:
        Unsupported: With method "linear", the critic is not known to be piecewise linear; names the module.
        ValueError: The critic gives other than one value per sample, or none that depends on x, or does not
            return what `has_aux` says.
        RuntimeError: With `verify`, the check fails; or a weight gradient of the fast method is
            differentiated once more.

    Example:
        >>> critic = torch.nn.Linear(3, 1)
        >>> f, g = value_and_input_gradient(critic, torch.zeros(2, 3))
        >>> bool((g == critic.weight).all())
        True

    Source: Wu et al. (arXiv 2109.02235) and Bhaskara et al. (arXiv 2111.03162) for the formulas; the
    algorithm is ours.
    """
    if torch.compiler.is_compiling():  # the recorder must see the operations, not a compiled whole
        return _uncompiled(critic, x, *args, method=method, verify=verify, has_aux=has_aux, **kwargs)
    _check(critic, x, method)
    aside, differentiable = check_has_aux(has_aux), torch.is_grad_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        leaf = x if x.requires_grad else _leaf(x)
        root = leaf.clone()  # an in-place first layer must not reach the caller's tensor
        recorder = Recorder(root, critic, keep=verify or _may_learn(critic), aside=aside)
        with recorder if method != "autograd" else DifferentiableAttention():
            f, aux = parted(critic(root, *args, **kwargs), has_aux)
        f = one_value_per_sample(f, len(x))
        found, why = None, None if method == "autograd" else recorder.finish(f)
        if why is None and method != "autograd":
            found, why = _through_frozen_gates(recorder, f, leaf, verify=verify, retain_graph=aside)
        if why and method == "linear":
            raise type(why)(f"{why}. {REMEDY}")
        if found is None:
            g = _twice(critic, f, recorder.source, why, create_graph=differentiable)
        else:
            f, g = found
            f = _affine_in(x, f, g) if x.requires_grad else f
    if not differentiable:
        f, g, aux = detached((f, g, aux))
    return (f, g, aux) if aside else (f, g)


@excluded_from_compile
def _uncompiled(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
    return value_and_input_gradient(*args, **kwargs)


def gradient_norm(f: Tensor, g: Tensor) -> Tensor:
    """Compute n = ‖g‖₂ of each sample, in the shape of f; its own gradient is 0, not NaN, where g = 0.

    Args:
        f: Values, (N,) or (N, 1).
        g: Input gradients (N, ...).

    Returns:
        The norms n, shaped like f.

    Example:
        >>> gradient_norm(torch.zeros(2), torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([5., 0.])
    """
    return norms(g).view_as(f)


def unsupported_reason(critic: Callable[..., Any], x: Tensor, *args: Any, **kwargs: Any) -> str | None:
    """Say why the fast method does not apply to a critic, or None where it does.

    Buffers, such as running statistics, and the random state are left as they were.

    Args:
        critic: Any callable, as in `value_and_input_gradient`.
        x: Inputs (N, ...).
        *args: Further inputs of the critic.
        **kwargs: Further keyword inputs of the critic; `has_aux` as in `value_and_input_gradient`.

    Returns:
        The reason, which names the module and the operation; None where the fast method applies.
    """
    with unmoved(critic, x):
        try:
            value_and_input_gradient(critic, x, *args, method="linear", **kwargs)
        except Unsupported as why:
            return str(why)
    return None


def _check(critic: Callable[..., Tensor], x: Tensor, method: str) -> None:
    if isinstance(critic, DistributedDataParallel) and critic.static_graph:
        raise ValueError(  # its all-reduce would wait for the first backward, which is the input gradient's
            "a critic in DistributedDataParallel with static_graph=True would not be synchronised: "
            "wrap GradientNorm(critic) in it instead"
        )
    if is_transformed():  # it would see the primitive's own calls of autograd, and not through them
        raise ValueError(
            "torch.func's transforms do not see the primitive: use torch.autograd.grad or backward"
        )
    if method not in METHODS:
        raise ValueError(f"method={method!r} is not one of {', '.join(METHODS)}")
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(
            f"x must be a floating point tensor (N, ...), not {kind}: an input gradient needs one"
        )
    if x.dim() == 0 or len(x) == 0:
        raise ValueError(f"x must hold at least one sample, (N, ...); it has shape {tuple(x.shape)}")


def _leaf(x: Tensor) -> Tensor:
    return (x.clone() if x.is_inference() else x.detach()).requires_grad_()


def _may_learn(critic: Callable[..., Tensor]) -> bool:
    return not isinstance(critic, nn.Module) or any(p.requires_grad for p in critic.parameters())


def _differentiated(
    f: Tensor,
    sources: list[GradientEdge],
    ones: Tensor | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> tuple[Tensor, Sequence[Tensor | None]]:
    """∂ Σ f by the first source, which is x, and by the others, some of which f may not depend on."""
    if not f.requires_grad:
        raise ValueError("the critic's value does not depend on x: it was computed without autograd")
    g, *others = torch.autograd.grad(
        f,
        sources,
        torch.ones_like(f) if ones is None else ones,
        create_graph=create_graph,
        retain_graph=create_graph or retain_graph,
        allow_unused=True,
    )
    if g is None:
        raise ValueError("the critic's value does not depend on x")
    return g, others


def _twice(
    critic: Callable[..., Tensor],
    f: Tensor,
    source: GradientEdge,
    why: Unsupported | None,
    *,
    create_graph: bool,
) -> Tensor:
    """∇f with a graph of its own, to be differentiated twice; warns where samples are coupled."""
    coupled = known_coupling(critic) if why and f.numel() > 1 else False
    if coupled is None and not can_be_checked(f):
        coupled = isinstance(why, CoupledSamples)
    custom = CustomFunctions(f) if create_graph else None
    ones = torch.ones_like(f).requires_grad_(bool(custom and custom.nodes))
    g, _ = _differentiated(f, [source], ones, create_graph=create_graph, retain_graph=coupled is None)
    if coupled is None:
        coupled = are_coupled(f, source, g)
        remember(critic, coupled)
    if coupled:
        warnings.warn(
            f"{why}; and the critic's samples influence each other: g is the gradient of the batch's summed "
            "values, not of each sample's own",
            stacklevel=3,
        )
    return custom.guarded(g) if custom else g


def _through_frozen_gates(
    recorder: Recorder, f: Tensor, leaf: Tensor, *, verify: bool, retain_graph: bool
) -> tuple[tuple[Tensor, Tensor] | None, Unsupported | None]:
    """(f, g) by the recorded tape; or the reason why that would be wrong, with f's graph still there."""
    retain_graph = retain_graph or recorder.watching
    g, deltas = _differentiated(f, [recorder.source, *recorder.edges], retain_graph=retain_graph)
    if recorder.hooked:
        return None, Unsupported("a hook on one of its activations changes the gradient")
    f, x = f.detach(), recorder.untouched_input(leaf)
    if verify:
        require_agreement(recorder.tape, f, g, x)
    return (through_frozen_gates(recorder.tape, f, g, x, deltas) if recorder.edges else (f, g)), None


def _affine_in(x: Tensor, f: Tensor, g: Tensor) -> Tensor:
    """f + ⟨x - x₀, g⟩ at x₀ = x: the same value, with slope g in x, differentiable through g once more."""
    return f + ((x - x.detach()) * g).reshape(len(x), -1).sum(1).to(f.dtype).view_as(f)
