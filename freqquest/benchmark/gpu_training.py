"""A training on packed clips, as `gpu` measures it: with torch alone, no Ray and no dataset.

Shapes: B clips of a batch.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Literal

import torch

from freqquest.cgan.batches import Batch, ClipBatches
from freqquest.cgan.config import PRESETS, CganConfig
from freqquest.cgan.devices import use_fast_kernels
from freqquest.cgan.distributed import Worker
from freqquest.cgan.epoch import EpochMetrics, train_epoch
from freqquest.cgan.graphs import CudaCapturer, EagerCapturer
from freqquest.cgan.images import ImageScale, effective_floor
from freqquest.cgan.packed_clips import PackedClips
from freqquest.cgan.trainer import CganTrainer

CONFIGS: dict[str, CganConfig] = {
    "default": PRESETS["default"],
    "reference": dataclasses.replace(PRESETS["reference"], precision="bfloat16"),
}
"""Networks that are trained, by name."""

Mode = Literal["plain", "graphs", "compiled"]
"""Way to run a step: from Python, as CUDA graphs, or as CUDA graphs of fused operations."""

MODES: tuple[Mode, ...] = ("plain", "graphs", "compiled")


class PackedTraining:
    """Training of a network on packed clips."""

    def __init__(
        self,
        source: PackedClips,
        cgan_config: CganConfig,
        device: torch.device,
        mode: Mode,
        worker: Worker | None = None,
    ) -> None:
        """Build the networks, and load all clips into the device's memory if they fit."""
        use_fast_kernels(device, enabled=cgan_config.precision == "bfloat16")
        scale = scale_for(source, cgan_config)
        self.trainer = CganTrainer(
            cgan_config, len(source.classes), scale, device, seed=0, compiled=mode == "compiled"
        )
        self._mode, self._worker = mode, worker or Worker()
        self.replay_steps()
        clips = ClipBatches(source, scale, device, has_several_labels=source.has_several_labels)
        self.batches = batches_of_all_epochs(clips, cgan_config.batch_size, self._worker)
        self._num_epochs = 0

    def replay_steps(self) -> None:
        """Replay steps or not, as the mode says; on a CPU, by the stand-in for CUDA graphs."""
        device = self.trainer.device
        capturer = CudaCapturer(device) if device.type == "cuda" else EagerCapturer()
        self.trainer.use_graphs(None if self._mode == "plain" else capturer)

    def run(self, num_steps: int) -> EpochMetrics:
        """Take some steps, and return their metrics as an epoch's."""
        self._num_epochs += 1
        return train_epoch(
            self.trainer,
            itertools.islice(self.batches, num_steps),
            num_steps=num_steps,
            epoch=self._num_epochs - 1,
            seed=0,
            worker=self._worker,
        )


def batches_of_all_epochs(clips: ClipBatches, batch_size: int, worker: Worker) -> Iterator[Batch]:
    """Yield the batches of one epoch after the other."""
    for epoch in itertools.count():
        yield from clips.epoch(batch_size, seed=0, epoch=epoch, worker=worker)


def scale_for(source: PackedClips, cgan_config: CganConfig) -> ImageScale:
    """Return the scale of the images that a configuration trains on."""
    if effective_floor(cgan_config.floor, source.view) == source.scale.floor:
        return source.scale
    if cgan_config.floor > 0:
        raise ValueError(
            f"the clips were packed with a floor of {source.scale.floor}: pack them with "
            f"{cgan_config.floor}"
        )
    scale = source.scale
    return dataclasses.replace(
        scale, floor=0.0, image_mels=scale.num_mels, image_frames=scale.num_frames
    )
