"""What rank 0 keeps of a training: checkpoints, judgments, logs, and the generator at its end.

Shapes: K classes, N clips, S samples.
"""

import io
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch

from freqquest.cgan.distributed import Worker, from_first_worker
from freqquest.cgan.generate_worker import draw_noise, to_sound
from freqquest.cgan.generator_file import GeneratorCard, save_generator
from freqquest.cgan.judging import RealismEvaluator
from freqquest.cgan.realism import RealismMetrics, as_dict, table
from freqquest.cgan.tensorboard_logs import CganLogs
from freqquest.cgan.train_job import TrainJob
from freqquest.cgan.trainer import CganTrainer
from freqquest.errors import UserError
from freqquest.runs import layout
from freqquest.runs.checkpoints import Checkpoints
from freqquest.runs.tables import write_csv

_CHECKPOINT_INTERVAL_S = 60.0
"""Shorter epochs are not saved each: an interruption costs a minute's work at most, and saving little time."""

_FINAL_SEED = 1
"""Of the noise that the final figures are taken with: not that by which the best epoch was chosen."""

_CLIPS_AT_ONCE = 32


def restore(trainer: CganTrainer, job: TrainJob, worker: Worker) -> list[dict[str, Any]]:
    """Continue from the run's last whole checkpoint, if there is one.

    Order of clips, noise and changes are given by seed and epoch, so there is no other state to bring back.

    Returns:
        The figures of the epochs that are behind it.

    Raises:
        UserError: The checkpoint is of a training with other settings.
    """
    content = from_first_worker(_checkpoints(job).last() if worker.rank == 0 else None)
    if content is None:
        return []
    state = _load(content, trainer.device)
    if state["settings_sha256"] != job.settings_sha256:
        raise UserError(
            f"{job.run / layout.CHECKPOINTS_DIR} is of a training with other settings: choose another --run-dir"
        )
    trainer.load_state_dict(state["trainer"])
    history: list[dict[str, Any]] = state["history"]
    return history


class Recorder:
    """Keeps what an epoch leaves."""

    def __init__(self, job: TrainJob, trainer: CganTrainer, history: list[dict[str, Any]]) -> None:
        """Have the judge hear the real clips, if there is a judge.

        Args:
            job: The training.
            trainer: Holds the networks.
            history: Figures of each epoch, which the training goes on to extend.
        """
        self._job, self._trainer, self._history = job, trainer, history
        self._checkpoints = _checkpoints(job)
        self._saved = float("-inf")
        self._judged = (
            RealismEvaluator(job.judge, job.dataset, job.manifest)
            if job.judge is not None
            else None
        )
        self._logs = CganLogs(job, first_epoch=len(history) + 1)
        if self._judged is not None and not history:
            self._logs.add_floor(self._judged.floor(job.config.judge_clips))

    def end_epoch(self, tell: Callable[[str], None]) -> None:
        """Judge, log and save the last epoch, as far as these are due; `tell` takes what is going on, for people."""
        config, figures = self._job.config, self._history[-1]
        epoch, is_last = figures["epoch"], figures["epoch"] == config.effective_epochs
        judgment = None
        if self._judged is not None and (is_last or epoch % config.effective_judge_every == 0):
            tell(f"epoch {epoch}/{config.effective_epochs}: judging its clips")
            judgment = self._judge(config.judge_clips, config.seed)
            figures |= {
                name: value
                for name, value in judgment.scalars().items()
                if name.startswith("judge/")
            }
        write_csv(pd.DataFrame(self._history), self._job.run / layout.CGAN_EPOCHS_NAME)
        self._logs.add_epoch(figures, judgment)
        if is_last or epoch == 1 or epoch % config.effective_sample_every == 0:
            clips = [(index, 0) for index in range(len(self._job.manifest.classes))]
            spectrograms = self._spectrograms(clips, config.seed)
            self._logs.add_samples(
                spectrograms, self._invert(spectrograms, clips, config.seed), epoch
            )
        self._logs.flush()
        if (
            is_last
            or judgment is not None
            or time.monotonic() - self._saved > _CHECKPOINT_INTERVAL_S
        ):
            self._save(judgment)

    def finish(self, tell: Callable[[str], None]) -> dict[str, Any]:
        """Save the generator of the best epoch (the last one, where none was judged), and judge it on other noise.

        Args:
            tell: Takes what is going on, for people.

        Returns:
            The last epoch's figures, and those of the generator that was saved.
        """
        content = self._checkpoints.best() or self._checkpoints.last()
        assert content is not None
        state = _load(content, self._trainer.device)
        weights = state["trainer"]["averaged_generator"]
        metrics = self._history[-1] | {"generator_epoch": len(state["history"])}
        save_generator(
            weights, self._card(len(state["history"])), self._job.run / layout.GENERATOR_NAME
        )
        if self._judged is not None:
            self._trainer.averaged_generator.load_state_dict(weights)
            num_clips = self._job.config.final_judge_clips
            tell(f"judging {num_clips} clips of each class by epoch {len(state['history'])}")
            judgment = self._judge(num_clips, self._job.config.seed + _FINAL_SEED)
            floor = self._judged.floor(num_clips)
            (self._job.run / layout.JUDGE_TABLE_NAME).write_text(table(judgment, floor) + "\n")
            metrics |= {"judge": as_dict(judgment), "floor": as_dict(floor)}
            # Distances depend on how many clips there are, so the epochs' stand beside those of as many real ones.
            metrics["floor_of_epochs"] = self._judged.floor(self._job.config.judge_clips).overall
        self._logs.close(metrics)
        return metrics

    def _judge(self, clips_per_class: int, seed: int) -> RealismMetrics:
        """Figures of the averaged generator's clips, so many of each class."""
        assert self._judged is not None
        clips = [
            (index, number)
            for index in range(len(self._job.manifest.classes))
            for number in range(clips_per_class)
        ]
        parts = [
            clips[start : start + _CLIPS_AT_ONCE] for start in range(0, len(clips), _CLIPS_AT_ONCE)
        ]
        waveforms = [self._invert(self._spectrograms(part, seed), part, seed) for part in parts]
        return self._judged.judge(
            np.concatenate(waveforms), np.array([index for index, _ in clips])
        )

    def _spectrograms(self, clips: list[tuple[int, int]], seed: int) -> torch.Tensor:
        """Of clips given by class and number: always the same noise, so that progress can be followed."""
        noise = draw_noise(self._job.cgan_config.noise_dim, seed, clips)
        return self._trainer.generate(noise, torch.tensor([index for index, _ in clips]))

    def _invert(
        self, spectrograms: torch.Tensor, clips: list[tuple[int, int]], seed: int
    ) -> np.ndarray:
        """Waveforms `[N, S]`."""
        return to_sound(
            spectrograms, self._card(len(self._history)), seed, clips, self._trainer.device
        )

    def _save(self, judgment: RealismMetrics | None) -> None:
        buffer = io.BytesIO()
        state = {
            "trainer": self._trainer.state_dict(),
            "history": self._history,
            "settings_sha256": self._job.settings_sha256,
        }
        torch.save(state, buffer)
        kernel = judgment.overall["kernel"] if judgment is not None else None
        self._checkpoints.save(
            len(self._history), buffer.getvalue(), None if kernel is None else -kernel
        )
        self._saved = time.monotonic()

    def _card(self, epochs: int) -> GeneratorCard:
        manifest = self._job.manifest
        return GeneratorCard(
            classes=manifest.classes,
            sample_rate_hz=manifest.clip.sample_rate_hz,
            view=manifest.views["cgan"],
            scale=self._trainer.scale,
            cgan_config=self._job.cgan_config,
            preset=self._job.config.preset,
            epochs=epochs,
            dataset_sha256=manifest.content_sha256,
        )


def _checkpoints(job: TrainJob) -> Checkpoints:
    return Checkpoints(folder=job.run / layout.CHECKPOINTS_DIR)


def _load(content: bytes, device: torch.device) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return state
