"""Least time of a training step by its operations and the bytes that they move. torch only.

An operation cannot be faster than its arithmetic at the device's peak, nor than reading its inputs
and writing its outputs at the memory's bandwidth, nor than an operation on a few values; the
largest of these bounds it. Source: Williams et al., "Roofline: an insightful visual performance
model for multicore architectures", 2009.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True, kw_only=True, slots=True)
class Peak:
    """Limits of a device."""

    flops_per_s: float
    """Operations per second of large matrix products."""
    bytes_per_s: float
    """Bytes per second that kernels read and write."""
    seconds_per_call: float = 0.0
    """Time of an operation on a few values."""


@dataclass(kw_only=True, slots=True)
class Work:
    """Sum over calls of an operation."""

    calls: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0

    def seconds(self, peak: Peak) -> float:
        """Return the least time that the calls take."""
        return max(
            self.flops / peak.flops_per_s,
            self.bytes / peak.bytes_per_s,
            self.calls * peak.seconds_per_call,
        )


@dataclass(kw_only=True, slots=True)
class StepWork:
    """Work of a step."""

    by_operation: dict[str, Work] = field(default_factory=dict)

    @property
    def flops(self) -> float:
        """Arithmetic of all convolutions and matrix products."""
        return sum(work.flops for work in self.by_operation.values())

    def seconds(self, peak: Peak, *, fused: bool) -> float:
        """Return the least time of the step.

        Args:
            peak: Limits of the device.
            fused: Count only convolutions and matrix products, as if all others cost nothing.
        """
        return sum(
            work.seconds(peak) for work in self.by_operation.values() if work.flops or not fused
        )

    def mixed(self, other: "StepWork", share: float) -> "StepWork":
        """Return the mean work of steps, a share of which do the other's."""
        names = self.by_operation.keys() | other.by_operation.keys()
        return StepWork(
            by_operation={
                name: Work(
                    **{
                        key: (1 - share) * getattr(self.by_operation.get(name, Work()), key)
                        + share * getattr(other.by_operation.get(name, Work()), key)
                        for key in ("calls", "flops", "bytes")
                    }
                )
                for name in names
            }
        )


def count_work(function: Callable[[], None]) -> StepWork:
    """Return the work that a function does on tensors, in forward and backward passes."""
    counter = _Counter()
    with counter:
        function()
    return counter.work


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's base is untyped
    """Mode that sees each operation as it is computed. Views of the same memory cost nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.work = StepWork()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        outputs = func(*args, **kwargs)
        if not func.is_view:
            work = self.work.by_operation.setdefault(func.overloadpacket.__name__, Work())
            work.calls += 1
            work.bytes += _moved_bytes(func, args, kwargs, outputs)
            if func.overloadpacket in flop_registry:
                count = flop_registry[func.overloadpacket]
                work.flops += count(*args, **kwargs, out_val=outputs)
        return outputs


def _moved_bytes(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> int:
    """Return the bytes that an operation reads and writes, each tensor once."""
    inputs = _tensors((args, kwargs))
    read = {value.data_ptr() for value in inputs}
    results = [value for value in _tensors(outputs) if value.data_ptr() not in read]
    written_arguments = [
        value
        for position, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
        for value in _tensors(args[position] if position < len(args) else kwargs.get(argument.name))
    ]
    return sum(value.nbytes for value in [*inputs, *results, *written_arguments])


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]
