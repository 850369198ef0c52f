"""Sounds, pictures and metrics of a training, in the run folder and in TensorBoard.

A tracker gets the same metrics.

Shapes: K classes, M mel bands, T frames, S samples.
"""

import dataclasses
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import torch

from freqquest import plots
from freqquest.audio.decode import encode_wav
from freqquest.cgan.epoch import EpochMetrics
from freqquest.cgan.evaluation import Evaluation
from freqquest.cgan.images import image_scale
from freqquest.cgan.train_job import TrainJob
from freqquest.dataset.read import example_of_each_class
from freqquest.runs.layout import (
    SAMPLES_DIR,
    SPECTROGRAMS_DIR,
    TENSORBOARD_DIR,
    picture_name,
    sample_name,
)
from freqquest.runs.log_dir import LogDir

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_TAGS = {
    "loss_D": "loss/loss_D",
    "loss_G": "loss/loss_G",
    "accuracy_real": "discriminator/accuracy_real",
    "accuracy_fake": "discriminator/accuracy_generated",
    "norm_D": "gradient_norm/D",
    "norm_G": "gradient_norm/G",
    "num_skipped": "gradient_norm/skipped_steps",
    "clips_per_s": "speed/clips_per_s",
    "step_ms": "speed/step_ms",
    "loader_share": "speed/loader_share",
    "launch_share": "speed/launch_share",
    "device_share": "speed/device_share",
    "gpu_busy": "gpu/busy_share",
    "gpu_power_w": "gpu/power_w",
    "gpu_mib": "memory/gpu_mib",
    "process_mib": "memory/process_mib",
    "judge/mixture_real": "judge/mixture_real",
}
"""TensorBoard tags of an epoch's metrics, those of a GPU or a judge where there is one."""

_MIN_POWER = 1e-4
"""Smallest power in pictures, hardly audible."""


class CganLogs:
    """Writer of a training's logs; `flush` copies them to a remote run folder."""

    def __init__(self, job: TrainJob, first_epoch: int) -> None:
        """Open the logs; entries of an interrupted training from `first_epoch` on are hidden."""
        self._run, self._manifest, self._cgan_config = job.run, job.manifest, job.cgan_config
        self._tracked = job.tracked
        self._real = example_of_each_class(job.dataset, job.manifest, "cgan")
        self._folder = LogDir(job.run / TENSORBOARD_DIR / "cgan")
        self._writer = open_writer(self._folder.path, first_epoch)
        if first_epoch == 1:
            settings = json.dumps(dataclasses.asdict(self._cgan_config), indent=1)
            self._writer.add_text("config", f"```json\n{settings}\n```")

    def add_baseline(self, baseline: Evaluation) -> None:
        """Write the metrics of real clips, for comparison with those of generated ones."""
        notes = [f"{metrics.space.name}/ is {metrics.space.note}." for metrics in baseline.spaces]
        of_real_clips = f"Of real clips: `{json.dumps(baseline.overall())}`"
        self._writer.add_text("judge", "\n\n".join([*notes, of_real_clips]))

    def add_epoch(self, epoch: int, metrics: EpochMetrics, evaluation: Evaluation | None) -> None:
        """Write an epoch's metrics."""
        scalars = {tag: metrics[name] for name, tag in _TAGS.items() if name in metrics}
        scalars |= evaluation.scalars() if evaluation else {}
        for tag, value in scalars.items():
            self._writer.add_scalar(tag, value, epoch)
        if self._tracked is not None:
            self._tracked.log(epoch, scalars)

    def add_samples(self, spectrograms: torch.Tensor, waveforms: np.ndarray, epoch: int) -> None:
        """Write one WAV file for each class, and one picture of all classes.

        Args:
            spectrograms: `[K, M, T]`, ln(1 + power).
            waveforms: Their waveforms `[K, S]`.
            epoch: Number of the epoch, from 1.
        """
        rate = self._manifest.clip.sample_rate_hz
        for label, waveform in zip(self._manifest.classes, waveforms, strict=True):
            file = self._run / SAMPLES_DIR / sample_name(label, epoch)
            file.write_bytes(encode_wav(waveform, rate))
            self._writer.add_audio(f"generated/{label}", waveform[None], epoch, sample_rate=rate)
        generated = dict(zip(self._manifest.classes, spectrograms.cpu().numpy(), strict=True))
        picture = self._picture(generated, epoch)
        (self._run / SPECTROGRAMS_DIR / picture_name(epoch)).write_bytes(plots.png(picture))
        self._writer.add_image("generated/spectrograms", picture, epoch, dataformats="HWC")

    def _picture(self, generated: dict[str, np.ndarray], epoch: int) -> np.ndarray:
        """Draw each class's generated clip beside a training clip, without trailing silence."""
        view, clip = self._manifest.views["cgan"], self._manifest.clip
        num_frames = image_scale(view, clip, self._cgan_config.floor).filled_frames
        pairs = {}
        for label, spectrogram in generated.items():
            pairs[f"{label}, generated"] = spectrogram
            pairs[f"{label}, real"] = self._real.get(label, np.zeros_like(spectrogram))
        levels = {
            name: _decibel(spectrogram[:, :num_frames]) for name, spectrogram in pairs.items()
        }
        title = f"generated clips of epoch {epoch}, each beside a training clip (dB)"
        return plots.spectrogram_grid(levels, title, clip.duration_s, max_columns=4)

    def flush(self) -> None:
        """Copy the logs to the run folder, if it is remote."""
        self._writer.flush()
        self._folder.sync()

    def close(self, metrics: EpochMetrics, evaluation: Evaluation | None) -> None:
        """Write the hyperparameters with the final metrics, and close the logs.

        Args:
            metrics: Metrics of the last epoch.
            evaluation: Final evaluation, if there is a judge.
        """
        hyperparameters = {
            name: str(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self._cgan_config).items()
        }
        final = {f"final/{name}": metrics[name] for name in ("loss_D", "loss_G")}
        if evaluation is not None:
            final |= {
                f"final/{tag.replace('/', '_')}": value
                for tag, value in evaluation.overall().items()
            }
        self._writer.add_hparams(hyperparameters, final, run_name=".")
        self._writer.close()
        self._folder.sync()
        if self._tracked is not None:
            self._tracked.close()


def open_writer(folder: Path, first_epoch: int) -> "SummaryWriter":
    """Open torch's TensorBoard writer, without TensorFlow.

    TensorBoard would load TensorFlow to write its files, unless a module of this name exists
    (tensorboard/compat). Its own writer does as well, and no process should load both frameworks.
    """
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=first_epoch)


def _decibel(spectrogram: np.ndarray) -> np.ndarray:
    """Return the levels in dB of a spectrogram, ln(1 + power)."""
    return np.asarray(10 * np.log10(np.maximum(np.expm1(spectrogram), _MIN_POWER)))
