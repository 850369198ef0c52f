"""Classify clips with Ray Data: tasks decode and analyze them, actors hold the model.

TensorFlow is loaded in the actors only. Shapes: N clips, K classes.
"""

from typing import Any

import numpy as np
import pandas as pd
import ray.data

from freqquest.audio.decode import is_audio
from freqquest.cluster import capacity
from freqquest.cnn.config import PredictConfig
from freqquest.cnn.model_file import ModelCard, read_card
from freqquest.dataset.metadata import is_inside, read_csv
from freqquest.dataset.sources import find_unlabeled
from freqquest.dataset.spectrogram_stream import stream_spectrograms
from freqquest.errors import UserError
from freqquest.progress import Progress
from freqquest.runs.tables import write_csv
from freqquest.storage import Location, locate

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
    predictions = predict_clips(
        model_file, card, wanted["path"].tolist(), wanted["reason"].tolist()
    )
    predictions.insert(0, "ID", wanted["ID"].to_numpy())
    columns = [probability_column(label) for label in card.classes] if config.probabilities else []
    # As float64: six decimals of a float32 would be written with its rounding error.
    table = predictions[["ID", "Class", *columns]].astype(dict.fromkeys(columns, float))
    write_csv(table.round(dict.fromkeys(columns, 6)), output)
    unreadable = predictions[predictions["reason"] != ""]
    write_csv(unreadable[["ID", "reason"]], output.parent / f"{output.name}.unreadable.csv")
    return predictions


def list_wanted(audio_dir: str, sample_submission: str | None) -> pd.DataFrame:
    """The clips to classify: columns `ID`, `path`, and `reason` (why it must not be read, else empty), in the order of
    the submission.

    Raises:
        UserError: The folder or the sample is not usable, or an ID names no file of the folder.
    """
    sources = find_unlabeled(audio_dir)
    root = f"{locate(audio_dir)}/"
    readable = sources.clips.rename(columns={"clip_id": "ID"})[["ID", "path"]].assign(reason="")
    refused = sources.refused[sources.refused["path"].map(is_audio).astype(bool)]
    refused = refused.assign(ID=refused["path"].str.removeprefix(root))
    clips = pd.concat([readable, refused[["ID", "path", "reason"]]]).sort_values(
        "ID", ignore_index=True
    )
    if sample_submission is None:
        return clips
    sample = read_csv(sample_submission, ["ID"], "sample_submission")
    if sample.empty:
        raise UserError(f"--sample-submission {sample_submission} names no ID below its first line")
    known = set(clips["ID"])
    for line, clip_id in sample["ID"].items():
        if clip_id not in known:
            inside = is_inside(clip_id)
            problem = (
                f"has no file in {audio_dir}"
                if inside
                else "is not the name of a file inside the folder"
            )
            raise UserError(
                f"--sample-submission {sample_submission} line {line}: ID {clip_id!r} {problem}"
            )
    return clips.set_index("ID").loc[sample["ID"]].reset_index()


def predict_clips(
    model_file: Location, card: ModelCard, paths: list[str], reasons: list[str] | None = None
) -> pd.DataFrame:
    """Classify clips, in the order given. Only the results are held in memory: some 100 bytes a clip and class.

    Needs an initialized Ray.

    Args:
        model_file: The classifier.
        card: Its card.
        paths: Audio files.
        reasons: For each, why it must not be read, or an empty text.

    Returns:
        Columns `path`, `Class`, `probability` (of that class), `reason` (why a clip could not be read; empty where it
        could), and a `probability_column` for each class; probabilities are 0 where a clip could not be read.
    """
    # Not the same for both: Ray Data would fuse the stages, and decode in the actors.
    decode_cpus, model_cpus = (1, 0.99) if capacity.num_cores() > 1 else (0.5, 0.49)
    results = pd.DataFrame({"path": paths, "reason": reasons or [""] * len(paths)})
    probabilities = np.zeros((len(paths), len(card.classes)), np.float32)
    readable = results.index[results["reason"] == ""].to_numpy()
    if len(readable):
        rows = pd.DataFrame({"row": readable, "path": results["path"].to_numpy()[readable]})
        pipeline = stream_spectrograms(
            rows, card.clip, card.view, num_cpus=decode_cpus
        ).map_batches(
            _Classifier,
            fn_constructor_args=(model_file,),
            batch_size=_MODEL_BATCH,
            num_cpus=model_cpus,
            max_restarts=_max_restarts(),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=_max_actors(len(rows))),
        )
        with Progress("predict", len(rows), "clips") as progress:
            for batch in pipeline.iter_batches(batch_size=None):
                probabilities[batch["row"]] = batch["probabilities"]
                for row, reason in zip(batch["row"], batch["reason"], strict=True):
                    if reason:
                        results.loc[row, "reason"] = reason
                progress.update(len(batch["row"]))
    return _named(results, probabilities, card)


def probability_column(label: str) -> str:
    """Name of the column with a class's probabilities."""
    return f"probability_{label}"


def _named(results: pd.DataFrame, probabilities: np.ndarray, card: ModelCard) -> pd.DataFrame:
    """The likeliest class of each clip by its name; the most frequent one where there was nothing to hear."""
    classes = np.array(card.classes, object)[probabilities.argmax(axis=1)]
    results["Class"] = np.where(results["reason"] == "", classes, card.most_frequent_class)
    results["probability"] = probabilities.max(axis=1)
    results[[probability_column(label) for label in card.classes]] = probabilities
    return results


def _max_restarts() -> int:
    """Actors of a lost node start again elsewhere; on a single node they could not, and Ray would warn of it."""
    return -1 if capacity.can_replace_nodes() else 0


def _max_actors(num_clips: int) -> int:
    """No more copies of the model than there are batches for, or cores beside those that decode."""
    return int(max(1, min(capacity.num_cores() / 2, num_clips // (4 * _MODEL_BATCH))))


class _Classifier:
    """An actor that holds the model."""

    def __init__(self, model_file: Location) -> None:
        from freqquest.cnn.model_file import load_model
        from freqquest.cnn.training import prepare_tensorflow

        prepare_tensorflow(1, use_gpu=False)
        self._model = load_model(model_file)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        from freqquest.cnn.training import predict_probabilities

        probabilities = predict_probabilities(self._model, batch["spectrogram"])
        probabilities[batch["reason"] != ""] = 0.0
        return {"row": batch["row"], "probabilities": probabilities, "reason": batch["reason"]}
