"""What the classifier makes of clips that are in memory: an actor for those who may not load TensorFlow themselves.

TensorFlow is loaded in the actor only. Shapes: N clips, S samples, M mel bands, T frames, K classes, D features.
"""

from typing import Any

import numpy as np

from freqquest.audio.decode import fit_waveform
from freqquest.audio.spectrogram import log_mel
from freqquest.cluster import connection
from freqquest.cnn.model_file import ModelCard, read_card
from freqquest.errors import UserError
from freqquest.storage import Location

_BATCH = 64


def start_judge(model_file: Location, classes: list[str], option: str = "--judge") -> Any:
    """Start a `Judge` beside a training; it takes a core's time only while it is asked. Needs an initialized Ray.

    Args:
        model_file: best_model.keras of a run.
        classes: Those of the clips to be judged; they give the probabilities' order.
        option: Which option named the file, for the text of errors.

    Returns:
        The actor's handle.

    Raises:
        UserError: The file is missing or damaged, or the classifier's classes are others.
    """
    import ray

    require_classes(read_card(model_file, option), classes, f"{option} {model_file}")
    actor = ray.remote(
        num_cpus=0,
        max_restarts=-1,
        max_task_retries=3,
        scheduling_strategy=connection.on_driver_node(),
    )(Judge)
    return actor.remote(model_file, classes)


def require_classes(card: ModelCard, classes: list[str], name: str) -> None:
    """Refuse a classifier of other classes: its accuracy would mean nothing.

    Raises:
        UserError: The classes are not the same; their order does not matter.
    """
    unknown, other = (
        sorted(set(classes) - set(card.classes)),
        sorted(set(card.classes) - set(classes)),
    )
    if unknown or other:
        differences = [f"does not know {', '.join(unknown)}"] * bool(unknown)
        differences += [f"also knows {', '.join(other)}"] * bool(other)
        raise UserError(
            f"{name} {' and '.join(differences)}: give a classifier that jobs/tune_cnn.py made from the same classes"
        )


class Judge:
    """Holds the model."""

    def __init__(self, model_file: Location, classes: list[str], num_threads: int = 1) -> None:
        from freqquest.cnn.model_file import load_model
        from freqquest.cnn.network import with_features
        from freqquest.cnn.training import prepare_tensorflow

        prepare_tensorflow(num_threads, use_gpu=False)
        self._card = read_card(model_file)
        require_classes(self._card, classes, str(model_file))
        self._model = with_features(load_model(model_file), self._card.temperature)
        self._order = [self._card.classes.index(label) for label in classes]

    def classify_waveforms(
        self, waveforms: np.ndarray, sample_rate_hz: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut or pad to the classifier's length, analyze as prediction does, and hear.

        Args:
            waveforms: `[N, S]`, mono, full scale 1.0.
            sample_rate_hz: Their rate.

        Returns:
            Probabilities `[N, K]` and features `[N, D]`, both float32.

        Raises:
            ValueError: A waveform has NaN or infinite samples.
        """
        heard = []
        for start in range(0, len(waveforms), _BATCH):
            batch = waveforms[start : start + _BATCH].astype(np.float32)
            bad = np.flatnonzero(~np.isfinite(batch).all(axis=1))
            if len(bad):
                raise ValueError(
                    f"waveform {start + bad[0]} has NaN or infinite samples: there is nothing to hear"
                )
            heard.append(
                self.classify_spectrograms(
                    np.stack([self._analyze(clip, sample_rate_hz) for clip in batch])
                )
            )
        return _joined(heard)

    def classify_spectrograms(self, spectrograms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hear a dataset's clips in its view `cnn`, `[N, M, T]`; returns the same as `hear_waveforms`.

        Raises:
            ValueError: They are of another shape than what the classifier learned from.
        """
        expected = (self._card.view.num_mels, self._card.view.num_frames)
        if spectrograms.shape[1:] != expected:
            raise ValueError(
                f"spectrograms of shape {spectrograms.shape}; the classifier hears [N, *{expected}]"
            )
        batches = (
            spectrograms[start : start + _BATCH] for start in range(0, len(spectrograms), _BATCH)
        )
        heard = [
            self._model.predict_on_batch(batch.astype(np.float32)[..., None]) for batch in batches
        ]
        probabilities, features = _joined(heard)
        return probabilities[:, self._order], features

    def _analyze(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        clip = fit_waveform(waveform, sample_rate_hz, self._card.clip)
        return log_mel(clip, self._card.view, self._card.clip.sample_rate_hz)


def _joined(heard: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Several batches' probabilities and features, each as one array."""
    probabilities, features = (np.concatenate(parts) for parts in zip(*heard, strict=True))
    return probabilities, features
