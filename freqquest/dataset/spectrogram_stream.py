"""Spectrograms and vectors of files outside a dataset, computed on the cluster's cores by Ray Data.

For clips to classify and for extra training clips; the same analysis as a dataset's clips.
Shapes: N clips, M mel bands, T frames, D values of a vector.
"""

import itertools
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import ray.data

from freqquest.cluster import connection
from freqquest.dataset.clip_inputs import Analysis, Inputs, join
from freqquest.dataset.load_clip import window_inputs
from freqquest.dataset.windows import WindowConfig
from freqquest.errors import UserError
from freqquest.progress import Progress

_BLOCK = 256
"""Files in a block of Ray Data."""

_BATCH = 32
"""Windows that are analyzed at once."""


def stream_inputs(
    rows: pd.DataFrame, analysis: Analysis, windows: WindowConfig, num_cpus: float = 1
) -> ray.data.Dataset:
    """Return a stream of the files' windows, in any order.

    Each row of a file is repeated for its windows, with `spectrogram` `[N, M, T]`, `vector`
    `[N, D]` if there is a pretrained network, and `reason`. The reason is empty, unless the file
    cannot be read: then one row has it, and zeros.

    Args:
        rows: One row per file with its `path`; other columns are passed through.
        analysis: Settings of spectrograms and vectors.
        windows: Windows of each file.
        num_cpus: Cores per task.
    """
    connection.configure("data")
    blocks = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    analyze = partial(_analyze, analysis=analysis, windows=windows)
    return ray.data.from_pandas(blocks).map_batches(analyze, batch_size=_BATCH, num_cpus=num_cpus)


def inputs_of(batch: dict[str, np.ndarray]) -> Inputs:
    """Return the inputs in a batch of `stream_inputs`."""
    return Inputs(batch["spectrogram"], batch.get("vector"))


def load_inputs(paths: list[str], analysis: Analysis) -> Inputs:
    """Return the inputs of extra training clips, in the order of `paths`.

    The spectrograms are float16, as in a dataset. Ray must be initialized.

    Raises:
        UserError: A clip cannot be read.
    """
    rows = pd.DataFrame({"row": np.arange(len(paths)), "path": paths})
    zeros = analysis.zeros(len(paths))
    inputs = zeros._replace(spectrograms=zeros.spectrograms.astype(np.float16))
    stream = stream_inputs(rows, analysis, WindowConfig())
    with Progress("extra clips", len(paths), "clips") as progress:
        for batch in stream.iter_batches(batch_size=None):
            for path, reason in zip(batch["path"], batch["reason"], strict=True):
                if reason:
                    raise UserError(
                        f"`extra_clips`: {path} cannot be read ({reason}): fix or remove it"
                    )
            for values, found in zip(inputs, inputs_of(batch), strict=True):
                if values is not None:
                    values[batch["row"]] = found
            progress.update(len(batch["row"]))
    return inputs


def _analyze(
    batch: dict[str, np.ndarray], analysis: Analysis, windows: WindowConfig
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the windows of a batch of paths, as `stream_inputs` returns them.

    The windows of a long file come in several pieces, which bounds the memory.
    """
    stream = window_inputs(batch["path"], analysis, windows)
    while piece := list(itertools.islice(stream, _BATCH)):
        rows, windows_inputs, reasons = zip(*piece, strict=True)
        inputs = join(windows_inputs)
        columns = {name: values[list(rows)] for name, values in batch.items()}
        columns["spectrogram"] = inputs.spectrograms
        if inputs.vectors is not None:
            columns["vector"] = inputs.vectors
        yield columns | {"reason": np.array(reasons, object)}
