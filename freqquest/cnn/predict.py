"""Classify clips with Ray Data: tasks decode and analyse them, actors hold the model.

TensorFlow is loaded in the actors only. Shapes: N clips, M mel bands, T frames, K classes.
"""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import ray.data

from freqquest import cluster
from freqquest.audio.files import ClipConfig, UnreadableClipError, load_clip
from freqquest.audio.spectrogram import SpectrogramConfig, log_mel
from freqquest.cnn.config import PredictConfig
from freqquest.cnn.model import ModelCard, read_card
from freqquest.dataset.metadata import is_inside, read_csv
from freqquest.dataset.sources import find_unlabelled
from freqquest.errors import UserError
from freqquest.runs.progress import Progress
from freqquest.runs.storage import Location, locate
from freqquest.runs.tables import write_csv

_DECODE_BATCH = 32
_MODEL_BATCH = 64


def predict_submission(config: PredictConfig) -> pd.DataFrame:
    """Write a submission: columns ID and Class, one row for each ID, in the sample's order.

    A clip that cannot be read gets the training clips' most frequent class and a line in `<output>.unreadable.csv`.

    Returns:
        The predictions, as `predict_clips` gives them, with the column ID.

    Raises:
        UserError: Model, folder or sample are not usable, an ID has no file, or the output exists.
    """
    output = locate(config.output)
    if output.exists() and not config.overwrite:
        raise UserError(f"--output {output} exists: choose another, or --overwrite it")
    model_file = locate(config.model)
    card = read_card(model_file)
    wanted = list_wanted(config.audio_dir, config.sample_submission)
    predictions = predict_clips(model_file, card, wanted["path"].tolist()).assign(ID=wanted["ID"])
    write_csv(predictions[["ID", "Class"]], output)
    unreadable = predictions[predictions["reason"] != ""]
    if len(unreadable):
        write_csv(unreadable[["ID", "reason"]], output.parent / f"{output.name}.unreadable.csv")
    return predictions


def list_wanted(audio_dir: str, sample_submission: str | None) -> pd.DataFrame:
    """The clips to classify: columns `ID` and `path`, in the order of the submission.

    Raises:
        UserError: The folder or the sample is not usable, or an ID names no file of the folder.
    """
    clips = find_unlabelled(audio_dir).clips
    if sample_submission is None:
        return clips.rename(columns={"clip_id": "ID"})[["ID", "path"]]
    sample = read_csv(sample_submission, ["ID"], "--sample-submission")
    path_of = dict(zip(clips["clip_id"], clips["path"], strict=True))
    for line, clip_id in sample["ID"].items():
        if clip_id not in path_of:
            inside = is_inside(clip_id)
            problem = f"has no file in {audio_dir}" if inside else "is not the name of a file inside the folder"
            raise UserError(f"--sample-submission {sample_submission} line {line}: ID {clip_id!r} {problem}")
    return pd.DataFrame({"ID": sample["ID"].tolist(), "path": [path_of[clip_id] for clip_id in sample["ID"]]})


def predict_clips(model_file: Location, card: ModelCard, paths: list[str]) -> pd.DataFrame:
    """Classify clips, in the order given.

    Needs an initialised Ray.

    Returns:
        Columns `path`, `Class`, `probability` (of that class) and `reason` (why a clip could not be read; empty
        where it could).
    """
    cluster.quiet("data")
    # Not the same for both: Ray Data would fuse the stages, and decode in the actors.
    decode_cpus, model_cpus = (1, 0.99) if ray.cluster_resources().get("CPU", 1) > 1 else (0.5, 0.49)
    results: dict[int, dict[str, Any]] = {}
    rows = [{"row": row, "path": path} for row, path in enumerate(paths)]
    pipeline = (
        ray.data.from_items(rows)
        .map_batches(partial(_analyse, clip=card.clip, view=card.view), batch_size=_DECODE_BATCH, num_cpus=decode_cpus)
        .map_batches(
            _Classifier,
            fn_constructor_args=(model_file, card),
            batch_size=_MODEL_BATCH,
            num_cpus=model_cpus,
            max_restarts=_max_restarts(),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=_max_actors(len(paths))),
        )
    )
    with Progress("predict", len(paths), "clips") as progress:
        for result in pipeline.iter_rows():
            results[result.pop("row")] = result
            progress.update(1)
    return pd.DataFrame([results[row] for row in range(len(paths))])


def _max_restarts() -> int:
    """Actors of a lost node start again elsewhere; on a single node they could not, and Ray would warn of it."""
    return -1 if len(ray.nodes()) > 1 else 0


def _max_actors(num_clips: int) -> int:
    """No more copies of the model than there are batches for, or cores beside those that decode."""
    cores = int(ray.cluster_resources().get("CPU", 1))
    return max(1, min(cores // 2, num_clips // (4 * _MODEL_BATCH)))


def _analyse(batch: dict[str, np.ndarray], clip: ClipConfig, view: SpectrogramConfig) -> dict[str, Any]:
    """Decode a batch of paths into spectrograms `[N, M, T]`; an unreadable clip is zeros, with the reason."""
    spectrograms = np.zeros((len(batch["path"]), view.num_mels, view.num_frames), np.float32)
    reasons = []
    for spectrogram, path in zip(spectrograms, batch["path"], strict=True):
        try:
            with locate(path).open() as stream:
                spectrogram[:] = log_mel(load_clip(stream, clip).waveform, view, clip.sample_rate_hz)
            reasons.append("")
        except (UnreadableClipError, OSError) as error:
            reasons.append(str(error))
    return batch | {"spectrogram": spectrograms, "reason": np.array(reasons, object)}


class _Classifier:
    """An actor that holds the model."""

    def __init__(self, model_file: Location, card: ModelCard) -> None:
        from freqquest.cnn.model import load_model

        self._model = load_model(model_file)
        self._classes = np.array(card.classes, object)
        self._fallback = card.most_frequent_class

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        from freqquest.cnn.evaluate import predict_probabilities

        probabilities = predict_probabilities(self._model, batch["spectrogram"])
        readable = batch["reason"] == ""
        return {
            "row": batch["row"],
            "path": batch["path"],
            "Class": np.where(readable, self._classes[probabilities.argmax(axis=1)], self._fallback),
            "probability": np.where(readable, probabilities.max(axis=1), 0.0),
            "reason": batch["reason"],
        }
