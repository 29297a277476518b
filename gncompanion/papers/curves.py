"""A run judged on its way: the scores of the checkpoints that it has kept, each measured once.

<run>/scores-000250.json      the scores after 250 generator steps, with how they were measured

The official code of GN-GAN, AutoGAN and E2GAN reports the checkpoint that was best by FID on the way. That
number is a minimum over many draws and chosen by the metric that it is reported in; the last is neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gncompanion.experiment import Experiment, plain
from gncompanion.papers.scoring import EvaluationProtocol, judge
from gncompanion.tools.files import write_json
from gncompanion.tools.markup import read_json

__all__ = ["best", "judged_steps", "scores_over_steps"]


def judged_steps(experiment: Experiment, protocol: EvaluationProtocol) -> list[int]:
    """List the numbers of steps after which a run is judged.

    Args:
        experiment: The experiment.
        protocol: How it is judged.

    Returns:
        Multiples of `judged_every` up to the last step, which is one of them; the last step alone where there
        is no `judged_every`.
    """
    steps = experiment.schedule.steps
    every = protocol.judged_every or steps
    return [*range(every, steps, every), steps]


def scores_over_steps(
    experiment: Experiment, protocol: EvaluationProtocol, folder: Path | None = None
) -> dict[int, dict[str, float]]:
    """Judge a finished run after each of `judged_steps`; what was measured the same way is read.

    Args:
        experiment: The experiment; its run is finished, and was trained with the protocol's `judged_every`.
        protocol: How to judge it.
        folder: The run's folder; None = the experiment's.

    Returns:
        Numbers by column, by the number of steps.

    Raises:
        FileNotFoundError: A step's checkpoint was not kept, or what `judge` needs is missing.
        ValueError, ModuleNotFoundError: As in `judge`.
    """
    folder = folder or experiment.folder()
    how: Mapping[str, Any] = plain({**asdict(protocol), "judged_every": None})
    return {
        step: _scores(experiment, protocol, folder, step, how) for step in judged_steps(experiment, protocol)
    }


def best(scores: Mapping[int, Mapping[str, float]]) -> dict[str, Any] | None:
    """Choose the checkpoint whose first score, a distance, is least.

    >>> best({10: {"FID": 30.0, "IS": 5.0}, 20: {"FID": 20.0, "IS": 6.0}, 30: {"FID": 25.0, "IS": 6.5}})
    {'step': 20, 'chosen_by': 'FID', 'of': 3, 'scores': {'FID': 20.0, 'IS': 6.0}}

    Args:
        scores: Numbers by column, by the number of steps, as from `scores_over_steps`.

    Returns:
        The step (the first of equals), the column that chose it, how many it was chosen from, and its
        scores; None where there are no numbers.
    """
    column = next((name for numbers in scores.values() for name in numbers), None)
    if column is None:
        return None
    step = min(scores, key=lambda each: scores[each][column])
    return {"step": step, "chosen_by": column, "of": len(scores), "scores": dict(scores[step])}


def _scores(
    experiment: Experiment, protocol: EvaluationProtocol, folder: Path, step: int, how: Mapping[str, Any]
) -> dict[str, float]:
    file = folder / f"scores-{step:06d}.json"
    if file.exists():
        content = read_json(file, remedy="delete it, and the run is judged again")
        if content["protocol"] == how:
            scores: dict[str, float] = content["scores"]
            return scores
    scores = judge(experiment.at(step, folder), protocol)
    content = {"scores": scores, "protocol": how, "step": step}
    write_json(file, content)
    return scores
