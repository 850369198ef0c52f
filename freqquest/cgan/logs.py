"""What can be seen and heard of a training: sounds, pictures, losses, in the run folder and in TensorBoard.

Shapes: K classes, Z noise values, M mel bands, T frames.
"""

import dataclasses
import json
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.tensorboard import SummaryWriter

from freqquest.audio.files import encode_wav
from freqquest.audio.invert import invert
from freqquest.cgan.config import CganConfig
from freqquest.cgan.step import CganTrainer
from freqquest.cgan.synthesis import draw_noise
from freqquest.dataset.manifest import Manifest
from freqquest.runs import figures
from freqquest.runs.folder import TENSORBOARD_DIR
from freqquest.runs.storage import Location
from freqquest.runs.tables import write_csv
from freqquest.runs.tensorboard import LogDir

_EPOCHS_NAME = "cgan_epochs.csv"


class CganLogs:
    """Rank 0's record of the training, from noise that stays the same, so that progress can be followed."""

    def __init__(self, run: Location, manifest: Manifest, config: CganConfig, seed: int) -> None:
        self._run, self._manifest, self._config = run, manifest, config
        self._labels = torch.arange(len(manifest.classes))
        self._noise = torch.cat([draw_noise(config.noise_dim, seed, label, 0) for label in self._labels.tolist()])
        self._folder = LogDir(run / TENSORBOARD_DIR / "cgan")
        self._writer = SummaryWriter(str(self._folder.path))
        self._writer.add_text("config", f"```json\n{json.dumps(dataclasses.asdict(config), indent=1)}\n```")

    def log_epoch(self, trainer: CganTrainer, history: list[dict[str, Any]]) -> None:
        """Write the last epoch's figures, one WAV for each class, and one picture of all.

        Args:
            trainer: Holds the generator.
            history: All epochs' figures, the last one's at the end.
        """
        epoch = history[-1]["epoch"]
        write_csv(pd.DataFrame(history), self._run / _EPOCHS_NAME)
        for name in ("loss_D", "loss_G"):
            self._writer.add_scalar(f"loss/{name}", history[-1][name], epoch)
        self._writer.add_scalar("speed/clips_per_s", history[-1]["clips_per_s"], epoch)
        self._log_samples(trainer.generate(self._noise, self._labels)[:, 0].cpu().numpy(), epoch)
        self._writer.flush()
        self._folder.sync()

    def close(self, history: list[dict[str, Any]]) -> None:
        """Write the hyperparameters with the final losses."""
        plain = {
            name: str(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self._config).items()
        }
        final = {f"final/{name}": history[-1][name] for name in ("loss_D", "loss_G")}
        self._writer.add_hparams(plain, final, run_name=".")
        self._writer.close()
        self._folder.sync()

    def _log_samples(self, spectrograms: np.ndarray, epoch: int) -> None:
        view, rate = self._manifest.views["cgan"], self._manifest.clip.sample_rate_hz
        by_class = dict(zip(self._manifest.classes, spectrograms, strict=True))
        waveforms = invert(spectrograms, view, rate, seeds=[0] * len(spectrograms))
        for label, waveform in zip(by_class, waveforms, strict=True):
            (self._run / "samples" / f"{label}_ep{epoch}.wav").write_bytes(encode_wav(waveform, rate))
            self._writer.add_audio(f"generated/{label}", waveform[None], epoch, sample_rate=rate)
        seconds = view.num_frames * view.hop_length / rate
        picture = figures.spectrogram_grid(by_class, f"generated clips, epoch {epoch} (ln(1 + power))", seconds)
        (self._run / "spectrograms" / f"epoch_{epoch:03d}.png").write_bytes(figures.png(picture))
        self._writer.add_image("generated/spectrograms", picture, epoch, dataformats="HWC")
