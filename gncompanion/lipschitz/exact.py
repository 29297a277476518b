"""Exact Lipschitz constants of small piecewise linear perceptrons, by enumerating their linear pieces.

    L_{f_k} = max over the nonempty linear pieces R of f_k of ‖J_k on R‖

A continuous piecewise linear function on a convex domain has the Lipschitz constant of its steepest piece. A
piece is a polyhedron {x : n_i·x ≤ o_i}, cut out by the signs of all units up to layer k. Layer by layer and
unit by unit each piece is cut in two by the hyperplane on which the unit changes sign; whether both halves
have an interior is a linear program, the largest ball inscribed:

    max r   subject to   n_i·x + r ≤ o_i   (‖n_i‖ = 1),   r ≤ 1.

Of the two halves one holds the centre of the piece and needs no program. Pieces thinner than 2·10⁻⁸ are taken
for empty: solvers decide no finer.

Cost: a linear program (one or two milliseconds) per piece and unit. N units in d dimensions make at most
Σ_{i ≤ d} C(N, i) pieces, 529 for 32 units in the plane and 41,449 in four dimensions.

Source: the count of pieces is Zaslavsky's (1975) for one hidden layer; Serra, Tjandraatmadja and Ramalingam,
ICML 2018, bound deeper networks and enumerate by mixed-integer programs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from gncompanion.lipschitz.sequential import LayerStep, SequentialCritic, steps
from gncompanion.tools.checks import require

__all__ = ["exact_lipschitz"]

MIN_RADIUS = 1e-8


@dataclass(frozen=True)
class _Piece:
    """{x : normals·x ≤ offsets}, unit normals (m, d), offsets (m,), and a point (d,) of its interior."""

    normals: np.ndarray
    offsets: np.ndarray
    centre: np.ndarray


def exact_lipschitz(
    critic: SequentialCritic, input_dim: int, *, box: tuple[float, float] | None = None, max_units: int = 32
) -> Tensor:
    """Compute the Lipschitz constants of f_1 … f_K of a small perceptron, exactly.

    Args:
        critic: A sequential critic (see `layers`) of Linear layers, ReLU and LeakyReLU.
        input_dim: Dimension d of a sample.
        box: Domain [low, high]ᵈ; None = all of ℝᵈ.
        max_units: Largest number of units with a kink; a network with more is refused, since each may double
            the time.

    Returns:
        The constants, (K,), float64, in the Euclidean norms.

    Raises:
        ValueError: There is another layer, more units, or low ≥ high.
        RuntimeError: A linear program was not solved.

    Example:
        >>> layer = nn.Linear(1, 1)
        >>> layer.weight.data = torch.tensor([[-3.0]])
        >>> exact_lipschitz([layer, nn.ReLU()], 1).tolist()
        [3.0]
    """
    found = steps(critic, (input_dim,))
    layers = [(*_arrays(step), _negative_slope(step)) for step in found]
    units = sum(len(w) for w, _, slope in layers if slope != 1)
    require("max_units", max_units, units <= max_units, f"at least {units}, the number of units with a kink")
    best = np.zeros(len(layers))

    def descend(k: int, piece: _Piece, jacobian: np.ndarray, constant: np.ndarray) -> None:
        if k == len(layers):
            return
        w, b, slope = layers[k]
        jacobian, constant = w @ jacobian, w @ constant + b
        for part, positive in _parts(piece, jacobian, constant, linear=slope == 1):
            slopes = np.where(positive, 1.0, slope)
            part_jacobian = slopes[:, None] * jacobian
            best[k] = max(best[k], np.linalg.norm(part_jacobian, 2))
            descend(k + 1, part, part_jacobian, slopes * constant)

    descend(0, _domain(input_dim, box), np.eye(input_dim), np.zeros(input_dim))
    return torch.from_numpy(best)


def _arrays(step: LayerStep) -> tuple[np.ndarray, np.ndarray]:
    if step.linear.weight.ndim != 2:
        raise ValueError("Conv2d: only perceptrons can be enumerated")
    w = step.linear.weight.cpu().numpy()
    return w, np.zeros(len(w)) if step.linear.bias is None else step.linear.bias.cpu().numpy()


def _negative_slope(step: LayerStep) -> float:
    """φ′ below zero; 1 where φ is the identity."""
    kinked = [phi for phi in step.activations if not isinstance(phi, nn.Flatten | nn.Identity)]
    if not kinked:
        return 1.0
    if len(kinked) > 1 or not isinstance(kinked[0], nn.ReLU | nn.LeakyReLU):
        names = " after ".join(type(phi).__name__ for phi in reversed(kinked))
        raise ValueError(f"{names} is not supported: only one ReLU or LeakyReLU per layer")
    return 0.0 if isinstance(kinked[0], nn.ReLU) else kinked[0].negative_slope


def _domain(dim: int, box: tuple[float, float] | None) -> _Piece:
    if box is None:
        return _Piece(np.empty((0, dim)), np.empty(0), np.zeros(dim))
    low, high = box
    require("box", box, low < high, "(low, high) with low < high")
    normals = np.concatenate([np.eye(dim), -np.eye(dim)])
    return _Piece(normals, np.repeat([high, -low], dim), np.full(dim, (low + high) / 2))


def _parts(
    piece: _Piece, rows: np.ndarray, constants: np.ndarray, *, linear: bool
) -> Iterator[tuple[_Piece, np.ndarray]]:
    """The parts of a piece on which rows·x + constants keep their signs, each with its signs."""
    parts: list[tuple[_Piece, list[bool]]] = [(piece, [])]
    for row, constant in zip([] if linear else rows, constants, strict=False):
        parts = [
            (half, [*signs, sign]) for part, signs in parts for half, sign in _split(part, row, constant)
        ]
    for part, signs in parts:
        yield part, np.array(signs) if signs else np.ones(len(rows), dtype=bool)


def _split(piece: _Piece, row: np.ndarray, constant: float) -> list[tuple[_Piece, bool]]:
    """The piece, or its two halves, with the sign of row·x + constant there."""
    length = np.linalg.norm(row)
    if length == 0:  # the unit does not depend on x here
        return [(piece, constant > 0)]
    normal, offset = row / length, -constant / length
    halves = [
        (half, positive)
        for positive, side in ((True, -1), (False, 1))
        if (half := _cut(piece, side * normal, float(side * offset))) is not None
    ]
    if len(halves) == 2:
        return halves
    return [(piece, halves[0][1] if halves else row @ piece.centre + constant > 0)]


def _cut(piece: _Piece, normal: np.ndarray, offset: float) -> _Piece | None:
    """The part of the piece in {normal·x ≤ offset}, or None if that has no interior."""
    normals, offsets = np.vstack([piece.normals, normal]), np.append(piece.offsets, offset)
    if normal @ piece.centre < offset - MIN_RADIUS:
        return _Piece(normals, offsets, piece.centre)
    centre, radius = _inscribed_ball(normals, offsets)
    return _Piece(normals, offsets, centre) if radius > MIN_RADIUS else None


def _inscribed_ball(normals: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, float]:
    from scipy.optimize import linprog

    m, dim = normals.shape
    solution = linprog(
        np.append(np.zeros(dim), -1.0),
        A_ub=np.column_stack([normals, np.ones(m)]),
        b_ub=offsets,
        bounds=[(None, None)] * dim + [(None, 1.0)],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not solution.success:
        raise RuntimeError(f"the linear program of a piece was not solved: {solution.message}")
    return solution.x[:dim], solution.x[dim]
