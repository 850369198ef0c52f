"""Trainings of the preset `default` in processes of their own: one alone, and two at once.

Each uses all cores, as the train_cgan job does, so two share them.
"""

import multiprocessing
from multiprocessing.sharedctypes import Synchronized, SynchronizedArray
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

import torch
from torch.multiprocessing.spawn import spawn

from freqquest.benchmark.cgan_runs import FreqquestRun, clips_per_s

ALONE, SLOWER, FASTER = "alone_default", "slower_of_two_default", "faster_of_two_default"
"""Names of the speeds."""


class _Meeting(NamedTuple):
    """Values that the processes share."""

    start: Barrier
    num_timed: "Synchronized[int]"
    speeds: "SynchronizedArray[float]"


def time_beside(dataset_dir: str, num_steps: int, num_threads: int) -> dict[str, float]:
    """Return the clips per second of a training alone, and of each of two at once."""
    (alone,), two = (_time_at_once(count, dataset_dir, num_steps, num_threads) for count in (1, 2))
    return {ALONE: alone, SLOWER: min(two), FASTER: max(two)}


def _time_at_once(count: int, dataset_dir: str, num_steps: int, num_threads: int) -> list[float]:
    context = multiprocessing.get_context("spawn")
    meeting = _Meeting(context.Barrier(count), context.Value("i"), context.Array("d", count))
    arguments = (meeting, dataset_dir, num_steps, num_threads)
    spawn(_train, args=arguments, nprocs=count)  # type: ignore[no-untyped-call]
    return meeting.speeds[:]


def _train(
    number: int, meeting: _Meeting, dataset_dir: str, num_steps: int, num_threads: int
) -> None:
    torch.set_num_threads(num_threads)
    device = torch.device("cpu")
    run = FreqquestRun("default", dataset_dir, device)
    meeting.start.wait()
    meeting.speeds[number] = clips_per_s(run, num_steps, device, tuned=True)
    with meeting.num_timed.get_lock():
        meeting.num_timed.value += 1
    while meeting.num_timed.value < len(meeting.speeds):  # the other is still being timed
        run(1)
