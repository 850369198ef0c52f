"""Batches of a split as images on the training device: kept there if they fit, else streamed.

torch and NumPy only, no Ray.
Shapes: N clips, B clips of this worker in a step, M mel bands and T frames of a spectrogram, H
bands and W frames of an image, K classes.
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
from freqquest.cgan.label_order import LabelOrder

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

    @property
    def labels(self) -> np.ndarray:
        """All labels `[N, K]`, bool."""


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

    def __init__(
        self,
        source: ClipSource,
        scale: ImageScale,
        device: torch.device,
        *,
        has_several_labels: bool = False,
    ) -> None:
        """Load all clips into the device's memory, if they fit.

        Args:
            source: Clips of a split.
            scale: Scale of the images.
            device: Device that trains.
            has_several_labels: Give a clip with several labels another one of them in each epoch.

        Raises:
            UserError: A shard is missing or corrupt.
        """
        self._source, self._scale, self._device = source, scale, device
        self._has_several_labels = has_several_labels
        num_bytes = 2 * len(source) * scale.image_mels * scale.image_frames
        self.is_resident = num_bytes <= _available_bytes(device)
        if self.is_resident:
            self._load_all()

    def epoch(self, batch_size: int, *, seed: int, epoch: int, worker: Worker) -> Iterator[Batch]:
        """Yield this worker's share of each batch, in an order that depends on (seed, epoch) only.

        Raises:
            UserError: A shard is missing or corrupt.
        """
        share = {"rank": worker.rank, "world_size": worker.world_size}
        rows = self._source.rows(batch_size, seed=seed, epoch=epoch, **share)
        order = LabelOrder(len(self._source), seed) if self._has_several_labels else None
        if self.is_resident:
            for selected in rows:
                yield self._select(selected, order, epoch)
        else:
            streamed = self._source.batches(batch_size, seed=seed, epoch=epoch, **share)
            numbered = prefetch(zip(rows, streamed, strict=True))
            converted = (self._convert(*clips, order, epoch) for clips in numbered)
            yield from _keep_near(converted, self._device)

    def _select(self, rows: np.ndarray, order: LabelOrder | None, epoch: int) -> Batch:
        """Return a batch of resident clips."""
        selected = send(rows, self._device)
        images = self._images[selected].float()
        if order is None:
            return images, self._labels[selected]
        return images, send(order.choose(self._all_labels[rows], rows, epoch), self._device)

    def _convert(
        self, rows: np.ndarray, clips: LabeledSpectrograms, order: LabelOrder | None, epoch: int
    ) -> Batch:
        """Return a batch of streamed clips."""
        # Rounded as resident clips are, so that both train the same model.
        images = self._encode(clips.spectrograms).half().float()
        if order is None:
            return images, send(clips.class_indices, self._device)
        return images, send(order.choose(clips.labels, rows, epoch), self._device)

    def _load_all(self) -> None:
        shape = (len(self._source), 1, self._scale.image_mels, self._scale.image_frames)
        self._images = torch.empty(shape, dtype=torch.float16, device=self._device)
        self._labels = torch.empty(len(self._source), dtype=torch.int64, device=self._device)
        all_labels, start = [], 0
        for shard in self._source.shards():
            rows = slice(start, start + len(shard.class_indices))
            self._images[rows] = self._encode(shard.spectrograms)
            writable = shard.class_indices.copy()  # Arrow's is not
            self._labels[rows] = send(writable, self._device)
            if self._has_several_labels:
                all_labels.append(shard.labels)
            start = rows.stop
        self._all_labels = np.concatenate(all_labels) if all_labels else np.zeros((0, 0), bool)

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
