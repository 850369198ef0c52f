"""A split's batches as images on the device: kept there when they fit, else streamed. Knows nothing of Ray.

Shapes: N clips, B clips of this worker in a step, M mel bands, T frames of an image.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from freqquest.cgan.distributed import Worker
from freqquest.cgan.images import ImageScale
from freqquest.dataset.read import SplitReader

Batch = tuple[Tensor, Tensor]
"""Images `[B, 1, M, T]`, float32, and their class indices `[B]`."""

_RESIDENT_SHARE = 0.3
"""Of a GPU's free memory; the networks' activations take the rest."""

_RESIDENT_BYTES_ON_CPU = 2**30
"""About 11,000 clips."""


class ClipBatches:
    """The clips of a split in the order of the dataset's reader, wherever they lie."""

    def __init__(self, reader: SplitReader, scale: ImageScale, device: torch.device) -> None:
        """Read the split into the device's memory, if it fits.

        Raises:
            UserError: A shard is missing or damaged.
        """
        self._reader, self._scale, self._device = reader, scale, device
        num_bytes = 2 * len(reader) * scale.num_mels * scale.image_frames
        self.is_resident = num_bytes <= _available_bytes(device)
        if self.is_resident:
            shape = (len(reader), 1, scale.num_mels, scale.image_frames)
            self._images = torch.empty(shape, dtype=torch.float16, device=device)
            self._labels = torch.empty(len(reader), dtype=torch.int64, device=device)
            start = 0
            for shard in reader.shards():
                rows = slice(start, start + len(shard.clip_ids))
                self._images[rows] = self._encode(shard.spectrograms)
                self._labels[rows] = self._send(
                    shard.class_indices.copy()
                )  # Arrow lends it read-only
                start = rows.stop

    def epoch(self, batch_size: int, *, seed: int, epoch: int, worker: Worker) -> Iterator[Batch]:
        """The part of each batch that is this worker's, in an order given by (seed, epoch) alone.

        Raises:
            UserError: A shard is missing or damaged.
        """
        places = {
            "seed": seed,
            "epoch": epoch,
            "rank": worker.rank,
            "world_size": worker.world_size,
        }
        if self.is_resident:
            for rows in self._reader.rows(batch_size, **places):
                wanted = self._send(rows)
                yield self._images[wanted].float(), self._labels[wanted]
        else:
            for clips in _ahead(self._reader.batches(batch_size, **places)):
                # Rounded as resident ones are: where they lie must not change the training.
                yield (
                    self._encode(clips.spectrograms).half().float(),
                    self._send(clips.class_indices),
                )

    def _encode(self, spectrograms: np.ndarray) -> Tensor:
        return self._scale.encode(self._send(spectrograms).float())

    def _send(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self._device, non_blocking=True)


def _available_bytes(device: torch.device) -> float:
    if device.type == "cuda":
        return _RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]
    return _RESIDENT_BYTES_ON_CPU


_Item = TypeVar("_Item")


def _ahead(items: Iterator[_Item]) -> Iterator[_Item]:
    """The same items, the next one being fetched while one is used."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        waiting = thread.submit(next, items, None)
        while (item := waiting.result()) is not None:
            waiting = thread.submit(next, items, None)
            yield item
