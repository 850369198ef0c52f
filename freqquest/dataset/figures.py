"""Plots of a dataset: a spectrogram of each class, and the numbers of clips and recordings."""

from freqquest.dataset.manifest import SPLITS, Manifest
from freqquest.dataset.read import example_of_each_class
from freqquest.plots import counts, png, spectrogram_grid
from freqquest.runs.layout import COUNTS_NAME, EXAMPLES_NAME, FIGURES_DIR
from freqquest.storage import Location


def draw_figures(dataset: Location, manifest: Manifest) -> None:
    """Write the plots into a dataset's folder of figures."""
    examples = spectrogram_grid(
        example_of_each_class(dataset, manifest, "cnn"),
        "a training clip of each class (dB)",
        manifest.clip.duration_s,
    )
    (dataset / FIGURES_DIR / EXAMPLES_NAME).write_bytes(png(examples))
    splits = [
        split
        for split in SPLITS
        if any(manifest.num_clips[split].get(label) for label in manifest.classes)
    ]
    numbers = {"clips": manifest.num_clips, "recordings": manifest.num_recordings}
    panels = {
        title: {
            split: [by_split[split].get(label, 0) for label in manifest.classes] for split in splits
        }
        for title, by_split in numbers.items()
    }
    (dataset / FIGURES_DIR / COUNTS_NAME).write_bytes(png(counts(manifest.classes, panels)))
