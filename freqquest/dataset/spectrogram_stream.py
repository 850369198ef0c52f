"""Decode and analyze audio files on the cluster's cores, by Ray Data, as a dataset's clips are.

Shapes: N clips, M mel bands, T frames.
"""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import ray.data

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import UnreadableClipError
from freqquest.audio.spectrogram import SpectrogramConfig, log_mel
from freqquest.cluster import connection
from freqquest.dataset.load_clip import load
from freqquest.errors import UserError
from freqquest.progress import Progress

_BLOCK = 256
"""Clips that one task of Ray Data is given."""
_BATCH = 32


def stream_spectrograms(
    rows: pd.DataFrame, clip: ClipConfig, view: SpectrogramConfig, num_cpus: float = 1
) -> ray.data.Dataset:
    """A stream of clips with `spectrogram` `[N, M, T]` and `reason`, in any order.

    A clip that cannot be read is zeros, and has the reason why; else the reason is empty.

    Args:
        rows: A clip each, with `path`; other columns go along.
        clip: How files are read.
        view: How waveforms become spectrograms.
        num_cpus: Cores of a task.
    """
    connection.silence("data")
    blocks = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    analyze = partial(_analyze, clip=clip, view=view)
    return ray.data.from_pandas(blocks).map_batches(analyze, batch_size=_BATCH, num_cpus=num_cpus)


def load_spectrograms(paths: list[str], clip: ClipConfig, view: SpectrogramConfig) -> np.ndarray:
    """Spectrograms `[N, M, T]`, float16, of extra training clips, in the order given. Needs an initialized Ray.

    Raises:
        UserError: A clip cannot be read.
    """
    rows = pd.DataFrame({"row": np.arange(len(paths)), "path": paths})
    spectrograms = np.empty((len(paths), view.num_mels, view.num_frames), np.float16)
    with Progress("extra clips", len(paths), "clips") as progress:
        for batch in stream_spectrograms(rows, clip, view).iter_batches(batch_size=None):
            for path, reason in zip(batch["path"], batch["reason"], strict=True):
                if reason:
                    raise UserError(
                        f"--extra-clips: {path} cannot be used ({reason}): mend or remove it"
                    )
            spectrograms[batch["row"]] = batch["spectrogram"]
            progress.update(len(batch["row"]))
    return spectrograms


def _analyze(
    batch: dict[str, np.ndarray], clip: ClipConfig, view: SpectrogramConfig
) -> dict[str, Any]:
    """Decode a batch of paths into spectrograms `[N, M, T]`; an unreadable clip is zeros, with the reason."""
    spectrograms = np.zeros((len(batch["path"]), view.num_mels, view.num_frames), np.float32)
    reasons = []
    for spectrogram, path in zip(spectrograms, batch["path"], strict=True):
        try:
            spectrogram[:] = log_mel(load(path, clip).waveform, view, clip.sample_rate_hz)
            reasons.append("")
        except UnreadableClipError as error:
            reasons.append(str(error))
    return batch | {"spectrogram": spectrograms, "reason": np.array(reasons, object)}
