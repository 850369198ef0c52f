"""Spectrograms of audio files outside a dataset, computed on the cluster's cores by Ray Data.

For clips to classify and for extra training clips; the same analysis as a dataset's clips.
Shapes: N clips, M mel bands, T frames.
"""

import itertools
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import ray.data

from freqquest.audio.clip import ClipConfig
from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.cluster import connection
from freqquest.dataset.load_clip import window_spectrograms
from freqquest.dataset.windows import WindowConfig
from freqquest.errors import UserError
from freqquest.progress import Progress

_BLOCK = 256
"""Files in a block of Ray Data."""

_BATCH = 32
"""Windows that are analyzed at once."""


def stream_spectrograms(
    rows: pd.DataFrame,
    clip: ClipConfig,
    view: SpectrogramConfig,
    windows: WindowConfig,
    num_cpus: float = 1,
) -> ray.data.Dataset:
    """Return a stream of the files' windows, in any order.

    Each row of a file is repeated for its windows, with `spectrogram` `[N, M, T]` and `reason`. The
    reason is empty, unless the file cannot be read: then one row has it, and a spectrogram of
    zeros.

    Args:
        rows: One row per file with its `path`; other columns are passed through.
        clip: Format of the waveforms.
        view: Settings of the spectrograms.
        windows: Windows of each file.
        num_cpus: Cores per task.
    """
    connection.configure("data")
    blocks = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    analyze = partial(_analyze, clip=clip, view=view, windows=windows)
    return ray.data.from_pandas(blocks).map_batches(analyze, batch_size=_BATCH, num_cpus=num_cpus)


def load_spectrograms(paths: list[str], clip: ClipConfig, view: SpectrogramConfig) -> np.ndarray:
    """Return spectrograms `[N, M, T]`, float16, of extra training clips, in the order of `paths`.

    Ray must be initialized.

    Raises:
        UserError: A clip cannot be read.
    """
    rows = pd.DataFrame({"row": np.arange(len(paths)), "path": paths})
    spectrograms = np.empty((len(paths), view.num_mels, view.num_frames), np.float16)
    stream = stream_spectrograms(rows, clip, view, WindowConfig())
    with Progress("extra clips", len(paths), "clips") as progress:
        for batch in stream.iter_batches(batch_size=None):
            for path, reason in zip(batch["path"], batch["reason"], strict=True):
                if reason:
                    raise UserError(
                        f"`extra_clips`: {path} cannot be read ({reason}): fix or remove it"
                    )
            spectrograms[batch["row"]] = batch["spectrogram"]
            progress.update(len(batch["row"]))
    return spectrograms


def _analyze(
    batch: dict[str, np.ndarray], clip: ClipConfig, view: SpectrogramConfig, windows: WindowConfig
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the windows of a batch of paths with `spectrogram` `[N, M, T]` and `reason`.

    The windows of a long file come in several pieces, which bounds the memory.
    """
    stream = window_spectrograms(batch["path"], clip, view, windows)
    while piece := list(itertools.islice(stream, _BATCH)):
        rows, spectrograms, reasons = zip(*piece, strict=True)
        repeated = {name: values[list(rows)] for name, values in batch.items()}
        yield repeated | {
            "spectrogram": np.stack(spectrograms),
            "reason": np.array(reasons, object),
        }
