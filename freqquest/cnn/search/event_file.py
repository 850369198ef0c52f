"""A TensorBoard event file with the entries that TensorFlow would write, on both backends.

TensorBoard's own protocol buffers, without TensorFlow's operations. No Ray.
Shapes: H x W pixels, S samples.
"""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.audio import metadata as audio_metadata
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from freqquest import plots
from freqquest.audio.decode import encode_wav
from freqquest.cnn.frameworks import keras


class EventFile:
    """Writer of one event file."""

    def __init__(self, folder: Path) -> None:
        """Open a new file in a folder."""
        writer = f"{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        self._records = _record_writer(folder / f"events.out.tfevents.{writer}.0.v2")
        self._write(Event(file_version="brain.Event:2"))

    def add_scalar(self, name: str, value: float, step: int, time_s: float | None = None) -> None:
        """Write a number, of now or of a time in seconds since 1970."""
        self._add(scalar_pb(name, value), step, time_s)

    def add_text(self, name: str, markdown: str, step: int) -> None:
        """Write a text."""
        self._add(text_pb(name, markdown), step)

    def add_image(self, name: str, picture: np.ndarray, step: int) -> None:
        """Write an RGB picture `[H, W, 3]`, uint8."""
        height, width, _ = picture.shape
        tensor = np.array([str(width).encode(), str(height).encode(), plots.png(picture)], object)
        metadata = image_metadata.create_summary_metadata(display_name=None, description=None)
        self._add(_tensor_summary(name, tensor, metadata), step)

    def add_audio(self, name: str, waveform: np.ndarray, sample_rate_hz: int, step: int) -> None:
        """Write a waveform `[S]`, full scale 1.0."""
        tensor = np.array([[encode_wav(waveform, sample_rate_hz), b""]], object)
        metadata = audio_metadata.create_summary_metadata(
            display_name=None, description=None, encoding=audio_metadata.Encoding.Value("WAV")
        )
        self._add(_tensor_summary(name, tensor, metadata), step)

    def add_hparams(self, settings: Mapping[str, object], trial_id: str) -> None:
        """Write the settings of a trial for the HParams tab."""
        self._add(hparams_pb(settings, trial_id=trial_id), 0)

    def flush(self) -> None:
        """Make everything written so far visible to readers of the file."""
        self._records.flush()

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def _add(self, summary: Summary, step: int, time_s: float | None = None) -> None:
        self._write(Event(step=step, summary=summary), time_s)

    def _write(self, event: Event, time_s: float | None = None) -> None:
        event.wall_time = time.time() if time_s is None else time_s
        self._records.write(event.SerializeToString())


def _record_writer(path: Path) -> Any:
    """Return a writer of records; TensorFlow's has faster checksums than TensorBoard's."""
    if keras.config.backend() == "tensorflow":
        from freqquest.cnn.frameworks import tf

        return tf.io.TFRecordWriter(str(path))
    return RecordWriter(path.open("wb"))


def _tensor_summary(name: str, strings: np.ndarray, metadata: SummaryMetadata) -> Summary:
    summary = Summary()
    tensor = make_tensor_proto(strings, dtype=np.object_)
    summary.value.add(tag=name, metadata=metadata, tensor=tensor)
    return summary
