"""What the machine could do at most: decoding and both views in a bare loop on every core, nothing kept or written.

Run as a program, in a process of its own: it prints the seconds that the loop took, without imports and start.
"""

import multiprocessing
import os
import sys
import time

from freqquest.audio.decode import load_clip
from freqquest.audio.spectrogram import log_mel
from freqquest.dataset.config import CLIP, VIEWS
from freqquest.storage import locate

_CHUNK = 64


def analyze(paths: list[str]) -> None:
    """Decode clips and compute both views."""
    for path in paths:
        with locate(path).open() as stream:
            waveform = load_clip(stream, CLIP).waveform
        for view in VIEWS.values():
            log_mel(waveform, view, CLIP.sample_rate_hz)


def main() -> None:
    """Time the loop on the paths that come in on standard input."""
    paths = sys.stdin.read().splitlines()
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    cores = len(os.sched_getaffinity(0))
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        pool.map(analyze, chunks[: 2 * cores], chunksize=1)  # every process has begun
        started = time.perf_counter()
        pool.map(analyze, chunks, chunksize=1)
        print(time.perf_counter() - started)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # as Ray sets it in a worker of one core
    main()
