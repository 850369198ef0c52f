"""Speed of the inversion of many clips at once, on a GPU and on one CPU core.

torch, NumPy and SciPy only.
"""

import time
from typing import TypedDict

import numpy as np
import torch

from freqquest.audio.invert import invert
from freqquest.audio.spectrogram import CGAN_VIEW
from freqquest.cgan.devices import threads

_RATE_HZ = 22_050
_NUM_FRAMES = 345
"""Frames of four seconds, which are all of a clip that is inverted."""


class InversionSpeed(TypedDict):
    """Seconds for each clip."""

    device: str
    num_clips: int
    device_s: float
    """Wall time on the device, transfers included."""
    core_s: float
    """Processor time on one CPU core."""


def measure_inversion(device: torch.device, num_clips: int = 160) -> InversionSpeed:
    """Time the default method on a device, and on one core for comparison.

    Args:
        device: Device to compute on.
        num_clips: Clips that are inverted at once on the device.
    """
    log_mels = np.random.default_rng(0).exponential(
        size=(num_clips, CGAN_VIEW.num_mels, _NUM_FRAMES)
    )
    clips, seeds = log_mels.astype(np.float32), list(range(num_clips))
    invert(clips, CGAN_VIEW, _RATE_HZ, seeds=seeds, device=device)  # setup of the first call
    started = time.perf_counter()
    invert(clips, CGAN_VIEW, _RATE_HZ, seeds=seeds, device=device)  # ends on the CPU
    device_s = (time.perf_counter() - started) / num_clips
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "num_clips": num_clips,
        "device_s": device_s,
        "core_s": _core_seconds(clips[:2]),
    }


def _core_seconds(clips: np.ndarray) -> float:
    """Return the processor time for each of some clips, on one thread."""
    with threads(1):
        invert(clips[:1], CGAN_VIEW, _RATE_HZ, seeds=[0])
        started = time.process_time()
        invert(clips, CGAN_VIEW, _RATE_HZ, seeds=list(range(len(clips))))
        return (time.process_time() - started) / len(clips)
