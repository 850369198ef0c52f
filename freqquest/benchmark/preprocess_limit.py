"""The machine's limit: decoding and both views in a bare loop on every core, nothing kept.

As a program, it prints the seconds that the loop takes, without imports and process startup.
"""

import multiprocessing
import os
import sys
import time

from freqquest.audio.decode import load_clip
from freqquest.audio.spectrogram import log_mel
from freqquest.cluster.cores import num_usable_cores
from freqquest.dataset.views import RECIPE_CLIP, RECIPE_VIEWS
from freqquest.storage import locate

_CHUNK = 64


def analyze(paths: list[str]) -> None:
    """Decode clips and compute both views."""
    for path in paths:
        with locate(path).open() as stream:
            waveform = load_clip(stream, RECIPE_CLIP).waveform
        for view in RECIPE_VIEWS.values():
            log_mel(waveform, view, RECIPE_CLIP.sample_rate_hz)


def main() -> None:
    """Time the loop on the paths that standard input lists."""
    paths = sys.stdin.read().splitlines()
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    cores = num_usable_cores()
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        pool.map(analyze, chunks[: 2 * cores], chunksize=1)  # start every process
        started = time.perf_counter()
        pool.map(analyze, chunks, chunksize=1)
        print(time.perf_counter() - started)


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"  # as Ray sets it in a one-core worker
    main()
