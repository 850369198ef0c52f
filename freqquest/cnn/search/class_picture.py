"""A picture of predictions class by class. No Ray. Shapes: N clips, K classes."""

import numpy as np

from freqquest import plots
from freqquest.cnn.labeled_clips import LabeledClips


def draw_classes(
    clips: LabeledClips, rows: np.ndarray, probabilities: np.ndarray, title: str
) -> np.ndarray:
    """Draw the confusion matrix or, if clips have several labels, the metrics of each class.

    Args:
        clips: Clips that the rows refer to.
        rows: Rows `[N]` of the predicted clips.
        probabilities: Their predictions `[N, K]`.
        title: Title of the picture.

    Returns:
        RGB picture `[H, W, 3]`, uint8.
    """
    if not clips.has_several_labels:
        counts = plots.count_confusions(
            clips.class_indices[rows], probabilities.argmax(axis=1), len(clips.classes)
        )
        return plots.confusion_matrix(counts, clips.classes, title)
    by_class = clips.score.by_class(probabilities, clips.labels[rows], clips.classes)
    metrics = by_class.values()
    return plots.bars_and_dots(
        [f"{label} ({row['support']:.0f})" for label, row in by_class.items()],
        ("average precision", [row["average_precision"] or 0.0 for row in metrics]),
        {
            "precision": [row["precision"] for row in metrics],
            "recall": [row["recall"] for row in metrics],
            "threshold": [row["threshold"] for row in metrics],
        },
        title,
    )
