"""Text about a dataset for users: its clips by class and split, its sources, and oddities."""

from freqquest.dataset.manifest import SPLITS, Manifest
from freqquest.embedding.known import KNOWN
from freqquest.runs.layout import FIGURES_DIR, QUARANTINE_NAME, WARNINGS_NAME

_FEW_RECORDINGS = 5
"""Number of recordings below which the validation of a class says little."""

_FEW_CLIPS = 50
"""Training clips of a class below which a pretrained network is recommended
(results/benchmarks/few_clips.md)."""


def summarize(manifest: Manifest, dataset_dir: str) -> str:
    """Return a text that describes a dataset to users."""
    rates = sorted(manifest.sample_rates.items(), key=lambda item: -item[1])
    num_rows = [
        f"{manifest.num_rows[split]} {split}" for split in SPLITS if manifest.num_rows[split]
    ]
    rejected = f"{manifest.num_quarantined} (listed in {dataset_dir}/{QUARANTINE_NAME})"
    return "\n".join(
        [
            *_table(manifest),
            *manifest.notes,
            *_background(manifest),
            *_embedding(manifest),
            *_few_clips(manifest),
            f"rows: {', '.join(num_rows)}",
            f"sample rates: {', '.join(f'{count} at {rate} Hz' for rate, count in rates)}",
            *_oddities(manifest, dataset_dir),
            f"validation: {manifest.split_description}",
            f"rejected clips: {rejected if manifest.num_quarantined else 'none'}",
            f"dataset: {dataset_dir} (plots in {dataset_dir}/{FIGURES_DIR})",
        ]
    )


def _background(manifest: Manifest) -> list[str]:
    """Return a line about the background, and whether its few recordings prove something."""
    label = manifest.background_label
    if label is None:
        return []
    num_recordings = manifest.num_recordings["validation"][label]
    line = f"background: class {label}, which is learned but never an answer"
    if num_recordings < _FEW_RECORDINGS:
        recordings = "a single recording" if num_recordings == 1 else f"{num_recordings} recordings"
        line += f"; its validation rests on {recordings}, as windows of a file are never divided"
    return [line]


def _embedding(manifest: Manifest) -> list[str]:
    """Return a line about the pretrained network, if there is one."""
    config = manifest.embedding
    if config is None:
        return []
    known = KNOWN.get(config.sha256)
    network = f"{known.title}, license {known.license}" if known else config.name
    return [f"embedding: {network}; vectors of {config.num_values:,} values"]


def _few_clips(manifest: Manifest) -> list[str]:
    """Recommend a pretrained network if a class has few clips to learn from, and there is none."""
    counts = {label: manifest.num_clips["train"].get(label, 0) for label in manifest.classes}
    label, count = min(counts.items(), key=lambda item: item[1])
    if manifest.embedding is not None or count >= _FEW_CLIPS:
        return []
    return [
        f"few clips: {label} has {count} to learn from; with so few, vectors of a pretrained "
        "network help most (`embedding`)"
    ]


def _oddities(manifest: Manifest, dataset_dir: str) -> list[str]:
    """Return lines about clips that leave sound out, are mostly padding, or may be useless."""
    length = f"{manifest.clip.duration_s:g} s"
    lines = []
    if manifest.num_cut and manifest.windows.kind == "first":
        lines.append(
            f"cut: {manifest.num_cut} clips are the first {length} of something longer "
            "(`windows=all` uses the rest)"
        )
    if manifest.num_padded:
        lines.append(
            f"padded: {manifest.num_padded} clips have less than half of their {length} of sound "
            "(a shorter `duration` may suit them)"
        )
    if manifest.num_warnings:
        lines.append(
            f"warnings: {manifest.num_warnings} clips may be useless (listed in "
            f"{dataset_dir}/{WARNINGS_NAME})"
        )
    return lines


def _table(manifest: Manifest) -> list[str]:
    """Return the lines of a table of clips, recordings and sound by class and split."""
    splits = [split for split in SPLITS if manifest.num_rows[split]]
    other_labels = {label for split in splits for label in manifest.num_clips[split]}
    columns = "".join(f"{split:>18}" for split in splits)
    lines = [f"{'clips (recordings)':<24}{columns}{'sound':>12}"]
    for label in [*manifest.classes, *sorted(other_labels - {*manifest.classes})]:
        columns = ""
        for split in splits:
            num_clips = manifest.num_clips[split].get(label, 0)
            num_recordings = manifest.num_recordings[split].get(label, 0)
            columns += f"{f'{num_clips} ({num_recordings})':>18}"
        sound_s = sum(manifest.seconds[split].get(label, 0.0) for split in splits)
        lines.append(f"{label or '(no label)':<24}{columns}{_format_time(sound_s):>12}")
    return lines


def _format_time(time_s: float) -> str:
    if time_s < 60:
        return f"{time_s:.1f} s"
    return f"{time_s / 60:.1f} min" if time_s < 3600 else f"{time_s / 3600:.1f} h"
