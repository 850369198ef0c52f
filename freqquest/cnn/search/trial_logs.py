"""A trial's TensorBoard logs. No Ray.

Shapes: N clips, K classes, S samples.
"""

import dataclasses
import json

import numpy as np

from freqquest import plots
from freqquest.audio.clip import ClipConfig
from freqquest.cnn.config import CnnConfig
from freqquest.cnn.labeled_clips import LabeledClips
from freqquest.cnn.search.class_picture import draw_classes
from freqquest.cnn.search.event_file import EventFile
from freqquest.dataset.load_clip import waveform_if_readable
from freqquest.dataset.manifest import LABEL_SEPARATOR
from freqquest.runs.log_dir import LogDir
from freqquest.storage import Location

_NUM_MISTAKES = 6
"""Misclassified clips that are shown, the most confident first."""


class TrialLogs:
    """Scalars of every epoch, the configuration as text and hyperparameters, plots and sounds."""

    def __init__(self, folder: Location) -> None:
        """Open the logs, and remove those of before an interruption.

        `log_history` repeats their metrics; their pictures and sounds are gone.
        """
        for earlier in folder.list_dir():
            earlier.remove_file()
        self._folder = LogDir(folder)
        self._events = EventFile(self._folder.path)

    def log_config(self, config: CnnConfig, trial_id: str) -> None:
        """Show the configuration in the text and HParams tabs."""
        settings = dataclasses.asdict(config)
        self._events.add_text("config", f"```json\n{json.dumps(settings, indent=1)}\n```", 0)
        self._events.add_hparams(settings, trial_id)

    def log_scalars(self, metrics: dict[str, float], epoch: int) -> None:
        """Write the metrics of an epoch."""
        for name, value in metrics.items():
            self._events.add_scalar(name, value, epoch)
        self.sync()

    def log_history(self, history: list[dict[str, float]]) -> None:
        """Write the metrics of the epochs before an interruption, at their times."""
        for epoch, metrics in enumerate(history, start=1):
            for name, value in metrics.items():
                if "/" in name:
                    self._events.add_scalar(name, value, epoch, metrics["time"])

    def log_picture(self, name: str, picture: np.ndarray, epoch: int) -> None:
        """Write an RGB picture `[H, W, 3]`, uint8."""
        self._events.add_image(name, picture, epoch)
        self.sync()

    def log_predictions(
        self,
        clips: LabeledClips,
        rows: np.ndarray,
        probabilities: np.ndarray,
        clip: ClipConfig,
        epoch: int,
    ) -> None:
        """Write the confusion matrix or scores by class, and spectrograms and sounds of mistakes.

        Args:
            clips: Clips that the rows refer to.
            rows: Rows `[N]` of the validation clips.
            probabilities: Their predictions `[N, K]`.
            clip: Format that their audio files are converted to.
            epoch: Epochs done.
        """
        name = "class_scores" if clips.has_several_labels else "confusion_matrix"
        picture = draw_classes(clips, rows, probabilities, f"epoch {epoch}")
        self.log_picture(f"validation/{name}", picture, epoch)
        mistakes = clips.score.mistakes(probabilities, clips.labels[rows])[:_NUM_MISTAKES]
        spectrograms, captions = {}, []
        for number, mistake in enumerate(mistakes, start=1):
            row = rows[mistake.clip]
            title = (
                f"{number}. {_describe(clips, row, mistake.class_index, probabilities[mistake])}"
            )
            spectrograms[title] = clips.spectrograms[row].astype(np.float32)
            captions.append(f"{title}: {clips.clip_ids[row]}")
            self._log_sound(f"mistakes/{number}", clips, row, clip, epoch)
        # The captions are text, because TensorBoard shows a sound's first description at all steps.
        self._events.add_text("mistakes/captions", "\n".join(captions) or "no mistakes", epoch)
        if not captions:
            return
        picture = plots.spectrogram_grid(
            spectrograms, f"most confident mistakes after epoch {epoch}", clip.duration_s
        )
        self.log_picture("validation/mistakes", picture, epoch)

    def _log_sound(
        self, name: str, clips: LabeledClips, row: int, clip: ClipConfig, epoch: int
    ) -> None:
        """Write the sound of a row's part of its file, if the file still exists."""
        place = float(clips.start_s[row]), float(clips.end_s[row])
        waveform = waveform_if_readable(str(clips.paths[row]), clip, *place)
        if waveform is not None:
            self._events.add_audio(name, waveform, clip.sample_rate_hz, epoch)

    def close(self) -> None:
        """Close the logs."""
        self._events.close()
        self._folder.sync()

    def sync(self) -> None:
        """Make everything written so far visible."""
        self._events.flush()
        self._folder.sync()


def _describe(clips: LabeledClips, row: int, class_index: int, probability: float) -> str:
    """Return a clip's labels, and the class that was wrongly predicted or missed."""
    labels = np.array(clips.classes)[clips.labels[row]]
    is_missed = clips.labels[row, class_index]
    verb = "predicted without" if is_missed else "predicted as"
    return (
        f"{LABEL_SEPARATOR.join(labels)}, {verb} {clips.classes[class_index]} ({probability:.0%})"
    )
