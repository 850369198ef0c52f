"""Batches of a split as images on the training device: kept there if they fit, else streamed.

torch and NumPy only, no Ray.
Shapes: N clips, B clips of this worker in a step, M mel bands and T frames of a spectrogram, H
bands and W frames of an image.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from freqquest.cgan.distributed import Worker
from freqquest.cgan.images import ImageScale

Batch = tuple[Tensor, Tensor]
"""Images `[B, 1, H, W]`, float32, and their class indices `[B]`."""

_RESIDENT_SHARE = 0.15
"""Share of a GPU's free memory for resident clips; the networks' activations take the rest."""

_MAX_AHEAD = 16
"""Batches that a GPU has not used yet. The host's memory holds those that are not resident."""

_RESIDENT_BYTES_ON_CPU = 2**30
"""Memory for resident clips on a CPU: about 11,000 clips."""


class LabeledSpectrograms(Protocol):
    """Several clips as arrays."""

    @property
    def spectrograms(self) -> np.ndarray:
        """Spectrograms `[N, M, T]`, ln(1 + power)."""

    @property
    def class_indices(self) -> np.ndarray:
        """Class indices `[N]`."""


class ClipSource(Protocol):
    """Clips of a split, such as `freqquest.dataset.read.SplitReader` or `PackedClips`."""

    def __len__(self) -> int:
        """Return the number of clips."""

    def shards(self) -> Iterator[LabeledSpectrograms]:
        """Yield all clips in order of their row numbers, some at a time."""

    def rows(
        self, batch_size: int, *, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[np.ndarray]:
        """Yield the row numbers of one process's share of each batch of an epoch."""

    def batches(
        self, batch_size: int, *, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[LabeledSpectrograms]:
        """Yield the clips of these rows."""


class ClipBatches:
    """Batches of a clip source, in its order.

    ```python
    clips = ClipBatches(source, scale, torch.device("cuda"))
    for images, labels in clips.epoch(16, seed=0, epoch=0, worker=Worker()):
        ...
    ```
    """

    def __init__(self, source: ClipSource, scale: ImageScale, device: torch.device) -> None:
        """Load all clips into the device's memory, if they fit.

        Raises:
            UserError: A shard is missing or corrupt.
        """
        self._source, self._scale, self._device = source, scale, device
        num_bytes = 2 * len(source) * scale.image_mels * scale.image_frames
        self.is_resident = num_bytes <= _available_bytes(device)
        if self.is_resident:
            self._load_all()

    def epoch(self, batch_size: int, *, seed: int, epoch: int, worker: Worker) -> Iterator[Batch]:
        """Yield this worker's share of each batch, in an order that depends on (seed, epoch) only.

        Raises:
            UserError: A shard is missing or corrupt.
        """
        rank, world_size = worker.rank, worker.world_size
        if self.is_resident:
            for rows in self._source.rows(
                batch_size, seed=seed, epoch=epoch, rank=rank, world_size=world_size
            ):
                selected = send(rows, self._device)
                yield self._images[selected].float(), self._labels[selected]
        else:
            streamed = self._source.batches(
                batch_size, seed=seed, epoch=epoch, rank=rank, world_size=world_size
            )
            yield from _keep_near(map(self._convert, prefetch(streamed)), self._device)

    def _convert(self, clips: LabeledSpectrograms) -> Batch:
        # Rounded as resident clips are, so that both train the same model.
        images = self._encode(clips.spectrograms).half().float()
        return images, send(clips.class_indices, self._device)

    def _load_all(self) -> None:
        shape = (len(self._source), 1, self._scale.image_mels, self._scale.image_frames)
        self._images = torch.empty(shape, dtype=torch.float16, device=self._device)
        self._labels = torch.empty(len(self._source), dtype=torch.int64, device=self._device)
        start = 0
        for shard in self._source.shards():
            rows = slice(start, start + len(shard.class_indices))
            self._images[rows] = self._encode(shard.spectrograms)
            writable = shard.class_indices.copy()  # Arrow's is not
            self._labels[rows] = send(writable, self._device)
            start = rows.stop

    def _encode(self, spectrograms: np.ndarray) -> Tensor:
        return self._scale.encode(send(spectrograms, self._device).float())


def send(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to a device, without waiting for what the device is doing."""
    tensor = torch.from_numpy(values)
    if device.type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


def _available_bytes(device: torch.device) -> float:
    if device.type == "cuda":
        return _RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]
    return _RESIDENT_BYTES_ON_CPU


def _keep_near(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield the same batches; wait for the device before more than _MAX_AHEAD are ahead of it."""
    ended: deque[torch.cuda.Event] = deque()
    for batch in batches:
        yield batch
        if device.type == "cuda":
            ended.append(torch.cuda.current_stream(device).record_event())
            if len(ended) > _MAX_AHEAD:
                ended.popleft().synchronize()


_Item = TypeVar("_Item")


def prefetch(items: Iterator[_Item]) -> Iterator[_Item]:
    """Yield the same items, while a thread fetches the next one."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        upcoming = thread.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = thread.submit(next, items, None)
            yield item
