"""An iteration of training as one CUDA graph: recorded once, then replayed with a single launch.

    iterate = Captured(iterate, random)        iterate()  iterate()  iterate()  …

A small network's iteration is some thousands of kernels of a few microseconds each, and Python takes longer
to launch them than the GPU to run them. The first `WARM_UP` calls run as ever, on a stream of their own; the
next is recorded, which runs nothing, and it and all after it are replays: the same kernels on the same
addresses, in the same order, with random numbers that go on where the last call stopped. So the results are
those of the plain loop, bit for bit, as far as its own kernels repeat themselves.

What is recorded may not wait for the device, nor decide anything on the host from one call to the next. Its
data must lie on the GPU, and its learning rates in tensors there (`Adam(capturable=True)`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from gncompanion.tools.refusals import Refusal

__all__ = ["WARM_UP", "Captured", "require_capturable"]

WARM_UP = 3  # calls: gradients, optimizer states and cuDNN's choices of kernels come into being in the first


def require_capturable(device: torch.device, *, processes: int = 1) -> None:
    """Refuse to capture where that cannot work.

    Args:
        device: The device on which the training runs.
        processes: Number of processes that share it.

    Raises:
        ValueError: The device is not CUDA's, or there is more than one process.
    """
    if device.type != "cuda":
        raise ValueError(f"captured=True records CUDA graphs: it needs a GPU, not device {str(device)!r}")
    if processes > 1:
        raise ValueError(f"captured=True is for one process, not {processes}: set captured=False")


class Captured:
    """A function without arguments, replayed as a CUDA graph from its fourth call on.

    Args:
        function: The work: the same at every call, returning a tensor of results.
        random: The generator that it draws from, on its device.
        required: Whether work that cannot be recorded is refused; otherwise it goes on unrecorded, with a
            warning.

    Raises:
        ValueError: The generator is not CUDA's.
    """

    def __init__(
        self, function: Callable[[], Tensor], random: torch.Generator, *, required: bool = True
    ) -> None:
        require_capturable(random.device)
        self._function, self._random, self._calls = function, random, 0
        self._required = required
        self._stream = torch.cuda.Stream(random.device)
        self._recorded: tuple[torch.cuda.CUDAGraph, Tensor] | None = None

    def __call__(self) -> Tensor:
        """Do the work once.

        Returns:
            The function's result, the caller's own.

        Raises:
            Refusal: The work cannot be recorded, and has to be; says what to set instead.
        """
        self._calls += 1
        if self._calls == WARM_UP + 1:
            self._recorded = self._record_or_not()
        if self._recorded is None:
            return self._aside()
        graph, result = self._recorded
        graph.replay()
        return result.clone()  # the next replay overwrites it

    def _record_or_not(self) -> tuple[torch.cuda.CUDAGraph, Tensor] | None:
        before = self._random.get_state()
        try:
            return self._record()
        except Refusal as refusal:
            if self._required:
                raise
            warnings.warn(f"{refusal} It goes on without.", stacklevel=3)
            self._random.set_state(before)
            return None

    def _aside(self) -> Tensor:
        """Call the function on the stream that will record it, in step with the caller's."""
        current = torch.cuda.current_stream(self._random.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            result = self._function()
        current.wait_stream(self._stream)
        result.record_stream(current)
        return result

    def _record(self) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._random)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                result = self._function()
        except RuntimeError as error:
            raise Refusal(
                "this training cannot be captured: something in its steps waits for the GPU, such as a data "
                "set that lies in main memory. Set captured=False."
            ) from error
        return graph, result
