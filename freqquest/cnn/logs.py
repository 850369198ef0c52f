"""A trial's TensorBoard logs, by TensorFlow's own writer."""

import dataclasses
import json

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from freqquest.cnn.config import CnnConfig
from freqquest.runs.storage import Location
from freqquest.runs.tensorboard import LogDir


class TrialLogs:
    """Scalars of every epoch, the configuration as text and as hyperparameters, and pictures."""

    def __init__(self, place: Location) -> None:
        self._folder = LogDir(place)
        self._writer = tf.summary.create_file_writer(str(self._folder.path))

    def log_config(self, config: CnnConfig, trial_id: str) -> None:
        """Show the configuration in the text and HParams tabs."""
        settings = dataclasses.asdict(config)
        with self._writer.as_default(step=0):
            tf.summary.text("config", f"```json\n{json.dumps(settings, indent=1)}\n```")
            hparams.hparams(settings, trial_id=trial_id)

    def log_scalars(self, metrics: dict[str, float], epoch: int) -> None:
        """Write an epoch's figures."""
        with self._writer.as_default(step=epoch):
            for name, value in metrics.items():
                tf.summary.scalar(name, value)
        self.sync()

    def log_picture(self, name: str, picture: np.ndarray) -> None:
        """Write a picture `[H, W, 3]`, uint8."""
        with self._writer.as_default(step=0):
            tf.summary.image(name, picture[None])
        self.sync()

    def sync(self) -> None:
        """Make what was written visible."""
        self._writer.flush()
        self._folder.sync()
