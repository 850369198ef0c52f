"""A classifier as a file for another runtime, and how it does beside the original.

Keras is imported inside the functions; no Ray. Shapes: S samples, M mel bands, T frames, K classes.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freqquest.cnn.devices import grow_gpu_memory
from freqquest.cnn.frameworks import choose_backend
from freqquest.cnn.model_card import ModelCard
from freqquest.cnn.model_file import load_model, read_card
from freqquest.cnn.network import predict_probabilities
from freqquest.cnn.scores import score_of
from freqquest.dataset.clip_inputs import Inputs
from freqquest.dataset.manifest import load_manifest
from freqquest.errors import UserError
from freqquest.export.agreement import ExportReport, Measurement, compare_classifiers
from freqquest.export.classifier_graph import write_classifier, write_litert
from freqquest.export.clips import (
    LabeledWaveforms,
    calibration_spectrograms,
    demo_clips,
    open_dataset,
    validation_clips,
)
from freqquest.export.config import ExportConfig, Format
from freqquest.export.front_end import require_known_view
from freqquest.export.int8 import to_int8
from freqquest.export.runtimes import load, require_packages
from freqquest.storage import Location, locate

if TYPE_CHECKING:
    import keras


def export_classifier(config: ExportConfig, model_file: Location, path: Path) -> ExportReport:
    """Write a classifier in the format of the settings, and compare both.

    Raises:
        UserError: The classifier or the dataset is unusable, packages are missing, or Keras has
            another backend in this process.
    """
    require_packages(config.format, onnx_converter="tf2onnx")
    card = read_card(model_file)
    card.require_no_embedding(f"`model={model_file}`", "the export cannot convert")
    require_known_view(card.view, f"`model={model_file}`")
    clips = _find_clips(config, card, f"`model={model_file}`")
    choose_backend("tensorflow")
    grow_gpu_memory()
    network = load_model(model_file)
    _write(config, network, card, path)
    return ExportReport(
        names=("keras", f"{config.format} int8" if config.int8 else config.format),
        num_bytes=(model_file.num_bytes(), _num_bytes(path)),
        measurements=_compare(network, card, clips, config.format, path),
        clips=clips.source,
        unit="probability",
        score_title=score_of(card.has_several_labels).title,
    )


def _compare(
    network: "keras.Model", card: ModelCard, clips: LabeledWaveforms, kind: Format, path: Path
) -> tuple[Measurement, Measurement]:
    from freqquest.cnn.frameworks import keras

    def original(waveform: np.ndarray) -> np.ndarray:
        spectrogram = card.spectrogram(waveform, card.clip.sample_rate_hz)
        return predict_probabilities(network, Inputs(spectrogram[None]))

    with keras.device("cpu"):  # a GPU rounds otherwise
        run = load(kind, path)
        return compare_classifiers(
            original, lambda waveform: run(waveform=waveform[None]), clips, card
        )


def _find_clips(config: ExportConfig, card: ModelCard, source: str) -> LabeledWaveforms:
    """Return the clips to compare on: the dataset's, if there is one with audio, or demo clips."""
    if config.dataset_dir is None:
        return demo_clips(card.clip)
    dataset = locate(config.dataset_dir)
    clips = validation_clips(dataset, open_dataset(dataset, card, source), card)
    if clips.waveforms:
        return clips
    if config.int8:
        raise UserError(
            f"`int8` is measured on the validation clips of `dataset_dir={dataset}`, and none of "
            "their audio files can be read: put them back where they were when it was made"
        )
    clips = demo_clips(card.clip)
    return replace(clips, source=f"{clips.source} (no validation clip can be read)")


def _write(config: ExportConfig, network: "keras.Model", card: ModelCard, path: Path) -> None:
    if not config.int8:
        write_classifier(network, card, config.format, path)
        return
    assert config.dataset_dir is not None
    dataset = locate(config.dataset_dir)
    spectrograms = calibration_spectrograms(dataset, load_manifest(dataset))
    write_litert(to_int8(network, card, spectrograms), card, path)


def _num_bytes(path: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())
