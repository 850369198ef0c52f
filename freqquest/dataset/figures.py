"""Pictures of what is in a dataset: one spectrogram of each class, and how many clips and recordings there are."""

import numpy as np

from freqquest.dataset.manifest import FIGURES_NAME, SPLITS, Manifest
from freqquest.dataset.read import read_shard
from freqquest.runs.figures import counts, png, spectrogram_grid
from freqquest.runs.storage import Location

_MAX_SHARDS = 20
"""Shards searched for an example of each class."""


def draw_figures(dataset: Location, manifest: Manifest) -> None:
    """Write `figures/spectrograms.png` and `figures/counts.png` into a dataset's folder."""
    examples = spectrogram_grid(
        _one_of_each(dataset, manifest), "a training clip of each class (dB)", manifest.clip.duration_s
    )
    (dataset / FIGURES_NAME / "spectrograms.png").write_bytes(png(examples))
    splits = [split for split in SPLITS if any(manifest.num_clips[split].get(label) for label in manifest.classes)]
    bars = counts(
        manifest.classes,
        {
            what: {split: [numbers[split].get(label, 0) for label in manifest.classes] for split in splits}
            for what, numbers in {"clips": manifest.num_clips, "recordings": manifest.num_recordings}.items()
        },
    )
    (dataset / FIGURES_NAME / "counts.png").write_bytes(png(bars))


def _one_of_each(dataset: Location, manifest: Manifest) -> dict[str, np.ndarray]:
    """A training clip of each class, as `[M, T]`; classes that the first shards do not hold are left out."""
    found: dict[str, np.ndarray] = {}
    for shard in [shard for shard in manifest.shards if shard.split == "train"][:_MAX_SHARDS]:
        if len(found) < len(manifest.classes):
            arrays = read_shard(dataset, shard, "cnn")
            for class_index, spectrogram in zip(arrays.class_indices, arrays.spectrograms, strict=True):
                found.setdefault(manifest.classes[class_index], spectrogram.astype(np.float32))
    return {label: found[label] for label in manifest.classes if label in found}
