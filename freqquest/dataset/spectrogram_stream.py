"""Spectrograms of audio files outside a dataset, computed on the cluster's cores by Ray Data.

For clips to classify and for extra training clips; the same analysis as a dataset's clips.
Shapes: N clips, M mel bands, T frames.
"""

from functools import partial

import numpy as np
import pandas as pd
import ray.data

from freqquest.audio.clip import ClipConfig
from freqquest.audio.decode import UnreadableClipError
from freqquest.audio.spectrogram import SpectrogramConfig, log_mel
from freqquest.cluster import connection
from freqquest.dataset.load_clip import open_clip
from freqquest.errors import UserError
from freqquest.progress import Progress

_BLOCK = 256
"""Clips in a block of Ray Data."""

_BATCH = 32
"""Clips that are analyzed at once."""


def stream_spectrograms(
    rows: pd.DataFrame, clip: ClipConfig, view: SpectrogramConfig, num_cpus: float = 1
) -> ray.data.Dataset:
    """Return a stream of the clips with `spectrogram` `[N, M, T]` and `reason`, in any order.

    The reason is empty, unless the clip cannot be read: then its spectrogram is zeros.

    Args:
        rows: One row per clip with its `path`; other columns are passed through.
        clip: Format of the waveforms.
        view: Settings of the spectrograms.
        num_cpus: Cores per task.
    """
    connection.silence("data")
    blocks = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    analyze = partial(_analyze, clip=clip, view=view)
    return ray.data.from_pandas(blocks).map_batches(analyze, batch_size=_BATCH, num_cpus=num_cpus)


def load_spectrograms(paths: list[str], clip: ClipConfig, view: SpectrogramConfig) -> np.ndarray:
    """Return spectrograms `[N, M, T]`, float16, of extra training clips, in the order of `paths`.

    Ray must be initialized.

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
                        f"`extra_clips`: {path} cannot be read ({reason}): fix or remove it"
                    )
            spectrograms[batch["row"]] = batch["spectrogram"]
            progress.update(len(batch["row"]))
    return spectrograms


def _analyze(
    batch: dict[str, np.ndarray], clip: ClipConfig, view: SpectrogramConfig
) -> dict[str, np.ndarray]:
    """Add `spectrogram` `[N, M, T]` and `reason` to a batch of paths."""
    spectrograms = np.zeros((len(batch["path"]), view.num_mels, view.num_frames), np.float32)
    reasons = []
    for spectrogram, path in zip(spectrograms, batch["path"], strict=True):
        try:
            spectrogram[:] = log_mel(open_clip(path, clip).waveform, view, clip.sample_rate_hz)
            reasons.append("")
        except UnreadableClipError as error:
            reasons.append(str(error))
    return batch | {"spectrogram": spectrograms, "reason": np.array(reasons, object)}
