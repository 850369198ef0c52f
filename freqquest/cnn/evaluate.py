"""Judge a fitted classifier on a split, and save the winner of a search.

Shapes: N clips, M mel bands, T frames, K classes.
"""

import dataclasses
from typing import Any

import numpy as np
from sklearn.metrics import classification_report, confusion_matrix

from freqquest.cnn.config import CnnConfig
from freqquest.cnn.logs import TrialLogs
from freqquest.cnn.model import ModelCard, add_card, load_model
from freqquest.dataset.manifest import Manifest
from freqquest.dataset.read import read_split
from freqquest.runs import figures
from freqquest.runs.folder import TENSORBOARD_DIR
from freqquest.runs.storage import Location

BATCH_SIZE = 64


def finish_search(
    model_file: Location, config: CnnConfig, dataset: Location, manifest: Manifest, run: Location
) -> dict[str, Any]:
    """Evaluate the best trial's model on the validation split and save it with its card.

    Writes best_model.keras and confusion_matrix.png into the run, and the picture to TensorBoard.

    Returns:
        Accuracy, the split's description, and precision and recall of each class.
    """
    validation = read_split(dataset, manifest, "validation", "cnn")
    probabilities = predict_probabilities(load_model(model_file), validation.spectrograms)
    predicted = probabilities.argmax(axis=1)
    labels = range(len(manifest.classes))
    counts = confusion_matrix(validation.class_indices, predicted, labels=labels)
    report = classification_report(
        validation.class_indices,
        predicted,
        labels=labels,
        target_names=manifest.classes,
        output_dict=True,
        zero_division=0.0,
    )
    metrics = {
        "accuracy": float(counts.trace() / counts.sum()),
        "split": manifest.split_description,
        "num_clips": len(predicted),
        "num_recordings": len(set(validation.recordings)),
        "network": dataclasses.asdict(config),
        "by_class": {label: report[label] for label in manifest.classes},
    }
    picture = figures.confusion_matrix(counts, manifest.classes, f"validation: {manifest.split_description}")
    (run / "confusion_matrix.png").write_bytes(figures.png(picture))
    TrialLogs(run / TENSORBOARD_DIR / "cnn" / "best").log_picture("validation/confusion_matrix", picture)
    train_clips = manifest.num_clips["train"]
    card = ModelCard(
        classes=manifest.classes,
        clip=manifest.clip,
        view=manifest.views["cnn"],
        most_frequent_class=max(train_clips, key=lambda label: train_clips[label]),
        network=dataclasses.asdict(config),
        dataset_sha256=manifest.content_sha256,
        scores={"accuracy": metrics["accuracy"], "split": metrics["split"]},
    )
    (run / "best_model.keras").write_bytes(add_card(model_file.read_bytes(), card))
    return metrics


def predict_probabilities(model: Any, spectrograms: np.ndarray) -> np.ndarray:
    """Class probabilities `[N, K]` of spectrograms `[N, M, T]`, a batch at a time."""
    batches = [
        model(spectrograms[start : start + BATCH_SIZE].astype(np.float32)[..., None], training=False).numpy()
        for start in range(0, len(spectrograms), BATCH_SIZE)
    ]
    return np.concatenate(batches)
