"""Results of a training, kept by rank 0: checkpoints, evaluations, logs, and the final generator.

No Ray. Shapes: N clips, M mel bands, T frames, S samples.
"""

import io
import time
from collections.abc import Callable
from typing import TypedDict

import numpy as np
import pandas as pd
import torch

from freqquest.cgan.distributed import Worker, from_first_worker
from freqquest.cgan.epoch import EpochMetrics
from freqquest.cgan.generator import ClipKey, draw_noise, to_waveforms
from freqquest.cgan.generator_file import GeneratorCard, generator_bytes
from freqquest.cgan.judging import RealismEvaluator
from freqquest.cgan.realism import RealismMetrics, as_dict, format_table
from freqquest.cgan.tensorboard_logs import CganLogs
from freqquest.cgan.train_job import TrainJob
from freqquest.cgan.trainer import CganTrainer, TrainerState
from freqquest.errors import UserError
from freqquest.runs import layout
from freqquest.runs.checkpoints import Checkpoints
from freqquest.runs.tables import write_csv

_CHECKPOINT_INTERVAL_S = 60.0
"""Time between two checkpoints: an interruption costs about a minute of work."""

_FINAL_SEED = 1
"""Added to the seed for the final evaluation: the noise that chose the epoch must not score it."""

_CLIPS_AT_ONCE = 32
"""Clips of an evaluation that are generated together."""


class _State(TypedDict):
    """Content of a checkpoint."""

    trainer: TrainerState
    history: list[EpochMetrics]
    settings_sha256: str


def restore(trainer: CganTrainer, job: TrainJob, worker: Worker) -> list[EpochMetrics]:
    """Continue from the run's last intact checkpoint, if there is one.

    Seed and epoch determine order of clips, noise and augmentation, so there is no other state.

    Returns:
        The metrics of all epochs done.

    Raises:
        UserError: The checkpoint is of a training with other settings.
    """
    content = from_first_worker(_checkpoints(job).last() if worker.rank == 0 else None)
    if content is None:
        return []
    state = _load(content, trainer.device)
    if state["settings_sha256"] != job.settings_sha256:
        raise UserError(
            f"{job.run / layout.CHECKPOINTS_DIR} holds a training with other settings: choose "
            "another `run_dir`"
        )
    trainer.load_state_dict(state["trainer"])
    return state["history"]


class Recorder:
    """Keeper of each epoch's results."""

    def __init__(self, job: TrainJob, trainer: CganTrainer, history: list[EpochMetrics]) -> None:
        """Open the logs; if there is a judge, have it classify the real clips.

        Args:
            job: The training.
            trainer: Its networks.
            history: Metrics of all epochs done, which the training keeps extending.
        """
        self._job, self._trainer, self._history = job, trainer, history
        self._checkpoints = _checkpoints(job)
        self._last_save = float("-inf")
        self._evaluator = (
            RealismEvaluator(job.judge, job.dataset, job.manifest)
            if job.judge is not None
            else None
        )
        self._logs = CganLogs(job, first_epoch=len(history) + 1)
        if self._evaluator is not None and not history:
            self._logs.add_baseline(self._evaluator.real_baseline(job.config.judge_clips))

    def end_epoch(self, on_note: Callable[[str], None]) -> None:
        """Log the last epoch; evaluate it, write samples and save a checkpoint where these are due.

        Args:
            on_note: Called with a note on what is going on.
        """
        config, metrics, epoch = self._job.config, self._history[-1], len(self._history)
        is_last = epoch == config.effective_epochs
        evaluation = None
        if self._evaluator is not None and (is_last or epoch % config.effective_judge_every == 0):
            on_note(f"epoch {epoch}/{config.effective_epochs}: judging its clips")
            evaluation = self._judge(self._evaluator, config.judge_clips, config.seed)
            scalars = evaluation.scalars().items()
            metrics |= {tag: value for tag, value in scalars if tag.startswith("judge/")}
        write_csv(pd.DataFrame(self._history), self._job.run / layout.CGAN_EPOCHS_NAME)
        self._logs.add_epoch(epoch, metrics, evaluation)
        if is_last or epoch == 1 or epoch % config.effective_sample_every == 0:
            self._add_samples(epoch)
        self._logs.flush()
        is_due = time.monotonic() - self._last_save > _CHECKPOINT_INTERVAL_S
        if is_last or evaluation is not None or is_due:
            self._save(evaluation)

    def finish(self, on_note: Callable[[str], None]) -> dict[str, object]:
        """Save the generator of the best epoch, or of the last if none was judged, and judge it.

        Args:
            on_note: Called with a note on what is going on.

        Returns:
            The last epoch's metrics, and those of the saved generator.
        """
        content = self._checkpoints.best() or self._checkpoints.last()
        assert content is not None
        state = _load(content, self._trainer.device)
        epoch, weights = len(state["history"]), state["trainer"]["averaged_generator"]
        file = self._job.run / layout.GENERATOR_NAME
        file.write_bytes(generator_bytes(weights, self._card(epoch)))
        metrics: dict[str, object] = {**self._history[-1], "generator_epoch": epoch}
        evaluation = None
        if self._evaluator is not None:
            self._trainer.averaged_generator.load_state_dict(weights)
            config, num_clips = self._job.config, self._job.config.final_judge_clips
            on_note(f"judging {num_clips} clips of each class by epoch {epoch}")
            evaluation = self._judge(self._evaluator, num_clips, config.seed + _FINAL_SEED)
            baseline = self._evaluator.real_baseline(num_clips)
            table = format_table(evaluation, baseline)
            (self._job.run / layout.JUDGE_TABLE_NAME).write_text(table + "\n")
            metrics |= {"judge": as_dict(evaluation), "baseline": as_dict(baseline)}
            # Distances depend on the number of clips, so epochs have a baseline of their own.
            of_epochs = self._evaluator.real_baseline(config.judge_clips)
            metrics["baseline_of_epochs"] = of_epochs.overall
        self._logs.close(self._history[-1], evaluation)
        return metrics

    def _judge(
        self, evaluator: RealismEvaluator, clips_per_class: int, seed: int
    ) -> RealismMetrics:
        """Return the metrics of clips of the averaged generator."""
        num_classes = len(self._job.manifest.classes)
        clips = [
            (index, number) for index in range(num_classes) for number in range(clips_per_class)
        ]
        chunks = [
            clips[start : start + _CLIPS_AT_ONCE] for start in range(0, len(clips), _CLIPS_AT_ONCE)
        ]
        waveforms = [self._generate(chunk, seed)[1] for chunk in chunks]
        return evaluator.evaluate(
            np.concatenate(waveforms), np.array([index for index, _ in clips])
        )

    def _add_samples(self, epoch: int) -> None:
        clips = [(index, 0) for index in range(len(self._job.manifest.classes))]
        self._logs.add_samples(*self._generate(clips, self._job.config.seed), epoch)

    def _generate(self, clips: list[ClipKey], seed: int) -> tuple[torch.Tensor, np.ndarray]:
        """Return spectrograms `[N, M, T]` and waveforms `[N, S]`.

        The noise of a clip is the same in every epoch, so that progress can be followed.
        """
        noise = draw_noise(self._job.cgan_config.noise_dim, seed, clips)
        labels = torch.tensor([index for index, _ in clips])
        spectrograms = self._trainer.generate(noise, labels)
        card, device = self._card(len(self._history)), self._trainer.device
        return spectrograms, to_waveforms(spectrograms, card, seed, clips, device)

    def _save(self, evaluation: RealismMetrics | None) -> None:
        state: _State = {
            "trainer": self._trainer.state_dict(),
            "history": self._history,
            "settings_sha256": self._job.settings_sha256,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        kernel = evaluation.overall["kernel"] if evaluation is not None else None
        score = None if kernel is None else -kernel
        self._checkpoints.save(len(self._history), buffer.getvalue(), score)
        self._last_save = time.monotonic()

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


def _load(content: bytes, device: torch.device) -> _State:
    state: _State = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return state
