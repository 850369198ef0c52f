"""What can be seen and heard of a training: sounds, pictures, figures, in the run folder and in TensorBoard.

Shapes: K classes, M mel bands, T frames, S samples.
"""

import dataclasses
import json
import resource
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from freqquest import plots
from freqquest.audio.decode import encode_wav
from freqquest.cgan.images import image_scale
from freqquest.cgan.realism import NOTE, RealismMetrics
from freqquest.cgan.train_job import TrainJob
from freqquest.dataset.read import example_of_each_class
from freqquest.runs import layout
from freqquest.runs.log_dir import LogDir

_SCALARS = {
    "loss_D": "loss/loss_D",
    "loss_G": "loss/loss_G",
    "accuracy_real": "discriminator/accuracy_real",
    "accuracy_fake": "discriminator/accuracy_generated",
    "norm_D": "gradient_norm/D",
    "norm_G": "gradient_norm/G",
    "num_skipped": "gradient_norm/skipped_steps",
    "clips_per_s": "speed/clips_per_s",
}
"""An epoch's figures by their names in TensorBoard."""

_LOWEST_POWER = 1e-4
"""Of pictures."""


class CganLogs:
    """Writes them; `flush` brings them to where the run lies."""

    def __init__(self, job: TrainJob, first_epoch: int) -> None:
        """Open the logs; what an interrupted training logged from `first_epoch` on is hidden."""
        self._run, self._manifest, self._config = job.run, job.manifest, job.cgan_config
        self._real = example_of_each_class(job.dataset, job.manifest, "cgan")
        self._folder = LogDir(job.run / layout.TENSORBOARD_DIR / "cgan")
        self._writer = SummaryWriter(str(self._folder.path), purge_step=first_epoch)
        if first_epoch == 1:
            self._writer.add_text(
                "config", f"```json\n{json.dumps(dataclasses.asdict(self._config), indent=1)}\n```"
            )

    def add_floor(self, floor: RealismMetrics) -> None:
        """The judge's figures of real clips, to be read beside those of generated ones."""
        figures = {name: value for name, value in floor.overall.items() if value is not None}
        self._writer.add_text("judge", f"{NOTE}. Of real clips: `{json.dumps(figures)}`")

    def add_epoch(self, epoch: dict[str, Any], judgment: RealismMetrics | None) -> None:
        """Write an epoch's figures."""
        number = epoch["epoch"]
        scalars = {name: epoch[figure] for figure, name in _SCALARS.items()}
        scalars["memory/process_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if torch.cuda.is_available():
            scalars["memory/gpu_mib"] = torch.cuda.max_memory_allocated() / 2**20
        for name, value in (scalars | (judgment.scalars() if judgment else {})).items():
            self._writer.add_scalar(name, value, number)

    def add_samples(self, spectrograms: torch.Tensor, waveforms: np.ndarray, epoch: int) -> None:
        """Write one WAV for each class, and one picture of all.

        Args:
            spectrograms: `[K, M, T]`, ln(1 + power).
            waveforms: Their sound `[K, S]`.
            epoch: Counted from 1.
        """
        rate = self._manifest.clip.sample_rate_hz
        for label, waveform in zip(self._manifest.classes, waveforms, strict=True):
            (self._run / layout.SAMPLES_DIR / f"{label}_ep{epoch}.wav").write_bytes(
                encode_wav(waveform, rate)
            )
            self._writer.add_audio(f"generated/{label}", waveform[None], epoch, sample_rate=rate)
        picture = self._picture(
            dict(zip(self._manifest.classes, spectrograms.cpu().numpy(), strict=True)), epoch
        )
        (self._run / layout.SPECTROGRAMS_DIR / f"epoch_{epoch:03d}.png").write_bytes(
            plots.png(picture)
        )
        self._writer.add_image("generated/spectrograms", picture, epoch, dataformats="HWC")

    def _picture(self, generated: dict[str, np.ndarray], epoch: int) -> np.ndarray:
        """Of each class, what is generated, and a training clip beside it, without the silence behind them."""
        view, clip = self._manifest.views["cgan"], self._manifest.clip
        num_frames = image_scale(view, clip, self._config.floor).filled_frames
        pairs = {}
        for label, spectrogram in generated.items():
            pairs[f"{label}, generated"] = spectrogram
            pairs[f"{label}, real"] = self._real.get(label, np.zeros_like(spectrogram))
        levels = {
            name: _decibel(spectrogram[:, :num_frames]) for name, spectrogram in pairs.items()
        }
        title = f"generated clips of epoch {epoch}, each beside a training clip (dB)"
        return plots.spectrogram_grid(levels, title, clip.duration_s, most_columns=4)

    def flush(self) -> None:
        """Bring what was written to where the run lies."""
        self._writer.flush()
        self._folder.sync()

    def close(self, metrics: dict[str, Any]) -> None:
        """Write the hyperparameters with the final figures."""
        plain = {
            name: str(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self._config).items()
        }
        final = {f"final/{name}": metrics[name] for name in ("loss_D", "loss_G")}
        if "judge" in metrics:
            final |= {
                f"final/judge_{name}": value
                for name, value in metrics["judge"]["overall"].items()
                if value is not None
            }
        self._writer.add_hparams(plain, final, run_name=".")
        self._writer.close()
        self._folder.sync()


def _decibel(spectrogram: np.ndarray) -> np.ndarray:
    """Levels of ln(1 + power), down to one that is hardly heard."""
    return 10 * np.log10(np.maximum(np.expm1(spectrogram), _LOWEST_POWER))
