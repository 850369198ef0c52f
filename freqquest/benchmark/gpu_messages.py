"""Messages between processes that train together, counted, and what they cost on many GPUs.

torch alone, no Ray. W processes share each batch of B clips.
"""

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor, distributed
from torch.multiprocessing.spawn import spawn

from freqquest.benchmark.gpu_training import CONFIGS, PackedTraining
from freqquest.cgan.distributed import Worker
from freqquest.cgan.packed_clips import PackedClips

_WARM_UP, _NUM_STEPS = 8, 16
"""Untimed and timed steps: two of sixteen have a penalty."""


class Messages(TypedDict):
    """Messages of an average step, per process."""

    networks: str
    batch_size: int
    num_workers: int
    sums: float
    """All-reduces of gradients."""
    sum_bytes: float
    """Bytes of a process's addends."""
    gathers: float
    """All-gathers of statistics, and of rows of wide layers."""
    gather_bytes: float
    """Bytes of a process's contribution."""
    step_ms: float
    """Time of a step on this machine's CPUs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """Assumed links between GPUs."""

    latency_s: float
    """Time of a message of a few bytes, from kernel to kernel."""
    bytes_per_s: float
    """Bytes per second that each GPU sends and receives."""


NVLINK = Network(latency_s=20e-6, bytes_per_s=200e9)
"""Assumed links between H100s of one node."""

INFINIBAND = Network(latency_s=40e-6, bytes_per_s=40e9)
"""Assumed links between GPUs of several nodes, one adapter of 400 Gbit/s each."""


def communication_s(messages: Messages, num_workers: int, network: Network) -> float:
    """Return the time that a step's messages take between W GPUs, none of it hidden.

    A ring sends each addend 2 (W - 1) / W times, and each contribution W - 1 times. A process's
    contribution is its share of the batch, so it shrinks as W grows.
    """
    share = messages["num_workers"] / num_workers
    sent = messages["sum_bytes"] * 2 * (num_workers - 1) / num_workers
    sent += messages["gather_bytes"] * share * (num_workers - 1)
    return (messages["sums"] + messages["gathers"]) * network.latency_s + sent / network.bytes_per_s


def count_messages(file: Path, networks: str, batch_size: int, num_workers: int) -> Messages:
    """Train in several processes on this machine's CPUs, and count their messages."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = (num_workers, folder, file, networks, batch_size)
        spawn(_count_in_process, args=arguments, nprocs=num_workers)  # type: ignore[no-untyped-call]
        messages: Messages = json.loads((Path(folder) / "messages.json").read_text())
    return messages


def _count_in_process(
    rank: int, num_workers: int, folder: str, file: Path, networks: str, batch_size: int
) -> None:
    torch.set_num_threads(1)
    address = f"file://{folder}/rendezvous"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=num_workers)
    config = dataclasses.replace(CONFIGS[networks], batch_size=batch_size)
    worker = Worker(rank=rank, world_size=num_workers)
    training = PackedTraining(PackedClips(file), config, torch.device("cpu"), "plain", worker)
    training.run(_WARM_UP)
    with counting() as sizes:
        started = time.perf_counter()
        training.run(_NUM_STEPS)
        seconds = time.perf_counter() - started
    messages: Messages = {
        "networks": networks,
        "batch_size": batch_size,
        "num_workers": num_workers,
        "sums": len(sizes["all_reduce"]) / _NUM_STEPS,
        "sum_bytes": sum(sizes["all_reduce"]) / _NUM_STEPS,
        "gathers": len(sizes["all_gather_into_tensor"]) / _NUM_STEPS,
        "gather_bytes": sum(sizes["all_gather_into_tensor"]) / _NUM_STEPS,
        "step_ms": 1000 * seconds / _NUM_STEPS,
    }
    if rank == 0:
        (Path(folder) / "messages.json").write_text(json.dumps(messages))
    distributed.destroy_process_group()


@contextmanager
def counting() -> Iterator[dict[str, list[int]]]:
    """Note the bytes that this process passes to each call of torch.distributed."""
    # The message is the last tensor: an all-gather has the place for all contributions first.
    sizes: dict[str, list[int]] = {"all_reduce": [], "all_gather_into_tensor": []}
    originals = {name: getattr(distributed, name) for name in sizes}

    def counted(name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            sizes[name].append([value for value in args if isinstance(value, Tensor)][-1].nbytes)
            return originals[name](*args)

        return call

    for name in sizes:
        setattr(distributed, name, counted(name))
    try:
        yield sizes
    finally:
        for name, original in originals.items():
            setattr(distributed, name, original)
