"""Replay of a training step as CUDA graphs, without Python between its kernels. torch only.

A graph is a recorded sequence of kernels that a single call starts again. It reads and writes the
same memory each time, so inputs are copied to fixed buffers, results are added to tensors that
exist beforehand, and nothing in between may wait for the device or depend on a value on it.
Source: CUDA C++ programming guide, "CUDA graphs"; torch's notes on CUDA semantics.
"""

import gc
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, distributed

from freqquest.cgan import torch_internals
from freqquest.cgan.distributed import world_size

_NUM_WARM_UPS = 3
"""Plain calls of each variant before its capture: they allocate memory, choose kernels, and connect
processes, none of which can be captured."""

StepFunction = Callable[[Sequence[Tensor], bool], None]
"""Function of tensors, of the same shapes in each call, and of the variant to compute."""


class Capturer(Protocol):
    """Way to record a function for replay."""

    def run(self, function: Callable[[], None]) -> None:
        """Run a function that will be captured later."""

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Record a function without its effects, and return a call that has them.

        Raises:
            RuntimeError: It cannot be recorded.
        """


class CudaCapturer:
    """Capturer of CUDA graphs. All of them share memory, so only one may run at a time."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def run(self, function: Callable[[], None]) -> None:
        """Run a function on the stream of the later capture, which its memory belongs to."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            function()
        current.wait_stream(self._stream)

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Record a function."""
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self._stream.device)
        gc.collect()  # an older graph must not end during the capture,
        torch.cuda.empty_cache()  # nor can memory be returned to the device
        with torch.cuda.stream(self._stream):  # torch.cuda.graph would not leave it on an error
            # Other threads, which load clips and judge, may use the device meanwhile.
            graph.capture_begin(self._pool, capture_error_mode="thread_local")
            try:
                function()
                graph.capture_end()
            except BaseException:
                torch_internals.abandon_capture(graph, self._stream.device, self._pool)
                raise
        return graph.replay


class EagerCapturer:
    """Stand-in that captures and replays nothing, so that a CPU can test all the rest."""

    def run(self, function: Callable[[], None]) -> None:
        """Run a function."""
        function()

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Return the function."""
        return function


def find_obstacle(device: torch.device) -> str | None:
    """Return the reason why steps cannot be captured in this process, or None if they can."""
    if device.type != "cuda":
        return "no GPU"
    if world_size() > 1:
        backend = distributed.get_backend()
        if backend != "nccl":
            return f"processes communicate by {backend}, not NCCL"
    return None


class StepGraphs:
    """A step function that is captured after a few plain calls, and replayed from then on.

    ```python
    graphs = StepGraphs(function, CudaCapturer(device))
    graphs([images, noise], variant)
    ```
    """

    def __init__(self, function: StepFunction, capturer: Capturer) -> None:
        """Wrap a step function, which must leave its results in tensors that exist beforehand."""
        self._function, self._capturer = function, capturer
        self._inputs: list[Tensor] = []
        self._num_calls = {False: 0, True: 0}
        self._replays: dict[bool, Callable[[], None]] = {}
        self.obstacle: str | None = None
        """Reason why steps run plainly after all, if a capture has failed."""

    def __call__(self, inputs: Sequence[Tensor], variant: bool) -> None:
        """Call the function, or replay what it did."""
        self._copy(inputs)
        if variant not in self._replays and self.obstacle is None:
            self._prepare(variant)
        if variant in self._replays:
            self._replays[variant]()
        else:
            self._capturer.run(lambda: self._function(self._inputs, variant))
            self._num_calls[variant] += 1

    def _copy(self, inputs: Sequence[Tensor]) -> None:
        if not self._inputs:
            self._inputs = [torch.empty_like(value) for value in inputs]
        for buffer, value in zip(self._inputs, inputs, strict=True):
            buffer.copy_(value)

    def _prepare(self, variant: bool) -> None:
        """Capture a variant if it has run often enough; leave it plain if that fails."""
        if self._num_calls[variant] < _NUM_WARM_UPS:
            return
        try:
            self._replays[variant] = self._capturer.capture(
                lambda: self._function(self._inputs, variant)
            )
        except RuntimeError as error:
            self.obstacle = f"the capture failed: {str(error).strip().partition(chr(10))[0]}"
