"""Images of a whole split in one .npz file, for machines without pyarrow.

A GPU machine then needs only torch, NumPy, SciPy, safetensors and a small file to train.
torch and NumPy only. Shapes: N clips, M mel bands and T frames of a spectrogram, H bands and W
frames of an image, K classes.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import torch
from torch import Tensor

from freqquest.audio.spectrogram import SpectrogramConfig
from freqquest.cgan.batches import ClipSource
from freqquest.cgan.images import MAX_LEVEL, ImageScale, read_scale
from freqquest.dataset.order import batch_rows
from freqquest.errors import UserError

_VERSION = 3
"""Version 2 is read too, whose images have as many bands as the spectrograms."""

_UINT8_STEP = (MAX_LEVEL + 1) / 255
"""Difference between two neighboring 8-bit values of an image: 0.09 nepers of power, 0.4 dB."""


def pack(
    source: ClipSource,
    scale: ImageScale,
    classes: list[str],
    file: Path | IO[bytes],
    *,
    view: SpectrogramConfig,
    sample_rate_hz: int,
    precision: Literal["uint8", "float16"] = "uint8",
) -> None:
    """Write all clips of a split, as images, into one .npz file.

    Args:
        source: Clips of the split.
        scale: Scale of the images; with a floor of 0 they are the spectrograms themselves.
        classes: Class names, in order of the class indices.
        file: Path, which should end in .npz, or binary stream.
        view: Analysis of the spectrograms.
        sample_rate_hz: Sample rate of the clips.
        precision: uint8 takes half the space and needs a floor; float16 is what training rounds to.

    Raises:
        ValueError: `precision` is uint8 and the scale has no floor.
    """
    if precision == "uint8" and scale.floor == 0:
        raise ValueError("`precision=uint8` needs an image scale with a floor: pass float16")
    images, class_indices, labels = [], [], []
    for shard in source.shards():
        encoded = scale.encode(torch.from_numpy(shard.spectrograms.astype(np.float32)))
        images.append(_quantize(encoded[:, 0], precision))
        class_indices.append(shard.class_indices)
        labels.append(shard.labels)
    header = {
        "version": _VERSION,
        "scale": dataclasses.asdict(scale),
        "classes": classes,
        "view": dataclasses.asdict(view),
        "sample_rate_hz": sample_rate_hz,
    }
    np.savez_compressed(
        file,
        images=np.concatenate(images),
        class_indices=np.concatenate(class_indices),
        shard_sizes=np.array([len(indices) for indices in class_indices]),
        header=np.array(json.dumps(header)),
        **_several_labels(np.concatenate(labels)),
    )


def _several_labels(labels: np.ndarray) -> dict[str, Any]:
    """Return labels `[N, K]` as an array to store, if clips have several."""
    return {"labels": labels} if (labels.sum(axis=1) > 1).any() else {}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PackedArrays:
    """Several packed clips as arrays."""

    spectrograms: np.ndarray
    """Spectrograms `[N, M, T]`, ln(1 + power), float32."""
    class_indices: np.ndarray
    """Class indices `[N]`."""
    labels: np.ndarray
    """All labels `[N, K]`, bool."""


class PackedClips:
    """Clip source that holds the content of a packed file in memory.

    The order of its batches is that of the dataset's reader.

    ```python
    pack(
        split_reader,
        scale,
        manifest.classes,
        Path("train.npz"),
        view=manifest.views["cgan"],
        sample_rate_hz=manifest.clip.sample_rate_hz,
    )
    source = PackedClips(Path("train.npz"))  # on a machine with torch alone
    batches = ClipBatches(source, source.scale, torch.device("cuda"))
    ```
    """

    def __init__(self, file: Path | IO[bytes]) -> None:
        """Read a file of `pack`.

        Raises:
            UserError: The file is damaged, or of another version.
        """
        try:
            self._read(file)
        except (UserError, FileNotFoundError):
            raise
        except Exception as error:  # a damaged file may raise any
            raise UserError(
                f"{file} is not a readable file of packed clips ({error}): pack the dataset again"
            ) from error

    def _read(self, file: Path | IO[bytes]) -> None:
        with np.load(file) as content:
            header = json.loads(str(content["header"]))
            if header["version"] not in (2, _VERSION):
                raise UserError(
                    f"packed clips of version {header['version']}; this freqquest reads 2 and "
                    f"{_VERSION}: pack the dataset again"
                )
            self._images, self._class_indices = content["images"], content["class_indices"]
            self._shard_sizes: list[int] = content["shard_sizes"].tolist()
            self.has_several_labels = "labels" in content
            one_label = np.eye(len(header["classes"]), dtype=bool)
            self._labels = content.get("labels", one_label[self._class_indices])
        num_clips, *_ = self._images.shape
        if {len(self._class_indices), len(self._labels), sum(self._shard_sizes)} != {num_clips}:
            raise ValueError("its arrays are not of the same clips")
        self.classes: list[str] = header["classes"]
        self.scale = read_scale(header["scale"])
        self.view = SpectrogramConfig(**header["view"])
        self.sample_rate_hz: int = header["sample_rate_hz"]

    def __len__(self) -> int:
        """Return the number of clips."""
        return len(self._images)

    def shards(self) -> Iterator[PackedArrays]:
        """Yield all clips, one shard of the dataset at a time."""
        start = 0
        for size in self._shard_sizes:
            yield self._select(slice(start, start + size))
            start += size

    def rows(
        self, batch_size: int, *, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[np.ndarray]:
        """Yield the row numbers of one process's share of each batch (`order.batch_rows`)."""
        return batch_rows(
            self._shard_sizes, batch_size, seed=seed, epoch=epoch, rank=rank, world_size=world_size
        )

    def batches(
        self, batch_size: int, *, seed: int, epoch: int, rank: int = 0, world_size: int = 1
    ) -> Iterator[PackedArrays]:
        """Yield the clips of these rows."""
        yield from map(
            self._select,
            self.rows(batch_size, seed=seed, epoch=epoch, rank=rank, world_size=world_size),
        )

    def _select(self, rows: slice | np.ndarray) -> PackedArrays:
        images = _dequantize(self._images[rows])
        return PackedArrays(
            spectrograms=self.scale.decode(images[:, None]).numpy(),
            class_indices=self._class_indices[rows],
            labels=self._labels[rows],
        )


def _quantize(images: Tensor, precision: Literal["uint8", "float16"]) -> np.ndarray:
    """Return images `[N, H, W]` in the given precision."""
    if precision == "float16":
        return np.asarray(images.half().numpy())
    return np.asarray(((images + 1) / _UINT8_STEP).round().clamp(0, 255).byte().numpy())


def _dequantize(images: np.ndarray) -> Tensor:
    """Return quantized images `[N, H, W]` as float32."""
    values = torch.from_numpy(images)
    return values.float() * _UINT8_STEP - 1 if images.dtype == np.uint8 else values.float()
