"""The predict stage, on Ray Data: tasks decode and analyze clips, actors hold the model.

Keras is loaded in the actors only. Shapes: N clips, K classes.
"""

import numpy as np
import pandas as pd
import ray.data

from freqquest.audio.decode import is_audio
from freqquest.cluster import capacity
from freqquest.cnn.abstention import UNKNOWN
from freqquest.cnn.devices import Device, prepare
from freqquest.cnn.gpu_backend import find_gpu_backend
from freqquest.cnn.model_card import ModelCard
from freqquest.cnn.model_file import load_model, read_card
from freqquest.cnn.network import predict_probabilities
from freqquest.cnn.predict_config import PredictConfig
from freqquest.cnn.window_means import WindowMeans
from freqquest.dataset.file_names import SEVERAL_FILES, is_inside, match_files
from freqquest.dataset.quarantine import are_too_many
from freqquest.dataset.sources import find_unlabeled
from freqquest.dataset.spectrogram_stream import inputs_of, stream_inputs
from freqquest.dataset.text_tables import find_column, read_csv
from freqquest.dataset.windows import WindowConfig, choose_windows
from freqquest.errors import UserError
from freqquest.progress import Progress
from freqquest.runs.tables import write_csv
from freqquest.storage import Location, locate

_MODEL_BATCH = 64


def check_request(config: PredictConfig) -> pd.DataFrame:
    """Check all that needs no Ray, and return the clips of `list_requested_clips`.

    Raises:
        UserError: The model, folder or sample is not usable, an ID has no file, the output exists,
            or the model does not reach the precision of its answers.
    """
    output = locate(config.output)
    if output.exists() and not config.overwrite:
        raise UserError(f"`output={output}` exists: choose another path, or pass `overwrite=True`")
    card = read_card(locate(config.model))
    of_sample = class_columns(config.sample_submission, card.classes, card.background_label)
    if config.unknown and of_sample:
        raise UserError(
            f"`unknown` needs a column Class, and `sample_submission={config.sample_submission}` "
            "has one for each class: leave out one of the two"
        )
    if config.unknown:
        card.unknown_below(config.precision)
    return list_requested_clips(config.audio_dir, config.sample_submission)


def predict_submission(config: PredictConfig, requested: pd.DataFrame) -> pd.DataFrame:
    """Write a submission: columns ID and Class, one row per ID, in the order of the sample.

    Several labels of a clip are joined by semicolons. If the sample has a column for each class
    instead of Class, the submission has probabilities in these.

    A clip that cannot be read gets the most frequent class of the training clips, or is `unknown`
    if that was asked for, and a line in `<output>.unreadable.csv`. IDs and classes are written
    exactly as the sample and the model have them; without a sample, an apostrophe precedes those
    that a spreadsheet would run as a formula.

    Args:
        config: Settings of the job.
        requested: The clips, as `check_request` returns them.

    Returns:
        The predictions of `predict_clips`, with the column ID.

    Raises:
        UserError: Too many clips cannot be read, or there is no GPU.
    """
    output, model_file = locate(config.output), locate(config.model)
    card = read_card(model_file)
    capacity.worker_resources(config.requirements)
    predictions = predict_clips(
        model_file,
        card,
        requested["path"].tolist(),
        requested["reason"].tolist(),
        windows=choose_windows(config.windows, card.clip.duration_s) if config.windows else None,
        use_gpu=config.use_gpu,
        unknown_below=card.unknown_below(config.precision) if config.unknown else None,
    )
    predictions.insert(0, "ID", requested["ID"].to_numpy())
    unreadable = predictions[predictions["reason"] != ""]
    write_csv(unreadable[["ID", "reason"]], output.parent / f"{output.name}.unreadable.csv")
    if are_too_many(len(unreadable), len(predictions), config.max_quarantined_fraction):
        raise UserError(
            f"{len(unreadable)} of {len(predictions)} clips cannot be read, more than "
            f"`max_quarantined_fraction={config.max_quarantined_fraction}` allows; the first is "
            f"{unreadable['ID'].iloc[0]} ({unreadable['reason'].iloc[0]}), all are listed in "
            f"{output}.unreadable.csv; fix or remove them, or raise the fraction"
        )
    # Rows must match the user's own sample to the byte; names of files are others' text.
    unchanged = ["ID", "Class"] if config.sample_submission is not None else []
    submission = submission_of(
        predictions, card, config.sample_submission, with_probabilities=config.probabilities
    )
    write_csv(submission, output, unchanged=unchanged)
    return predictions


def submission_of(
    predictions: pd.DataFrame,
    card: ModelCard,
    sample_submission: str | None,
    *,
    with_probabilities: bool,
) -> pd.DataFrame:
    """Return the columns of a submission: ID and Class, or those of a sample with all classes."""
    columns = card.probability_columns if with_probabilities else []
    table = predictions[["ID", "Class", *columns]]
    if of_sample := class_columns(sample_submission, card.classes, card.background_label):
        table = predictions[["ID", *(f"probability_{label}" for label in of_sample)]]
        table.columns = pd.Index(["ID", *of_sample])
        columns = of_sample
    # As float64, because rounding a float32 to six decimals would write more digits than that.
    return table.astype(dict.fromkeys(columns, float)).round(dict.fromkeys(columns, 6))


def class_columns(
    sample_submission: str | None, classes: list[str], background_label: str | None = None
) -> list[str]:
    """Return the columns of a sample if it has one for each class; else, none.

    Args:
        sample_submission: CSV with a column ID, if there is one.
        classes: Classes of the model.
        background_label: That of the background, which the sample may leave out.

    Raises:
        UserError: It has columns for some classes but not all, or for others too.
    """
    if sample_submission is None:
        return []
    table = read_csv(sample_submission, ["ID"], "sample_submission", strip=False)
    columns = [name for name in table.columns if name != "ID"]
    are_of_classes = {name.casefold() for name in columns} & {name.casefold() for name in classes}
    if find_column(table, "Class") is not None or not are_of_classes:
        return []
    lacking = sorted(set(classes) - {background_label} - set(columns))
    others = sorted(set(columns) - set(classes))
    if lacking or others:
        problems = [f"lacks the classes {', '.join(lacking)}"] * bool(lacking)
        problems += [f"has {', '.join(others)}, which the model does not know"] * bool(others)
        raise UserError(
            f"`sample_submission={sample_submission}` has columns of classes, but "
            f"{' and '.join(problems)}: give it ID and a column for each class, or ID and Class"
        )
    return columns


def list_requested_clips(
    audio_dir: str, sample_submission: str | None, parameter: str = "audio_dir"
) -> pd.DataFrame:
    """List the clips to classify, in the order of the submission.

    Args:
        audio_dir: Folder of the clips.
        sample_submission: CSV with a column ID, if there is one.
        parameter: Name of the parameter that gave the folder, for errors.

    Returns:
        Columns `ID`, `path`, `num_bytes`, `modified_ns`, and `reason`, which is empty unless the
        clip must not be read.

    Raises:
        UserError: The folder or the sample is not usable, or an ID has no file in the folder.
    """
    sources = find_unlabeled(audio_dir, parameter)
    root = f"{locate(audio_dir)}/"
    columns = ["ID", "path", "num_bytes", "modified_ns", "reason"]
    readable = sources.clips.rename(columns={"clip_id": "ID"}).assign(reason="")
    rejected = sources.rejected[sources.rejected["path"].map(is_audio).astype(bool)]
    rejected = rejected.assign(
        ID=rejected["path"].str.removeprefix(root), num_bytes=0, modified_ns=0
    )
    clips = pd.concat([readable[columns], rejected[columns]]).sort_values("ID", ignore_index=True)
    if sample_submission is None:
        return clips
    sample = read_csv(sample_submission, ["ID"], "sample_submission", strip=False)["ID"]
    if sample.empty:
        raise UserError(f"`sample_submission={sample_submission}` has no ID below its header")
    positions = match_files(sample.str.strip(), clips["ID"])
    for line, clip_id, position in zip(sample.index, sample, positions, strict=True):
        if position >= 0:
            continue
        problem = f"has no file in {audio_dir}"
        if not is_inside(clip_id):
            problem = "is not the name of a file inside the folder"
        elif position == SEVERAL_FILES:
            problem = f"is the name of several files in {audio_dir}: give its ending and folder"
        raise UserError(
            f"`sample_submission={sample_submission}`, line {line}: ID {clip_id!r} {problem}"
        )
    return clips.iloc[positions].assign(ID=sample.array).reset_index(drop=True)


def predict_clips(
    model_file: Location,
    card: ModelCard,
    paths: list[str],
    reasons: list[str] | None = None,
    *,
    windows: WindowConfig | None = None,
    use_gpu: bool = False,
    unknown_below: float | None = None,
) -> pd.DataFrame:
    """Classify clips, in the order given; the probabilities of a file's windows are averaged.

    Needs an initialized Ray. Only the results are held in memory: about 100 bytes per clip and
    class.

    Args:
        model_file: File of the classifier.
        card: Card of the classifier.
        paths: Audio files.
        reasons: Reason why each file must not be read; empty if it can be.
        windows: Windows of each file; by default those of the training clips.
        use_gpu: Give each copy of the model a GPU.
        unknown_below: Probability below which a clip is `unknown`, by `ModelCard.unknown_below`.

    Returns:
        Columns `path`, `reason` (why a clip could not be read, else empty), `Class` (as
        `ModelCard.predict`), its `probability`, and `ModelCard.probability_columns`. A clip that
        could not be read has the most frequent class of the training clips, or is `unknown` if
        clips may be, and probabilities of 0.
    """
    # Different numbers of cores, or Ray Data would fuse the stages and decode in the actors.
    decode_cpus, model_cpus = (1, 0.99) if capacity.num_cores() > 1 else (0.5, 0.49)
    results = pd.DataFrame({"path": paths, "reason": reasons or [""] * len(paths)})
    means = WindowMeans(len(paths), len(card.classes))
    readable = results.index[results["reason"] == ""].to_numpy()
    if len(readable):
        rows = pd.DataFrame({"row": readable, "path": results["path"].to_numpy()[readable]})
        gpu_backend = find_gpu_backend() if use_gpu else None
        pipeline = stream_inputs(
            rows, card.analysis(model_file), windows or card.windows, num_cpus=decode_cpus
        ).map_batches(
            _PredictionActor,
            fn_constructor_args=(model_file, Device(gpu_backend=gpu_backend)),
            batch_size=_MODEL_BATCH,
            num_cpus=model_cpus,
            num_gpus=1 if gpu_backend else None,
            max_restarts=capacity.max_restarts(),
            compute=ray.data.ActorPoolStrategy(
                min_size=1, max_size=_max_actors(len(rows), gpu_backend is not None)
            ),
        )
        with Progress("predict", len(rows), "clips") as progress:
            for batch in pipeline.iter_batches(batch_size=None):
                progress.update(means.add(batch["row"], batch["probabilities"]))
                for row, reason in zip(batch["row"], batch["reason"], strict=True):
                    if reason:
                        results.loc[row, "reason"] = reason
    return _add_predictions(results, means.means(), card, unknown_below)


def _add_predictions(
    results: pd.DataFrame, probabilities: np.ndarray, card: ModelCard, unknown_below: float | None
) -> pd.DataFrame:
    """Add the predicted label of each clip, or one for clips that are unreadable."""
    labels, of_labels = card.predict(probabilities, unknown_below)
    of_unreadable = card.most_frequent_class if unknown_below is None else UNKNOWN
    is_readable = (results["reason"] == "").to_numpy()
    results["Class"] = np.where(is_readable, labels, of_unreadable)
    results["probability"] = np.where(is_readable, of_labels, 0)
    results[card.probability_columns] = np.where(is_readable[:, None], probabilities, 0)
    return results


def _max_actors(num_clips: int, use_gpu: bool) -> int:
    """Limit the copies of the model by the number of batches, and by GPUs or half of the cores."""
    num_places = ray.cluster_resources()["GPU"] if use_gpu else capacity.num_cores() / 2
    return int(max(1, min(num_places, num_clips // (4 * _MODEL_BATCH))))


class _PredictionActor:
    """An actor of Ray Data that holds the model."""

    def __init__(self, model_file: Location, device: Device) -> None:
        prepare(device)
        self._model = load_model(model_file)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        probabilities = predict_probabilities(self._model, inputs_of(batch))
        return {"row": batch["row"], "probabilities": probabilities, "reason": batch["reason"]}
