"""Results of a training, kept by rank 0: checkpoints, evaluations, logs, and the final generator.

Clips are generated when an epoch ends. A thread judges and writes them while the next epochs train.

No Ray. Shapes: N clips, M mel bands, T frames, S samples.
"""

import io
import time
from collections.abc import Callable
from functools import partial
from typing import Self, TypedDict

import numpy as np
import pandas as pd
import torch

from freqquest.cgan.background import Background
from freqquest.cgan.devices import copy_to_host
from freqquest.cgan.distributed import Worker, from_first_worker
from freqquest.cgan.epoch import EpochMetrics
from freqquest.cgan.evaluation import Evaluation, for_metrics
from freqquest.cgan.final_judging import GeneratedClips, judge_finally
from freqquest.cgan.finished_generator import finished_generator, generator_card
from freqquest.cgan.generator import (
    GPU_CLIPS_AT_ONCE,
    ClipKey,
    Generator,
    draw_noise,
    draw_timing,
    to_waveforms,
)
from freqquest.cgan.generator_file import read_generator
from freqquest.cgan.hardware import HardwareMonitor, describe_hardware
from freqquest.cgan.judging import Judge, RealInputs, RealismEvaluator, read_real_clips
from freqquest.cgan.tensorboard_logs import CganLogs
from freqquest.cgan.train_job import TrainJob
from freqquest.cgan.trainer import CganTrainer, TrainerState
from freqquest.errors import UserError
from freqquest.runs import layout
from freqquest.runs.checkpoints import Checkpoints
from freqquest.runs.tables import write_csv

_CHECKPOINT_INTERVAL_S = 60.0
"""Time between two checkpoints, if no evaluation is under way."""

_FINAL_SEED = 1
"""Added to the seed for the final evaluation: the noise that chose the epoch must not score it."""

_CLIPS_AT_ONCE = 32
"""Clips of an evaluation that a CPU generates together."""

_START, _EPOCH, _CHECKPOINT, _SAMPLES = "start", "epoch", "checkpoint", "samples"
"""Kinds of work in the background: the judge's start, an epoch's metrics, the same with all
weights, and sounds."""

_MAX_SAMPLES = 8
"""Epochs whose sounds may wait in memory to be written."""


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
        UserError: The checkpoint cannot be read, or is of a training with other settings.
    """
    content = from_first_worker(_checkpoints(job).last() if worker.rank == 0 else None)
    if content is None:
        return []
    folder = job.run / layout.CHECKPOINTS_DIR
    try:
        state = _load(content, trainer.device)
        if state["settings_sha256"] != job.settings_sha256:
            raise UserError(
                f"{folder} holds a training with other settings: choose another `run_dir`"
            )
        trainer.load_state_dict(state["trainer"])
        return state["history"]
    except (UserError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a damaged file may raise any
        problem = str(error).partition("\n")[0]
        raise UserError(
            f"{folder} holds a checkpoint that cannot be read ({problem}): choose another `run_dir`"
        ) from error


class Recorder:
    """Keeper of each epoch's results; use it as a context, which ends with all of them written."""

    def __init__(self, job: TrainJob, trainer: CganTrainer, history: list[EpochMetrics]) -> None:
        """Open the logs; if there is a judge, read the real clips, which it classifies meanwhile.

        Args:
            job: The training.
            trainer: Its networks.
            history: Metrics of all epochs done, which the training keeps extending.
        """
        self._job, self._trainer, self._history = job, trainer, history
        self._checkpoints = _checkpoints(job)
        self._last_save = float("-inf")
        self._evaluator: RealismEvaluator | None = None
        self._baseline: Evaluation | None = None
        self._logs = CganLogs(job, first_epoch=len(history) + 1)
        self._hardware = HardwareMonitor(trainer.device)
        self._background = Background()
        if job.judge is not None:
            real_clips = read_real_clips(job.dataset, job.manifest)
            start = partial(self._start_evaluator, job.judge, real_clips, is_first=not history)
            self._background.submit(start, _START)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Finish what is being judged and written, also after an error."""
        self._background.__exit__(*error)

    def end_epoch(self, on_note: Callable[[str], None]) -> None:
        """Log the last epoch; evaluate it, write samples and save a checkpoint where these are due.

        Copies what this needs; most of it is done later, in the order of the epochs. Their rows of
        the history belong to the background from then on.

        Args:
            on_note: Called with a note on what is going on.

        Raises:
            Exception: The judge failed, or an earlier epoch's results could not be written.
        """
        config, metrics, epoch = self._job.config, self._history[-1], len(self._history)
        metrics |= self._hardware.read()
        metrics["step_ms"] = 1000 * self._job.cgan_config.batch_size / metrics["clips_per_s"]
        is_last = epoch == config.effective_epochs
        is_judged = self._job.judge is not None and (
            is_last or epoch % config.effective_judge_every == 0
        )
        if is_last or epoch == 1 or epoch % config.effective_sample_every == 0:
            self._add_samples(epoch)
        if is_judged:
            on_note(f"epoch {epoch}/{config.effective_epochs}: judging its clips")
        is_saving = self._background.has(_CHECKPOINT)
        is_due = time.monotonic() - self._last_save > _CHECKPOINT_INTERVAL_S and not is_saving
        clips, state = None, None
        if is_judged or is_last or is_due:
            self._background.wait(_CHECKPOINT)  # so that memory holds one at most
            state = copy_to_host(self._trainer.state_dict())
            self._last_save = time.monotonic()
        if is_judged:
            clips = self._generate_of_each_class(
                config.judge_clips, config.seed, lambda keys, seed: self._generate(keys, seed)[1]
            )
        kind = _EPOCH if state is None else _CHECKPOINT
        self._background.submit(partial(self._record, epoch, clips, state), kind)

    def finish(self, on_note: Callable[[str], None]) -> dict[str, object]:
        """Save the generator of the best epoch, or of the last if none was judged, and judge it.

        Args:
            on_note: Called with a note on what is going on.

        Returns:
            The last epoch's metrics, and those of the saved generator.
        """
        self._background.wait()
        content = self._checkpoints.best() or self._checkpoints.last()
        assert content is not None
        state = _load(content, self._trainer.device)
        epoch, weights = len(state["history"]), state["trainer"]["averaged_generator"]
        file, device = self._job.run / layout.GENERATOR_NAME, self._trainer.device
        content = finished_generator(self._job, self._trainer.scale, weights, epoch, device)
        file.write_bytes(content)
        metrics: dict[str, object] = {**self._history[-1], "generator_epoch": epoch}
        metrics["hardware"] = describe_hardware(self._history, self._trainer.device)
        evaluation = None
        if self._evaluator is not None:
            config, num_clips = self._job.config, self._job.config.final_judge_clips
            on_note(f"judging {num_clips} clips of each class by epoch {epoch}")
            seed = config.seed + _FINAL_SEED
            generator = Generator(read_generator(content), device)
            clips = self._generate_of_each_class(num_clips, seed, generator.generate_clips)
            evaluation, baseline = judge_finally(
                self._evaluator, clips, self._job.manifest, self._job.run
            )
            assert self._baseline is not None
            metrics |= for_metrics(evaluation, baseline, self._baseline)
        self._logs.close(self._history[-1], evaluation)
        if self._job.tracked is not None and self._job.tracked.problem is not None:
            on_note(self._job.tracked.problem)
        return metrics

    def _start_evaluator(
        self,
        judge: Judge,
        real_clips: tuple[RealInputs, RealInputs],
        is_first: bool,
    ) -> None:
        """Have the judge classify the real clips. Runs in the background, before all else."""
        self._evaluator = RealismEvaluator(judge, self._job.manifest, *real_clips)
        self._baseline = self._evaluator.real_baseline(self._job.config.judge_clips)
        if is_first:
            self._logs.add_baseline(self._baseline)

    def _record(self, epoch: int, clips: GeneratedClips | None, state: TrainerState | None) -> None:
        """Evaluate an epoch's clips, log its metrics, and save its state. Runs in the background.

        Args:
            epoch: Number of the epoch, from 1.
            clips: Its clips, if it is judged.
            state: Its state, if a checkpoint is due.
        """
        metrics, evaluation = self._history[epoch - 1], None
        if clips is not None:
            assert self._evaluator is not None
            assert self._baseline is not None
            evaluation = self._evaluator.evaluate(**clips)
            metrics |= evaluation.overall()
            if self._baseline.mixture is not None:
                metrics["judge/mixture_real"] = self._baseline.mixture
        self._logs.add_epoch(epoch, metrics, evaluation)
        if state is not None or not self._background.is_behind():
            # Otherwise a later epoch writes the same rows.
            table = pd.DataFrame(self._history[:epoch])
            write_csv(table, self._job.run / layout.CGAN_EPOCHS_NAME)
            self._logs.flush()
        if state is not None:
            self._save(epoch, state, evaluation)

    def _generate_of_each_class(
        self, clips_per_class: int, seed: int, generate: Callable[[list[ClipKey], int], np.ndarray]
    ) -> GeneratedClips:
        """Return clips made by a function of some clips and a seed."""
        num_classes = len(self._job.manifest.classes)
        clips = [
            (index, number) for index in range(num_classes) for number in range(clips_per_class)
        ]
        step = _CLIPS_AT_ONCE if self._trainer.device.type == "cpu" else GPU_CLIPS_AT_ONCE
        chunks = [clips[start : start + step] for start in range(0, len(clips), step)]
        return {
            "waveforms": np.concatenate([generate(chunk, seed) for chunk in chunks]),
            "class_indices": np.array([index for index, _ in clips]),
        }

    def _add_samples(self, epoch: int) -> None:
        self._background.wait(_SAMPLES, at_most=_MAX_SAMPLES - 1)
        clips = [(index, 0) for index in range(len(self._job.manifest.classes))]
        spectrograms, waveforms = self._generate(clips, self._job.config.seed)
        write = partial(self._logs.add_samples, spectrograms.cpu(), waveforms, epoch)
        self._background.submit(write, _SAMPLES)

    def _generate(self, clips: list[ClipKey], seed: int) -> tuple[torch.Tensor, np.ndarray]:
        """Return spectrograms `[N, M, T]` and waveforms `[N, S]`.

        Noise and timing of a clip are the same in every epoch, so that progress can be followed.
        """
        noise = draw_noise(self._job.cgan_config.noise_dim, seed, clips)
        labels = torch.tensor([index for index, _ in clips])
        card = generator_card(self._job, self._trainer.scale, len(self._history))
        spectrograms = self._trainer.generate(noise, labels, draw_timing(card, seed, clips))
        return spectrograms, to_waveforms(spectrograms, card, seed, clips, self._trainer.device)

    def _save(self, epoch: int, trainer: TrainerState, evaluation: Evaluation | None) -> None:
        state: _State = {
            "trainer": trainer,
            "history": self._history[:epoch],
            "settings_sha256": self._job.settings_sha256,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        mixture = evaluation.mixture if evaluation is not None else None
        score = None if mixture is None else -mixture
        self._checkpoints.save(epoch, buffer.getvalue(), score)


def _checkpoints(job: TrainJob) -> Checkpoints:
    return Checkpoints(folder=job.run / layout.CHECKPOINTS_DIR)


def _load(content: bytes, device: torch.device) -> _State:
    state: _State = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return state
